"""Tables that fit the screen: what is least important gives way, and no date is ever cut."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from rich.cells import cell_len, chop_cells, set_cell_size

GAP = 2
# Cells of a column that was shortened: enough to tell one row from another.
LEAST = 10
# Below this a sentence is easier to read on lines of its own, under its row.
LEAST_LONG = 28
INDENT = 4


def drawn(
    names: Sequence[str],
    rows: Sequence[Sequence[str]],
    width: int,
    *,
    long: str = "",
    shorten: Sequence[str] = (),
    drop: Sequence[str] = (),
) -> list[str]:
    """The lines of a table `width` cells wide: the names, a rule, the rows; figures to the right.

    A column without any content is left out, except the first. Where there is too little room, the
    column `long` takes several lines, or goes under its row; those to `shorten` end in …, in their
    order; then those to `drop` go, in theirs.
    """
    kept = [at for at in range(len(names)) if at == 0 or any(row[at] for row in rows)]
    natural = {at: _natural(names[at], [row[at] for row in rows]) for at in kept}
    position = {names[at]: at for at in kept}
    sentence = position.get(long)
    shortened = [position[name] for name in shorten if name in position]
    dropped = [position[name] for name in drop if name in position]
    widths = _fitted(natural, width, sentence, shortened, dropped)
    beneath = sentence if sentence is not None and sentence not in widths else None
    figures = {at for at in widths if all(row[at].replace(" ", "").isdigit() for row in rows)}
    lines = [
        _line([(names[at], widths[at], at in figures) for at in widths]),
        "─" * min(width, sum(widths.values()) + GAP * (len(widths) - 1)),
    ]
    for row in rows:
        cells = {at: _cell_lines(row[at], widths[at], folded=at == sentence) for at in widths}
        for number in range(max(len(found) for found in cells.values())):
            parts = [
                (cells[at][number] if number < len(cells[at]) else "", widths[at], at in figures)
                for at in widths
            ]
            lines.append(_line(parts))
        if beneath is not None and row[beneath]:
            indent = " " * min(INDENT, width // 4)
            for line in row[beneath].split("\n"):
                lines += [indent + part for part in _wrapped(line, width - len(indent))]
    return lines


def _natural(name: str, texts: Sequence[str]) -> int:
    return max(cell_len(line) for text in (name, *texts) for line in text.split("\n"))


def _fitted(
    natural: dict[int, int],
    width: int,
    sentence: int | None,
    shortened: Sequence[int],
    dropped: Sequence[int],
) -> dict[int, int]:
    """The width of each column that is drawn; without the sentence's when it goes under its row."""
    if sentence is not None:
        short = {at: natural[at] for at in natural if at != sentence}
        needed = min(LEAST_LONG, natural[sentence])
        beside = _shortened(short, width - needed - GAP, shortened)
        room = width - _total(beside) - GAP
        if room >= needed:
            return {at: beside.get(at, min(room, natural[sentence])) for at in natural}
        natural = short
    for gone in range(len(dropped) + 1):
        kept = {at: natural[at] for at in natural if at not in dropped[:gone]}
        widths = _shortened(kept, width, shortened)
        if _total(widths) <= width:
            return widths
    while _total(widths) > width and max(widths.values()) > 1:
        widths[max(widths, key=widths.__getitem__)] -= 1
    return widths


def _shortened(natural: dict[int, int], width: int, columns: Sequence[int]) -> dict[int, int]:
    """Those columns as narrow as the width needs, in their order, but not below LEAST."""
    widths = dict(natural)
    for at in columns:
        if at in widths:
            widths[at] -= max(0, min(widths[at] - LEAST, _total(widths) - width))
    return widths


def _total(widths: dict[int, int]) -> int:
    return sum(widths.values()) + GAP * (len(widths) - 1)


def _cell_lines(text: str, width: int, *, folded: bool) -> list[str]:
    found: list[str] = []
    for line in text.split("\n"):
        if folded:
            found += _wrapped(line, width) or [""]
        elif cell_len(line) > width:
            found.append(set_cell_size(line, max(width - 1, 0)).rstrip() + "…")
        else:
            found.append(line)
    return found


def _wrapped(text: str, width: int) -> list[str]:
    """Broken between words; `textwrap` counts characters, of which some are two cells wide."""
    lines = textwrap.wrap(text, max(width, 1))
    return [part for line in lines for part in chop_cells(line, max(width, 2))]


def _line(parts: Sequence[tuple[str, int, bool]]) -> str:
    padded = [
        " " * max(0, width - cell_len(text)) + text if right else set_cell_size(text, width)
        for text, width, right in parts
    ]
    return (" " * GAP).join(padded).rstrip()
