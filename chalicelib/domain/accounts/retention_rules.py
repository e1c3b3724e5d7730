"""How it is declared what becomes of a table when an account is erased."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

Phase = Literal["access", "children", "parent"]

# What the SQL of a table is told of the account.
PARAMETERS: Final = ("business", "user", "person", "email", "deletion")


@dataclass(frozen=True)
class Table:
    """One table of the schema, rows `t`.

    `of`: SQL, which rows are the business's; empty: none is anybody's. `through`: the relations
    that it has to go through for that, as `name alias`. With the last user of a
    business (scope *business*) these go, unless the table `survives`. With one of several users
    (scope *user*) those of them go that `user` tells (empty: none), and `detach` says of a column
    what it is set to, and in which rows: they stay. `busy`: rows that somebody is about to write,
    which are left for the next attempt. `cascade`: its rows go with their parent's.

    Each column is in one of three: `personal` and `plain` must not hold the person afterwards,
    which the scan looks at; `kept` (names → the reason) may. All are lists with spaces. Parameters
    of the SQL: those of `PARAMETERS`, and scope. A person is called as the outbox does, an email is
    in lower case.
    """

    name: str
    of: str = "t.business_id = :business"
    through: Sequence[str] = ()
    user: str = ""
    detach: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    busy: str = ""
    cascade: bool = False
    survives: bool = False
    phase: Phase = "children"
    personal: str = ""
    kept: Mapping[str, str] = field(default_factory=dict)
    plain: str = ""
    why: str = ""

    @property
    def kept_columns(self) -> frozenset[str]:
        return frozenset(" ".join(self.kept).split())

    @property
    def columns(self) -> list[str]:
        return [*self.personal.split(), *" ".join(self.kept).split(), *self.plain.split()]

    @property
    def joined(self) -> str:
        """The relations of `through`, as a FROM has them."""
        return ", ".join(f"ponctuel.{one}" for one in self.through)

    @property
    def source(self) -> str:
        """All that `of` is said of, as a FROM has it."""
        return ", ".join(filter(None, (f"ponctuel.{self.name} t", self.joined)))
