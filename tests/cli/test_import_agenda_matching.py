"""Which entry a line without a code is: the same one each time, or nobody guesses."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cli.imports.agenda_draft import People
from cli.imports.agenda_index import Entry
from cli.imports.agenda_matching import AmbiguousEntryError, Matching
from cli.imports.identifiers import hashed_identifier
from cli.imports.known import Known

# Réunion's days begin three hours before those of Paris.
PEOPLE = People(Known(), {"ALI": ZoneInfo("Indian/Reunion")}, ZoneInfo("Europe/Paris"), Known())
REFUSED = None

TIMES: list[datetime | date | None] = [
    None,
    date(2026, 12, 15),
    date(2026, 12, 16),
    datetime(2026, 12, 15, 8, tzinfo=UTC),
    datetime(2026, 12, 15, 13, tzinfo=UTC),
    datetime(2026, 12, 15, 22, 30, tzinfo=UTC),
]


def entry(title: str, user: str, when: datetime | date | None) -> Entry:
    if isinstance(when, datetime):
        return PEOPLE.entry(title, user, when, None, "open")
    return PEOPLE.entry(title, user, None, when, "open")


def matched(
    stored: Mapping[str, Entry], lines: Mapping[int, Entry], codes: frozenset[str] = frozenset()
) -> dict[int, str | None]:
    """Number of the line → id, None for one that is refused."""
    matching = Matching(stored, lines, codes)
    found: dict[int, str | None] = {}
    for number in lines:
        try:
            found[number] = matching.id_of(number)
        except AmbiguousEntryError:
            found[number] = REFUSED
    return found


def imported(
    stored: Mapping[str, Entry], lines: Mapping[int, Entry], found: Mapping[int, str | None]
) -> dict[str, Entry]:
    after = dict(stored)
    for number, id in found.items():
        if id is not REFUSED:
            after[id] = stored[id].merged(lines[number]) if id in stored else lines[number]
    return after


entries = st.builds(
    entry,
    st.sampled_from(["Relance", "Relance", "RELANCE !", "Pose"]),
    st.sampled_from(["", "ZOE", "ALI"]),
    st.sampled_from(TIMES),
)
# Of the application, or made of a line before and since moved.
ids = st.sampled_from(["1", "2", "3", "4", "5"]) | st.builds(
    lambda line, again: hashed_identifier(line.text + again), entries, st.sampled_from(["", "|"])
)
files = st.lists(entries, max_size=6, unique_by=lambda line: line.identity).map(
    lambda lines: dict(enumerate(lines, start=2))
)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(ids, entries, max_size=6), files, st.frozensets(ids, max_size=2))
def test_whatever_is_stored_a_file_means_the_same_the_second_time(
    stored: dict[str, Entry], lines: dict[int, Entry], codes: frozenset[str]
) -> None:
    first = matched(stored, lines, codes)
    after = imported(stored, lines, first)
    assert matched(after, lines, codes) == first
    assert imported(after, lines, first) == after
    known = [id for id in first.values() if id is not REFUSED]
    assert len(known) == len(set(known))
    assert not codes & set(known)


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(ids, entries, max_size=6), files)
def test_the_order_of_the_lines_says_nothing(
    stored: dict[str, Entry], lines: dict[int, Entry]
) -> None:
    backwards = dict(reversed(lines.items()))
    assert matched(stored, backwards) == matched(stored, lines)


DAY, NEXT_DAY = date(2026, 12, 15), date(2026, 12, 16)
MORNING, AFTERNOON = datetime(2026, 12, 15, 8, tzinfo=UTC), datetime(2026, 12, 15, 13, tzinfo=UTC)


@pytest.mark.parametrize(
    ("stored", "lines", "expected"),
    [
        # Exactly that one, whatever else there is.
        ([("ZOE", DAY), ("", DAY), ("", None)], [("ZOE", DAY)], ["0"]),
        ([("ZOE", DAY), ("ALI", DAY)], [("ALI", DAY), ("ZOE", DAY)], ["1", "0"]),
        # The only one that the line does not contradict: either says more than the other.
        ([("", None)], [("ZOE", MORNING)], ["0"]),
        ([("ZOE", MORNING)], [("", None)], ["0"]),
        ([("ZOE", DAY)], [("", MORNING)], ["0"]),
        # Each its own: what one line says, the other contradicts.
        ([("ZOE", MORNING), ("ALI", NEXT_DAY)], [("", DAY), ("", NEXT_DAY)], ["0", "1"]),
        # Another user, day or hour is another.
        ([("ZOE", DAY)], [("ALI", DAY)], ["new"]),
        ([("ZOE", DAY)], [("ZOE", NEXT_DAY)], ["new"]),
        ([("ZOE", MORNING)], [("ZOE", AFTERNOON)], ["new"]),
        # New beside those that lines say in full.
        ([("ZOE", DAY)], [("ZOE", DAY), ("", None)], ["0", "new"]),
        ([], [("ZOE", DAY), ("", DAY), ("", None)], ["new", "new", "new"]),
        # Two entries for one line, of which it names neither.
        ([("ZOE", DAY), ("ALI", DAY)], [("", DAY)], [REFUSED]),
        ([("ZOE", DAY), ("", None)], [("ZOE", MORNING)], [REFUSED]),
        ([("ZOE", DAY), ("ZOE", DAY)], [("ZOE", DAY)], [REFUSED]),
        # Two lines for one entry.
        ([("", None)], [("ZOE", DAY), ("ALI", NEXT_DAY)], [REFUSED, REFUSED]),
        # The line could as well be what another line makes.
        ([("ZOE", NEXT_DAY)], [("", None), ("ALI", DAY)], [REFUSED, "new"]),
        # What would make of one entry the other.
        ([("ZOE", MORNING), ("", MORNING)], [("ZOE", None), ("ZOE", MORNING)], [REFUSED, "0"]),
    ],
)
def test_a_line_is_the_one_it_names_or_the_only_one_it_does_not_contradict(
    stored: list[tuple[str, datetime | date | None]],
    lines: list[tuple[str, datetime | date | None]],
    expected: list[str | None],
) -> None:
    known = {str(place): entry("Relance", *said) for place, said in enumerate(stored)}
    file = {place: entry("RELANCE", *said) for place, said in enumerate(lines)}
    found = matched(known, file)
    told = [id if id in known or id is REFUSED else "new" for id in found.values()]
    assert told == expected
    assert matched(imported(known, file, found), file) == found


def test_what_was_made_of_a_line_is_that_one_though_it_was_moved() -> None:
    line = entry("Relance", "ZOE", DAY)
    id = hashed_identifier(line.text)
    moved = {id: entry("Relance", "ZOE", NEXT_DAY)}
    assert matched(moved, {2: line}) == {2: id}
    # Where another line is that one now, the first is something new, with an id of its own.
    lines = {2: line, 3: entry("Relance", "ZOE", NEXT_DAY)}
    found = matched(moved, lines)
    assert found[3] == id
    assert found[2] not in (id, REFUSED)
    assert matched(imported(moved, lines, found), lines) == found


def test_of_two_that_are_the_same_now_a_line_is_the_one_made_of_it() -> None:
    first, second = entry("Relance", "ZOE", DAY), entry("Relance", "ZOE", NEXT_DAY)
    ids = [hashed_identifier(line.text) for line in (first, second)]
    # The first has been put off by a day.
    stored = dict.fromkeys(ids, second)
    assert matched(stored, {2: second}) == {2: ids[1]}
    assert matched(stored, {2: first, 3: second}) == {2: REFUSED, 3: ids[1]}


def test_an_hour_is_of_the_day_that_any_clock_of_the_business_shows() -> None:
    late = datetime(2026, 12, 15, 22, 30, tzinfo=UTC)
    stored = {"1": entry("Relance", "", late)}
    for day in (DAY, NEXT_DAY):
        assert matched(stored, {2: entry("Relance", "", day)}) == {2: "1"}
    assert matched(stored, {2: entry("Relance", "", date(2026, 12, 17))}) != {2: "1"}
