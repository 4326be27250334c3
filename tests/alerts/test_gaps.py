import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.gaps import MAX_RANGES, Seen, give_up_below, note


@pytest.mark.parametrize(
    ("before", "numbers", "highest", "missing"),
    [
        (Seen(), [1, 2, 3], 3, ()),
        (Seen(), [7], 7, ()),
        (Seen(), [7, 9], 9, ((8, 8),)),
        (Seen(3), [6], 6, ((4, 5),)),
        (Seen(6, ((4, 5),)), [5], 6, ((4, 4),)),
        (Seen(9, ((2, 8),)), [5], 9, ((2, 4), (6, 8))),
        (Seen(6, ((4, 5),)), [5, 4], 6, ()),
        (Seen(6), [3, 6, 6], 6, ()),
    ],
    ids=[
        "from the first",
        "from the middle",
        "a gap at once",
        "a gap",
        "filled in part",
        "split",
        "filled",
        "repeats",
    ],
)
def test_missing_numbers_are_known(before, numbers, highest, missing):
    after = note(before, numbers)
    assert (after.highest, after.missing) == (highest, missing)


@given(st.lists(st.integers(1, 60), min_size=1), st.lists(st.integers(1, 60)))
def test_missing_is_what_lies_between_and_has_not_come(first, second):
    begin = min(first)
    seen = note(note(Seen(), first), second)
    come = {number for number in {*first, *second} if number >= begin}
    missing = {number for gap in seen.missing for number in range(gap[0], gap[1] + 1)}
    assert missing == set(range(begin, max(come) + 1)) - come
    assert seen.missing_count == len(missing)


@pytest.mark.parametrize(
    ("first_kept", "missing", "lost"),
    [(1, ((2, 4), (8, 8)), 0), (3, ((3, 4), (8, 8)), 1), (5, ((8, 8),), 3), (99, (), 4)],
)
def test_what_the_box_no_longer_holds_is_lost(first_kept, missing, lost):
    after = give_up_below(Seen(9, ((2, 4), (8, 8))), first_kept)
    assert (after.missing, after.lost, after.highest) == (missing, lost, 9)


def test_a_sequence_full_of_holes_stays_bounded():
    seen = note(Seen(), range(1, 4 * MAX_RANGES, 2))
    assert len(seen.missing) == MAX_RANGES
    assert seen.lost + seen.missing_count == 2 * MAX_RANGES - 1
