"""The SQL of the effective date against the formula, written again here in Python."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from chalicelib.domain.billing import queries
from chalicelib.domain.billing.calendar import calendar_at
from tests import factories
from tests.database import Database

TODAY = date(2026, 3, 10)
NOW = datetime(2026, 3, 10, 9, tzinfo=UTC)
delays = st.lists(st.integers(1, 90), min_size=3, max_size=3, unique=True).map(sorted)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    issued=st.integers(-400, 0),
    term=st.integers(0, 60),
    levels=delays,
    sent=st.lists(st.integers(0, 60), max_size=2),
    courtesy=st.integers(0, 10),
)
def test_the_effective_date_follows_the_formula(
    database: Database, issued: int, term: int, levels: list[int], sent: list[int], courtesy: int
) -> None:
    """`sent`: how many days ago each earlier level went out, the last one last."""
    ago = sorted(sent, reverse=True)
    issued_on = TODAY + timedelta(days=issued)
    due_on = issued_on + timedelta(days=term)
    database.set_clock(NOW)
    with database.begin() as connection:
        for table in ("messages", "invoices", "customers", "followup_levels", "billing_settings"):
            connection.execute(text(f"DELETE FROM ponctuel.{table}"))
        connection.execute(text("DELETE FROM ponctuel.businesses"))
        factories.business(connection)
        factories.settings(connection, courtesy_days=courtesy)
        factories.levels(connection, steps=[("due", delay, "rappel") for delay in levels])
        factories.customer(connection)
        factories.invoice(connection, TODAY, issued_on=issued_on, due_on=due_on)
        for level, days in enumerate(ago, start=1):
            connection.execute(text(_SENT), {"step": str(level), "at": NOW - timedelta(days=days)})
        calendar = calendar_at(connection, NOW)
        row = (
            connection.execute(
                text(queries.EXPLAIN),
                {"number": "F1", "document": "invoice", "business_id": None, "force": False}
                | dict(calendar.parameters),
            )
            .mappings()
            .one()
        )
    expected = due_on + timedelta(days=levels[len(ago)])
    if ago:
        gap = levels[len(ago)] - levels[len(ago) - 1]
        expected = max(expected, TODAY - timedelta(days=ago[-1]) + timedelta(days=gap))
    expected = max(expected, issued_on + timedelta(days=courtesy))
    assert row["level"] == len(ago) + 1
    assert row["effective_on"] == expected


_SENT = """
INSERT INTO ponctuel.messages (business_id, kind, subject, cycle, step, channel, person, recipient,
  state, planned_at, not_before, expires_at, submitting_at, settled_at)
VALUES ('B1', 'billing.invoice_followup', 'F1', '0', :step, 'email', 'C1', 'x@y.example',
  'accepted', :at, :at, :at, :at, :at)
"""
