"""Asking for a run, rehearsing one, and reading the ledger, as an operator does."""

from __future__ import annotations

from contextlib import suppress
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

import app
from chalicelib.errors import BadRequest
from chalicelib.routes.start import Ask, parse
from sandbox.http import Api
from tests.routes.doors import Door, bearer

RUNS = "/jobs/followups/runs"


def test_a_run_asked_for_answers_with_what_it_did(door: Door) -> None:
    door.deployment.open_business()
    door.deployment.invoice()
    body = door.post(RUNS, {"reason": "  essai\nà la main "}).json()
    assert (body["status"], body["counts"]["sent"]) == ("succeeded", 1)
    row = door.deployment.last_run()
    assert (row["door"], row["requested_by"], row["reason"]) == (
        "http",
        "bearer",
        "essai à la main",
    )


def test_a_run_without_a_body_or_with_a_form_s_content_type_is_taken(door: Door) -> None:
    assert door.post(RUNS).status == 200
    reply = door.api.call(
        "POST",
        RUNS,
        # curl -d without -H
        headers={**bearer(), "Content-Type": "application/x-www-form-urlencoded"},
        body='{"dry_run": true}',
    )
    assert (reply.status, reply.json()["dryRun"]) == (200, True)


def test_a_dry_run_answers_with_its_report_and_sends_nothing(door: Door) -> None:
    door.deployment.open_business()
    door.deployment.invoice()
    door.deployment.invoice("F2", auto_enabled=False)
    body = door.post(RUNS, {"dry_run": True}).json()
    assert (body["success"], body["dryRun"], body["status"]) == (True, True, "succeeded")
    assert [message["subject"] for message in body["report"]["messages"]] == ["F1"]
    assert [left["subject"] for left in body["report"]["left_out"]] == ["F2"]
    assert "1 message, " in body["message"]
    assert door.deployment.messages() == []
    assert door.deployment.smtp.accepted() == []
    shown = door.get(f"/runs/{body['runId']}").json()
    assert shown["report"] == body["report"]
    assert "report" not in door.get(RUNS).json()["runs"][0]


