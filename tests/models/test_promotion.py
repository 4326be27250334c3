from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from models import registry
from models.errors import ModelConfigError
from models.promotion import Gate, Refused, history, judge_gates, parse_gate, promote, rollback
from models.registry import FoundModel, find_model
from towerwatch.cli import app

FIGURES = {"map50": 0.8, "recall": 0.7, "precision": 0.6, "empty_frames_with_box_frac": 0.1}


@pytest.fixture(autouse=True)
def nothing_shipped(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "shipped_dir", lambda: tmp_path / "none")


@pytest.fixture
def candidate(add_model, models_dir) -> FoundModel:
    """tiny@1.1.0, a child of tiny@1.0.0."""
    add_model()
    child(add_model(version="1.1.0"), "tiny@1.0.0")
    return find_model("tiny@1.1.0", models_dir)


def child(folder: Path, parent: str) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**manifest, "parent": parent}))


def entry(found: FoundModel, **figures: float | None) -> dict:
    file = found.manifest.files[0]
    return {
        "model": found.manifest.reference,
        "numeric": "f32",
        "sha256": file.sha256,
        **FIGURES,
        **figures,
    }


def write_report(tmp_path: Path, models_dir: Path, **figures: float | None) -> Path:
    new, old = (find_model(f"tiny@{version}", models_dir) for version in ("1.1.0", "1.0.0"))
    path = tmp_path / "report.json"
    path.write_text(json.dumps({"models": [entry(new, **figures), entry(old)]}))
    return path


def run(*arguments, models_dir):
    return CliRunner().invoke(app, ["models", *map(str, arguments), "--models-dir", str(models_dir)])


@pytest.mark.parametrize(
    ("figure", "value", "allowance", "passed"),
    [
        ("map50", 0.8, 0.0, True),
        ("map50", 0.79, 0.0, False),
        ("map50", 0.79, 0.01, True),
        ("map50", 0.9, 0.0, True),
        ("precision", None, 0.0, False),
        ("empty_frames_with_box_frac", 0.2, 0.0, False),
        ("empty_frames_with_box_frac", 0.05, 0.0, True),
    ],
    ids=["equal", "worse", "worse but allowed", "better", "no box at all", "more false boxes", "fewer"],
)
def test_a_gate_allows_no_loss_but_the_one_it_names(
    candidate, models_dir, tmp_path, figure, value, allowance, passed
):
    report = write_report(tmp_path, models_dir, **{figure: value})
    parent = find_model("tiny@1.0.0", models_dir)
    (outcome,) = judge_gates(candidate, parent, [report], [Gate(figure, allowance)])
    assert outcome.passed is passed


def test_a_candidate_that_is_not_worse_is_promoted_and_taken_back(candidate, models_dir, tmp_path):
    report = write_report(tmp_path, models_dir, map50=0.85)
    promoted = run("promote", "tiny@1.1.0", "--report", report, models_dir=models_dir)
    assert promoted.exit_code == 0, promoted.output
    assert "map50: 0.85 against 0.8: ok" in promoted.output
    assert find_model("tiny", models_dir).manifest.version == "1.1.0"
    back = run("rollback", "tiny", "--reason", "boxes every lamp", models_dir=models_dir)
    assert back.exit_code == 0, back.output
    assert find_model("tiny", models_dir).manifest.version == "1.0.0"
    assert [
        (item.action, item.version, item.before, item.reason) for item in history("tiny", models_dir)
    ] == [
        ("promote", "1.1.0", "1.0.0", ""),
        ("rollback", "1.0.0", "1.1.0", "boxes every lamp"),
    ]
    assert run("rollback", "tiny", models_dir=models_dir).exit_code == 2


