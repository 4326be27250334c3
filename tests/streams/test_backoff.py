from __future__ import annotations

import random

import pytest

from streams.backoff import BackoffPolicy

POLICY = BackoffPolicy(first_s=1.0, cap_s=8.0, refused_s=300.0)


@pytest.mark.parametrize(
    ("failures", "bound_s"), [(0, 1), (1, 1), (2, 2), (3, 4), (4, 8), (5, 8), (10_000, 8)], ids=str
)
def test_pauses_grow_to_the_cap_and_are_spread_over_the_whole_range(failures: int, bound_s: float) -> None:
    rng = random.Random(1)
    pauses = [POLICY.pause_s(failures, refused=False, rng=rng) for _ in range(2000)]
    assert 0 <= min(pauses) < 0.02 * bound_s
    assert 0.98 * bound_s < max(pauses) <= bound_s


def test_refused_credentials_are_tried_again_rarely_however_often_it_failed() -> None:
    rng = random.Random(1)
    pauses = [POLICY.pause_s(failures, refused=True, rng=rng) for failures in (1, 2, 9) for _ in range(200)]
    assert min(pauses) >= 150
    assert max(pauses) <= 300
