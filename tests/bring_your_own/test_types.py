"""Types of a view's columns: those that are accepted work, `check` names the others before a run
meets them, and a run that meets them records it and sends nothing that is wrong."""

from __future__ import annotations

import pytest

from chalicelib.domain.relation import ACCEPTED, Relation
from chalicelib.domain.relations import RELATIONS
from cli.check_finding import Finding, Reader
from cli.check_structure import structure
from tests.bring_your_own.views import show
from tests.cli.command_line import CommandLine
from tests.harness import TODAY, Deployment

# Each family of types by its other names; a domain over any of them is one more.
OTHERS = {
    "text": ("character varying", "theirs.code"),
    "integer": ("smallint",),
    "numeric": ("numeric(12,2)",),
}


def load(deployment: Deployment) -> None:
    """An invoice and a quote that are due, of two customers, and a quote that has expired."""
    deployment.open_business()
    deployment.customer("C2", emails="q@c2.example")
    deployment.invoice()
    deployment.quote(customer_id="C2")
    deployment.quote("D2", customer_id="C2", valid_until=TODAY)
    deployment.execute("UPDATE ponctuel.quotes SET valid_until = issued_on + 1 WHERE id = 'D2'")
    deployment.execute("CREATE SCHEMA theirs")
    deployment.execute("CREATE DOMAIN theirs.code AS text")


def wrong(deployment: Deployment) -> list[Finding]:
    """What `check` says of the relations' structure."""
    found = structure(Reader(deployment.database.engine(), 5), RELATIONS).findings
    return [finding for finding in found if finding.verdict == "problem"]


def is_written(relation: Relation, column: str) -> bool:
    return any(column in columns or not columns for columns in (relation.writes or {}).values())


@pytest.mark.parametrize(
    ("type", "other"), [(type, other) for type, others in OTHERS.items() for other in others]
)
def test_a_type_that_is_accepted_works_in_every_column(
    deployment: Deployment, ponctuel: CommandLine, type: str, other: str
) -> None:
    load(deployment)
    show(
        deployment,
        {
            f"{relation.name}.{column.name}": f"{column.name}::{other}"
            for relation in RELATIONS
            for column in relation.columns
            # What is written has to stay a plain column of the table.
            if column.type == type and not is_written(relation, column.name)
        },
    )
    assert wrong(deployment) == []
    assert len(deployment.rehearse()["messages"]) == 2
    deployment.tick()
    assert deployment.last_run()["status"] == "succeeded"
    assert deployment.last_run()["counts"]["quotes_expired"] == 1
    assert deployment.states() == [("F1", "1", "accepted"), ("D1", "1", "accepted")]
    assert ponctuel("explain", "invoice", "F1").code == 0
    stop = ("followups", "stop", "invoice", "F1", "--reason", "essai")
    assert ponctuel(*stop).code == 0, ponctuel(*stop).err


def test_every_accepted_type_is_tried() -> None:
    tried = {type: {*others, ACCEPTED[type][0]} for type, others in OTHERS.items()}
    for type, names in ACCEPTED.items():
        assert set(names) <= tried.get(type, {names[0]})


@pytest.mark.parametrize(
    ("column", "value", "shown", "sql"),
    [
        ("invoices.balance", "balance::float8", "double precision", "balance::numeric(14,2)"),
        ("invoices.total", "(total * 100)::bigint", "bigint", "(total / 100.0)::numeric(14,2)"),
        ("invoices.total", "total::money", "money", "total::numeric(14,2)"),
        ("invoices.due_on", "due_on::timestamp", "timestamp without time zone", "due_on::date"),
        ("invoices.issued_on", "issued_on::timestamptz", "timestamp with time zone",
         "(issued_on AT TIME ZONE 'Europe/Paris')::date"),
        ("invoices.disputed", "'non'::varchar(3)", "character varying(3)",
         "COALESCE(lower(disputed) IN ('1', 'o', 'oui', 't', 'true'), false)"),
        ("invoices.auto_enabled", "1", "integer", "COALESCE(auto_enabled <> 0, true)"),
        ("invoices.currency", "'EUR'::char(3)", "character(3)", "currency::text"),
        ("customers.id", "gen_random_uuid()", "uuid", "id::text"),
        ("quotes.version", "version::bigint", "bigint", "version::integer"),
        ("billing_settings.window_start", "'09:00'", "text", "window_start::time"),
        ("billing_settings.payments_synced_at", "now()::timestamp", "timestamp without time zone",
         "payments_synced_at AT TIME ZONE 'Europe/Paris'"),
    ],
)  # fmt: skip
def test_check_names_a_wrong_type_and_the_cast_to_write(
    deployment: Deployment, column: str, value: str, shown: str, sql: str
) -> None:
    relation, _, name = column.partition(".")
    show(deployment, {column: value}, relation)
    found = wrong(deployment)
    assert len(found) == 1
    assert found[0].text.startswith(f"ponctuel.{column} est de type {shown} ; il faut ")
    assert found[0].sql.startswith(f"{sql} AS {name}")
    # PostgreSQL takes the cast that is proposed, and makes of it what is wanted.
    deployment.execute(f"ALTER VIEW ponctuel.{relation} RENAME TO wrong")
    columns = [c.name for r in RELATIONS if r.name == relation for c in r.columns]
    columns[columns.index(name)] = found[0].sql.partition("  -- ")[0]
    deployment.execute(
        f"CREATE VIEW ponctuel.{relation} AS SELECT {', '.join(columns)} FROM ponctuel.wrong"
    )
    assert [f for f in wrong(deployment) if "est de type" in f.text] == []


@pytest.mark.parametrize(
    ("column", "value", "code"),
    [
        ("invoices.due_on", "due_on::timestamp", "schema_outdated"),
        ("followup_levels.delay_days", "delay_days::bigint", "schema_outdated"),
        ("invoices.total", "total::money", "schema_outdated"),
        ("invoices.cycle", "", "schema_outdated"),
        ("invoices.disputed", "'non'::varchar", "42804"),
        ("invoices.id", "7::bigint", "42804"),
        ("businesses.active", "1", "42804"),
    ],
)
def test_a_run_that_meets_types_that_do_not_go_together_records_it_and_plans_nothing(
    deployment: Deployment, column: str, value: str, code: str
) -> None:
    load(deployment)
    show(deployment, {column: value})
    deployment.tick()
    for _ in range(3):
        deployment.tick(hours=0.1)
    run = deployment.last_run()
    assert (run["error_code"], bool(run["error"])) == (code, True)
    assert run["status"] == ("continued" if code == "schema_outdated" else "failed")
    assert deployment.messages() == []
    alerts = deployment.rows("SELECT 1 FROM ponctuel.messages WHERE business_id = ''")
    assert len(alerts) == 1


def test_an_amount_in_floating_point_holds_its_letter_and_the_quote_leaves(
    deployment: Deployment,
) -> None:
    load(deployment)
    show(deployment, {"invoices.balance": "balance::float8"})
    deployment.tick()
    found = {m["subject"]: (m["state"], m["hold_reason"]) for m in deployment.messages()}
    assert found == {"F1": ("held", "guard"), "D1": ("accepted", None)}
