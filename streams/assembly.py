"""One packet a picture, also from servers whose pictures arrive in pieces.

An encoder may cut a key frame into slices, and a server may repeat the parameter sets before each of
them (GStreamer's payloader does). FFmpeg's parser then takes every slice for a picture of its own, and
a decoder that is drained after each key packet sees only torn ones. All pieces of a picture carry one
RTP time stamp (RFC 6184, section 5.1; RFC 7798, section 4.1), so they can be put together again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import cast

import av

from streams.packets import Packet, Stamp


def whole_pictures(packets: Iterable[Packet]) -> Iterator[tuple[Packet, Stamp]]:
    """Yield each picture's packet with the time at which its first piece arrived.

    Packets pass at once until the first piece of a picture shows up twice; from then on each is held
    until the next picture begins, which is when its last piece is known to be in. The picture at which
    that is noticed stays torn.
    """
    held: Packet | None = None
    since = Stamp.now()
    in_pieces = False
    last_pts: int | None = None
    for packet in packets:
        now = Stamp.now()
        goes_on = packet.pts is not None and packet.pts == last_pts
        last_pts = packet.pts
        if not in_pieces:
            in_pieces = goes_on
            if not goes_on:
                yield packet, now
        elif held is not None and goes_on:
            held = _joined(held, packet)
        elif not goes_on:
            if held is not None:
                yield held, since
            held, since = packet, now
    if held is not None:
        yield held, since


def _joined(first: Packet, second: Packet) -> Packet:
    joined = cast("Packet", av.Packet(bytes(first) + bytes(second)))
    joined.pts, joined.dts, joined.duration = first.pts, first.dts, first.duration
    joined.time_base = first.time_base
    joined.is_keyframe = first.is_keyframe or second.is_keyframe
    return joined
