from __future__ import annotations

import subprocess
import sys
import textwrap

import numpy as np
import onnxruntime
import pytest
import tiny_onnx as tiny

from models import runtimes
from models.errors import ModelConfigError, ModelFileError
from models.runtimes import (
    RuntimeOptions,
    first_line,
    installed,
    open_runtime,
    openvino_hint,
    ort_provider,
    ort_provider_options,
)

CPU_ONLY = ["AzureExecutionProvider", "CPUExecutionProvider"]
GPU = ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]


@pytest.fixture
def model(tmp_path) -> bytes:
    return tiny.write(tmp_path / "a.onnx", {"o": tiny.yolov8()}).read_bytes()


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_outputs_come_in_the_order_asked_for(tmp_path, name):
    heads = tiny.nanodet()
    data = tiny.write(tmp_path / "a.onnx", heads).read_bytes()
    wanted = tuple(reversed(heads))
    runtime = open_runtime(name, data, wanted, RuntimeOptions(), "a")
    results = runtime.infer(np.zeros((1, 3, 64, 96), np.float32))
    assert [result.shape[1:] for result in results] == [heads[key].shape for key in wanted]
    np.testing.assert_allclose(results[0][0], heads[wanted[0]], atol=1e-5)
    assert runtime.input.name == "images"
    assert runtime.input.shape == (1, 3, 64, 96)
    assert runtime.description.startswith(name)
    assert runtime.description.endswith("cpu f32")
    runtime.close()


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_what_one_run_gave_is_not_written_over_by_the_next(tmp_path, name):
    data = tiny.write(tmp_path / "a.onnx", {"o": tiny.yolov8()}, responsive=True).read_bytes()
    runtime = open_runtime(name, data, ("o",), RuntimeOptions(), "a")
    first = runtime.infer(np.ones((1, 3, 64, 96), np.float32))[0]
    kept = first.copy()
    runtime.infer(np.zeros((1, 3, 64, 96), np.float32))
    np.testing.assert_array_equal(first, kept)
    runtime.close()


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("data", [b"", b"no model"], ids=["empty", "text"])
def test_bytes_that_are_no_model_are_refused_by_name(name, data):
    with pytest.raises(ModelFileError, match=r"a\.onnx: (ONNX Runtime|OpenVINO) cannot load it: \w+"):
        open_runtime(name, data, ("o",), RuntimeOptions(), "a.onnx")


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_an_output_that_is_not_there_is_refused_by_name(model, name):
    with pytest.raises(ModelFileError, match=r"a\.onnx: has no output 'p'; it has o"):
        open_runtime(name, model, ("p",), RuntimeOptions(), "a.onnx")


def test_bf16_is_refused_where_it_cannot_be(model):
    with pytest.raises(ModelConfigError, match="ONNX Runtime has no bf16; use f32"):
        open_runtime("onnxruntime", model, ("o",), RuntimeOptions("bf16"), "a.onnx")


@pytest.mark.parametrize(
    ("precision", "capabilities", "hint"),
    [
        pytest.param("f32", ["FP32", "BF16"], "f32", id="f32 stays f32 on a CPU with bf16"),
        pytest.param("bf16", ["FP32", "BF16"], "bf16", id="bf16"),
        pytest.param("f16", ["FP32", "FP16"], "f16", id="f16"),
        pytest.param("int8", ["FP32", "BF16", "INT8"], "f32", id="int8 keeps its float parts in f32"),
    ],
)
def test_openvino_is_told_its_precision(precision, capabilities, hint):
    assert openvino_hint(precision, capabilities, "a") == hint


@pytest.mark.parametrize("precision", ["bf16", "f16"])
def test_a_precision_that_the_cpu_lacks_is_an_error(precision):
    with pytest.raises(ModelConfigError, match=f"a: this CPU has no {precision} .*FP32, INT8.*use f32"):
        openvino_hint(precision, ["FP32", "INT8"], "a")


def test_openvino_runs_in_the_precision_it_was_told(model):
    runtime = open_runtime("openvino", model, ("o",), RuntimeOptions("f32", threads=1), "a")
    compiled = runtime._any_size.get_compiled_model()
    assert compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name() == "f32"
    assert compiled.get_property("INFERENCE_NUM_THREADS") == 1
    assert compiled.get_property("NUM_STREAMS") == 1
    runtime.close()


