"""Decoding on hardware where it is there, in software otherwise, said once."""

from __future__ import annotations

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from streams import hardware
from streams.hardware import accelerator, chosen
from streams.modes import Hardware
from streams.opening import Source, opened


class Working:
    """A device that can be opened."""

    def __init__(self, kind: str, **options: object) -> None:
        self.kind, self.options = kind, options

    def create(self, _codec: object) -> Working:
        return self


@pytest.fixture
def dev(tmp_path: Path) -> Path:
    (tmp_path / "dri").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("wanted", "built", "present", "kind"),
    [
        ("auto", ["vaapi", "cuda"], ["dri/renderD128", "nvidia0"], "vaapi"),
        ("auto", ["cuda"], ["dri/renderD128", "nvidia0"], "cuda"),
        ("cuda", ["vaapi", "cuda"], ["dri/renderD128", "nvidia0"], "cuda"),
        ("vaapi", ["cuda"], ["dri/renderD128"], None),
        ("auto", ["vaapi", "cuda"], [], None),
        ("off", ["vaapi", "cuda"], ["dri/renderD128", "nvidia0"], None),
    ],
    ids=["both", "FFmpeg has one", "named", "not in this FFmpeg", "no device", "off"],
)
def test_hardware_is_taken_where_it_is_there(
    dev: Path,
    monkeypatch: pytest.MonkeyPatch,
    wanted: Hardware,
    built: list[str],
    present: list[str],
    kind: str | None,
) -> None:
    for name in present:
        (dev / name).touch()
    monkeypatch.setattr(hardware, "hwdevices_available", lambda: built)
    monkeypatch.setattr(hardware, "HWAccel", Working)
    assert chosen(wanted, dev) == kind
    assert (accelerator(wanted, dev) is None) == (kind is None)


def test_it_is_said_once(dev: Path) -> None:
    with capture_logs() as said:
        for _ in range(3):
            accelerator("cuda", dev)
    assert [one["event"] for one in said] == ["decoding in software"]


def test_a_device_that_does_not_work_leaves_the_decoding_to_software(videos: Path, dev: Path) -> None:
    """A node is there, but no driver behind it: opening any stream with it would fail."""
    if "cuda" not in hardware.hwdevices_available() or Path("/dev/nvidia0").exists():
        pytest.skip("this FFmpeg was built without cuda, or here is such a device")
    (dev / "nvidia0").touch()
    with capture_logs() as said:
        assert accelerator("cuda", dev) is None
    assert said[0]["cuda"].startswith("cannot be opened")
    with opened(Source(str(videos / "h264.mp4"), hardware="auto")) as (container, stream):
        assert next(iter(container.decode(stream))).width == 320
