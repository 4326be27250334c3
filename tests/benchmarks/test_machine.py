from __future__ import annotations

import subprocess

import pytest

from benchmarks import machine
from benchmarks.report import print_table


def test_facts_name_what_a_figure_depends_on():
    facts = machine.machine_facts()
    assert facts["cpu"]
    assert facts["cores"] >= 1
    assert facts["memory_gib"] > 0
    assert {"numpy", "onnxruntime"} <= set(facts["packages"])


@pytest.mark.parametrize(
    ("outcome", "names"),
    [
        pytest.param("NVIDIA H100\nNVIDIA H100\n", ["NVIDIA H100", "NVIDIA H100"], id="two"),
        pytest.param(subprocess.TimeoutExpired("nvidia-smi", 10), [], id="driver hangs"),
        pytest.param(subprocess.CalledProcessError(9, "nvidia-smi"), [], id="driver fails"),
        pytest.param(None, [], id="none"),
    ],
)
def test_gpus_are_named_or_none(monkeypatch, outcome, names):
    def smi(command, **_):
        if isinstance(outcome, Exception):
            raise outcome
        return subprocess.CompletedProcess(command, 0, stdout=outcome)

    monkeypatch.setattr(machine.shutil, "which", lambda _: None if outcome is None else "nvidia-smi")
    monkeypatch.setattr(machine.subprocess, "run", smi)
    assert machine.gpu_names() == names


def test_a_system_without_cpuinfo_is_no_error(tmp_path):
    assert machine._cpu_info(tmp_path / "none") == {}


def test_tables_show_sizes_numbers_and_gaps(capsys):
    print_table("t", [{"size": [640, 384], "fps": 12.34567}], ("size", "fps", "absent"))
    shown = capsys.readouterr().out
    assert "640x384" in shown
    assert "12.35" in shown
    assert "-" in shown
