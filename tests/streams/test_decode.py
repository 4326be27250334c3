from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import av
import pytest

from streams import decode
from streams.decode import Decoded, PictureDecoder, Sampler
from streams.modes import FULL, KEYFRAMES, DecodeMode, every
from streams.packets import Stamp

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


def run(path: Path, *modes: DecodeMode, interval_s: float = 0.0) -> tuple[list[Decoded], PictureDecoder]:
    """Decode a file; the modes take turns, each for an equal part of the packets."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        decoder = PictureDecoder(stream.codec_context, interval_s=interval_s)
        packets = [packet for packet in container.demux(stream) if packet.size]
        found = []
        for index, packet in enumerate(packets):
            at_s = float((packet.pts or 0) * packet.time_base)
            stamp = Stamp(EPOCH + timedelta(seconds=at_s), at_s)
            found += decoder.feed(packet, stamp, modes[index * len(modes) // len(packets)])
        return found + decoder.drain(), decoder


def times(found: list[Decoded]) -> list[float]:
    return [round(picture.stamp.monotonic_s, 2) for picture in found]


@pytest.mark.parametrize("name", ["h264.mp4", "plain.mp4", "hevc.mp4"])
@pytest.mark.parametrize(
    ("mode", "count"), [(KEYFRAMES, 4), (FULL, 100), (every(10), 10), (every(1), 100)], ids=str
)
def test_each_mode_gives_its_share_of_pictures(videos: Path, name: str, mode: DecodeMode, count: int) -> None:
    found, decoder = run(videos / name, mode)
    assert len(found) == count
    assert decoder.errors == 0
    assert times(found) == sorted(times(found))


@pytest.mark.parametrize("name", ["h264.mp4", "hevc.mp4"])
def test_a_key_frame_comes_out_with_its_own_packet_although_there_are_b_frames(
    videos: Path, name: str
) -> None:
    with av.open(str(videos / name)) as container:
        stream = container.streams.video[0]
        decoder = PictureDecoder(stream.codec_context)
        for index, packet in enumerate(packet for packet in container.demux(stream) if packet.size):
            stamp = Stamp(EPOCH, float(index))
            found = decoder.feed(packet, stamp, KEYFRAMES)
            assert [picture.stamp for picture in found] == ([stamp] if packet.is_keyframe else [])


@pytest.mark.parametrize("name", ["h264.mp4", "hevc.mp4"])
def test_the_time_of_arrival_stays_with_its_picture_through_reordering(videos: Path, name: str) -> None:
    found, _decoder = run(videos / name, FULL)
    # the stamps were made from each packet's pts, so they must be those of the pictures
    assert times(found) == [round(index / 25, 2) for index in range(100)]
    assert [picture.is_key for picture in found] == [index % 25 == 0 for index in range(100)]


def test_where_every_frame_is_a_key_frame_the_interval_bounds_the_work(videos: Path) -> None:
    found, decoder = run(videos / "mjpeg.mkv", KEYFRAMES, interval_s=1.0)
    assert times(found) == [0.0, 0.76, 1.76, 2.76, 3.76]
    assert decoder.pictures == len(found)


def test_every_nth_of_an_intra_codec_decodes_no_more_than_it_gives(videos: Path) -> None:
    found, decoder = run(videos / "mjpeg.mkv", every(10))
    assert len(found) == decoder.pictures == 10


def test_the_mode_can_change_while_running(videos: Path) -> None:
    found, decoder = run(videos / "h264.mp4", KEYFRAMES, FULL, KEYFRAMES, FULL)
    assert decoder.errors == 0
    assert times(found) == sorted(times(found))
    second = [at_s for at_s in times(found) if 1.0 <= at_s < 1.9]
    assert len(second) > 20
    assert [at_s for at_s in times(found) if 2.0 <= at_s < 2.9] == [2.0]


def test_a_packet_of_noise_is_counted_and_the_next_key_frame_is_good(videos: Path) -> None:
    with av.open(str(videos / "plain.mp4")) as container:
        stream = container.streams.video[0]
        decoder = PictureDecoder(stream.codec_context)
        packets = [packet for packet in container.demux(stream) if packet.size]
        broken = av.Packet(b"\x00\x00\x00\x08" + b"\x65\xff\x00\xaa" * 2)
        broken.is_keyframe = True
        assert decoder.feed(broken, Stamp(EPOCH, 0.0), KEYFRAMES) == []  # type: ignore[arg-type]
        assert decoder.errors_in_row == 1
        assert len(decoder.feed(packets[0], Stamp(EPOCH, 1.0), KEYFRAMES)) == 1
        assert decoder.errors_in_row == 0
        assert decoder.errors == 1


def test_key_frames_from_before_one_is_wanted_are_not_decoded(videos: Path) -> None:
    with av.open(str(videos / "plain.mp4")) as container:
        stream = container.streams.video[0]
        decoder = PictureDecoder(stream.codec_context)
        found = []
        for index, packet in enumerate(packet for packet in container.demux(stream) if packet.size):
            found += decoder.feed(packet, Stamp(EPOCH, index / 25), KEYFRAMES, from_s=1.5)
    assert times(found) == [2.0, 3.0]
    assert (decoder.pictures, decoder.skipped) == (2, 2)


def test_a_stream_that_flags_no_key_frames_is_decoded_whole_after_a_while(
    videos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decode, "NO_KEY_PATIENCE_S", 1.5)
    with av.open(str(videos / "plain.mp4")) as container:
        stream = container.streams.video[0]
        decoder = PictureDecoder(stream.codec_context, interval_s=0.5)
        found = []
        for index, packet in enumerate(packet for packet in container.demux(stream) if packet.size):
            packet.is_keyframe = False
            found += decoder.feed(packet, Stamp(EPOCH, index / 25), KEYFRAMES)
    assert 4 <= len(found) <= 6
    assert min(times(found)) > 1.5


def test_a_frame_is_made_when_it_is_wanted(videos: Path) -> None:
    found, _decoder = run(videos / "plain.mp4", KEYFRAMES)
    frame = found[1].to_frame()
    assert (frame.width_px, frame.height_px, frame.index, frame.is_key) == (160, 120, 1, True)
    assert frame.captured_at == EPOCH + timedelta(seconds=1)


@pytest.mark.parametrize(
    ("interval_s", "at_s", "admitted"),
    [
        (0.0, [0, 0.1, 0.2], [0, 0.1, 0.2]),
        (2.0, [0, 2.03, 3.97, 6.1, 8.0], [0, 2.03, 3.97, 6.1, 8.0]),
        (1.0, [0, 0.4, 0.8, 1.2, 1.6, 2.0], [0, 0.8, 2.0]),
        (1.0, [0, 0.5, 10.0, 10.5, 11.0], [0, 10.0, 11.0]),
        (1.0, [100, 100.5, 3.0, 3.5, 4.0], [100, 3.0, 4.0]),
    ],
    ids=["no interval", "jitter of key frames", "denser than wanted", "a gap", "time starts again"],
)
def test_the_sampler_keeps_the_interval(interval_s: float, at_s: list[float], admitted: list[float]) -> None:
    sampler = Sampler(interval_s)
    assert [at for at in at_s if sampler.admit(at)] == admitted


def test_the_sampler_keeps_the_mean_interval_of_a_dense_stream() -> None:
    sampler = Sampler(0.5)
    assert 119 <= sum(sampler.admit(index / 25) for index in range(1500)) <= 121
