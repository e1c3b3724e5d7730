"""Health: alive without anything, deep with the secret."""

from __future__ import annotations

import pytest

from tests.routes.doors import Door


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_health_needs_neither_secret_nor_database(
    door: Door, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DATABASE_URL")
    reply = door.outside(method, "/health")
    assert reply.status == 200
    assert reply.json()["status"] == "ok"


def test_deep_health_checks_the_schema(door: Door) -> None:
    assert door.get("/health?deep=1").json()["schema"] == ["domain_0006", "ledger_0010"]
    door.deployment.execute("DELETE FROM ponctuel.schema_versions")
    reply = door.get("/health?deep=1")
    assert (reply.status, "migrate" in reply.json()["error"]) == (500, True)
