"""What commands print: JSON for programs, tables for people."""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
from argparse import Namespace
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from rich.console import Console
from rich.text import Text

from cli.table import drawn

PARIS = "Europe/Paris"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Where there is no terminal, nobody wants cells cut to a screen's width.
FILE_WIDTH = 240

Data = TypeVar("Data")


def answer(arguments: Namespace, data: Data, show: Callable[[Console, Data], None]) -> None:
    """Prints the data as JSON or as `show` does, as the command line asks."""
    if arguments.json:
        print(json.dumps(data, ensure_ascii=False, indent=2, default=_json))
    else:
        show(console(), data)


def console(*, stderr: bool = False) -> Console:
    """Colours and the screen's width in a terminal only. Data are never read as rich's markup."""
    stream = sys.stderr if stderr else sys.stdout
    return Console(
        file=stream,
        width=shutil.get_terminal_size().columns if stream.isatty() else FILE_WIDTH,
        markup=False,
        highlight=False,
        emoji=False,
    )


def table(
    screen: Console,
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    long: str = "",
    shorten: Sequence[str] = (),
    drop: Sequence[str] = (),
) -> None:
    """A table as `cli.table` draws it. Nothing when there is no row."""
    listed = [[_cell(value) for value in row] for row in rows]
    if not listed:
        return
    names, *others = drawn(columns, listed, screen.width, long=long, shorten=shorten, drop=drop)
    screen.print(Text(names, style="bold", no_wrap=True), crop=False)
    for row in others:
        screen.print(Text(row, no_wrap=True), crop=False)


def facts(screen: Console, pairs: Mapping[str, object]) -> None:
    """One line per fact, aligned, long ones on several; those without a value are left out."""
    shown = {name: _cell(value) for name, value in pairs.items() if value not in (None, "")}
    width = max((len(name) for name in shown), default=0)
    room = max(screen.width - width - 2, 20)
    for name, value in shown.items():
        lines = [part for text in value.split("\n") for part in textwrap.wrap(text, room) or [""]]
        for number, part in enumerate(lines):
            line(screen, f"{name if number == 0 else '':<{width}}  {part}")


def line(screen: Console, content: str = "", style: str = "") -> None:
    """One paragraph, without control characters, broken at the width of the screen."""
    screen.print(Text(plain(content), style=style))


def plain(content: str) -> str:
    """Without the control characters by which data could command a terminal."""
    return "".join(c if c.isprintable() or c == "\n" else " " for c in content)


def when(instant: datetime | str | None, zone: str = PARIS) -> str:
    """As 10/03/2026 10:00 on the clocks of `zone`; empty for None."""
    if instant is None:
        return ""
    found = datetime.fromisoformat(instant) if isinstance(instant, str) else instant
    return f"{found.astimezone(ZoneInfo(zone)):%d/%m/%Y %H:%M}"


def duration(start: datetime | None, end: datetime | None) -> str:
    """As 3,2 s or 4 min 05 s; empty while there is no end.

    In whole milliseconds, which is all that a stage tells over HTTPS: rounding from microseconds
    here and from milliseconds there gave two answers of one run.
    """
    if start is None or end is None:
        return ""
    seconds = max(0.0, (_milliseconds(end) - _milliseconds(start)) / 1000)
    if seconds < 60:
        return f"{seconds:.1f} s".replace(".", ",")
    return f"{int(seconds // 60)} min {int(seconds % 60):02} s"


def _milliseconds(instant: datetime) -> int:
    return (instant - _EPOCH) // timedelta(milliseconds=1)


def plural(count: int, one: str, many: str) -> str:
    """As 1 message or 12 messages; French takes the singular for 0."""
    return f"{count} {one if count < 2 else many}"


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "oui" if value else "non"
    if isinstance(value, datetime):
        return when(value)
    if isinstance(value, date):
        return f"{value:%d/%m/%Y}"
    return plain(str(value))


def _json(value: object) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    return str(value)
