"""The description says what the routes do."""

from __future__ import annotations

import re
from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # it has no types
from openapi_spec_validator import validate

import app
from tests import factories, lead_rows
from tests.ledger_rows import inbound
from tests.routes.doors import FOLLOWUPS, INBOX, Door

DELETIONS = "/users/process-account-deletions"

WHOM = {"business": "B1", "channel": "email", "contact": "a@client.example"}
CONSENT = {**WHOM, "source": "formulaire du site"}
OPT_OUT = {"business": "B1", "channel": "email", "contacts": ["a@client.example"], "reason": "vu"}
LIFT = {"ids": [1, 2], "reason": "vu"}
LIMITS = {"business": "B1", "channel": "email", "per_day": 5}
LEADS = "/gestion/auto-relance"
OVERDUE = "/cron/check-overdue-and-reminders"
HOLD = {"business": "B1", "user": "U1", "reason": "dossier 7"}
DECISION = {"decision": "skip", "document": "invoice", "number": "F1", "reason": "vu"}


def test_the_description_is_valid_openapi_and_has_every_route(door: Door) -> None:
    reply = door.outside("GET", "/openapi.json")
    assert reply.status == 200
    document = reply.json()
    validate(document)
    described = {
        (path, method.upper()) for path, item in document["paths"].items() for method in item
    }
    registered = {(path, method) for path, methods in app.app.routes.items() for method in methods}
    assert described | {(f"/api{path}", method) for path, method in described} == registered


def test_the_description_says_who_may_call(door: Door) -> None:
    paths = door.outside("GET", "/openapi.json").json()["paths"]
    assert paths[FOLLOWUPS]["get"]["security"] == [{"bearer": []}, {"query": []}]
    assert "403" in paths[FOLLOWUPS]["get"]["responses"]
    assert paths["/jobs"]["get"]["security"] == [{"bearer": []}]
    assert "security" not in paths["/health"]["get"]


