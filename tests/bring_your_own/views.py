"""Our tables, moved elsewhere and shown as views in which some columns are not what they were."""

from __future__ import annotations

from chalicelib.domain.relations import RELATIONS
from tests.harness import Deployment


def show(deployment: Deployment, changed: dict[str, str] | None = None, name: str = "") -> None:
    """Replaces the tables (or the one called `name`) by views. `changed`: `relation.column` → the
    SQL to put there; an empty one leaves the column out."""
    changed = changed or {}
    deployment.execute("CREATE SCHEMA IF NOT EXISTS theirs")
    for relation in RELATIONS:
        if name and relation.name != name:
            continue
        columns = []
        for column in relation.columns:
            value = changed.get(f"{relation.name}.{column.name}", column.name)
            columns += [f"{value} AS {column.name}"] if value else []
        deployment.execute(f"ALTER TABLE ponctuel.{relation.name} SET SCHEMA theirs")
        deployment.execute(
            f"CREATE VIEW ponctuel.{relation.name} AS SELECT {', '.join(columns)} "
            f"FROM theirs.{relation.name}"
        )
