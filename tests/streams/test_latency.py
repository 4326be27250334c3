from __future__ import annotations

from pathlib import Path

import latency


def test_four_full_hd_streams_with_b_frames_give_key_frames_at_once(tmp_path: Path) -> None:
    result = latency.measure_four(tmp_path, seconds=9.0)
    assert len(result.samples_s) >= 8
    assert result.p95_s <= 0.5
