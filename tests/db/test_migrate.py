"""Migrations: harmless when repeated, one process at a time, and both branches on their own."""

from __future__ import annotations

import re
import threading
import uuid
from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import Engine, make_url, text
from sqlalchemy.exc import DBAPIError

from chalicelib.db.engine import make_engine, transaction
from chalicelib.db.migrate import BRANCHES, FOLDER, REQUIRED_LEDGER, migrate, shipped
from chalicelib.errors import BadRequest, PonctuelError
from chalicelib.jobs.migrate import handler
from tests.database import Server
from tests.harness import TODAY, Deployment
from tests.reliability.scenarios import SCENARIOS, verdict

DOMAIN = (
    "businesses",
    "billing_settings",
    "followup_levels",
    "customers",
    "customer_phones",
    "invoices",
    "quotes",
    "followup_decisions",
)


@pytest.fixture
def empty(database_server: Server) -> Iterator[str]:
    """The address of a database without a schema."""
    name = f"ponctuel_empty_{uuid.uuid4().hex[:16]}"
    database_server.execute(f'CREATE DATABASE "{name}" TEMPLATE template0')
    yield database_server.url.set(database=name).render_as_string(hide_password=False)
    database_server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def engine_on(url: str) -> Engine:
    return make_engine(url, application="migrate")


def as_role(url: str, role: str) -> str:
    """The same database, entered by another role, whose password is `x`."""
    entered = make_url(url).set(username=role, password="x")
    return entered.render_as_string(hide_password=False)


def relations(engine: Engine) -> set[str]:
    with transaction(engine) as connection:
        found = connection.execute(
            text("SELECT table_name FROM information_schema.tables WHERE table_schema = 'ponctuel'")
        )
        return {row[0] for row in found}


def test_migrating_twice_changes_nothing_the_second_time(empty: str) -> None:
    engine = engine_on(empty)
    first = migrate(engine)
    before = relations(engine)
    assert migrate(engine) == first
    assert relations(engine) == before
    assert len(first) == len(BRANCHES)
    assert any(name >= REQUIRED_LEDGER for name in first if name.startswith("ledger"))
    engine.dispose()


def test_sessions_that_migrate_at_once_wait_for_each_other_and_all_succeed(empty: str) -> None:
    results: list[list[str]] = []

    def run() -> None:
        engine = engine_on(empty)
        results.append(migrate(engine))
        engine.dispose()

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 3
    assert results[0] == results[1] == results[2]


def test_a_migration_that_fails_leaves_nothing_behind(empty: str) -> None:
    engine = engine_on(empty)
    with transaction(engine) as connection:
        connection.exec_driver_sql("CREATE SCHEMA ponctuel CREATE TABLE quotes (id text)")
    with pytest.raises(DBAPIError):
        migrate(engine)
    assert relations(engine) == {"quotes"}
    engine.dispose()


def test_the_ledger_is_migrated_without_the_domain(empty: str) -> None:
    engine = engine_on(empty)
    assert migrate(engine, ["ledger"]) == [shipped("ledger")[-1]]
    found = relations(engine)
    assert {"runs", "messages", "job_state"} <= found
    assert found.isdisjoint(DOMAIN)
    assert len(migrate(engine)) == len(BRANCHES), "the domain may follow later"
    engine.dispose()


def test_the_domain_may_be_views_on_tables_of_somebody_else(deployment: Deployment) -> None:
    scenario = SCENARIOS["followups"]
    scenario.load(deployment)
    deployment.quote("D9", business_id="B1", valid_until=TODAY - timedelta(days=1))
    deployment.execute("CREATE SCHEMA theirs")
    for relation in DOMAIN:
        deployment.execute(f"ALTER TABLE ponctuel.{relation} SET SCHEMA theirs")
        deployment.execute(f"CREATE VIEW ponctuel.{relation} AS SELECT * FROM theirs.{relation}")
    deployment.tick()
    assert not verdict(deployment, scenario.expected)
    assert deployment.last_run()["counts"]["quotes_expired"] == 1


