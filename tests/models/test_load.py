from __future__ import annotations

import json
import sys

import numpy as np
import pytest
import tiny_onnx as tiny

from models.errors import DigestMismatch, ModelConfigError, ModelFileError
from models.load import build_detector, load_detector
from models.network import NetworkDetector
from models.registry import find_model
from models.runtimes import RuntimeOptions, open_runtime

RUNTIMES = ["onnxruntime", "openvino"]


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize(
    "options",
    [
        pytest.param({}, id="fixed batch of one"),
        pytest.param({"batch": "n"}, id="free batch"),
        pytest.param({"batch": 4}, id="fixed batch of four"),
        pytest.param({"batch": "n", "size": None, "metadata": tiny.ultralytics_metadata()}, id="free size"),
    ],
)
def test_planted_boxes_come_out_in_pixels_of_the_picture(add_model, models_dir, picture, runtime, options):
    add_model(**options)
    detector = load_detector("tiny", models_dir=models_dir, runtime=runtime)
    results = detector.detect([picture] * 5)
    assert len(results) == 5
    for found in results:
        truth = sorted(tiny.BOXES, key=lambda box: -box.score)
        np.testing.assert_allclose(found.xyxy, np.array([box.xyxy for box in truth]) * 2, atol=0.01)
        np.testing.assert_allclose(found.confidence, [box.score for box in truth], atol=1e-5)
        assert [found.label_of(i) for i in range(len(found))] == ["car", "smoke", "bus"]
    assert (detector.name, detector.precision, detector.labels) == ("tiny@1.0.0", "f32", tiny.LABELS)
    detector.close()


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("batch", ["n", 1, 3])
def test_results_keep_the_order_of_the_pictures(add_model, models_dir, runtime, batch):
    add_model(batch=batch)
    # a graph whose scores follow the brightness of each picture
    file = tiny.write(models_dir / "bright.onnx", {"output0": tiny.yolov8()}, batch=batch, responsive=True)
    found = find_model("tiny", models_dir)
    data = file.read_bytes()
    loaded = open_runtime(runtime, data, ("output0",), RuntimeOptions(), "bright")
    bright = NetworkDetector(
        found.manifest, loaded, "f32", found.manifest.thresholds.model_copy(update={"confidence": 0.05})
    )
    levels = [255, 128, 64, 192, 230, 26, 240, 250, 100, 90, 80]
    pictures = [np.full((64, 96, 3), level, np.uint8) for level in levels]
    best = [float(item.confidence.max()) for item in bright.detect(pictures)]
    np.testing.assert_allclose(best, 0.9 * np.array(levels) / 255, atol=1e-3)
    bright.close()


def test_a_model_file_that_was_changed_is_never_loaded(add_model, models_dir, monkeypatch):
    folder = add_model()
    data = bytearray((folder / "model.onnx").read_bytes())
    data[-1] ^= 1
    (folder / "model.onnx").write_bytes(data)
    monkeypatch.setattr("models.load.open_runtime", lambda *_: pytest.fail("was loaded"))
    with pytest.raises(
        DigestMismatch, match=r"model\.onnx: not loaded: its sha256 is [0-9a-f]{64}, the manifest"
    ):
        load_detector("tiny", models_dir=models_dir)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        pytest.param({"precision": "int8"}, "has not passed its gate in int8", id="not passed"),
        pytest.param({"precision": "fp32"}, "precision 'fp32' is none of f32, bf16", id="unknown precision"),
        pytest.param({"runtime": "tflite"}, "runtime 'tflite' is none of auto", id="unknown runtime"),
        pytest.param({"threads": 0}, "threads 0", id="no threads"),
        pytest.param({"confidence": 1.5}, r"confidence 1\.5", id="confidence"),
        pytest.param(
            {"provider": "cuda", "runtime": "openvino"}, "needs runtime onnxruntime", id="cuda in openvino"
        ),
    ],
)
def test_an_option_that_cannot_be_met_is_named(add_model, models_dir, options, said):
    add_model()
    with pytest.raises(ModelConfigError, match=said):
        load_detector("tiny", models_dir=models_dir, **options)


def test_a_gate_may_look_at_a_precision_that_has_not_passed(add_model, models_dir):
    add_model()
    found = find_model("tiny", models_dir)
    with pytest.raises(
        ModelConfigError, match="cannot run in int8: no int8 file for openvino; no int8 file for onnx"
    ):
        build_detector(found, runtime="auto", options=RuntimeOptions("int8"))


def test_confidence_replaces_the_manifests(add_model, models_dir, picture):
    add_model()
    detector = load_detector("tiny", models_dir=models_dir, confidence=0.8)
    assert detector.detect([picture])[0].confidence.tolist() == pytest.approx([0.9])
    detector.close()


def test_auto_takes_what_is_installed(add_model, models_dir, monkeypatch):
    add_model()
    detector = load_detector("tiny", models_dir=models_dir)
    assert detector.runtime_description.startswith("openvino")
    detector.close()
    monkeypatch.setitem(sys.modules, "openvino", None)
    detector = load_detector("tiny", models_dir=models_dir)
    assert detector.runtime_description.startswith("onnxruntime")
    detector.close()
    with pytest.raises(ModelConfigError, match="openvino is not installed"):
        load_detector("tiny", models_dir=models_dir, runtime="openvino")


def test_float16_models_run(add_model, models_dir, picture):
    add_model(float16=True)
    detector = load_detector("tiny", models_dir=models_dir)
    found = detector.detect([picture])[0]
    truth = sorted(tiny.BOXES, key=lambda box: -box.score)
    np.testing.assert_allclose(found.xyxy, np.array([box.xyxy for box in truth]) * 2, atol=0.2)
    assert detector.precision == "f16"
    assert detector.runtime_description.startswith("onnxruntime")
    detector.close()


def test_a_closed_detector_refuses_to_work(add_model, models_dir, picture):
    add_model()
    detector = load_detector("tiny", models_dir=models_dir)
    detector.close()
    detector.close()
    with pytest.raises(RuntimeError, match=r"tiny@1\.0\.0 is closed"):
        detector.detect([picture])


def test_no_pictures_no_results(add_model, models_dir):
    add_model(batch="n")
    detector = load_detector("tiny", models_dir=models_dir)
    assert detector.detect([]) == []
    detector.close()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        pytest.param(lambda m: m["input"].update(name="x"), "manifest names input x", id="input name"),
        pytest.param(
            lambda m: m["input"].update(width_px=128), r"\(None, 3, 64, 128\), the file has", id="input size"
        ),
        pytest.param(
            lambda m: m.update(labels=["a", "b"]), "does not fit its manifest: yolov8: expected", id="labels"
        ),
    ],
)
def test_a_manifest_that_is_not_the_files_is_refused_at_load(add_model, models_dir, change, said):
    path = add_model() / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))
    with pytest.raises(ModelFileError, match=said):
        load_detector("tiny", models_dir=models_dir)
