"""What is selected, planned and left out: three questions to one list of conditions, one answer."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, text

from chalicelib.domain.billing import queries
from chalicelib.domain.billing.calendar import calendar_at
from tests import factories
from tests.database import Database
from tests.harness import Deployment

TODAY = date(2026, 3, 10)
NOW = datetime(2026, 3, 10, 9, tzinfo=UTC)
TABLES = ("messages", "invoices", "quotes", "customers", "followup_levels", "followup_decisions")
STATES = ("accepted", "planned", "refused", "uncertain", "expired", "cancelled")

# (customer, overdue by so many days, spoilt how, level and state of an earlier message and its age)
documents = st.lists(
    st.tuples(
        st.integers(1, 3),
        st.integers(-5, 45),
        st.sampled_from(("", "", "", "disputed", "promised", "small", "auto", "no_due_date")),
        st.none() | st.tuples(st.integers(1, 3), st.sampled_from(STATES), st.integers(0, 30)),
    ),
    min_size=1,
    max_size=8,
)
SPOILT: dict[str, dict[str, object]] = {
    "": {},
    "disputed": {"disputed": True},
    "promised": {"promised_until": TODAY},
    "small": {"balance": 1},
    "auto": {"auto_enabled": False},
    "no_due_date": {"due_on": None},
}


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(documents=documents, grouped=st.booleans(), interval=st.integers(0, 4), force=st.booleans())
def test_each_open_document_is_planned_or_left_out_and_who_is_planned_was_selected(
    database: Database, documents: list[Any], grouped: bool, interval: int, force: bool
) -> None:
    database.set_clock(NOW)
    with database.begin() as connection:
        for table in (*TABLES, "billing_settings", "businesses"):
            connection.execute(text(f"DELETE FROM ponctuel.{table}"))
        factories.business(connection)
        factories.settings(connection, group_by_customer=grouped, min_interval_days=interval)
        factories.levels(connection)
        factories.levels(connection, document="quote")
        for customer in (1, 2, 3):
            emails = "x@y.example" if customer < 3 else None
            factories.customer(connection, f"C{customer}", emails=emails)
        for n, (customer, days, spoilt, message) in enumerate(documents):
            columns: dict[str, Any] = {"due_on": TODAY - timedelta(days=days)} | SPOILT[spoilt]
            factories.invoice(connection, TODAY, f"F{n}", customer_id=f"C{customer}", **columns)
            if message:
                _sent(connection, f"F{n}", f"C{customer}", *message)
        factories.quote(connection, TODAY, customer_id="C1")
        selected = {row["item"] for row in _rows(connection, queries.CUSTOMERS_DUE, force)}
        batch = f"WITH batch AS ({queries.CUSTOMERS_DUE}) SELECT * FROM ({queries.RELANCES}) r"
        planned = _rows(connection, batch, force)
        left_out = _rows(connection, queries.LEFT_OUT, force)
    assert {row["person"] for row in planned} == selected
    relanced = [line["subject"] for row in planned for line in row["lines"] or [row]]
    expected = [f"F{n}" for n in range(len(documents))] + ["D1"]
    assert sorted(relanced + [row["subject"] for row in left_out]) == sorted(expected)
    reasons = Counter(row["reason"] for row in left_out)
    assert all(row["total"] == reasons[row["reason"]] for row in left_out)


def test_of_more_than_a_thousand_left_out_some_of_each_reason_are_listed_and_all_are_counted(
    deployment: Deployment,
) -> None:
    deployment.open_business()
    deployment.invoice("Z9", disputed=True)
    deployment.execute(
        "INSERT INTO ponctuel.invoices (business_id, id, number, customer_id, status, issued_on, "
        "due_on, total, balance) SELECT 'B1', 'F' || g, 'F' || g, 'C1', 'sent', '2026-01-01', "
        "'2026-03-09', 10, 10 FROM generate_series(1, 1200) g"
    )
    left_out = deployment.rehearse()["left_out"]
    assert len(left_out) == queries.LISTED
    totals = {row["reason"]: row["total"] for row in left_out}
    assert totals == {"not_due": 1200, "disputed": 1}


def test_a_level_that_was_taken_out_of_the_policy_does_not_stop_the_ones_after_it(
    deployment: Deployment,
) -> None:
    deployment.open_business(settings={"business_days_only": False})
    deployment.invoice(due_on=TODAY - timedelta(days=6))
    deployment.tick()
    deployment.execute("DELETE FROM ponctuel.followup_levels WHERE level IN (1, 2)")
    deployment.tick(hours=24 * 30)
    assert deployment.states() == [("F1", "1", "accepted"), ("F1", "3", "accepted")]


def test_a_customer_who_is_there_twice_in_a_view_is_written_to_once(
    deployment: Deployment,
) -> None:
    deployment.open_business()
    deployment.invoice()
    deployment.execute("ALTER TABLE ponctuel.customers RENAME TO clients")
    deployment.execute(
        "CREATE VIEW ponctuel.customers AS SELECT * FROM ponctuel.clients "
        "UNION ALL SELECT * FROM ponctuel.clients"
    )
    deployment.tick()
    assert deployment.states() == [("F1", "1", "accepted")]


def _sent(
    connection: Connection, subject: str, person: str, level: int, state: str, days: int
) -> None:
    values = {"subject": subject, "person": person, "step": str(level), "state": state}
    connection.execute(text(_SENT), values | {"at": NOW - timedelta(days=days)})


def _rows(connection: Connection, statement: str, force: bool) -> list[Any]:
    calendar = dict(calendar_at(connection, NOW).parameters)
    return list(connection.execute(text(statement), {"force": force} | calendar).mappings())


_SENT = """
INSERT INTO ponctuel.messages (business_id, kind, subject, cycle, step, channel, person, recipient,
  state, planned_at, not_before, expires_at, submitting_at, settled_at)
VALUES ('B1', 'billing.invoice_followup', :subject, '0', :step, 'email', :person, 'x@y.example',
  :state, :at, :at, :at, :at, :at)
"""
