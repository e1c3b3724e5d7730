"""The declaration of what becomes of every table is complete, and its conditions select what they
say: the account's own, and nothing of anybody else's."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

import pytest

from chalicelib.domain.accounts import retention
from chalicelib.domain.accounts.fates import Detach, Scope, Undecided, selection
from chalicelib.domain.accounts.retention import RULES
from tests import factories
from tests.domain.accounts.people import add_user, open_accounts
from tests.harness import Deployment

_COLUMNS = """
SELECT c.table_name, c.column_name, c.is_nullable = 'YES' AS nullable
  FROM information_schema.columns c
  JOIN pg_class r ON r.relname = c.table_name AND r.relnamespace = 'ponctuel'::regnamespace
 WHERE c.table_schema = 'ponctuel' AND r.relkind IN ('r', 'p', 'f')
"""
_KEYS = """
SELECT c.relname AS child, p.relname AS parent FROM pg_constraint k
  JOIN pg_class c ON c.oid = k.conrelid JOIN pg_class p ON p.oid = k.confrelid
 WHERE k.contype = 'f' AND k.connamespace = 'ponctuel'::regnamespace AND c.oid <> p.oid
"""


def test_each_table_and_column_of_the_schema_is_declared_once(deployment: Deployment) -> None:
    declared = Counter((rule.table, column) for rule in RULES for column in rule.columns)
    actual = {(row["table_name"], row["column_name"]) for row in deployment.rows(_COLUMNS)}
    assert set(declared) == actual
    assert set(declared.values()) == {1}


def test_children_go_before_their_parents(deployment: Deployment) -> None:
    place = {rule.table: number for number, rule in enumerate(RULES)}
    keys = [(row["child"], row["parent"]) for row in deployment.rows(_KEYS)]
    keys = [(child, parent) for child, parent in keys if child != "run_errors"]  # runs stay
    assert keys
    assert [key for key in keys if place[key[0]] > place[key[1]]] == []


def test_what_is_detached_can_be_empty(deployment: Deployment) -> None:
    nullable = {
        (r["table_name"], r["column_name"]): r["nullable"] for r in deployment.rows(_COLUMNS)
    }
    emptied = [
        (rule.table, column)
        for rule in RULES
        for action in (*rule.user, *rule.business)
        if isinstance(action, Detach)
        for column, value in action.sets.items()
        if value == "NULL"
    ]
    assert emptied
    assert [one for one in emptied if not nullable[one]] == []


def test_what_is_personal_and_stays_says_why() -> None:
    silent = [rule.table for rule in RULES if rule.personal and not rule.kept and not rule.business]
    assert silent == []


def test_what_is_undecided_is_known() -> None:
    """Whoever decides one takes it out of here, and of docs/erasing.md."""
    assert set(retention.undecided("user")) == {"webhook_events", "emails", "runs"}
    assert set(retention.undecided("business")) == {"webhook_events", "runs"}


def _selected(deployment: Deployment, scope: Scope, business: str = "B1") -> dict[str, int]:
    gone = (
        "WITH gone AS (SELECT CAST(:business AS text) AS business_id, 'U1'::text AS user_id,"
        " 'u1@exemple.fr'::text AS email, '+33612345678'::text AS phone) "
    )
    found = {}
    for rule in RULES:
        for action in rule.actions(scope):
            if isinstance(action, Undecided):
                continue
            sql = gone + selection(rule.table, action.where)
            count = deployment.rows(sql, business=business)[0]["count"]
            found[rule.table] = found.get(rule.table, 0) + count
    return {table: count for table, count in found.items() if count}


@pytest.fixture
def twins(deployment: Deployment) -> Deployment:
    """Two businesses with the same ids in each; a user with tasks, a file, tokens, a lead."""
    open_accounts(deployment, "B1", "B2")
    for business in ("B1", "B2"):
        add_user(deployment, "U1", business, email="u1@exemple.fr")
        add_user(deployment, "U2", business, email="u2@exemple.fr")
        with deployment.database.begin() as connection:
            factories.customer(connection, "C1", business)
        for user in ("U1", "U2"):
            for table, columns in (
                ("user_tokens", "(business_id, id, user_id)"),
                ("stored_files", "(business_id, id, user_id, storage_key)"),
            ):
                key = ", 'clé'" if table == "stored_files" else ""
                deployment.execute(
                    f"INSERT INTO ponctuel.{table} {columns} VALUES (:b, 'X' || :u, :u{key})",
                    b=business, u=user,
                )  # fmt: skip
            deployment.execute(
                "INSERT INTO ponctuel.tasks (business_id, id, title, user_id, customer_id, status)"
                " VALUES (:b, 'A' || :u, 'Dentiste', :u, NULL, 'open'),"
                "        (:b, 'B' || :u, 'Devis', :u, 'C1', 'open')",
                b=business, u=user,
            )  # fmt: skip
    return deployment


def test_a_user_takes_along_what_is_hers_alone(twins: Deployment) -> None:
    assert _selected(twins, "user") == {
        "user_tokens": 1, "stored_files": 1, "tasks": 2, "users": 1,
    }  # fmt: skip


def test_the_last_user_takes_the_business_along_and_no_other(twins: Deployment) -> None:
    found = _selected(twins, "business")
    assert {table: found[table] for table in ("users", "tasks", "customers", "businesses")} == {
        "users": 3, "tasks": 4, "customers": 1, "businesses": 1,
    }  # fmt: skip
    assert found == _selected(twins, "business", "B2")
    assert _selected(twins, "business", "B3") == {}


def test_a_customer_with_the_id_of_a_user_is_somebody_else(twins: Deployment) -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    for person, address in (("user:U1", "alt@exemple.fr"), ("U1", "u1@exemple.fr")):
        twins.execute(
            "INSERT INTO ponctuel.messages (business_id, kind, subject, cycle, step, channel,"
            " person, recipient, content, state, planned_at, not_before, expires_at)"
            " VALUES ('B1', 'k', :p, '', '', 'email', :p, :a, '{}', 'accepted', :at, :at, :at)",
            p=person, a=address, at=at,
        )  # fmt: skip
    assert _selected(twins, "user")["messages"] == 1


def test_her_mailbox_goes_and_one_that_she_only_looks_after_stays(twins: Deployment) -> None:
    for business in ("B1", "B2"):
        for address, owner in (
            ("U1@exemple.fr", "U1@exemple.fr"),
            ("contact@exemple.fr", "u1@exemple.fr"),
            ("u2@exemple.fr", "u2@exemple.fr"),
        ):
            twins.execute(
                "INSERT INTO ponctuel.mailboxes (business_id, address, owner_email, host, port,"
                " security, auth, username, credentials, created_at, next_sync_at, pause_replies)"
                " VALUES (:b, :a, :o, 'imap.exemple.fr', 993, 'tls', 'password', :a, '-',"
                " ponctuel.clock(), ponctuel.clock(), false)",
                b=business, a=address, o=owner,
            )  # fmt: skip
    twins.execute(
        "INSERT INTO ponctuel.mailbox_folders (mailbox_id, path, state)"
        " SELECT id, 'INBOX', 'active' FROM ponctuel.mailboxes"
    )
    found = _selected(twins, "user")
    assert (found["mailboxes"], found["mailbox_folders"]) == (2, 1)  # one erased, one detached
    found = _selected(twins, "business")
    assert (found["mailboxes"], found["mailbox_folders"]) == (3, 3)