def test_a_worse_candidate_stays_one_unless_it_is_forced_with_a_reason(candidate, models_dir, tmp_path):
    report = write_report(tmp_path, models_dir, recall=0.5)
    refused = run("promote", "tiny@1.1.0", "--report", report, models_dir=models_dir)
    assert refused.exit_code == 1
    assert "recall: 0.5 against 0.7: WORSE" in refused.output
    assert find_model("tiny", models_dir).manifest.version == "1.0.0"
    assert history("tiny", models_dir) == []
    more = ["--force", "--reason", "finds the new buses"]
    forced = run("promote", "tiny@1.1.0", "--report", report, *more, models_dir=models_dir)
    assert forced.exit_code == 0, forced.output
    (change,) = history("tiny", models_dir)
    assert (change.forced, change.reason) == (True, "finds the new buses")
    assert [outcome.gate for outcome in change.gates if not outcome.passed] == ["recall"]


def test_rolling_back_goes_one_promotion_further_each_time(add_model, candidate, models_dir):
    child(add_model(version="1.2.0"), "tiny@1.1.0")
    for version in ("1.1.0", "1.2.0"):
        promote(find_model(f"tiny@{version}", models_dir), models_dir, (), forced=True, reason="test")
    assert [rollback("tiny", models_dir).version for _ in range(2)] == ["1.1.0", "1.0.0"]
    with pytest.raises(ModelConfigError, match="no promotion to take back"):
        rollback("tiny", models_dir)


def test_a_changed_file_is_neither_promoted_nor_rolled_back_to(candidate, models_dir):
    promote(candidate, models_dir, (), forced=False, reason="")
    file = models_dir / "tiny" / "1.0.0" / "model.onnx"
    file.write_bytes(file.read_bytes() + b"x")
    with pytest.raises(Refused, match="its sha256 is"):
        rollback("tiny", models_dir)
    with pytest.raises(Refused, match="its sha256 is"):
        promote(find_model("tiny@1.0.0", models_dir), models_dir, (), forced=True, reason="no")
    assert find_model("tiny", models_dir).manifest.version == "1.1.0"


def test_a_first_model_of_its_name_has_nothing_to_be_worse_than(add_model, models_dir):
    add_model()
    promoted = run("promote", "tiny@1.0.0", models_dir=models_dir)
    assert promoted.exit_code == 0, promoted.output
    assert (models_dir / "tiny" / "active").read_text() == "1.0.0\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param(None, "report.json: cannot be read", id="missing"),
        pytest.param("x", "report.json: is not valid JSON", id="no JSON"),
        pytest.param("[]", "is no report of models evaluate", id="a list"),
        pytest.param(
            '{"model": "a@1", "numeric": "f32"}', "says nothing about tiny@1.1.0 f32", id="of others"
        ),
        pytest.param(
            '{"model": "tiny@1.1.0", "numeric": "f32", "sha256": "0"}',
            "judged another file",
            id="of another file",
        ),
    ],
)
def test_a_report_that_cannot_serve_is_named(candidate, models_dir, tmp_path, text, said):
    report = tmp_path / "report.json"
    if text is not None:
        report.write_text(text)
    result = run("promote", "tiny@1.1.0", "--report", report, models_dir=models_dir)
    assert result.exit_code == 2
    assert said in " ".join(result.output.split())


def test_without_a_report_the_command_that_makes_one_is_named(candidate, models_dir):
    result = run("promote", "tiny@1.1.0", models_dir=models_dir)
    assert result.exit_code == 2
    assert "models evaluate tiny@1.1.0 --against tiny@1.0.0" in " ".join(result.output.split())


@pytest.mark.parametrize("text", ["mAP", "map50:x", "map50:2", "map50:-1"])
def test_a_gate_that_is_none_is_refused(text):
    with pytest.raises(ModelConfigError, match="--gate"):
        parse_gate(text)


def test_a_broken_history_is_named_with_its_line(candidate, models_dir):
    (models_dir / "tiny" / "history.jsonl").write_text("{}\n")
    with pytest.raises(ModelConfigError, match=r"history\.jsonl:1: at: "):
        rollback("tiny", models_dir)
