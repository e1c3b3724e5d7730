"""Tables on screens of every width: nothing sticks out, dates stay whole."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

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
