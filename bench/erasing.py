"""Erasing accounts against its floor: plain cascading deletes, typed into psql.

1,000 accounts, each the only one of its business, with 500 rows in 20 tables. The floor is one
`DELETE FROM businesses` on a copy of these tables (same rows, same indexes) whose foreign keys
cascade. The job's own run has its lease, eight steps of each account with a receipt, its archive of
invoices, and the proof that nothing is left.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

from sqlalchemy import Connection, Engine, text

from bench.database import PATIENCE_MS, Server
from bench.measure import Measure, seconds
from bench.planning import psql
from chalicelib import jobs
from chalicelib.db.engine import make_engine
from chalicelib.db.migrate import migrate
from chalicelib.domain.accounts import retention
from chalicelib.runner.bench import Bench
from chalicelib.runner.deadline import Deadline
from chalicelib.runner.triggers import NextTick
from chalicelib.runner.work import work
from chalicelib.settings import settings

GOAL = 2.0
ACCOUNTS, FEW = 1_000, 10
ROWS = 500
DATABASE = "bench_erasing"

# Table → rows of an account, their columns, what is in them: `a` numbers accounts, `k` its rows,
# `n` the rows of a table.
_TABLES = {
    "businesses": (1, "id, name", "b, 'Menuiserie ' || b"),
    "users": (1, "business_id, id, name, email, role", "b, 'U', 'Camille', b || '@x.fr', 'owner'"),
    "user_preferences": (1, "business_id, user_id", "b, 'U'"),
    "user_tokens": (5, "business_id, id, user_id", "b, 'T' || k, 'U'"),
    "notifications": (
        90,
        "business_id, id, user_id, kind, subject, title, created_at",
        "b, 'N' || k, 'U', 'agenda.task_overdue', k::text, 'Commander les ferrures', now()",
    ),
    "agenda_told": (
        30,
        "id, business_id, kind, subject, cycle, user_id, at, told_at",
        "n, b, 'agenda.task_overdue', k::text, '1', 'U', now(), now()",
    ),
    "tasks": (40, "business_id, id, title, user_id", "b, 'K' || k, 'Rappeler le client', 'U'"),
    "appointments": (25, "business_id, id, title, user_id", "b, 'A' || k, 'Visite', 'U'"),
    "leads": (20, "business_id, id, name, closer_id", "b, 'L' || k, 'Claire Rivière', 'U'"),
    "lead_followups": (
        20,
        "id, business_id, lead_id, cycle, number, mode, state, closer_id, content, due_at,"
        " proposed_at, expires_at",
        "n, b, 'L' || k, '1', 1, 'assisted', 'confirmed', 'U', repeat('Bonjour. ', 20), now(),"
        " now(), now()",
    ),
    "customers": (10, "business_id, id, name, emails", "b, 'C' || k, 'Martin', k || '@c.fr'"),
    "invoices": (
        10,
        "business_id, id, number, customer_id, status, issued_on, total, balance",
        "b, 'F' || k, 'F' || k, 'C' || k, 'paid', current_date, 1234.56, 0",
    ),
    "quotes": (
        5,
        "business_id, id, number, customer_id, status, total",
        "b, 'D' || k, 'D' || k, 'C' || k, 'accepted', 2850",
    ),
    "messages": (
        60,
        "id, business_id, kind, subject, channel, person, recipient, contact, state, planned_at,"
        " not_before, expires_at, counted_at",
        "n, b, 'billing.invoice_followup', k::text, 'email', 'C' || k % 10, k % 10 || '@c.fr',"
        " k % 10 || '@c.fr', 'accepted', now(), now(), now(), now()",
    ),
    "message_bodies": (
        60, "message_id, subject, text", "n, 'Facture F1', repeat('Bonjour Claire. ', 60)",
    ),
    "message_events": (
        111, "id, message_id, at, event", "n, (a - 1) * 60 + k % 60 + 1, now(), 'planned'",
    ),
    "mailboxes": (
        1,
        "id, business_id, address, host, port, security, auth, username, credentials, created_at,"
        " next_sync_at",
        "n, b, b || '@x.fr', 'imap.x.fr', 993, 'tls', 'password', 'u', 'c', now(), now()",
    ),
    "mailbox_folders": (2, "id, mailbox_id, path", "n, a, 'F' || k"),
    "emails": (
        4,
        "id, business_id, mailbox_id, message_id, has_message_id, sha256, header_sha256, size,"
        " text, created_at",
        "n, b, a, n || '@c.fr', true, '\\x01', '\\x02', 10, repeat('Bonjour. ', 100), now()",
    ),
    "email_places": (4, "folder_id, uidvalidity, uid, email_id", "a * 2, 1, n, n"),
}  # fmt: skip
_FOREIGN_KEYS = """
SELECT c.conrelid::regclass::text, a.attname, c.confrelid::regclass::text
  FROM pg_constraint c JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1]
 WHERE c.contype = 'f' AND c.connamespace = 'ponctuel'::regnamespace
"""
_LOCK = """
INSERT INTO ponctuel.account_deletions (business_id, user_id, scope, state, requested_at,
                                        requested_by, scheduled_at, zone, locked_at)
SELECT id, 'U', 'business', 'locked', now(), 'user', now(), 'Europe/Paris', now()
  FROM ponctuel.businesses
