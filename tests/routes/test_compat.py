"""The contract with today's users: paths, secrets, answers, the lines in their logs."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from dataclasses import replace

import pytest

from chalicelib import jobs
from chalicelib.routes.call import Call
from chalicelib.routes.compat import TABLE, route
from chalicelib.routes.door import respond
from chalicelib.settings import settings
from tests import lead_rows
from tests.routes.doors import FOLLOWUPS, INBOX, SECRET, Door, bearer

LEADS = "/gestion/auto-relance"
DONE = "Traitement des relances automatiques terminé avec succès"
TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", FOLLOWUPS), ("POST", f"/api{FOLLOWUPS}"), ("GET", f"{FOLLOWUPS}/")],
)
def test_a_cron_service_with_its_secret_runs_the_relances(
    door: Door, method: str, path: str
) -> None:
    door.deployment.open_business()
    door.deployment.invoice()
    reply = door.outside(method, f"{path}?secret={SECRET}")
    body = reply.json()
    assert reply.status == 200
    assert list(body)[:3] == ["success", "message", "timestamp"]
    assert (body["success"], body["message"]) == (True, DONE)
    assert TIMESTAMP.fullmatch(body["timestamp"])
    assert body["status"] == "succeeded"
    assert body["counts"] == {"planned": 1, "sent": 1}
    assert body["results"] == [{"id": "B1", "status": "succeeded", "count": 1}]
    assert body["runId"] == str(door.deployment.last_run()["id"])
    assert len(door.deployment.smtp.accepted()) == 1


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_cron_service_with_its_secret_reads_the_mailboxes(
    door: Door, capfd: pytest.CaptureFixture[str], method: str
) -> None:
    reply = door.outside(method, f"{INBOX}?secret={SECRET}")
    assert (reply.status, reply.json()["success"]) == (200, True)
    assert reply.json()["message"] == "Synchronisation inbox terminée avec succès"
    assert "🔄 Déclenchement de la synchronisation inbox via API..." in capfd.readouterr().err
    assert door.outside(method, INBOX).status == 403


def test_an_execute_api_address_has_the_stage_before_the_path(door: Door) -> None:
    reply = door.under_stage().get(f"/api{FOLLOWUPS}")
    assert reply.status == 200
    assert reply.json()["statusUrl"].startswith("https://127.0.0.1:8000/api/runs/")


def test_the_log_line_that_users_look_for_has_the_path_and_not_the_query(
    door: Door, capfd: pytest.CaptureFixture[str]
) -> None:
    door.outside("GET", f"/api{FOLLOWUPS}?secret={SECRET}&other=1")
    lines = capfd.readouterr().err.splitlines()
    (line,) = [line for line in lines if "🔄 Déclenchement du traitement des relances" in line]
    assert "🔄 Déclenchement du traitement des relances automatiques via API..." in line
    assert json.loads(line)["path"] == f"/api{FOLLOWUPS}"
    assert "other" not in line


BODIES: tuple[tuple[dict[str, str], str | bytes | None], ...] = (
    ({"Content-Type": "application/json"}, '{"anything": 1}'),
    ({"Content-Type": "application/json"}, "{not json"),
    ({"Content-Type": "application/x-www-form-urlencoded"}, "a=1&b=2"),
    ({"Content-Type": "text/plain; charset=latin-1"}, "bonjour"),
    ({"Content-Type": "multipart/form-data; boundary=x"}, "--x--"),
    ({"Content-Type": ""}, ""),
    ({"Content-Type": "nonsense"}, b"\xff\xfe"),
    ({"Content-Type": "application/octet-stream"}, b"\x00"),
    ({"Accept": "text/html"}, None),
    ({}, None),
)


def test_whatever_body_a_cron_service_sends_is_ignored(door: Door) -> None:
    door.post("/jobs/followups/pause", {"reason": "so that no call has to wait"})
    for headers, body in BODIES:
        reply = door.outside("POST", FOLLOWUPS, headers={**bearer(), **headers}, body=body)
        assert (reply.status, reply.json()["success"]) == (200, True), headers


def test_a_body_that_api_gateway_encodes_in_base64_is_ignored_too(door: Door) -> None:
    event = door.api.event("POST", FOLLOWUPS, headers=bearer())
    assert event is not None
    event |= {"body": b64encode(b"a=1").decode(), "isBase64Encoded": True}
    assert door.api.send(event).status == 200


def test_without_headers_at_all_the_answer_is_403_in_french(door: Door) -> None:
    event = door.api.event("GET", FOLLOWUPS)
    assert event is not None
    assert (event["headers"], event["multiValueHeaders"]) == (None, None)
    reply = door.api.send(event)
    assert reply.status == 403
    assert reply.json()["error"].startswith("Secret absent.")


def test_single_value_headers_alone_are_enough(door: Door) -> None:
    event = door.api.event("GET", FOLLOWUPS)
    assert event is not None
    event |= {"headers": {"AUTHORIZATION": f"Bearer {SECRET}"}, "multiValueHeaders": None}
    assert door.api.send(event).status == 200


def test_two_different_secrets_in_one_call_are_refused(door: Door) -> None:
    reply = door.outside("GET", FOLLOWUPS, query={"secret": [SECRET, "x" * 40]})
    assert reply.status == 403
    assert door.trigger.woken == []


def test_a_secret_in_the_address_works_and_says_that_it_should_not_be_there(door: Door) -> None:
    assert door.outside("GET", f"{FOLLOWUPS}?secret={SECRET}").headers["deprecation"][0] == "@"
    assert "deprecation" not in door.get(FOLLOWUPS).headers


def test_the_secret_in_the_address_can_be_switched_off(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_IN_QUERY", "off")
    assert door.outside("GET", f"{FOLLOWUPS}?secret={SECRET}").status == 403
    assert door.get(FOLLOWUPS).status == 200


def test_on_this_machine_no_secret_is_needed_while_none_is_set(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CRON_SECRET")
    assert door.outside("GET", FOLLOWUPS).status == 200


def test_a_paused_job_answers_200_with_the_reason_and_nobody_is_woken(door: Door) -> None:
    door.post("/jobs/followups/pause", {"reason": "migration du logiciel de facturation"})
    reply = door.get(FOLLOWUPS)
    body = reply.json()
    assert (reply.status, body["success"], body["status"]) == (200, True, "skipped")
    assert "migration du logiciel de facturation" in body["message"]
    assert door.trigger.woken == []


def test_a_run_with_errors_is_200_without_success_or_500_where_that_is_asked(door: Door) -> None:
    door.deployment.open_business()
    door.deployment.open_business("B2", zone="Mars/Olympus")
    door.deployment.invoice()
    reply = door.get(FOLLOWUPS)
    body = reply.json()
    assert (reply.status, body["success"], body["status"]) == (200, False, "partial")
    assert "terminé en partie" in body["message"]
    assert body["counts"]["sent"] == 1
    errors = {(error["businessId"], error["code"]) for error in body["errors"]}
    assert errors == {("B2", "bad_zone")}
    assert [result["status"] for result in body["results"]] == ["succeeded", "partial"]
    assert door.get(f"{FOLLOWUPS}?strict=1").status == 500


def test_a_failed_run_is_500_with_a_sentence_and_no_stack(door: Door) -> None:
    door.ends("failed", error="Le serveur d'envoi refuse le mot de passe.", error_code="auth")
    reply = door.get(FOLLOWUPS)
    assert reply.status == 500
    assert reply.json()["success"] is False
    assert reply.json()["error"] == "Le serveur d'envoi refuse le mot de passe."
    assert b"Traceback" not in reply.body


def test_a_run_that_lasts_is_answered_202_with_its_address(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WAIT_SECONDS", "0")
    monkeypatch.setenv("PUBLIC_URL", "https://ponctuel.example.fr/api")
    door.nobody_works()
    reply = door.get(FOLLOWUPS)
    body = reply.json()
    assert (reply.status, body["success"], body["status"]) == (202, None, "queued")
    assert body["statusUrl"] == f"https://ponctuel.example.fr/api/runs/{body['runId']}"
    assert reply.headers["location"] == body["statusUrl"]


def test_two_calls_share_a_run_that_has_not_begun(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WAIT_SECONDS", "0")
    door.nobody_works()
    first, second = door.get(FOLLOWUPS).json(), door.get(FOLLOWUPS).json()
    assert first["runId"] == second["runId"]


def test_a_call_during_a_run_gets_the_run_that_follows_it(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WAIT_SECONDS", "0")
    door.nobody_works()
    first = door.get(FOLLOWUPS).json()["runId"]
    door.deployment.execute(
        "UPDATE ponctuel.runs SET status = 'running', started_at = ponctuel.clock()"
    )
    following = {door.get(FOLLOWUPS).json()["runId"] for _ in range(2)}
    assert len(following) == 1
    assert first not in following
    door.deployment.execute("UPDATE ponctuel.runs SET status = 'continued', step = NULL")
    door.deployment.tick(hours=0)
    assert {str(row["id"]) for row in door.deployment.rows("SELECT id FROM ponctuel.runs")} == {
        first,
        *following,
    }
    assert door.get(f"/runs/{following.pop()}").json()["status"] == "succeeded"


def test_every_row_of_the_table_runs_a_registered_job_and_logs_its_users_line() -> None:
    for row in TABLE:
        assert row.job in jobs.NAMES
        assert row.line.startswith("🔄 Déclenchement")
        assert row.line.endswith("via API...")
        assert row.path.startswith("/")
        assert not row.path.startswith("/api")


def test_a_row_can_have_its_own_sentence_and_fields(door: Door) -> None:
    row = replace(
        TABLE[0],
        message="Vérification terminée",
        fields=lambda _call, run: {"deletedCount": run["counts"].get("deleted", 0)},
    )
    door.ends("succeeded", counts='{"deleted": 5}')
    event = door.api.event("GET", FOLLOWUPS, headers=bearer())
    assert event is not None
    body = respond(route(row), Call(event, {}, settings())).body
    assert (body["message"], body["deletedCount"]) == ("Vérification terminée", 5)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_the_cron_of_leads_is_answered_with_what_waits_for_their_closers(
    door: Door, capfd: pytest.CaptureFixture[str], method: str
) -> None:
    lead_rows.open_business(door.deployment)
    lead_rows.lead(door.deployment)
    lead_rows.lead(door.deployment, "L2", status="won", phone="06 39 98 00 02")
    for path in (LEADS, f"/api{LEADS}"):  # a second call lists what still waits
        body = door.outside(method, f"{path}?secret={SECRET}").json()
        assert (body["success"], body["status"]) == (True, "succeeded")
        assert (body["checked"], body["due"]) == (1, 1)
        (lead,) = body["leads"]
        link = lead.pop("whatsappLink")
        assert lead == {
            "leadId": "L1",
            "businessId": "B1",
            "name": "Claire Rivière",
            "phone": "+33639980001",
            "followupNumber": 1,
        }
        assert link.startswith("https://wa.me/33639980001?text=Bonjour%20Claire%20Rivi%C3%A8re")
        assert TIMESTAMP.fullmatch(body["timestamp"])
    logged = capfd.readouterr().err
    assert "🔄 Déclenchement des relances automatiques de leads via API..." in logged
    for secret in ("Rivi", "33639980001", "0639980001", "wa.me"):
        assert secret not in logged


def test_the_cron_of_leads_is_refused_with_401(door: Door) -> None:
    reply = door.outside("POST", LEADS)
    assert (reply.status, reply.json()["success"]) == (401, False)