def test_a_size_that_comes_often_gets_a_graph_of_its_own_which_finds_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(runtimes, "OWN_AFTER", 2)
    monkeypatch.setattr(runtimes, "OWN_MOST", 1)
    path = tiny.write(tmp_path / "a.onnx", {"o": tiny.yolov8()}, batch="n", size=None, responsive=True)
    runtime = open_runtime("openvino", path.read_bytes(), ("o",), RuntimeOptions(), "a")
    often, seldom = np.full((1, 3, 32, 64), 0.5, np.float32), np.full((1, 3, 64, 96), 0.25, np.float32)
    found = [runtime.infer(blob)[0] for blob in (often, often, seldom, seldom, often, often, seldom)]
    for index in (1, 4, 5):
        np.testing.assert_array_equal(found[index], found[0])
    for index in (3, 6):
        np.testing.assert_array_equal(found[index], found[2])
    assert list(runtime._own) == [often.shape], "and no more of them than a process can hold"
    runtime.close()


@pytest.mark.parametrize(
    ("wanted", "available", "chosen"),
    [
        pytest.param("auto", CPU_ONLY, "cpu", id="auto without GPU wheel"),
        pytest.param("auto", GPU, "cuda", id="auto with GPU wheel"),
        pytest.param("cpu", GPU, "cpu", id="cpu"),
        pytest.param("tensorrt", GPU, "tensorrt", id="tensorrt"),
    ],
)
def test_the_provider_is_chosen(wanted, available, chosen):
    assert ort_provider(wanted, available) == chosen


@pytest.mark.parametrize("wanted", ["cuda", "tensorrt"])
def test_a_provider_that_is_absent_is_an_error_that_says_what_helps(wanted):
    said = rf"provider {wanted} is not in the installed onnxruntime \(it has cpu\).*towerwatch\[edge-cuda\]"
    with pytest.raises(ModelConfigError, match=said):
        ort_provider(wanted, CPU_ONLY)


@pytest.mark.parametrize(
    ("provider", "precision", "options"),
    [
        pytest.param("cpu", "f32", {}, id="cpu"),
        pytest.param("cuda", "f32", {"use_tf32": "0"}, id="cuda is told not to round to TF32"),
        pytest.param("tensorrt", "f32", {"trt_fp16_enable": "0", "trt_int8_enable": "0"}, id="trt f32"),
        pytest.param("tensorrt", "f16", {"trt_fp16_enable": "1", "trt_int8_enable": "0"}, id="trt f16"),
        pytest.param("tensorrt", "int8", {"trt_fp16_enable": "0", "trt_int8_enable": "1"}, id="trt int8"),
    ],
)
def test_providers_are_told_their_precision(provider, precision, options):
    assert ort_provider_options(provider, RuntimeOptions(precision)) == options


def test_a_provider_that_falls_back_in_silence_is_an_error(model, monkeypatch):
    """ONNX Runtime warns and takes the CPU when CUDA's libraries do not load."""
    real = onnxruntime.InferenceSession

    def on_cpu(data, settings, providers):
        return real(data, settings, providers=["CPUExecutionProvider"])

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: GPU)
    monkeypatch.setattr(onnxruntime, "InferenceSession", on_cpu)
    with pytest.raises(ModelConfigError, match="provider cuda could not start"):
        open_runtime("onnxruntime", model, ("o",), RuntimeOptions(provider="cuda"), "a.onnx")


def test_installed_tells_what_can_be_imported():
    assert installed("onnxruntime")
    assert not installed("no_such_runtime")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("Exception from src/x.cpp:12:\nCheck 'a' failed\n  Unable to read", "Unable to read"),
        ("\n", "RuntimeError"),
        ("short", "short"),
    ],
)
def test_the_telling_line_of_an_error(text, line):
    assert first_line(RuntimeError(text)) == line


def test_a_process_takes_signals_after_its_detectors_went(tmp_path):
    """Two OpenVINO cores that go in the order they came would leave it without a signal stack."""
    file = tiny.write(tmp_path / "a.onnx", {"output0": tiny.yolov8()})
    program = textwrap.dedent(f"""
        import faulthandler, os, signal
        from pathlib import Path
        from models.runtimes import OpenVino, RuntimeOptions

        faulthandler.enable()
        signal.signal(signal.SIGTERM, lambda *_: print("SIGTERM taken"))
        data = Path({str(file)!r}).read_bytes()
        first = OpenVino(data, ("output0",), RuntimeOptions(), "first")
        second = OpenVino(data, ("output0",), RuntimeOptions(), "second")
        first.close()
        del first
        second.close()
        del second
        os.kill(os.getpid(), signal.SIGTERM)
    """)
    done = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout) == (0, "SIGTERM taken\n"), done.stderr
