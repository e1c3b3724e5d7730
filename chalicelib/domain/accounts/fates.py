"""What may become of a table's rows when an account is erased."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

OF_BUSINESS: Final = "t.business_id = g.business_id"

Scope = Literal["user", "business"]


@dataclass(frozen=True)
class Erase:
    """The rows go."""

    where: str


@dataclass(frozen=True)
class Detach:
    """The rows stay, without the person. `sets`: column → SQL."""

    where: str
    sets: Mapping[str, str]


@dataclass(frozen=True)
class Archive:
    """Accounting records: to the archive for ten years, then the rows go (L123-22)."""

    where: str


@dataclass(frozen=True)
class Undecided:
    """It holds something of a person, and what becomes of it is not known yet. While there is one,
    nobody may be erased in that scope."""

    why: str


Action = Erase | Detach | Archive | Undecided


@dataclass(frozen=True)
class Rule:
    """A table. `personal`: columns that may say something of a person; `plain`: all the others. No
    action in a scope: its rows stay as they are."""

    table: str
    plain: str
    personal: str = ""
    user: tuple[Action, ...] = ()
    business: tuple[Action, ...] = ()
    kept: str = field(default="", kw_only=True)  # why personal columns stay in a scope

    @property
    def columns(self) -> list[str]:
        return self.plain.split() + self.personal.split()

    def actions(self, scope: Scope) -> tuple[Action, ...]:
        return self.user if scope == "user" else self.business


def by(column: str) -> tuple[Action, ...]:
    """Of the business, but it says who did it: the person becomes `erased`."""
    who = f"(t.{column} = g.user_id OR lower(t.{column}) = g.email)"
    return (Detach(f"{OF_BUSINESS} AND {who}", {column: "'erased'"}),)


def child(column: str, parent: str, where: str = "") -> tuple[Action, ...]:
    """Of rows `p` of the parent, which are of the account's business."""
    found = f"p.business_id = g.business_id{' AND ' + where if where else ''}"
    return (
        Erase(f"EXISTS (SELECT 1 FROM ponctuel.{parent} p WHERE p.id = t.{column} AND {found})"),
    )


def selection(table: str, where: str) -> str:
    """SQL that counts the rows of a table to which a condition applies, for all accounts `g` of the
    common table expression `gone`."""
    return (
        f"SELECT count(*) FROM ponctuel.{table} t WHERE EXISTS (SELECT 1 FROM gone g WHERE {where})"
    )
