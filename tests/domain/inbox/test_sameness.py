"""UIDs are only trusted when what they show is what is known."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from chalicelib.mailboxes.sameness import spread


@given(st.lists(st.integers(), unique=True).map(sorted), st.integers(2, 20))
def test_a_sample_is_spread_from_the_first_to_the_last(items: Sequence[int], count: int) -> None:
    sample = spread(items, count)
    assert len(set(sample)) == min(len(items), count)
    assert set(sample) <= set(items)
    if items:
        assert (sample[0], sample[-1]) == (items[0], items[-1])
