"""What becomes of each table and column is declared once, and nothing of the schema is missing."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from chalicelib.domain.accounts import retention
from chalicelib.domain.accounts.retention_rules import Phase
from tests.harness import Deployment

_COLUMNS = """
SELECT c.table_name AS name, c.column_name AS column
  FROM information_schema.columns c
  JOIN information_schema.tables t USING (table_schema, table_name)
 WHERE c.table_schema = 'ponctuel' AND t.table_type = 'BASE TABLE'
"""


def test_every_column_of_the_schema_is_declared_once(deployment: Deployment) -> None:
    schema = sorted((row["name"], row["column"]) for row in deployment.rows(_COLUMNS))
    declared = sorted((table.name, name) for table in retention.TABLES for name in table.columns)
    assert declared == schema


def test_a_column_that_may_still_hold_somebody_has_its_reason() -> None:
    for table in retention.TABLES:
        assert all(reason.strip() for reason in table.kept.values()), table.name
        assert table.of or table.why, f"{table.name} is nobody's, and says not why"


@pytest.mark.parametrize("scope", ["user", "business"])
def test_every_statement_can_be_run(deployment: Deployment, scope: str) -> None:
    accounts = [
        {"business": business, "user": "U1", "email": "a@b.example", "deletion": number}
        for number, business in enumerate(("B1", "B2"), 1)
    ]
    values = retention.parameters(scope, accounts)
    phases: tuple[Phase, ...] = ("access", "children", "parent")
    with deployment.database.begin() as connection:
        for phase in phases:
            for write in retention.statements(scope, phase):
                connection.execute(text(write.statement), values)
        counting = retention.at_once([select for _table, select in retention.remains(scope)])
        assert connection.execute(text(counting), values).all() == []
