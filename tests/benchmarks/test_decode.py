from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from benchmarks import clips, decode

SECONDS = 4


@pytest.fixture
def small(monkeypatch):
    """Pictures small enough for a test; all else as in the real run."""
    monkeypatch.setattr(clips, "WIDTH_PX", 480)
    monkeypatch.setattr(clips, "HEIGHT_PX", 272)
    monkeypatch.setattr(clips, "BIT_RATE", 400_000)
    monkeypatch.setattr(decode, "QUICK_CLIP_S", SECONDS)


@pytest.mark.parametrize("b_frames", [0, 2])
def test_a_clip_is_what_it_says(tmp_path, small, b_frames):
    clips.write_clip(tmp_path / "a.mp4", SECONDS, b_frames=b_frames)
    facts = clips.clip_facts(tmp_path / "a.mp4", "a")
    assert (facts.codec, facts.width_px, facts.height_px, facts.seconds) == ("h264", 480, 272, SECONDS)
    assert facts.key_frames == SECONDS / clips.KEY_FRAME_S
    assert facts.b_frames == (b_frames > 0)
    assert facts.mbit_s == pytest.approx(0.4, rel=0.3)


def test_every_way_hands_out_the_pictures_it_should(tmp_path, small):
    app = decode.typer.Typer()
    app.command()(decode.main)
    out = tmp_path / "decode.json"
    result = CliRunner().invoke(app, ["--quick", "--json", str(out)])
    assert result.exit_code == 0, result.output
    content = json.loads(out.read_text())
    assert [item["name"] for item in content["clips"]] == ["no b-frames", "b-frames"]
    for clip in ("no b-frames", "b-frames"):
        rows = {row["way"]: row for row in content["results"] if row["clip"] == clip}
        assert {way: row["pictures"] for way, row in rows.items()} == {
            "floor": 2,
            "keyframes": 2,
            "every 25": 4,
            "full": 100,
            "opencv": 100,
            "opencv 1 in 50": 2,
        }
        assert rows["floor"]["ratio_to_floor"] == 1
        assert rows["full"]["cpu_s_per_camera_s"] > rows["floor"]["cpu_s_per_camera_s"] > 0
    assert content["machine"]["cores"] >= 1