def test_a_dry_run_can_be_of_another_day(door: Door) -> None:
    door.deployment.open_business()
    door.deployment.invoice()
    before = door.post(RUNS, {"dry_run": True, "as_of": "2026-03-03T10:00:00+01:00"}).json()
    assert before["report"]["messages"] == []
    assert door.get(f"/runs/{before['runId']}").json()["asOf"] == "2026-03-03T09:00:00.000Z"


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"dry_run": "true"}, "dry_run"),
        ({"force": 1}, "force"),
        ({"dry_run": True, "as_of": "2026-03-03T10:00:00"}, "fuseau"),
        ({"dry_run": True, "as_of": "demain"}, "ISO 8601"),
        ({"dry_run": True, "as_of": "0001-01-01T00:00:00+14:00"}, "ISO 8601"),
        ({"dry_run": True, "as_of": 1773133200}, "ISO 8601"),
        ({"as_of": "2026-03-03T10:00:00Z"}, "dry_run"),
        ({"wait": -1}, "wait"),
        ({"wait": 28}, "wait"),
        ({"wait": True}, "wait"),
        ({"wait": "10"}, "wait"),
        ('{"wait": NaN}', "wait"),
        ({"reason": 12}, "reason"),
        ({"reason": "x" * 501}, "reason"),
        ({"dryrun": True}, "dryrun"),
        ("[]", "objet JSON"),
        ("dry_run=true", "JSON"),
        ("[" * 90_000, "JSON"),
        (b"\xff\xfe\x00", "JSON"),
        ('{"reason": "' + "x" * 100_000 + '"}', "100 ko"),
    ],
)
def test_a_body_that_cannot_be_used_is_400_in_french(
    body: Any, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)  # refused before anything is recorded
    reply = Api(app.app).call("POST", RUNS, body=body)
    assert reply.status == 400
    assert reply.json()["success"] is False
    assert says in reply.json()["error"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(
    st.dictionaries(
        st.sampled_from(["dry_run", "force", "as_of", "reason", "wait"]) | st.text(max_size=5), JSON
    )
)
def test_any_body_is_understood_or_refused(body: dict[str, Any]) -> None:
    with suppress(BadRequest):
        ask = parse(body)
        assert "\0" not in ask.reason
        ask.reason.encode()
        assert ask.wait is None or 0 <= ask.wait <= 27


def test_an_empty_body_asks_for_an_ordinary_run() -> None:
    assert parse({}) == Ask()


def test_what_postgresql_cannot_store_is_left_out_of_a_reason(door: Door) -> None:
    assert door.post(RUNS, '{"reason": "a\\u0000b\\ud800c"}').status == 200
    assert door.deployment.last_run()["reason"] == "a b c"


def test_what_does_not_exist_is_404_in_french(door: Door) -> None:
    replies = [
        door.post("/jobs/nothing/runs"),
        door.get("/jobs/nothing/runs"),
        door.post("/jobs/nothing/pause", {"reason": "x"}),
        door.post("/jobs/migrate/runs"),
        door.post("/jobs/%00/runs"),
        door.get("/runs/not-a-number"),
        door.get(f"/runs/{uuid4()}"),
    ]
    for reply in replies:
        assert reply.status == 404
        assert reply.json()["error"].startswith("Aucun")


def test_an_operator_may_run_a_paused_job(door: Door) -> None:
    door.deployment.open_business()
    door.deployment.invoice()
    door.post("/jobs/followups/pause", {"reason": "vérification"})
    body = door.post(RUNS).json()
    assert (body["status"], body["success"]) == ("succeeded", True)


def test_a_call_that_does_not_want_to_wait_is_answered_at_once(door: Door) -> None:
    door.nobody_works()
    reply = door.post(RUNS, {"wait": 0})
    assert (reply.status, reply.json()["status"]) == (202, "queued")
    assert door.deployment.rows("SELECT 1 FROM ponctuel.api_waits") == []


def test_the_budget_counts_from_when_api_gateway_received_the_call(door: Door) -> None:
    door.nobody_works()
    event = door.api.event("POST", RUNS, headers=bearer())
    assert event is not None
    event["requestContext"]["requestTimeEpoch"] -= 25_000
    assert door.api.send(event).status == 202


def test_a_failed_attempt_that_will_be_tried_again_says_so(door: Door) -> None:
    door.nobody_works()
    run = door.post(RUNS, {"wait": 0}).json()
    door.deployment.execute(
        "UPDATE ponctuel.runs SET status = 'continued', failures = 1, error = 'Panne.'"
    )
    shown = door.get(f"/runs/{run['runId']}").json()
    assert (shown["success"], shown["status"]) == (None, "continued")
    assert "sera refait : Panne." in shown["message"]


def test_a_run_shows_who_asked_for_it_and_how_far_it_is(door: Door) -> None:
    door.nobody_works()
    run = door.post(RUNS, {"wait": 0, "force": True, "reason": "contrôle"}).json()
    shown = door.get(f"/runs/{run['runId']}").json()
    assert shown["job"] == "followups"
    assert (shown["door"], shown["requestedBy"], shown["reason"]) == ("http", "bearer", "contrôle")
    assert (shown["force"], shown["dryRun"]) == (True, False)
    assert shown["progress"] == {"step": None, "position": 0, "items": 0}
    assert (shown["startedAt"], shown["finishedAt"]) == (None, None)


def test_the_runs_of_a_job_are_listed_newest_first(door: Door) -> None:
    ids = [door.post(RUNS).json()["runId"] for _ in range(3)]
    listed = door.get(RUNS).json()["runs"]
    assert [run["runId"] for run in listed] == ids[::-1]
    assert [run["runId"] for run in door.get(f"{RUNS}?limit=1").json()["runs"]] == ids[2:]
    for limit in ("0", "101", "x", "1" * 50):
        assert door.get(RUNS, query={"limit": limit}).status == 400


def test_a_run_that_found_nothing_to_send_is_answered_all_the_same(door: Door) -> None:
    body = door.post("/jobs/deliver_messages/runs").json()
    assert (body["success"], body["status"], body["counts"]) == (True, "succeeded", {})


def test_each_zone_of_a_job_has_its_run_and_the_worst_one_decides(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZONE_FOLLOWUPS", "business")
    door.deployment.open_business()
    door.deployment.open_business("B2", zone="Indian/Reunion")
    door.deployment.open_business("B3", zone="Mars/Olympus")
    door.deployment.invoice()
    door.deployment.invoice(business_id="B2")
    body = door.post(RUNS).json()
    assert [run["status"] for run in body["runs"]] == ["succeeded", "succeeded"]
    assert body["counts"]["sent"] == 2
    assert {result["id"] for result in body["results"]} == {"B1", "B2"}
    door.deployment.execute("UPDATE ponctuel.businesses SET active = false")
    nothing = door.post(RUNS)
    assert (nothing.status, nothing.json()["success"]) == (200, True)


def test_a_dry_run_of_each_zone_is_done(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZONE_FOLLOWUPS", "business")
    door.deployment.open_business()
    door.deployment.open_business("B2", zone="Indian/Reunion")
    door.deployment.invoice(business_id="B2")
    body = door.post(RUNS, {"dry_run": True}).json()
    messages = [m["subject"] for run in body["runs"] for m in run["report"]["messages"]]
    assert messages == ["F1"]
    assert "1 message, " in body["message"]
