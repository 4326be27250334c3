"""How a model runs best here: what may be measured, what wins, what is kept and for how long."""

from __future__ import annotations

import json
import threading

import pytest
import tiny_onnx as tiny

from models import tune as module
from models.errors import ModelConfigError
from models.registry import find_model
from models.tune import TUNING_FILE, Measured, Way, Wish, best, kept, measure, tune


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(module, "SLICE_S", 0.0)


@pytest.fixture
def found(add_model, models_dir):
    add_model(batch="n")
    return find_model("tiny", models_dir)


def way(**changes):
    return Way(**({"runtime": "openvino", "precision": "int8"} | changes))


@pytest.mark.parametrize(
    ("costs", "wins"),
    [([10.0], 0), ([10.0, 9.5, 12.0], 0), ([10.0, 8.0, 7.0], 2), ([5.0, 8.0], 0)],
    ids=["alone", "not clearly", "the cheapest", "the manifest's own"],
)
def test_the_manifests_way_gives_place_to_a_clearly_cheaper_one_alone(costs, wins):
    measured = [
        Measured(way=way(threads=index + 1), cpu_ms=cost, wall_ms=1.0) for index, cost in enumerate(costs)
    ]
    assert best(measured) is measured[wins]


def test_on_a_gpu_the_wall_clock_counts():
    slow = Measured(way=way(batch=1), cpu_ms=1.0, wall_ms=9.0, on_gpu=True)
    fast = Measured(way=way(batch=4), cpu_ms=2.0, wall_ms=3.0, on_gpu=True)
    assert best([slow, fast]) is fast


def test_all_that_may_run_is_measured_and_nothing_else(found, monkeypatch):
    monkeypatch.setattr(module.os, "sched_getaffinity", lambda _pid: {0, 1})
    ways = [one.way for one in measure(found, Wish())]
    assert {(one.runtime, one.precision) for one in ways} == {("openvino", "f32"), ("onnxruntime", "f32")}
    assert {one.threads for one in ways} == {1, 2}
    assert {one.batch for one in ways} == {1, 4}
    assert len(ways) == len(set(ways))
    assert (ways[0].runtime, ways[0].threads, ways[0].batch) == ("openvino", 1, 1), "the manifest's own first"


def test_what_is_wished_is_not_varied(found):
    ways = [one.way for one in measure(found, Wish("onnxruntime", "cpu", "f32", 1))]
    assert {(one.runtime, one.precision, one.threads) for one in ways} == {("onnxruntime", "f32", 1)}


def test_without_time_the_manifests_way_alone_is_measured(found):
    assert len(measure(found, Wish(), limit_s=0.0)) == 1


def test_what_was_found_is_kept_until_model_cpu_or_wish_change(
    found, add_model, models_dir, tmp_path, monkeypatch
):
    box = tmp_path / "box"
    assert kept(box, found, Wish()) is None
    entry = tune(box, found, Wish())
    assert kept(box, found, Wish()) == entry
    tune(box, found, Wish())
    assert len(json.loads((box / TUNING_FILE).read_text())["entries"]) == 1
    assert kept(box, found, Wish(threads=1)) is None
    add_model(version="2.0.0", outputs={"output0": tiny.yolov8() * 0.5})
    assert kept(box, find_model("tiny", models_dir), Wish()) is None
    monkeypatch.setattr(module, "_cpu", lambda: "another CPU")
    assert kept(box, found, Wish()) is None


def test_a_damaged_file_is_measured_anew(found, tmp_path):
    (tmp_path / TUNING_FILE).write_text("{")
    assert kept(tmp_path, found, Wish()) is None
    assert tune(tmp_path, found, Wish()) == kept(tmp_path, found, Wish())


def test_two_at_once_measure_one_after_the_other_and_once(found, tmp_path, monkeypatch):
    runs, entered, go_on = [], threading.Event(), threading.Event()

    def slow(*arguments):
        runs.append(arguments)
        entered.set()
        assert go_on.wait(10)
        return [Measured(way=way(), cpu_ms=1.0, wall_ms=1.0)]

    monkeypatch.setattr(module, "measure", slow)
    both = [threading.Thread(target=tune, args=(tmp_path, found, Wish())) for _ in range(2)]
    both[0].start()
    assert entered.wait(10)
    both[1].start()
    both[1].join(0.2)
    go_on.set()
    for one in both:
        one.join(10)
    assert len(runs) == 1


def test_a_folder_that_cannot_be_written_is_said(found, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelConfigError, match="file: cannot be written"):
        tune(tmp_path / "file", found, Wish())
