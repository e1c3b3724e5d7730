"""Tables on screens of every width: nothing sticks out, dates stay whole."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from cli import output
from cli.table import drawn

NAMES = ("n°", "client", "depuis", "cause")
DATE = "10/03/2026 11:00"
WHY = "Le serveur d'e-mail refuse ce destinataire : vérifiez son adresse."
ROWS = [("1", "Boulangerie Martin et Fils", DATE, WHY), ("12", "Perrin", DATE, "")]


def lines(width: int) -> list[str]:
    return drawn(NAMES, ROWS, width, long="cause", shorten=("client",), drop=("client",))


def test_with_enough_room_each_row_is_one_line_and_figures_are_to_the_right() -> None:
    names, rule, first, second = lines(140)
    assert names == f"n°  client{' ' * 22}depuis{' ' * 12}cause"
    assert set(rule) == {"─"}
    assert first.endswith(WHY)
    assert second == f"12  Perrin{' ' * 22}{DATE}"


def test_the_sentence_takes_several_lines_then_goes_under_its_row() -> None:
    beside = lines(80)
    assert beside[2].startswith(f" 1  Boulangerie Martin et Fils  {DATE}  Le serveur")
    assert len(beside) > 4
    beneath = lines(50)
    assert beneath[2].rstrip() == f" 1  Boulangerie Martin et Fils  {DATE}"
    assert beneath[3].startswith("    Le serveur")


def test_the_least_important_column_is_shortened_and_then_left_out() -> None:
    assert lines(40)[2] == f" 1  Boulangerie Marti…  {DATE}"
    narrow = lines(22)
    assert narrow[0] == "n°  depuis"
    assert narrow[2] == f" 1  {DATE}"


def test_a_column_without_content_is_left_out() -> None:
    assert drawn(("a", "b", "c"), [("", "", "x"), ("", "", "y")], 80)[0] == "a  c"


TEXT = st.text(st.characters(blacklist_categories=("C", "Z")), max_size=30)


@given(
    st.lists(st.tuples(TEXT, TEXT, TEXT, TEXT), min_size=1, max_size=4),
    st.integers(20, 120),
    st.booleans(),
)
def test_no_line_is_wider_than_the_screen(
    rows: list[tuple[str, str, str, str]], width: int, shortens: bool
) -> None:
    shorten = ("client", "depuis") if shortens else ()
    found = drawn(NAMES, rows, width, long="cause", shorten=shorten)
    assert max(cell_len(line) for line in found) <= width + 1  # a wide character may stick out


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("variable", "coloured"), [("", True), ("NO_COLOR", False)])
def test_colours_are_for_a_terminal_whose_owner_wants_them(
    monkeypatch: pytest.MonkeyPatch, variable: str, coloured: bool
) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "40")
    if variable:
        monkeypatch.setenv(variable, "1")
    terminal = Terminal()
    monkeypatch.setattr("sys.stdout", terminal)
    screen = output.console()
    output.line(screen, "mot " * 30, "red")
    assert ("\x1b[31m" in terminal.getvalue()) is coloured
    assert screen.width == 40


def test_a_file_gets_neither_colours_nor_cuts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    file = io.StringIO()
    monkeypatch.setattr("sys.stdout", file)
    output.line(output.console(), "x" * 200, "red")
    assert file.getvalue() == "x" * 200 + "\n"


@given(
    st.datetimes(timezones=st.just(UTC)),
    st.timedeltas(timedelta(), timedelta(days=1)),
)
def test_a_run_lasts_as_long_to_the_microsecond_as_in_the_milliseconds_that_a_stage_tells(
    start: datetime, lasts: timedelta
) -> None:
    def told(instant: datetime) -> datetime:
        return datetime.fromisoformat(instant.isoformat(timespec="milliseconds"))

    end = start + lasts
    assert output.duration(start, end) == output.duration(told(start), told(end))
