"""How a chunk of lines about one relation is stored: one UPDATE and one INSERT, whatever its size.
What a line does not say is null, and kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from sqlalchemy import Connection

from cli.imports.columns import Columns
from cli.imports.folding import fold, illegible, shown
from cli.imports.result import Counts, store_chunk

LONGEST = 200


@dataclass(frozen=True)
class Stated:
    """A column as a line may state it. `default`: its SQL in a new row of which the line says
    nothing. `merged`: what becomes of a row that is there (`r`) for a line (`n`)."""

    default: str = "NULL"
    type: str = "text"
    merged: str = ""


@dataclass(frozen=True)
class Subject:
    """`stated`: column → how it is stated. `words`: field → folded word → value. `on_update`,
    `on_insert`: column → SQL, set besides whenever something changes or is new."""

    relation: str
    columns: Columns
    sample: str
    labels: Mapping[str, str]
    stated: Mapping[str, Stated]
    words: Mapping[str, Mapping[str, str]]
    on_update: Mapping[str, str] = field(default_factory=dict)
    on_insert: Mapping[str, str] = field(default_factory=dict)

    def fault(self, name: str, cell: str) -> str:
        """Why a cell that is not blank cannot be taken, in French; "" when it can."""
        label = self.labels[name]
        if len(cell) > LONGEST or illegible(cell):
            return f"{label} : trop long ou illisible"
        if name in self.words and fold(cell) not in self.words[name]:
            return f"{label} : « {shown(cell)} » n'est pas connu"
        return ""

    @cached_property
    def _lines(self) -> str:
        names = ("id", *self.stated)
        cast = ", ".join(f"CAST({name} AS {how.type}) AS {name}"
                         for name, how in self.stated.items())  # fmt: skip
        arrays = ", ".join(f"CAST(:{name} AS text[])" for name in names)
        return f"SELECT id, {cast} FROM unnest({arrays}) AS n({', '.join(names)})"

    @cached_property
    def _merged(self) -> Mapping[str, str]:
        return {
            name: how.merged or f"COALESCE(n.{name}, r.{name})" for name, how in self.stated.items()
        }

    @cached_property
    def _changed(self) -> str:
        there = ", ".join(f"r.{name}" for name in self._merged)
        return f"({there}) IS DISTINCT FROM ({', '.join(self._merged.values())})"

    @cached_property
    def count(self) -> str:
        return f"""SELECT count(*) AS existing, count(*) FILTER (WHERE {self._changed}) AS changed
          FROM ({self._lines}) n JOIN ponctuel.{self.relation} r
            ON r.business_id = :business AND r.id = n.id"""

    @cached_property
    def update(self) -> str:
        to_set = {**self._merged, **self.on_update}
        return f"""UPDATE ponctuel.{self.relation} AS r
           SET {", ".join(f"{name} = {value}" for name, value in to_set.items())}
          FROM ({self._lines}) n
         WHERE r.business_id = :business AND r.id = n.id AND ({self._changed})"""

    @cached_property
    def insert(self) -> str:
        values = {
            name: f"COALESCE(n.{name}, {how.default})" for name, how in self.stated.items()
        } | dict(self.on_insert)
        return f"""INSERT INTO ponctuel.{self.relation} (business_id, id, {", ".join(values)})
        SELECT :business, n.id, {", ".join(values.values())} FROM ({self._lines}) n
         WHERE NOT EXISTS (SELECT 1 FROM ponctuel.{self.relation} r
                            WHERE r.business_id = :business AND r.id = n.id)"""

    def store(
        self,
        connection: Connection,
        business_id: str,
        rows: Sequence[Mapping[str, str]],
        result: Counts,
        *,
        dry_run: bool,
    ) -> None:
        """Writes a chunk, each with its `id`, and counts; `dry_run` only counts."""
        parameters = {"business": business_id} | {
            name: [row.get(name) for row in rows] for name in ("id", *self.stated)
        }
        store_chunk(
            connection,
            parameters,
            result,
            lines=len(rows),
            count=self.count,
            update=self.update,
            insert=self.insert,
            dry_run=dry_run,
        )


def words(**meanings: str) -> dict[str, str]:
    """Value → its folded words, with "|" between them → word → value."""
    return {word: value for value, each in meanings.items() for word in each.split("|")}
