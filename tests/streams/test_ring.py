from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import av
import pytest
from media import decode_all, make_video

from streams.nal import parameter_sets
from streams.packets import Packet, Stamp
from streams.reader import Framing
from streams.ring import PacketRing

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
MIB = 1 << 20


def at(seconds: float) -> datetime:
    return EPOCH + timedelta(seconds=seconds)


def packets_of(path: Path) -> Iterator[tuple[Packet, str, bytes]]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        framing = Framing(stream)
        for packet in container.demux(stream):
            if packet.size:
                for kept in framing.annex_b(packet):
                    yield kept, stream.codec_context.name, framing.extradata


def connect(
    ring: PacketRing,
    path: Path,
    *,
    from_s: float = 0.0,
    fps: int = 25,
    change: Callable[[int, Packet], None] | None = None,
    extradata: bytes | None = None,
) -> float:
    """Let a connection bring a whole file, its packets one frame apart; return the time of its end."""
    begun = False
    index = -1
    for index, (packet, codec, own_extradata) in enumerate(packets_of(path)):
        if not begun:
            ring.begin(codec, own_extradata if extradata is None else extradata)
            begun = True
        if change is not None:
            change(index, packet)
        ring.append(packet, Stamp(at(from_s + index / fps), 1000 + from_s + index / fps))
    return from_s + (index + 1) / fps


@pytest.mark.parametrize("name", ["h264.mp4", "plain.mp4", "hevc.mp4", "mjpeg.mkv"])
def test_a_clip_from_before_and_after_an_event_plays(videos: Path, tmp_path: Path, name: str) -> None:
    ring = PacketRing(16 * MIB)
    connect(ring, videos / name)
    path = ring.cut(at(1.5), at(3.2), tmp_path / "clip.mp4")
    assert path == tmp_path / "clip.mp4"
    times = decode_all(path)
    # from the key frame before the start (every frame is one in MJPEG) to the end
    wanted = 43 if name == "mjpeg.mkv" else 56
    assert abs(len(times) - wanted) <= 1
    assert times == sorted(set(times))
    assert times[-1] - times[0] == pytest.approx((len(times) - 1) / 25, abs=0.13)
    with av.open(str(path)) as container:
        assert container.duration is not None
        assert container.duration / 1e6 == pytest.approx(len(times) / 25, abs=0.13)
        codec = container.streams.video[0].codec_context.name
        assert codec == {"hevc.mp4": "hevc", "mjpeg.mkv": "mjpeg"}.get(name, "h264")
    assert list(tmp_path.iterdir()) == [path]


def test_a_clip_starts_at_the_first_key_frame_where_the_past_is_gone(videos: Path, tmp_path: Path) -> None:
    ring = PacketRing(16 * MIB)
    connect(ring, videos / "plain.mp4", from_s=10)
    path = ring.cut(at(0), at(11), tmp_path / "clip.mp4")
    assert path is not None
    assert len(decode_all(path)) == 26


@pytest.mark.parametrize(("start_s", "end_s"), [(-9, -5), (20, 30)], ids=["before", "after"])
def test_there_is_no_clip_of_a_time_that_is_not_there(
    videos: Path, tmp_path: Path, start_s: float, end_s: float
) -> None:
    ring = PacketRing(16 * MIB)
    connect(ring, videos / "plain.mp4")
    assert ring.cut(at(start_s), at(end_s), tmp_path / "clip.mp4") is None
    assert list(tmp_path.iterdir()) == []


def test_an_empty_ring_gives_nothing(tmp_path: Path) -> None:
    ring = PacketRing(MIB)
    assert ring.span() is None
    assert ring.cut(at(0), at(1), tmp_path / "clip.mp4") is None


def test_packets_without_a_connection_are_a_fault(videos: Path) -> None:
    packet, _codec, _extradata = next(packets_of(videos / "plain.mp4"))
    with pytest.raises(RuntimeError, match="begin"):
        PacketRing(MIB).append(packet, Stamp(EPOCH, 0))


def test_bytes_are_bounded_and_the_oldest_pictures_go_first(videos: Path, tmp_path: Path) -> None:
    whole = PacketRing(16 * MIB)
    connect(whole, videos / "h264.mp4")
    capacity = whole.size_bytes // 2
    ring = PacketRing(capacity)
    connect(ring, videos / "h264.mp4")
    span = ring.span()
    assert span is not None
    assert ring.size_bytes == span.size_bytes <= capacity
    assert span.last_at == at(99 / 25)
    assert span.first_at in {at(2), at(3)}  # a key frame
    path = ring.cut(at(0), at(9), tmp_path / "clip.mp4")
    assert path is not None
    assert len(decode_all(path)) == span.packets


def test_a_group_of_pictures_larger_than_the_ring_leaves_it_empty(videos: Path) -> None:
    ring = PacketRing(3000)
    connect(ring, videos / "h264.mp4")
    assert ring.size_bytes <= 3000


def test_a_connection_with_another_size_is_never_mixed_in(videos: Path, tmp_path: Path) -> None:
    other = make_video(tmp_path / "other.mp4", size=(192, 144), seconds=2)
    ring = PacketRing(16 * MIB)
    seam_s = connect(ring, videos / "h264.mp4")
    connect(ring, other, from_s=seam_s)
    path = ring.cut(at(0), at(seam_s + 2), tmp_path / "clip.mp4")
    assert path is not None
    with av.open(str(path)) as container:
        sizes = {(frame.width, frame.height) for frame in container.decode(video=0)}
    assert sizes == {(320, 240)}  # the longer part
    late = ring.cut(at(seam_s + 0.5), at(seam_s + 2), tmp_path / "late.mp4")
    assert late is not None
    with av.open(str(late)) as container:
        assert {(frame.width, frame.height) for frame in container.decode(video=0)} == {(192, 144)}


