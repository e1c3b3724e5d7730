"""`check` on views that do anything: each is named with what to do, the rest is looked at all the
same, and nothing is written."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import make_url

from tests.bring_your_own.views import show
from tests.cli.command_line import CommandLine
from tests.database import Server
from tests.harness import Deployment


def problems(ponctuel: CommandLine, *options: str) -> list[dict[str, Any]]:
    answer = ponctuel("check", "--json", *options)
    found = [finding for finding in answer.data if finding["verdict"] == "problem"]
    assert answer.code == (1 if found else 0)
    return found


def load(deployment: Deployment) -> None:
    deployment.open_business()
    deployment.invoice()
    deployment.quote()


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("CASE WHEN 1 / (length(id) - 2) > 0 THEN number END", "22012"),
        ("(number::integer)::text", "22P02"),
        ("theirs.written(number)", "25006"),
        ("theirs.gone(number)", "42P01"),
    ],
)
def test_a_view_that_raises_is_told_by_its_code_and_without_its_data(
    deployment: Deployment, ponctuel: CommandLine, value: str, code: str
) -> None:
    load(deployment)
    deployment.execute("CREATE SCHEMA theirs")
    deployment.execute("CREATE TABLE theirs.seen (number text)")
    deployment.execute(
        "CREATE FUNCTION theirs.written(n text) RETURNS text LANGUAGE plpgsql AS "
        "$$ BEGIN INSERT INTO theirs.seen VALUES (n); RETURN n; END $$"
    )
    deployment.execute(
        "CREATE FUNCTION theirs.gone(n text) RETURNS text LANGUAGE plpgsql AS "
        "$$ BEGIN PERFORM 1 FROM theirs.nothing; RETURN n; END $$"
    )
    show(deployment, {"invoices.number": value}, "invoices")
    found = problems(ponctuel)
    assert found[0]["text"].startswith("ponctuel.invoices ne peut pas être lue : ")
    assert f"(SQLSTATE {code})" in found[0]["text"]
    assert found[0]["sql"] == "SELECT * FROM ponctuel.invoices;"
    assert not any("F1" in finding["text"] for finding in found)
    assert deployment.rows("SELECT * FROM theirs.seen") == []


def test_a_view_that_is_too_slow_does_not_hold_up_check(
    deployment: Deployment, ponctuel: CommandLine
) -> None:
    load(deployment)
    deployment.execute("CREATE SCHEMA theirs")
    show(deployment, {"customers.name": "name || pg_sleep(60)"}, "customers")
    started = time.monotonic()
    answer = ponctuel("check", "--json", "--timeout", "1")
    assert time.monotonic() - started < 20
    notes = [finding for finding in answer.data if "lue en entier" in finding["text"]]
    assert [note["text"].partition(" ")[0] for note in notes] == ["ponctuel.customers"]
    slow = [f["text"] for f in answer.data if f["verdict"] == "problem"]
    assert slow
    assert all("(SQLSTATE 57014)" in text for text in slow)


def test_empty_and_double_keys_unknown_codes_and_zones_are_counted(
    deployment: Deployment, ponctuel: CommandLine
) -> None:
    load(deployment)
    deployment.invoice("F2")
    deployment.invoice("F3")
    deployment.execute("CREATE SCHEMA theirs")
    show(
        deployment,
        {
            "invoices.id": "CASE number WHEN 'F3' THEN 'F2' ELSE id END",
            "invoices.business_id": "CASE number WHEN 'F1' THEN NULL ELSE business_id END",
            "invoices.status": "CASE number WHEN 'F1' THEN 'Envoyée' "
            "WHEN 'F2' THEN 'M. Durand, 3 rue X' END",
        },
        "invoices",
    )
    show(deployment, {"businesses.zone": "'Europe/Pariss'"}, "businesses")
    show(deployment, {"customers.name": "NULL::text"}, "customers")
    answer = ponctuel("check")
    assert answer.code == 1
    for said in (
        "✗ données : ponctuel.invoices.business_id est vide dans 1 ligne",
        "✗ données : ponctuel.invoices : 1 clé en double (business_id, id)",
        "✗ données : ponctuel.invoices.status a un code inconnu dans 2 lignes (« Envoyée »)",
        "✗ données : ponctuel.invoices.status est vide dans 1 ligne",
        "✗ données : « Europe/Pariss » n'est pas un fuseau horaire IANA (1 entreprise)",
        "• données : ponctuel.customers.name est vide dans 1 ligne",
        "HAVING count(*) > 1;",
    ):
        assert said in answer.words
    assert "Durand" not in answer.out


def test_a_view_that_cannot_be_written_is_named_and_a_trigger_makes_it_right(
    deployment: Deployment, ponctuel: CommandLine
) -> None:
    load(deployment)
    show(deployment, {"quotes.status": "concat(status)"}, "quotes")
    found = problems(ponctuel)
    assert len(found) == 1
    assert "ponctuel.quotes ne se laisse pas écrire (UPDATE)" in found[0]["text"]
    deployment.execute(
        "CREATE FUNCTION theirs.expire() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RETURN NEW; END $$"
    )
    deployment.execute(found[0]["sql"].replace("…", "theirs.expire"))
    assert problems(ponctuel) == []


def test_a_missing_relation_and_a_missing_column_come_with_the_sql_to_write(
    deployment: Deployment, ponctuel: CommandLine
) -> None:
    load(deployment)
    show(deployment, {"invoices.cycle": "", "invoices.balance": ""}, "invoices")
    deployment.execute("ALTER TABLE ponctuel.customers SET SCHEMA theirs")
    cycle_and_balance = {f["text"]: f["sql"] for f in problems(ponctuel)}
    assert cycle_and_balance["ponctuel.invoices n'a pas de colonne cycle (integer)"] == "0 AS cycle"
    balance = "ponctuel.invoices n'a pas de colonne balance (numeric)"
    assert cycle_and_balance[balance] == "…::numeric AS balance"
    view = next(sql for text, sql in cycle_and_balance.items() if "ponctuel.customers" in text)
    assert view.startswith("CREATE VIEW ponctuel.customers AS\nSELECT …::text AS business_id,")
    deployment.execute(view.replace("…::text", "'x'::text").replace("…", "theirs.customers"))
    assert not any("customers" in finding["text"] for finding in problems(ponctuel))


@pytest.fixture
def poor(
    deployment: Deployment, database_server: Server, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """A role without any right, in whose name commands are run."""
    role = f"poor_{uuid.uuid4().hex[:12]}"
    database_server.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'x'")
    url = make_url(deployment.database.url).set(username=role, password="x")
    monkeypatch.setenv("DATABASE_URL", url.render_as_string(hide_password=False))
    yield role
    deployment.execute(f"DROP OWNED BY {role}")
    database_server.execute(f"DROP ROLE {role}")


def test_doing_what_check_says_gives_a_role_every_right_that_it_lacks(
    deployment: Deployment, ponctuel: CommandLine, poor: str
) -> None:
    load(deployment)
    said = []
    for _ in range(6):
        found = problems(ponctuel)
        if not found:
            break
        for finding in found:
            said.append(finding["text"])
            assert finding["sql"].startswith("GRANT "), finding
            deployment.execute(finding["sql"].replace("…", poor))
    assert problems(ponctuel) == []
    assert f"le rôle {poor} n'a pas accès au schéma ponctuel" in said
    assert any("n'a pas le droit de lire" in text and "invoices" in text for text in said)
    assert any("n'a pas le droit UPDATE (status) sur ponctuel.quotes" in text for text in said)
    assert any("n'a pas le droit DELETE sur ponctuel.followup_decisions" in text for text in said)


def test_check_needs_no_right_to_write_and_runs_on_a_database_that_is_read_only(
    deployment: Deployment, ponctuel: CommandLine
) -> None:
    load(deployment)
    deployment.execute(
        f'ALTER DATABASE "{deployment.database.name}" SET default_transaction_read_only = on'
    )
    deployment.database.forget_connections()
    assert problems(ponctuel) == []


@pytest.mark.parametrize(
    ("branch", "present", "verdict", "said"),
    [
        ("ledger", "ledger_0000", "note", "plus récent que ce code (ledger_0010)"),
        ("domain", "domain_9999", "note", "plus récent que ce code (domain_0006)"),
    ],
)
def test_a_schema_that_only_newer_code_knows_is_said_and_stops_nothing(
    deployment: Deployment,
    ponctuel: CommandLine,
    branch: str,
    present: str,
    verdict: str,
    said: str,
) -> None:
    deployment.execute(
        f"UPDATE ponctuel.schema_versions SET version_num = '{present}' "
        f"WHERE version_num LIKE '{branch}%'"
    )
    answer = ponctuel("check", "--json")
    found = [f for f in answer.data if f["topic"] == "schéma" and present in f["text"]]
    assert [(f["verdict"], said in f["text"]) for f in found] == [(verdict, True)]


def test_a_schema_that_is_older_than_the_code_is_a_problem(
    deployment: Deployment, ponctuel: CommandLine
) -> None:
    deployment.execute("DELETE FROM ponctuel.schema_versions WHERE version_num LIKE 'ledger%'")
    found = [finding["text"] for finding in problems(ponctuel)]
    assert found == ["rien au lieu de ledger_0010 : lancez `./ponctuel migrate`"]


def test_without_the_engine_check_says_to_migrate(
    deployment: Deployment, ponctuel: CommandLine
) -> None:
    deployment.execute("DROP TABLE ponctuel.schema_versions")
    found = problems(ponctuel)
    assert ["`./ponctuel migrate`" in finding["text"] for finding in found] == [True]
    deployment.execute("DROP SCHEMA ponctuel CASCADE")
    found = problems(ponctuel)
    assert ["`./ponctuel migrate`" in finding["text"] for finding in found] == [True]
