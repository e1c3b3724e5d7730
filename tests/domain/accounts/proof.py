"""Whatever is in the tables: nothing is left of who is erased, and nothing else has changed."""

from __future__ import annotations

import json
import random
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, cast

from sqlalchemy import Connection, text

from chalicelib.domain.accounts import erasing, erasure_scan, retention
from chalicelib.domain.accounts.archiving import KEPT
from chalicelib.domain.accounts.retention_rules import Table
from chalicelib.runner.deadline import Deadline
from chalicelib.runner.job import Run
from tests.domain.accounts.erased import by_number, lock
from tests.domain.accounts.random_rows import TABLES, Rows, Schema, User, naming, schema
from tests.harness import Deployment
from tests.reliability.trial import Finding

# They tell of the erasing itself.
TELLS = {
    "account_deletions", "erasure_receipts", "erasure_files", "erasure_tombstones",
    "accounting_archive",
}  # fmt: skip
_NAMES_A_DOCUMENT = (
    ("stored_files", "storage_key"), ("quotes", "pdf_key"), ("invoices", "pdf_key"),
    ("emails", "raw_key"), ("email_attachments", "stored_key"), ("accounting_archive", "pdf_key"),
)  # fmt: skip

Row = tuple[str, str]  # table, JSON


def trial(
    deployment: Deployment, job: str, case: str, draw: random.Random, *, examples: int = 10
) -> Finding:
    """Some data sets, in each of which a user goes, or a business (`case`)."""
    done: Counter[str] = Counter()
    for _ in range(examples):
        deployment.empty()
        done += example(deployment, case, draw, most=draw.randint(1, 8))
    return Finding(Counter(), done=done)


def example(deployment: Deployment, scope: str, draw: random.Random, most: int) -> Counter[str]:
    """Raises `AssertionError` for anything that is left, or that should have been."""
    users = _users(draw)
    with deployment.database.begin() as connection:
        tables = schema(connection)
        assert set(tables) == set(TABLES)
        Rows(draw, tables, users, most).fill(connection)
        for user in users:
            _sign(connection, tables, user)
        _share(connection, draw)
    leave = _leaving(draw, users, scope)
    gone = {lock(deployment, user.id, user.business): user for user in leave}
    values = [parameters(user, number, scope) for number, user in gone.items()]
    _store(deployment)
    before = _dumped(deployment)
    theirs: dict[str, Counter[Row]] = {"goes": Counter(), "detached": Counter()}
    for one in values:
        for what, rows in _classified(deployment, tables, one).items():
            theirs[what] += rows
    with deployment.database.begin() as connection:
        invoices = connection.execute(
            text(f"SELECT business_id, id, number, total FROM ponctuel.invoices t WHERE {KEPT}")
        ).all()
    engine = deployment.database.engine()
    outcome = erasing.Erase().run_errand(
        cast(Run, None),
        engine,
        Deadline.after(300),
        [(user.business, str(number)) for number, user in gone.items()],
    )
    engine.dispose()
    assert not outcome.errors, outcome
    assert {by_number(deployment, number)["state"] for number in gone} == {"erased"}
    after = _dumped(deployment)
    for one in values:
        own = [user for user in users if user.business == one["business"]]
        left = [user for user in own if user in leave] if scope == "user" else own
        _nothing_is_left(deployment, one, after, left)
    _others_are_as_they_were(before, after, theirs)
    _documents_are_where_they_are_named(deployment)
    for number, user in gone.items() if scope == "business" else ():
        kept = [invoice for invoice in invoices if invoice.business_id == user.business]
        _archives_can_be_read(deployment, number, kept)
    return Counter(
        examples=1, accounts=len(gone), rows=sum(before.values()), gone=sum(theirs["goes"].values())
    )


def _leaving(draw: random.Random, users: list[User], scope: str) -> list[User]:
    """Of one business; now and then of two, at once."""
    id = "O" if scope == "business" else "U1"
    at = ("B1", "B2") if draw.random() < 0.4 else ("B1",)
    return [user for user in users if user.id == id and user.business in at]


