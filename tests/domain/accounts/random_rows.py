"""Rows in every table of the schema, drawn at random: a table that is new is filled too.

What a column may hold is read from the schema (type, checks, foreign keys); in which columns a user
is named, from the declaration of erasing.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, text

from chalicelib.domain.accounts import retention
from chalicelib.domain.accounts.retention_rules import Table
from tests.harness import NOW

TABLES = {table.name: table for table in retention.TABLES}
# The deployment's own, of one row each.
LEFT_ALONE = {"deployment", "sandbox_clock", "schema_versions", "job_state"}
# What neither a type nor a check tells.
FIXED: Mapping[tuple[str, str], Sequence[Any]] = {
    ("messages", "state"): ("planned", "held", "accepted", "failed", "cancelled"),
    ("messages", "hold_reason"): ("review", "window"),
    ("messages", "kind"): ("agenda.digest", "leads.closer_digest", "billing.invoice_followup"),
    ("legal_holds", "lifted_at"): (NOW.isoformat(),),
    # Of none that is erased here.
    ("accounting_archive", "deletion_id"): (999_999,),
    ("account_deletions", "state"): ("cancelled",),
    ("account_deletions", "scope"): ("user",),
    ("account_deletions", "pseudonym"): (None,),
    ("runs", "job"): ("account_deletions",),
    ("runs", "as_of"): (None,),
    ("runs", "finished_at"): (NOW.isoformat(),),
    ("quarantine", "job"): ("account_deletions",),
}
_COLUMNS = text("""
SELECT c.relname AS name, a.attname AS column, format_type(a.atttypid, NULL) AS type,
       NOT a.attnotnull AS nullable, f.parent
  FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
  LEFT JOIN (SELECT conrelid, conkey[1] AS key, min(confrelid::regclass::text) AS parent
               FROM pg_constraint WHERE contype = 'f' GROUP BY 1, 2) f
    ON f.conrelid = a.attrelid AND f.key = a.attnum
 WHERE c.relnamespace = 'ponctuel'::regnamespace AND c.relkind = 'r' AND a.attnum > 0
   AND NOT a.attisdropped ORDER BY c.relname, a.attnum
""")
_CHECKS = text("""
SELECT c.relname AS name, pg_get_constraintdef(k.oid) AS says
  FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
 WHERE c.relnamespace = 'ponctuel'::regnamespace AND k.contype = 'c'
""")

_OWN_MAILBOX = text("""
UPDATE ponctuel.email_awaits a SET mailbox_id = e.mailbox_id
  FROM ponctuel.emails e WHERE e.id = a.email_id
""")


@dataclass(frozen=True)
class Column:
    """`parent`: the table that a foreign key points to; `choices`: what a check allows."""

    name: str
    type: str
    nullable: bool
    parent: str | None
    choices: Sequence[Any]


Schema = Mapping[str, Sequence[Column]]


def schema(connection: Connection) -> Schema:
    """Table → its columns."""
    choices: dict[tuple[str, str], Sequence[Any]] = {}
    for name, says in connection.execute(_CHECKS):
        if found := re.fullmatch(
            r"CHECK \(\((\w+) = (?:ANY \(ARRAY\[(.*)\]\)|('.*'::text))\)\)", says
        ):
            choices[name, found[1]] = re.findall(r"'(\w+)'", found[2] or found[3])
    columns: dict[str, list[Column]] = {}
    for row in connection.execute(_COLUMNS):
        key = row.name, row.column
        parent = row.parent.rpartition(".")[2] if row.parent else None
        known = FIXED.get(key, choices.get(key, ()))
        columns.setdefault(row.name, []).append(
            Column(row.column, row.type, row.nullable, parent, known)
        )
    return columns


@dataclass(frozen=True)
class User:
    """Somebody who works in a business. The ids are the same in each; what else is personal is
    nobody else's, the address now and then excepted."""

    business: str
    id: str
    email: str
    secret: str

    @property
    def person(self) -> str:
        return f"user:{self.id}"

    @property
    def spelled(self) -> str:
        """The address as the application may have it."""
        return f" {self.email.upper()} " if len(self.secret) % 2 else self.email


def naming(table: Table) -> Mapping[str, Sequence[str]]:
    """Column → in which ways it names a user, as erasing looks for them."""
    told = " ".join((table.user, *(where for _value, where in table.detach.values())))
    found: dict[str, list[str]] = {}
    for column, list_ in re.findall(r"t\.(\w+) IN \(([^()]*:[^()]*)\)", told):
        found[column] = re.findall(r":(\w+)", list_)
    for pattern, way in (
        (r"t\.(\w+) = :user", "user"),
        (r"t\.(\w+) = :person", "person"),
        (r"t\.(\w+) = :email", "email"),
        (r"lower\(btrim\(t\.(\w+)\)\)", "spelled"),
        (r"t\.(\w+) = 'closer:' \|\| :user", "closer"),
    ):
        for column in re.findall(pattern, told):
            found.setdefault(column, []).append(way)
    return found


