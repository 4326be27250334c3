from __future__ import annotations

import json
from pathlib import Path

import pytest
from central_kit import T0, digest
from typer.testing import CliRunner

from alerts import commands
from alerts.evidence import BlobStore
from alerts.messages import ReplyMessage
from alerts.rollout import Answer, send_config, send_model, wait
from alerts.rollout_cli import app
from alerts.store.database import Database
from alerts.store.tables import Edge
from towerwatch.errors import ConfigError

WEIGHTS = b"weights"


@pytest.fixture
def store(tmp_path: Path) -> BlobStore:
    return BlobStore(tmp_path / "artifacts")


@pytest.fixture
def version(tmp_path: Path) -> Path:
    """A model version as the registry lays it out."""
    folder = tmp_path / "vehicle" / "0.2.0"
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(WEIGHTS)
    file = {"path": "model.onnx", "precision": "f32", "sha256": digest(WEIGHTS), "bytes": len(WEIGHTS)}
    manifest = {"name": "vehicle", "version": "0.2.0", "labels": ["vehicle"], "files": [file]}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def know(database: Database, *names: str) -> None:
    with database.write() as session:
        session.add_all(Edge(id=name, site="riverside", first_seen_at=T0) for name in names)


def test_a_model_is_offered_by_digest_to_each_box(database, store, version) -> None:
    know(database, "box-1", "box-2")
    asked = send_model(database, store, version, ["box-1", "box-2"])
    assert set(asked) == {"box-1", "box-2"}
    sent = {address.edge: json.loads(payload) for address, payload, _id in commands.unsent(database)}
    manifest_sha256 = digest((version / "manifest.json").read_bytes())
    assert sent["box-2"]["name"] == "fetch_model"
    assert sent["box-2"]["arguments"] == {
        "name": "vehicle",
        "version": "0.2.0",
        "manifest_sha256": manifest_sha256,
    }
    assert store.has(manifest_sha256)
    assert store.has(digest(WEIGHTS))


def test_the_answers_of_boxes_are_waited_for(database, store, tmp_path) -> None:
    know(database, "box-1", "box-2")
    (tmp_path / "edge.yaml").write_text("site: riverside\n")
    asked = send_config(database, store, tmp_path / "edge.yaml", ["box-1", "box-2"])
    with database.write() as session:
        reply = ReplyMessage(command_id=asked["box-1"], at=T0, ok=False, detail="rolled back: why", result={})
        assert commands.answered(session, "box-1", reply)
    assert wait(database, asked, 0) == [
        Answer("box-1", ok=False, detail="rolled back: why"),
        Answer("box-2", ok=None, detail="no answer yet"),
    ]


@pytest.mark.parametrize(
    ("spoil", "edge", "said"),
    [
        (lambda folder: (folder / "manifest.json").unlink(), "box-1", "manifest.json: no such file"),
        (lambda folder: (folder / "manifest.json").write_text("{}"), "box-1", "manifest.json: name: Field"),
        (lambda folder: (folder / "model.onnx").write_bytes(b"x"), "box-1", "the manifest names"),
        (lambda folder: (folder / "model.onnx").unlink(), "box-1", "model.onnx: no such file"),
        (lambda _folder: None, "box-9", "there is no box box-9"),
    ],
    ids=["no manifest", "no model's manifest", "another file", "no file", "no box"],
)
def test_what_cannot_be_sent_is_named_and_nothing_is_asked(sqlite, store, version, spoil, edge, said) -> None:
    know(sqlite, "box-1")
    spoil(version)
    with pytest.raises(ConfigError, match=said):
        send_model(sqlite, store, version, ["box-1", edge])
    assert commands.unsent(sqlite) == []


def test_a_box_that_does_not_answer_is_named(tmp_path, version) -> None:
    data = tmp_path / "central"
    database = Database(f"sqlite:///{data / 'central.db'}")
    (tmp_path / "central.yaml").write_text(f"data_dir: {data}\n")
    arguments = [str(version), "--edge", "box-1", "--wait-s", "0", "--config", str(tmp_path / "central.yaml")]
    result = CliRunner().invoke(app, ["model", *arguments])
    assert "there is no box box-1" in str(result.exception)
    know(database, "box-1")
    database.close()
    result = CliRunner().invoke(app, ["model", *arguments])
    assert "box-1: not done: no answer yet" in result.output
    assert "not done on box-1" in str(result.exception)