def test_every_route_answers_what_its_schema_says(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PUBLIC_URL", "https://ponctuel.example")
    monkeypatch.setenv("LINK_SECRET", "the-link-secret-of-these-tests-0123456789")
    document = door.outside("GET", "/openapi.json").json()
    door.deployment.open_business()
    door.deployment.invoice()
    run = door.get(FOLLOWUPS).json()
    rehearsal = door.post("/jobs/followups/runs", {"dry_run": True}).json()
    pause = {"reason": "inventaire"}
    operate(door)
    with door.deployment.database.begin() as connection:
        factories.user(connection)

    def explained(number: str) -> Any:
        query = {"document": "invoice", "number": number}
        return door.get("/followups/explain", query=query).json()

    of_b1 = {"business": "B1"}
    answers = [
        (FOLLOWUPS, "get", run),
        (INBOX, "get", door.get(INBOX).json()),
        *followed_up(door),
        ("/jobs/{job}/runs", "post", rehearsal),
        ("/jobs/{job}/runs", "get", door.get("/jobs/followups/runs").json()),
        ("/runs", "get", door.get("/runs").json()),
        ("/runs/{id}", "get", door.get(f"/runs/{run['runId']}").json()),
        ("/runs/{id}", "get", door.get(f"/runs/{rehearsal['runId']}").json()),
        ("/jobs", "get", door.get("/jobs").json()),
        ("/jobs/{job}/pause", "post", door.post("/jobs/followups/pause", pause).json()),
        ("/jobs/{job}/resume", "post", door.post("/jobs/followups/resume").json()),
        ("/messages", "get", door.get("/messages").json()),
        ("/messages/{id}", "get", door.get("/messages/1").json()),
        ("/messages/{id}", "get", door.get("/messages/2").json()),
        *acted(door),
        ("/go-live", "post", door.post("/go-live", {"business": "B1", "reason": "vu"}).json()),
        ("/inbound", "get", door.get("/inbound").json()),
        ("/channels", "get", door.get("/channels").json()),
        ("/limits", "post", door.post("/limits", LIMITS).json()),
        ("/limits", "get", door.get("/limits").json()),
        ("/suppressions", "post", door.post("/suppressions", OPT_OUT).json()),
        ("/suppressions", "get", door.get("/suppressions").json()),
        ("/consents", "post", door.post("/consents", CONSENT).json()),
        ("/consents", "get", door.get("/consents").json()),
        ("/consents/withdraw", "post", door.post("/consents/withdraw", WHOM).json()),
        ("/suppressions/lift", "post", door.post("/suppressions/lift", LIFT).json()),
        ("/followups/decisions", "post", door.post("/followups/decisions", DECISION).json()),
        ("/followups/explain", "get", explained("F1")),
        ("/followups/explain", "get", explained("F3")),
        ("/followups/pending", "get", door.get("/followups/pending").json()),
        (DELETIONS, "get", door.get(DELETIONS).json()),
        (OVERDUE, "get", door.get(OVERDUE).json()),
        (
            "/users/{id}/deletion",
            "post",
            door.post("/users/U1/deletion", of_b1).json(),
        ),
        (
            "/users/{id}/deletion",
            "get",
            door.get("/users/U1/deletion", query=of_b1).json(),
        ),
        (
            "/users/{id}/deletion",
            "delete",
            door.delete("/users/U1/deletion", query=of_b1).json(),
        ),
        ("/deletions", "get", door.get("/deletions").json()),
        ("/deletions/approve", "post", door.post("/deletions/approve", {"ids": [1]}).json()),
        ("/holds", "post", door.post("/holds", HOLD).json()),
        ("/holds", "get", door.get("/holds").json()),
        ("/holds/{id}/lift", "post", door.post("/holds/1/lift", {"reason": "classé"}).json()),
        ("/quarantine", "get", door.get("/quarantine").json()),
        ("/health", "get", door.outside("GET", "/health").json()),
        ("/health", "get", door.get("/health", query={"deep": "1"}).json()),
        ("/openapi.json", "get", document),
    ]
    told = {
        (path, method)
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if (path, method) not in {("/health", "head")}
        and not (method == "post" and path in {FOLLOWUPS, INBOX, DELETIONS, LEADS, OVERDUE})
        and all("text/html" not in answer["content"] for answer in operation["responses"].values())
        # Their answers are what test_webhooks.py holds against the description.
        and not path.startswith("/webhooks/")
    }
    assert {(path, method) for path, method, _ in answers} == told
    for path, method, body in answers:
        schema = _schema(document, path, method)
        known = schema["properties"].keys()
        Draft202012Validator({**schema, "components": document["components"]}).validate(body)
        assert path == "/openapi.json" or body.keys() <= known, (path, body.keys() - known)
    assert _schema(document, "/jobs", "get") != _schema(document, FOLLOWUPS, "get")


def acted(door: Door) -> list[tuple[str, str, Any]]:
    """Each action on F2's message, in the state that it needs, alone and with others."""
    found = []
    states = {"release": "held", "cancel": "planned", "resend": "refused", "arrived": "uncertain"}
    for verb, state in states.items():
        for path in (f"/messages/{{id}}/{verb}", f"/messages/{verb}"):
            door.deployment.execute(
                "UPDATE ponctuel.messages SET state = :state, hold_reason = 'review', "
                "key_free = false WHERE subject = 'F2'",
                state=state,
            )
            body = {"reason": "vu", "by": "anne"}
            body |= {} if "{" in path else {"ids": [2, 99]}  # type: ignore[dict-item]  # a list
            found.append((path, "post", door.post(path.replace("{id}", "2"), body).json()))
    return found


def operate(door: Door) -> None:
    """Something for each list: a held message, a refused one, a decision, an item set aside."""
    deployment = door.deployment
    for number in ("2", "3"):
        deployment.customer(f"C{number}")
        deployment.invoice(f"F{number}", customer_id=f"C{number}")
    deployment.execute("DELETE FROM ponctuel.go_lives WHERE business_id = 'B1'")
    deployment.tick()
    deployment.execute(
        "UPDATE ponctuel.messages SET state = 'refused', hold_reason = NULL, "
        "settled_at = ponctuel.clock() WHERE subject = 'F3'"
    )
    deployment.execute(
        "INSERT INTO ponctuel.followup_decisions SELECT 'B1', 'invoice', 'F3', '0', 9, 'skip', "
        "ponctuel.clock(), 'anne', 'vu'"
    )
    deployment.execute(
        "UPDATE ponctuel.messages SET planned_at = planned_at - interval '2 days' "
        "WHERE subject = 'F2'"
    )
    inbound(deployment, in_reply_to=2)
    deployment.execute(
        "INSERT INTO ponctuel.inbound_offers VALUES (1, 'billing', 'taken', 1, ponctuel.clock())"
    )
    deployment.execute(
        "INSERT INTO ponctuel.quarantine (job, step, business_id, item, run_id, at, reason) VALUES "
        "('followups', 'plan_relances', 'B1', 'C9', gen_random_uuid(), ponctuel.clock(), 'x')"
    )


def test_a_call_without_any_business_still_answers_what_the_description_says(door: Door) -> None:
    document = door.outside("GET", "/openapi.json").json()
    schema = _schema(document, FOLLOWUPS, "get")
    Draft202012Validator({**schema, "components": document["components"]}).validate(
        door.get(FOLLOWUPS).json()
    )


def _schema(document: dict[str, Any], path: str, method: str) -> dict[str, Any]:
    response = document["paths"][path][method]["responses"]["200"]
    name = response["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
    found: dict[str, Any] = document["components"]["schemas"][name]
    return found


def test_the_app_reads_like_a_table_of_contents() -> None:
    from pathlib import Path

    source = Path(app.__file__).read_text()
    assert len(source.splitlines()) <= 50
    assert not re.search(r"^(def|class) ", source, re.MULTILINE)


def followed_up(door: Door) -> list[tuple[str, str, Any]]:
    """Answers about a lead that is proposed to its closer."""
    lead_rows.open_business(door.deployment, "B9")
    lead_rows.lead(door.deployment, business_id="B9")
    return [
        (LEADS, "get", door.get(LEADS).json()),
        *paused(door),
    ]


def paused(door: Door) -> list[tuple[str, str, Any]]:
    """A lead paused and resumed, told each time, and its closer's link given and taken back."""
    pause = {"id": "L1", "business": "B9", "until": "2026-03-20", "reason": "en congés"}
    closer = {"closer": "U1", "business": "B9"}
    return [
        ("/leads", "get", door.get("/leads").json()),
        ("/leads/pause", "post", door.post("/leads/pause", pause).json()),
        ("/leads", "get", door.get("/leads", query={"paused": "1"}).json()),
        ("/leads/explain", "get", door.get("/leads/explain", query={"id": "L1"}).json()),
        ("/leads/resume", "post", door.post("/leads/resume", {"id": "L1"}).json()),
        ("/closers/link", "post", door.post("/closers/link", closer).json()),
        ("/closers/revoke", "post", door.post("/closers/revoke", closer).json()),
    ]