def test_a_camera_that_changes_size_in_the_middle_of_a_connection_is_cut_there(
    videos: Path, tmp_path: Path
) -> None:
    other = make_video(tmp_path / "other.mp4", size=(192, 144), seconds=2)
    ring = PacketRing(16 * MIB)
    ring.begin("h264")
    both = [packet for path in (videos / "plain.mp4", other) for packet, _, _ in packets_of(path)]
    for index, packet in enumerate(both):
        ring.append(packet, Stamp(at(index / 25), index / 25))
    path = ring.cut(at(0), at(6), tmp_path / "clip.mp4")
    assert path is not None
    assert len(decode_all(path)) == 100


def test_a_reconnect_to_the_same_camera_goes_on_in_one_clip(videos: Path, tmp_path: Path) -> None:
    ring = PacketRing(16 * MIB)
    end_s = connect(ring, videos / "h264.mp4")
    connect(ring, videos / "h264.mp4", from_s=end_s + 3)
    path = ring.cut(at(0), at(20), tmp_path / "clip.mp4")
    assert path is not None
    times = decode_all(path)
    assert len(times) == 200
    assert times == sorted(set(times))
    assert times[100] - times[99] == pytest.approx(3.04, abs=0.15)
    assert times[-1] - times[0] == pytest.approx(2 * 3.96 + 3.04, abs=0.2)


def test_time_stamps_that_start_again_at_the_seam_of_a_loop_are_joined(videos: Path, tmp_path: Path) -> None:
    ring = PacketRing(16 * MIB)
    ring.begin("h264")
    looped = [packet for _ in range(2) for packet, _, _ in packets_of(videos / "h264.mp4")]
    for index, packet in enumerate(looped):
        ring.append(packet, Stamp(at(index / 25), index / 25))
    path = ring.cut(at(0), at(8), tmp_path / "clip.mp4")
    assert path is not None
    times = decode_all(path)
    assert len(times) == 200
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert min(gaps) > 0
    assert max(gaps) < 0.2
    assert times[-1] == pytest.approx(199 / 25, abs=0.2)


def drop_dts(_index: int, packet: Packet) -> None:
    packet.dts = None


def drop_first_times(index: int, packet: Packet) -> None:
    packet.pts = packet.pts if index > 0 else None
    packet.dts = packet.dts if index > 2 else None


def drop_all(_index: int, packet: Packet) -> None:
    packet.pts = packet.dts = None


def large_offset(index: int, packet: Packet) -> None:
    drop_first_times(index, packet)
    packet.pts = packet.pts + 10_000_000_000 if packet.pts is not None else None
    packet.dts = packet.dts + 10_000_000_000 if packet.dts is not None else None


def jump_ahead(index: int, packet: Packet) -> None:
    if index >= 50 and packet.pts is not None and packet.dts is not None:
        packet.pts, packet.dts = packet.pts + 100_000_000, packet.dts + 100_000_000


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("h264.mp4", drop_dts),
        ("h264.mp4", drop_first_times),
        ("h264.mp4", large_offset),
        ("h264.mp4", jump_ahead),
        ("plain.mp4", drop_all),
        ("hevc.mp4", drop_dts),
        ("mjpeg.mkv", drop_dts),
    ],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_time_stamps_that_are_missing_or_wild_do_no_harm(
    videos: Path, tmp_path: Path, name: str, change: Callable[[int, Packet], None]
) -> None:
    ring = PacketRing(16 * MIB)
    connect(ring, videos / name, change=change)
    path = ring.cut(at(0), at(4), tmp_path / "clip.mp4")
    assert path is not None
    times = decode_all(path)
    assert 98 <= len(times) <= 100
    assert times == sorted(set(times))
    assert times[-1] - times[0] == pytest.approx(3.96, abs=0.2)


def test_parameter_sets_that_came_beside_the_stream_are_put_into_the_clip(
    videos: Path, tmp_path: Path
) -> None:
    # as from an RTSP camera that has them in its SDP alone
    ring = PacketRing(16 * MIB)
    for index, (packet, _codec, _extradata) in enumerate(packets_of(videos / "h264.mp4")):
        data = bytes(packet)
        if index == 0:
            ring.begin("h264", parameter_sets("h264", data))
        bare: Packet = av.Packet(data[data.index(b"\x00\x00\x01\x65") :] if packet.is_keyframe else data)  # type: ignore[assignment]
        bare.pts, bare.dts, bare.time_base = packet.pts, packet.dts, packet.time_base
        bare.is_keyframe = packet.is_keyframe
        ring.append(bare, Stamp(at(index / 25), index / 25))
    path = ring.cut(at(1.2), at(4), tmp_path / "clip.mp4")
    assert path is not None
    assert len(decode_all(path)) == 75


def test_cutting_while_packets_come_harms_neither(videos: Path, tmp_path: Path) -> None:
    ring = PacketRing(MIB // 8)
    done = threading.Event()

    def feed() -> None:
        end_s = 0.0
        for _ in range(6):
            end_s = connect(ring, videos / "plain.mp4", from_s=end_s)
        done.set()

    thread = threading.Thread(target=feed)
    thread.start()
    cuts = 0
    while not done.is_set() or not cuts:
        path = ring.cut(at(0), at(1000), tmp_path / "clip.mp4")
        if path is not None:
            assert decode_all(path)
            cuts += 1
    thread.join(5)
    assert cuts
