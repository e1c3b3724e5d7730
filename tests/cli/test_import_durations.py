"""Lengths of time as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.imports.durations import LONGEST, DurationError, parse_minutes, parse_offsets


@pytest.mark.parametrize(
    ("text", "minutes"),
    [
        ("90", 90), ("90 min", 90), ("1h30", 90), ("1 h 30", 90), ("1:30", 90), ("01:30:00", 90),
        ("1 heure 30 minutes", 90), ("2 h", 120), ("1 jour", 1440), ("2j", 2880), ("-60", 60),
        ("1 jour avant", 1440), ("0", 0), ("15 mn", 15), ("1 hour", 60), ("1d 2h", 1560),
    ],
)  # fmt: skip
def test_a_length_is_read_in_the_ways_it_is_written(text: str, minutes: int) -> None:
    assert parse_minutes(text) == minutes


@pytest.mark.parametrize(
    "text", ["", "h", "bientôt", "1,5 h", "une heure", "1 h 30 45", "99999999"]
)
def test_what_is_no_length_is_refused(text: str) -> None:
    with pytest.raises(DurationError):
        parse_minutes(text)


def test_reminders_are_kept_as_the_relation_keeps_them() -> None:
    assert parse_offsets("1 h, 1 jour") == parse_offsets("60;1440;60 min") == "1440,60"
    assert parse_offsets("1 jour et 30 minutes") == "1440,30"
    for text in ("", " , ", "aucun", "61 jours"):
        with pytest.raises(DurationError):
            parse_offsets(text)


@given(st.integers(0, LONGEST))
def test_every_length_is_read_back(minutes: int) -> None:
    assert parse_minutes(f"{minutes // 60}h{minutes % 60:02}" if minutes < 600_000 else "0") == (
        minutes
    )