@dataclass
class Rows:
    """Fills the tables for these users, with up to `most` rows each and business."""

    draw: random.Random
    schema: Schema
    users: Sequence[User]
    most: int
    ids: dict[tuple[str, str], list[int]] = field(default_factory=dict)
    _numbers: int = 1_000_000

    def fill(self, connection: Connection) -> None:
        businesses = sorted({user.business for user in self.users})
        for name in self._in_order():
            rows = [
                row
                for business in (businesses if TABLES[name].of else ["-"])
                for row in self._rows(name, business)
            ]
            columns = ", ".join(f'"{column.name}"' for column in self.schema[name])
            connection.execute(
                text(
                    f"INSERT INTO ponctuel.{name} ({columns}) OVERRIDING SYSTEM VALUE"
                    f" SELECT {columns} FROM jsonb_populate_recordset(NULL::ponctuel.{name},"
                    " CAST(:rows AS jsonb)) ON CONFLICT DO NOTHING"
                ),
                {"rows": json.dumps(rows)},
            )
            if "id" in {c.name for c in self.schema[name] if c.type == "bigint"}:
                kept = text(f"SELECT id FROM ponctuel.{name}")
                there = set(connection.execute(kept).scalars())
                for (table, business), ids in self.ids.items():
                    if table == name:
                        self.ids[table, business] = [id for id in ids if id in there]
        # No foreign key says so: an e-mail is awaited in its own mailbox.
        connection.execute(_OWN_MAILBOX)

    def _in_order(self) -> list[str]:
        """Parents before their children; runs, which no foreign key names, first."""
        left = [name for name in self.schema if name not in LEFT_ALONE and name in TABLES]
        left.sort(key=lambda name: name != "runs")
        done: list[str] = []
        while left:
            name = next(
                n for n in left if all(c.parent in (None, n, *done) for c in self.schema[n])
            )
            left.remove(name)
            done.append(name)
        return done

    def _rows(self, name: str, business: str) -> list[dict[str, Any]]:
        own = [user for user in self.users if user.business == business]
        if name == "businesses":
            return [self._row(name, business, None)]
        if name == "users":
            return [self._row(name, business, user) for user in own]
        count = self.draw.randint(int(name == "runs"), self.most)
        actors = [self.draw.choice([None, *own]) for _ in range(count)]
        rows = [self._row(name, business, actor) for actor in actors]
        return [row for row in rows if row is not None]

    def _row(self, name: str, business: str, actor: User | None) -> Any:
        ways = naming(TABLES[name])
        row: dict[str, Any] = {}
        for column in self.schema[name]:
            value = self._value(name, column, business, actor, ways)
            if value is _NOBODY:
                return None
            row[column.name] = value
        if name == "users" and actor is not None:
            row |= {
                "email": actor.spelled, "name": f"Nom {actor.secret}", "active": True,
                "phone": f"+33 {actor.secret}", "stripe_customer_id": None,
            }  # fmt: skip
        elif name == "messages" and actor is not None:
            # The one that has no person is from before they had one.
            row |= {"recipient": actor.spelled, "contact": actor.email}
            row["person"] = self.draw.choice([actor.person, ""])
        elif name == "suppressions" and row["person"] and self.draw.random() < 0.3:
            row["contact"] = ""
        return row

    def _value(
        self,
        name: str,
        column: Column,
        business: str,
        actor: User | None,
        ways: Mapping[str, Sequence[str]],
    ) -> Any:
        if column.name == "run_id" and name in ("run_errors", "run_items"):
            return self._uuid(0)
        if column.parent is not None:
            known = self.ids.get((column.parent, business), [])
            return self.draw.choice(known) if known else _NOBODY
        if column.name == "business_id" or (name, column.name) == ("businesses", "id"):
            return business
        if column.name in ways and (way := self._named(column, actor, ways[column.name])):
            return way[0]
        if column.choices:
            return self.draw.choice(column.choices)
        if (name, column.name) == ("runs", "id"):
            return self._uuid(0)
        if column.name == "id" and column.type == "bigint":
            self._numbers += 1
            self.ids.setdefault((name, business), []).append(self._numbers)
            return self._numbers
        if column.nullable and self.draw.random() < 0.3:
            return None
        return self._drawn(column)

    def _named(
        self, column: Column, actor: User | None, ways: Sequence[str]
    ) -> tuple[str | None] | None:
        """In a column that names users: the row's, or somebody who is none."""
        if actor is None:
            if column.nullable:
                return (None,)
            return ("autre" + str(self.draw.randint(1, 99)),)
        spelled = {
            "user": actor.id, "person": actor.person, "email": actor.email,
            "spelled": actor.spelled, "closer": f"closer:{actor.id}",
        }  # fmt: skip
        return (spelled[self.draw.choice(ways)],)

    def _uuid(self, number: int | None = None) -> str:
        number = self.draw.getrandbits(60) if number is None else number
        return f"00000000-0000-4000-8000-{number % 16**12:012x}"

    def _drawn(self, column: Column) -> Any:
        word = f"{self.draw.choice(_WORDS)}{self.draw.randint(1, 999)}"
        instant = NOW + timedelta(hours=self.draw.randint(-9_000, 9_000))
        match column.type:
            case "text" if column.name.endswith("_key"):
                return f"doc{self.draw.randint(1, 60)}.pdf"
            case "text":
                return word
            case "bigint" | "integer" | "numeric" | "double precision":
                return self.draw.randint(1, 99)
            case "boolean":
                return self.draw.random() < 0.5
            case "timestamp with time zone":
                return instant.isoformat()
            case "date":
                return instant.date().isoformat()
            case "time without time zone":
                return f"{self.draw.randint(0, 23):02}:00"
            case "jsonb":
                return {"mot": word} if self.draw.random() < 0.7 else [word, {"n": None}]
            case "text[]":
                return [word, 'a"b,c'][: self.draw.randint(0, 2)]
            case "bytea":
                return f"\\x{self.draw.getrandbits(32):08x}"
            case "uuid":
                return self._uuid()
        raise AssertionError(f"a column of a type that nobody draws: {column}")


_NOBODY = object()
_WORDS = ("été", "Öl-", "d'un ", '"cité" ', "x%_", "日本", "ligne\n", "a\\b ")