def parameters(user: User, number: int, scope: str) -> dict[str, Any]:
    return {
        "business": user.business, "user": user.id, "person": user.person, "email": user.email,
        "deletion": str(number), "number": number, "scope": scope,
    }  # fmt: skip


def _users(draw: random.Random) -> list[User]:
    """The same ids in three businesses; now and then the same address."""
    users = []
    for business in ("B1", "B2", "B3")[: draw.randint(2, 3)]:
        for id in ("O", "U1", "U2", "U3")[: draw.randint(2, 4)]:
            secret = f"zq{business}{id}w{draw.randint(1, 999)}z"
            twice = id == "U1" and draw.random() < 0.4
            email = "twice@example.org" if twice else f"{secret}@example.org".lower()
            users.append(User(business, id, email, secret))
    return users


def _sign(connection: Connection, tables: Schema, user: User) -> None:
    """Every text of a row that is declared to go with a user holds their secret, where it is
    declared that a person may stand; so do the rows that go with it."""
    values = parameters(user, 0, "user") | {"secret": user.secret}
    for table in retention.TABLES:
        condition = goes(tables, table, "user")
        known = {*naming(table), "contact", "recipient"}
        may = {*table.personal.split(), *table.kept_columns} - known
        sets = [
            f'"{c.name}" = {_WITH_SECRET[c.type].format(column=c.name)}'
            for c in tables[table.name]
            if c.name in may and c.type in _WITH_SECRET and not c.choices
        ]
        if condition and sets and table.name != "users":
            rows = f"SELECT t.ctid FROM {table.source} WHERE {condition}"
            statement = (
                f"UPDATE ponctuel.{table.name} t SET {', '.join(sets)} WHERE t.ctid IN ({rows})"
            )
            connection.execute(text(statement), values)


_WITH_SECRET = {
    "text": """concat(t."{column}", ' ', CAST(:secret AS text))""",
    "jsonb": """jsonb_build_array(t."{column}", CAST(:secret AS text))""",
    "text[]": """t."{column}" || CAST(:secret AS text)""",
}


def goes(tables: Schema, table: Table, scope: str) -> str:
    """SQL: which rows `t` go, those included that a foreign key takes along; empty: none."""
    if not table.of:
        return ""
    if scope == "business" and not table.survives:
        return table.of
    either = [f"({table.user})"] if table.user else []
    for column in tables[table.name]:
        if column.parent is not None and column.parent != table.name:
            parent = goes(tables, TABLES[column.parent], scope)
            if parent:
                either.append(
                    f't."{column.name}" IN (SELECT t.id FROM {TABLES[column.parent].source}'
                    f" WHERE {parent})"
                )
    return f"{table.of} AND ({' OR '.join(either)})" if either else ""


def _share(connection: Connection, draw: random.Random) -> None:
    """Some documents are named by several rows, of one business or of two."""
    for table, column in _NAMES_A_DOCUMENT[:5]:
        if draw.random() < 0.5:
            connection.execute(
                text(f"UPDATE ponctuel.{table} SET {column} = 'shared.pdf'"
                     f" WHERE ctid IN (SELECT ctid FROM ponctuel.{table}"
                     f" WHERE {column} IS NOT NULL ORDER BY ctid LIMIT 2)")
            )  # fmt: skip


def _keys(deployment: Deployment) -> set[str]:
    queries = (
        f"SELECT {column} AS k FROM ponctuel.{table} WHERE {column} <> ''"
        for table, column in _NAMES_A_DOCUMENT
    )
    return {row["k"] for row in deployment.rows(" UNION ".join(queries))}


def _safe(key: str) -> bool:
    return key.isascii() and key.replace(".", "").replace(" ", "").isalnum()


def _store(deployment: Deployment) -> None:
    shutil.rmtree(deployment.documents)
    deployment.documents.mkdir()
    for key in filter(_safe, _keys(deployment)):
        (deployment.documents / key).write_bytes(b"x")