"""


def measure(server: Server, *, quick: bool) -> Iterator[Measure]:
    """Ratio of a run's time to the floor's, once per round."""
    accounts, rounds = (FEW, 2) if quick else (ACCOUNTS, 3)
    server.create(DATABASE)
    engine = make_engine(
        server.url.set(database=DATABASE),
        application="bench",
        statement_timeout_ms=PATIENCE_MS,
        socket_timeout_s=PATIENCE_MS / 1000,
    )
    migrate(engine)
    with engine.begin() as connection:
        _make(connection, accounts)
    floors, ours = [], []
    for _ in range(rounds):
        _fill(engine)
        floors.append(typed(engine, accounts))
        ours.append(run(engine, accounts))
    engine.dispose()
    server.drop(DATABASE)
    yield Measure(
        f"erasing {accounts} accounts of {ROWS} rows / the same by cascading deletes in psql",
        [mine / floor for mine, floor in zip(ours, floors, strict=True)],
        "×",
        None if quick else GOAL,
        f"{seconds(ours)} / {seconds(floors)}",
    )


def _make(connection: Connection, accounts: int) -> None:
    """The rows, kept to be copied from; and a copy of every table that goes with a business, whose
    foreign keys cascade: to businesses, where ours has none, else the one that it has."""
    assert sum(rows for rows, _columns, _values in _TABLES.values()) == ROWS
    run = connection.exec_driver_sql
    run("CREATE SCHEMA kept")
    run("CREATE SCHEMA plain")
    for table, (rows, columns, values) in _TABLES.items():
        run(f"CREATE TABLE kept.{table} (LIKE ponctuel.{table} INCLUDING DEFAULTS)")
        run(f"""
            INSERT INTO kept.{table} ({columns}) SELECT {values}
              FROM (SELECT a, 'B' || a AS b, k, (a - 1) * {rows} + k AS n
                      FROM generate_series(1, {accounts}) a, generate_series(1, {rows}) k) x""")
    keys = {(child, parent): column for child, column, parent in run(_FOREIGN_KEYS)}
    names = [table.name for table in retention.TABLES if table.of and not table.survives]
    for name in names:
        run(f"CREATE TABLE plain.{name} (LIKE ponctuel.{name} INCLUDING ALL)")
    children = {child for child, _parent in keys}
    keys |= {
        (f"ponctuel.{name}", "ponctuel.businesses"): "business_id"
        for name in names
        if name != "businesses" and f"ponctuel.{name}" not in children
    }
    for (child, parent), column in keys.items():
        if {child.partition(".")[2], parent.partition(".")[2]} <= set(names):
            key = f"ALTER TABLE {child} ADD FOREIGN KEY ({column}) REFERENCES {parent} (id)"
            run(key.replace("ponctuel.", "plain.") + " ON DELETE CASCADE")


def _fill(engine: Engine) -> None:
    """Both have all rows, their statistics know of it, and nothing is left to be written."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        names = ", ".join(f"ponctuel.{table}, plain.{table}" for table in _TABLES)
        connection.exec_driver_sql(f"TRUNCATE {names} CASCADE")
        connection.exec_driver_sql(
            "TRUNCATE ponctuel.account_deletions, ponctuel.accounting_archive, ponctuel.runs,"
            " ponctuel.run_items, ponctuel.run_errors, ponctuel.job_state CASCADE"
        )
        for table in _TABLES:
            for schema in ("plain", "ponctuel"):
                connection.exec_driver_sql(
                    f"INSERT INTO {schema}.{table} OVERRIDING SYSTEM VALUE"
                    f" SELECT * FROM kept.{table}"
                )
        connection.exec_driver_sql(_LOCK)
        connection.exec_driver_sql(
            "INSERT INTO ponctuel.job_state (job, zone, covered_through) VALUES"
            " ('account_deletions', 'Europe/Paris', ponctuel.clock() - interval '25 hours')"
        )
        connection.exec_driver_sql("VACUUM ANALYZE")
        connection.exec_driver_sql("CHECKPOINT")


def typed(engine: Engine, accounts: int) -> float:
    """Seconds that psql says it took, commit included."""
    answer = psql(engine.url, "\\timing on\nDELETE FROM plain.businesses;\n")
    took = re.search(r"Time: ([\d.]+) ms", answer)
    assert f"DELETE {accounts}" in answer, answer
    assert took is not None, answer
    with engine.begin() as connection:
        left = connection.execute(text("SELECT count(*) FROM plain.message_events")).scalar_one()
    assert left == 0, left
    return float(took[1]) / 1000


def run(engine: Engine, accounts: int) -> float:
    """Seconds of the job's own run, from what a tick does first to its end."""
    bench = Bench(engine, settings(), NextTick(), "bench")
    start = time.perf_counter()
    results = work(jobs.job("account_deletions"), bench, Deadline.after(3600))
    elapsed = time.perf_counter() - start
    assert [result.status for result in results] == ["succeeded"], results
    with engine.begin() as connection:
        erased, left = connection.execute(
            text(
                "SELECT (SELECT count(*) FROM ponctuel.account_deletions WHERE state = 'erased'),"
                " (SELECT count(*) FROM ponctuel.message_events)"
            )
        ).one()
    assert (erased, left) == (accounts, 0), (erased, left)
    return elapsed
