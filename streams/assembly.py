"""One packet a picture with the time of its arrival, also where pictures arrive in pieces or are held back.

An encoder may cut a key frame into slices, and a server may repeat the parameter sets before each of
them (GStreamer's payloader does). FFmpeg's parser then takes every slice for a picture of its own, and
a decoder that is drained after each key packet sees only torn ones. All pieces of a picture carry one
RTP time stamp (RFC 6184, section 5.1; RFC 7798, section 4.1), so they can be put together again.

The same parser hands a picture out only when the next one begins to arrive: at 25 frames a second 40 ms
late, at one a second a whole second. The moment at which the picture before came out is therefore the
arrival of this one's first byte.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import cast

import av

from streams.packets import Packet, Stamp

# what FFmpeg parses whole when it comes over RTP (``need_parsing`` of its depacketisers)
PARSED_OVER_RTP = frozenset({"h264", "hevc", "mpeg4"})


def whole_pictures(packets: Iterable[Packet], *, parsed: bool = False) -> Iterator[tuple[Packet, Stamp]]:
    """Yield each picture's packet with the time at which its first piece arrived.

    With ``parsed`` a packet comes out when the next one begins, see above; the time of the first, and of
    those that came while the stream was looked at, is when they came out.

    Packets pass at once until the first piece of a picture shows up twice; from then on each is held
    until the next picture begins, which is when its last piece is known to be in. The picture at which
    that is noticed stays torn.
    """
    held: Packet | None = None
    since = Stamp.now()
    in_pieces = False
    last_pts: int | None = None
    came_out: Stamp | None = None
    for packet in packets:
        now = Stamp.now()
        arrived = came_out if parsed and came_out else now
        came_out = now
        goes_on = packet.pts is not None and packet.pts == last_pts
        last_pts = packet.pts
        if not in_pieces:
            in_pieces = goes_on
            if not goes_on:
                yield packet, arrived
        elif held is not None and goes_on:
            held = _joined(held, packet)
        elif not goes_on:
            if held is not None:
                yield held, since
            held, since = packet, arrived
    if held is not None:
        yield held, since


def _joined(first: Packet, second: Packet) -> Packet:
    joined = cast("Packet", av.Packet(bytes(first) + bytes(second)))
    joined.pts, joined.dts, joined.duration = first.pts, first.dts, first.duration
    joined.time_base = first.time_base
    joined.is_keyframe = first.is_keyframe or second.is_keyframe
    return joined