def _dumped(deployment: Deployment) -> Counter[Row]:
    """Every row of every table."""
    queries = (
        f"SELECT '{name}' AS name, to_jsonb(t)::text AS row FROM ponctuel.{name} t"
        for name in TABLES
    )
    rows = deployment.rows(" UNION ALL ".join(queries))
    return Counter((row["name"], row["row"]) for row in rows)


def _classified(
    deployment: Deployment, tables: Schema, values: Mapping[str, Any]
) -> dict[str, Counter[Row]]:
    """The rows that go, and those that are detached."""
    found: dict[str, Counter[Row]] = {"goes": Counter(), "detached": Counter()}
    for table in retention.TABLES:
        detached = " OR ".join(f"({where})" for _value, where in table.detach.values())
        either = f"{table.of} AND ({detached})" if detached and table.of else ""
        for what, condition in (
            ("goes", goes(tables, table, values["scope"])),
            ("detached", either),
        ):
            if condition:
                query = f"SELECT to_jsonb(t)::text AS r FROM {table.source}"
                rows = deployment.rows(f"{query} WHERE {condition}", **values)
                found[what].update((table.name, row["r"]) for row in rows)
    found["detached"] -= found["goes"]
    return found


def _nothing_is_left(
    deployment: Deployment,
    values: Mapping[str, Any],
    after: Counter[Row],
    gone: Iterable[User],
) -> None:
    with deployment.database.begin() as connection:
        assert erasure_scan.found(connection, values["scope"], values) == {}
    own = list(gone)
    for name, row in after:
        for user in own:
            assert user.secret not in row.replace(user.secret.lower() + "@", ""), (name, row)
    for table in retention.TABLES:
        if not table.of:
            continue
        rows = deployment.rows(
            f"SELECT to_jsonb(t)::text AS r FROM {table.source} WHERE {table.of}",
            business=values["business"],
        )
        for row in rows:
            found = json.loads(row["r"])
            for user in own:
                # An opt-out outlives the account: the address, and nothing that says whose.
                texts = {
                    column: str(value).lower().strip()
                    for column, value in found.items()
                    if (table.name, column) != ("suppressions", "contact")
                }
                for column, value in texts.items():
                    assert user.email not in value, (table.name, column, found)
                    assert value not in (user.person.lower(), user.id.lower()), (
                        table.name, column, found,
                    )  # fmt: skip


def _others_are_as_they_were(
    before: Counter[Row], after: Counter[Row], theirs: Mapping[str, Counter[Row]]
) -> None:
    concerned = theirs["goes"] + theirs["detached"]
    others = Counter({row: n for row, n in (before - concerned).items() if row[0] not in TELLS})
    assert others - after == Counter(), "changed or gone, of somebody else"
    detached = _without_names(theirs["detached"])
    new = Counter({row: n for row, n in (after - others).items() if row[0] not in TELLS})
    assert _without_names(new) == detached, "more than the names has changed"
    assert not (theirs["goes"] & new)


def _without_names(rows: Counter[Row]) -> Counter[Row]:
    """Without the columns that are set when a row is detached."""
    found: Counter[Row] = Counter()
    for (name, row), count in rows.items():
        if name not in TELLS:
            values = json.loads(row)
            for column in TABLES[name].detach:
                values.pop(column)
            found[name, json.dumps(values, sort_keys=True)] += count
    return found


def _documents_are_where_they_are_named(deployment: Deployment) -> None:
    there = {path.name for path in deployment.documents.iterdir() if path.is_file()}
    assert there == {key for key in _keys(deployment) if _safe(key)}


def _archives_can_be_read(deployment: Deployment, number: int, invoices: Iterable[Any]) -> None:
    rows = deployment.rows(
        "SELECT document_id, number, content, pdf_key FROM ponctuel.accounting_archive"
        " WHERE deletion_id = :number", number=number,
    )  # fmt: skip
    archived = {row["document_id"]: row for row in rows}
    assert set(archived) == {invoice.id for invoice in invoices}
    for invoice in invoices:
        kept = archived[invoice.id]
        assert (kept["number"], kept["content"]["total"]) == (invoice.number, invoice.total)
        assert kept["content"]["issuer"]["name"]
