from __future__ import annotations

import json

import pytest

from models import registry
from models.errors import ModelConfigError
from models.registry import find_model, list_models, shipped_dir, verify


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    folder = tmp_path / "weights"
    monkeypatch.setattr(registry, "shipped_dir", lambda: folder)
    return folder


def move_to(folder, source):
    target = folder / source.parent.name / source.name
    target.parent.mkdir(parents=True)
    source.rename(target)


def test_the_newest_version_is_meant_by_a_bare_name(add_model, models_dir):
    for version in ("1.9.0", "1.10.0", "1.2.0"):
        add_model(version=version)
    assert find_model("tiny", models_dir).manifest.version == "1.10.0"
    assert find_model("tiny@1.2.0", models_dir).manifest.version == "1.2.0"


def test_the_active_file_wins_over_the_newest(add_model, models_dir):
    for version in ("1.0.0", "2.0.0"):
        add_model(version=version)
    (models_dir / "tiny" / "active").write_text("1.0.0\n", encoding="utf-8")
    assert find_model("tiny", models_dir).manifest.version == "1.0.0"
    assert find_model("tiny@2.0.0", models_dir).manifest.version == "2.0.0"


@pytest.mark.parametrize(
    ("text", "said"), [("3.0.0", "no version '3.0.0'; there are: 1.0.0"), ("../x", "is no version")]
)
def test_an_active_file_that_names_nothing_is_an_error(add_model, models_dir, text, said):
    add_model()
    (models_dir / "tiny" / "active").write_text(text, encoding="utf-8")
    with pytest.raises(ModelConfigError, match=said):
        find_model("tiny", models_dir)


def test_shipped_and_own_models_stand_side_by_side(add_model, models_dir, shipped):
    move_to(shipped, add_model("smoke", "1.0.0"))
    move_to(shipped, add_model("tiny", "1.0.0"))
    add_model("tiny", "1.0.0")
    add_model("tiny", "0.9.0")
    listed = [(item.manifest.reference, item.origin) for item in list_models(models_dir)]
    assert listed == [
        ("smoke@1.0.0", "shipped"),
        ("tiny@1.0.0", "site"),
        ("tiny@1.0.0", "shipped"),
        ("tiny@0.9.0", "site"),
    ]
    assert find_model("tiny", models_dir).origin == "site"
    assert find_model("smoke", None).origin == "shipped"


def test_a_model_is_found_by_path(add_model):
    folder = add_model()
    assert find_model(str(folder)).manifest.reference == "tiny@1.0.0"
    assert find_model(str(folder / "manifest.json")).folder == folder


@pytest.mark.parametrize(
    ("name", "said"),
    [
        pytest.param("smokk", "no model 'smokk'; there are: tiny", id="unknown"),
        pytest.param("tiny@9", "no version '9'; there are: 1.0.0", id="unknown version"),
        pytest.param("Ti*", "no model 'Ti\\*'", id="no name at all"),
        pytest.param("x.onnx", "import it first", id="a bare file"),
        pytest.param("/nowhere/at/all", "cannot be read", id="no such path"),
    ],
)
def test_what_is_not_there_is_named_with_what_is(add_model, models_dir, shipped, name, said):
    add_model()
    with pytest.raises(ModelConfigError, match=said):
        find_model(name, models_dir)


def test_a_folder_that_is_named_otherwise_is_an_error(add_model, models_dir):
    folder = add_model()
    folder.rename(folder.with_name("7.0.0"))
    with pytest.raises(ModelConfigError, match=r"names tiny@1\.0\.0, but lies in tiny/7\.0\.0"):
        find_model("tiny", models_dir)


def with_parent(folder, parent="tiny@1.0.0"):
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**manifest, "parent": parent}))
    return folder


def test_a_bare_name_never_means_a_candidate(add_model, models_dir, shipped):
    with_parent(add_model(version="1.1.0"))
    with pytest.raises(ModelConfigError, match=r"choose one: towerwatch models promote tiny@1\.1\.0"):
        find_model("tiny", models_dir)
    add_model()
    assert find_model("tiny", models_dir).manifest.version == "1.0.0"
    assert find_model("tiny@1.1.0", models_dir).manifest.version == "1.1.0"
    move_to(shipped, with_parent(add_model(version="1.2.0")))
    assert find_model("tiny", models_dir).manifest.version == "1.2.0"  # what ships was promoted by us


@pytest.mark.parametrize(("version", "hidden"), [("0.9.0", False), ("2.0.0", True)], ids=["older", "newer"])
def test_a_broken_manifest_matters_only_where_it_may_be_meant(add_model, models_dir, version, hidden):
    add_model()
    (add_model(version=version) / "manifest.json").write_text("{")
    assert find_model("tiny@1.0.0", models_dir).manifest.version == "1.0.0"
    with pytest.raises(ModelConfigError, match=rf"tiny/{version}/manifest\.json"):
        find_model(f"tiny@{version}", models_dir)
    if hidden:
        with pytest.raises(ModelConfigError, match=r"tiny/2\.0\.0/manifest\.json"):
            find_model("tiny", models_dir)
    else:
        assert find_model("tiny", models_dir).manifest.version == "1.0.0"
    (models_dir / "tiny" / "active").write_text("1.0.0\n")
    assert find_model("tiny", models_dir).manifest.version == "1.0.0"


def test_verify_names_each_file_that_is_wrong(add_model, models_dir):
    folder = add_model()
    found = find_model("tiny", models_dir)
    assert verify(found) == []
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"][0]["bytes"] += 1
    (folder / "manifest.json").write_text(json.dumps(manifest))
    assert "bytes, the manifest names" in verify(find_model("tiny", models_dir))[0]
    (folder / "model.onnx").write_bytes(b"other")
    assert "not loaded: its sha256 is" in verify(found)[0]
    (folder / "model.onnx").unlink()
    assert "cannot be read" in verify(found)[0]


def test_the_shipped_models_belong_to_the_package():
    assert shipped_dir().name == "weights"
    assert shipped_dir().parent.name == "models"
