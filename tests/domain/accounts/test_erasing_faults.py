"""Erasing goes on where it stopped, whatever stopped it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from chalicelib.providers import stripe
from tests.domain.accounts.erased import (
    by_number,
    documents,
    fill,
    lock,
    night,
    receipts,
    rows_of,
)
from tests.domain.accounts.test_erasing import OUTLIVES, STEPS
from tests.harness import Deployment

_FAULT = """
CREATE FUNCTION ponctuel.out_of_order() RETURNS trigger LANGUAGE plpgsql AS
'BEGIN RAISE EXCEPTION ''out of order''; END'
"""


def breaks(deployment: Deployment, step: str) -> None:
    """From now on PostgreSQL refuses the step's receipt: what it did is undone."""
    deployment.execute(_FAULT)
    deployment.execute(
        "CREATE TRIGGER broken BEFORE INSERT ON ponctuel.erasure_receipts FOR EACH ROW"
        f" WHEN (NEW.step = '{step}') EXECUTE FUNCTION ponctuel.out_of_order()"
    )


def mended(deployment: Deployment) -> None:
    deployment.execute("DROP TRIGGER broken ON ponctuel.erasure_receipts")
    deployment.execute("DROP FUNCTION ponctuel.out_of_order()")


@pytest.mark.parametrize("step", STEPS)
def test_a_step_that_fails_is_undone_and_taken_up_again(deployment: Deployment, step: str) -> None:
    fill(deployment, "B1")
    number = lock(deployment, "O")
    breaks(deployment, step)
    try:
        for blocked in (None, None, "erasing_failed"):
            night(deployment)
            found = by_number(deployment, number)
            assert found["state"] == ("locked" if step == STEPS[0] else "erasing")
            reasons = {one: f"{one}_failed" for one in ("revoke", "files", "stripe", "tombstone")}
            assert found["blocked_reason"] == (blocked and reasons.get(step, blocked))
            assert step not in receipts(deployment, number)
        assert rows_of(deployment, "B1")["users"]
    finally:
        mended(deployment)
    night(deployment)
    assert by_number(deployment, number)["state"] == "erased"
    assert {name for name, rows in rows_of(deployment, "B1").items() if rows} == OUTLIVES
    assert documents(deployment) == ["F1.pdf"]


_CHILD = """
import os, signal, sys
from sqlalchemy import event
from sqlalchemy.engine import Engine

@event.listens_for(Engine, "before_cursor_execute")
def die(connection, cursor, statement, *rest):
    if sys.argv[1] in statement:
        os.kill(os.getpid(), signal.SIGKILL)

from chalicelib import jobs
from tests.harness import Context
from chalicelib.runner.events import envelope
jobs.module("account_deletions").handler(envelope("account_deletions"), Context())
"""


@pytest.mark.parametrize("table", ["user_tokens", "customers", "businesses"])
def test_a_process_that_is_killed_is_followed_by_one_that_goes_on(
    deployment: Deployment, table: str
) -> None:
    fill(deployment, "B1")
    number = lock(deployment, "O")
    deployment.advance_to_slot("account_deletions")
    child = subprocess.run(
        [sys.executable, "-c", _CHILD, f"DELETE FROM ponctuel.{table} t"],
        env=dict(os.environ),
        cwd=Path(__file__).parents[3],
        check=False,
    )
    assert child.returncode == -signal.SIGKILL
    killed = by_number(deployment, number)["state"]
    assert killed == "erasing"
    assert rows_of(deployment, "B1")["users"]
    deployment.database.advance(timedelta(minutes=30))
    night(deployment)
    night(deployment)
    assert by_number(deployment, number)["state"] == "erased"
    assert {name for name, rows in rows_of(deployment, "B1").items() if rows} == OUTLIVES


@pytest.fixture
def at_stripe(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """What is asked of Stripe, and the status that it answers."""
    seen: dict[str, Any] = {"calls": [], "status": 200}

    class Answers(BaseHTTPRequestHandler):
        def do_DELETE(self) -> None:
            seen["calls"].append((self.path, self.headers["Authorization"]))
            self.send_response(seen["status"])
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    monkeypatch.setattr(stripe, "BASE_URL", f"http://127.0.0.1:{server.server_port}")
    yield seen
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("status", [200, 404])
def test_a_customer_at_stripe_is_deleted_or_already_gone(
    deployment: Deployment, at_stripe: dict[str, Any], status: int
) -> None:
    deployment.patch.setenv("STRIPE_API_KEY", "rk_test_51Hxyz")
    at_stripe["status"] = status
    fill(deployment, "B1", stripe_customer_id="cus_1")
    number = lock(deployment, "O")
    night(deployment)
    assert at_stripe["calls"] == [("/v1/customers/cus_1", "Bearer rk_test_51Hxyz")]
    assert by_number(deployment, number)["state"] == "erased"


def test_stripe_out_of_order_for_days_is_told_and_waited_for(
    deployment: Deployment, at_stripe: dict[str, Any]
) -> None:
    deployment.patch.setenv("STRIPE_API_KEY", "rk_test_51Hxyz")
    at_stripe["status"] = 500
    fill(deployment, "B1", stripe_customer_id="cus_1")
    number = lock(deployment, "O")
    for blocked in (None, None, "stripe_failed"):
        night(deployment)
        assert by_number(deployment, number)["blocked_reason"] == blocked
    assert deployment.last_run("account_deletions")["status"] == "partial"
    at_stripe["status"] = 200
    night(deployment)
    assert by_number(deployment, number)["state"] == "erased"


def test_a_customer_at_stripe_without_a_key_blocks_at_once(deployment: Deployment) -> None:
    fill(deployment, "B1", stripe_customer_id="cus_1")
    number = lock(deployment, "O")
    night(deployment)
    assert by_number(deployment, number)["blocked_reason"] == "stripe_failed"
    [error] = deployment.rows("SELECT error FROM ponctuel.run_errors WHERE step = 'erase'")
    assert "STRIPE_API_KEY" in error["error"]


def test_a_customer_whom_another_account_has_too_stays_at_stripe(
    deployment: Deployment, at_stripe: dict[str, Any]
) -> None:
    fill(deployment, "B1", stripe_customer_id="cus_1")
    fill(deployment, "B2", stripe_customer_id="cus_1")
    number = lock(deployment, "O")
    night(deployment)
    assert by_number(deployment, number)["state"] == "erased"
    assert at_stripe["calls"] == []


def test_documents_wait_for_a_store(deployment: Deployment) -> None:
    fill(deployment, "B1")
    number = lock(deployment)
    deployment.patch.delenv("STORAGE_URL")
    night(deployment)
    assert receipts(deployment, number) == STEPS[:3]
    assert by_number(deployment, number)["blocked_reason"] == "files_failed"
    assert "U1.png" in documents(deployment)
    deployment.patch.setenv("STORAGE_URL", deployment.documents.as_uri())
    night(deployment)
    assert by_number(deployment, number)["state"] == "erased"
    assert "U1.png" not in documents(deployment)


def test_a_document_that_is_not_there_is_as_good_as_deleted(deployment: Deployment) -> None:
    fill(deployment, "B1")
    number = lock(deployment)
    (deployment.documents / "B1" / "U1.png").unlink()
    night(deployment)
    assert by_number(deployment, number)["state"] == "erased"