@pytest.mark.parametrize("views", [DOMAIN, ("businesses", "customers", "invoices", "quotes")])
def test_migrating_leaves_the_views_of_the_owner_alone_and_creates_what_is_missing(
    empty: str, views: tuple[str, ...]
) -> None:
    engine = engine_on(empty)
    with transaction(engine) as connection:
        connection.exec_driver_sql("CREATE SCHEMA ponctuel")
        for relation in views:
            connection.exec_driver_sql(f"CREATE VIEW ponctuel.{relation} AS SELECT 1 AS theirs")
    assert len(migrate(engine)) == len(BRANCHES)
    assert migrate(engine) == migrate(engine)
    with transaction(engine) as connection:
        found = connection.exec_driver_sql(
            "SELECT relname, relkind FROM pg_class "
            "WHERE relnamespace = 'ponctuel'::regnamespace AND relkind IN ('r', 'v')"
        )
        kinds = {row.relname: row.relkind for row in found}
        assert connection.exec_driver_sql("SELECT * FROM ponctuel.invoices").keys() == ["theirs"]
    assert {name for name in DOMAIN if kinds[name] == "v"} == set(views)
    engine.dispose()


def test_code_that_is_older_than_the_schema_changes_nothing_and_says_so(
    deployment: Deployment,
) -> None:
    deployment.execute(
        "UPDATE ponctuel.schema_versions SET version_num = 'domain_9999' "
        "WHERE version_num LIKE 'domain%'"
    )
    engine = engine_on(deployment.database.url)
    with pytest.raises(PonctuelError, match=r"plus récente que ce code \(domain_9999\)") as refused:
        migrate(engine)
    assert refused.value.code == "schema_newer"
    engine.dispose()


def test_the_function_that_migrates_refuses_what_is_no_list_of_branches(
    deployment: Deployment,
) -> None:
    for branches in ("ledger", ["lodger"], {"ledger": 1}, [["ledger"]], [None], 7):
        with pytest.raises(BadRequest):
            handler({"branches": branches}, None)
    assert len(handler({}, None)["revisions"]) == len(BRANCHES)
    assert len(handler({"branches": ["ledger"]}, None)["revisions"]) == len(BRANCHES)


def test_a_role_that_may_not_create_is_told_what_to_grant(
    database_server: Server, empty: str
) -> None:
    role = f"poor_{uuid.uuid4().hex[:12]}"
    database_server.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'x'")
    engine = engine_on(as_role(empty, role))
    owner = engine_on(empty)
    try:
        with pytest.raises(PonctuelError) as refused:
            migrate(engine)
        statements = str(refused.value).partition(" : ")[2]
        assert statements.startswith("CREATE SCHEMA ponctuel; GRANT USAGE, CREATE")
        with transaction(owner) as connection:
            connection.exec_driver_sql("CREATE SCHEMA ponctuel")
        with pytest.raises(PonctuelError, match=r": GRANT USAGE, CREATE ON SCHEMA ponctuel TO"):
            migrate(engine)
        with transaction(owner) as connection:
            connection.exec_driver_sql(statements.removeprefix("CREATE SCHEMA ponctuel; "))
        assert len(migrate(engine)) == len(BRANCHES)
    finally:
        engine.dispose()
        with transaction(owner) as connection:
            connection.exec_driver_sql(f"DROP OWNED BY {role}")
        owner.dispose()
        database_server.execute(f"DROP ROLE {role}")


def test_the_file_of_a_migration_bears_the_name_of_its_revision() -> None:
    for branch in BRANCHES:
        files = sorted((FOLDER / branch).glob("[0-9]*.py"))
        stated = [re.findall(r'^revision = "(\w+)"', f.read_text("utf-8"), re.M) for f in files]
        assert stated == [[revision] for revision in shipped(branch)]


def test_a_newer_schema_serves_the_code_before_it(deployment: Deployment) -> None:
    """Migrations only add: after a rollback of the code, the database stays ahead."""
    scenario = SCENARIOS["followups"]
    scenario.load(deployment)
    deployment.execute(
        "UPDATE ponctuel.schema_versions SET version_num = 'ledger_9999' "
        "WHERE version_num LIKE 'ledger%'"
    )
    deployment.execute("ALTER TABLE ponctuel.runs ADD COLUMN of_next_year text")
    deployment.execute("ALTER TABLE ponctuel.messages ADD COLUMN of_next_year integer DEFAULT 7")
    deployment.tick()
    assert not verdict(deployment, scenario.expected)
