"""How the domain's relations are described, for somebody's own views to be compared to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

# Type of a column → what a view may have instead, as `format_type` names it, domains aside. What is
# not here does not work, or not as it looks: an integer amount is mostly in cents, `char(n)` pads
# with blanks that a comparison forgets and a key does not, a timestamp compared to a timestamptz
# takes the session's zone, and a date plus a bigint does not exist.
ACCEPTED: Mapping[str, tuple[str, ...]] = {
    "text": ("text", "character varying"),
    "numeric": ("numeric",),
    "integer": ("integer", "smallint"),
    "boolean": ("boolean",),
    "date": ("date",),
    "time": ("time without time zone",),
    "timestamptz": ("timestamp with time zone",),
}


@dataclass(frozen=True)
class Column:
    """`nullable`: a row without a value is as it should be; `wanted`: but not
    all of them, or nothing would be sent. `values`: the only codes that mean
    something. `default`: the SQL of a view whose owner has nothing of the kind; None: has to come
    from the owner's data, unless it is nullable. `read`: False for what no job looks at."""

    name: str
    type: str = "text"
    nullable: bool = False
    wanted: bool = False
    values: tuple[str, ...] = ()
    default: str | None = None
    read: bool = True


@dataclass(frozen=True)
class Relation:
    """A table of ours, or a view in its place. `key` identifies a row; `unique` should too.
    `writes`: what is asked of it besides SELECT, right → its columns (none: of the whole row).
    `without`: what does not happen where it cannot be written, in French, when that is all there is
    to it; empty: a job fails."""

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    unique: tuple[str, ...] = ()
    writes: Mapping[str, tuple[str, ...]] | None = None
    without: str = ""

    def column(self, name: str) -> Column:
        return next(column for column in self.columns if column.name == name)
