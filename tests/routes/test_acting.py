"""What an operator does over HTTP: messages, go-live, relances, limits."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.harness import KINDS, NOW
from tests.ledger_rows import inbound
from tests.routes.doors import CANARY, Door, bearer

REASON = {"reason": "vu au téléphone"}
ACTIONS = ("release", "cancel", "resend", "arrived")
PATHS = (
    *(f"/messages/{verb}" for verb in ACTIONS),
    *(f"/messages/1/{verb}" for verb in ACTIONS),
    "/go-live",
    "/followups/decisions",
    "/limits",
    "/suppressions",
    "/suppressions/lift",
    "/consents",
    "/consents/withdraw",
)


@pytest.fixture
def in_review(door: Door) -> Door:
    """F1's relance (message 1) and F2's wait for B1's go-live."""
    door.deployment.open_business()
    door.deployment.execute("DELETE FROM ponctuel.go_lives WHERE business_id = 'B1'")
    door.deployment.customer("C2")
    door.deployment.invoice("F1")
    door.deployment.invoice("F2", customer_id="C2")
    door.deployment.tick()
    return door


def state(door: Door, number: int = 1) -> str:
    return str(
        door.deployment.rows("SELECT state FROM ponctuel.messages WHERE id = :n", n=number)[0][
            "state"
        ]
    )


@pytest.mark.parametrize("path", PATHS)
def test_nothing_is_done_without_the_secret(in_review: Door, path: str) -> None:
    body = {**REASON, "ids": [1]}
    for headers in ({}, bearer(CANARY)):
        assert in_review.outside("POST", path, headers=headers, body=body).status == 401
    assert in_review.outside("POST", f"{path}?secret={CANARY}", body=body).status == 401
    assert in_review.outside("GET", path, headers=bearer()).status in (200, 401, 403, 404)
    assert state(in_review) == "held"
    assert in_review.deployment.rows("SELECT 1 FROM ponctuel.message_events") == []


def test_a_message_is_released_and_the_ledger_knows_by_whom(in_review: Door) -> None:
    reply = in_review.post("/messages/1/release", {"by": "anne"})
    assert (reply.status, reply.json()) == (200, {"success": True, "changed": [1], "left": []})
    assert in_review.under_stage().post("/api/messages/2/release").status == 200
    events = in_review.deployment.rows("SELECT event, actor FROM ponctuel.message_events")
    assert [(event["event"], event["actor"]) for event in events] == [
        ("released", "anne"),
        ("released", "http"),
    ]


def test_what_is_in_no_state_for_it_is_409_and_what_does_not_exist_404(in_review: Door) -> None:
    for path, body in (
        ("/messages/1/resend", REASON),
        ("/messages/resend", REASON | {"ids": [1, 99]}),
    ):
        reply = in_review.post(path, body)
        told = reply.json()
        assert reply.status == 409
        assert (told["success"], told["changed"]) == (False, [])
        assert told["left"][0] == {
            "id": 1,
            "state": "held",
            "why": "il est retenu (en revue avant la mise en service)",
        }
        assert "Message n° 1 : il est retenu" in told["error"]
    assert in_review.post("/messages/99/cancel", REASON).status == 404
    assert in_review.post("/messages/x/cancel", REASON).status == 404
    assert in_review.post("/messages/cancel", REASON | {"ids": [98, 99]}).status == 404


def test_some_changed_and_some_left_is_200_without_success(in_review: Door) -> None:
    reply = in_review.post("/messages/cancel", REASON | {"ids": [1, 99, 1]})
    assert (reply.status, reply.json()["success"]) == (200, False)
    assert reply.json()["changed"] == [1]
    assert reply.json()["left"] == [
        {"id": 99, "state": None, "why": "aucun message ne porte ce numéro"}
    ]


def test_all_of_a_kind_that_are_in_review_are_released(in_review: Door) -> None:
    body = {"business": "B1", "kind": KINDS[0]}
    assert in_review.post("/messages/release", body).json()["changed"] == [1, 2]
    assert in_review.post("/messages/release", body).json()["changed"] == []
    assert in_review.post("/messages/release", body | {"kind": "x.y"}).status == 404


@pytest.mark.parametrize(
    ("path", "body", "told"),
    [
        *((f"/messages/1/{verb}", {}, "Donnez la raison") for verb in ACTIONS[1:]),
        ("/messages/1/cancel", {"reason": " \n"}, "Donnez la raison"),
        ("/messages/1/cancel", {"reason": 1}, "reason doit être un texte"),
        ("/messages/1/cancel", {"raison": "x"}, "Champ inconnu : raison"),
        ("/messages/1/cancel", REASON | {"by": "\0"}, "by doit être un texte"),
        ("/messages/1/release", {"ids": [1]}, "Champ inconnu : ids"),
        ("/messages/cancel", REASON, "ids doit être une liste"),
        ("/messages/cancel", REASON | {"ids": []}, "ids doit être une liste"),
        ("/messages/cancel", REASON | {"ids": ["1"]}, "ids doit être une liste"),
        ("/messages/cancel", REASON | {"ids": [True]}, "ids doit être une liste"),
        ("/messages/cancel", REASON | {"ids": [10**18]}, "ids doit être une liste"),
        ("/messages/cancel", REASON | {"ids": [1] * 501}, "ids doit être une liste"),
        ("/messages/release", {}, "Il manque business"),
        ("/messages/release", {"business": "B1"}, "Il manque kind"),
        ("/go-live", {}, "Donnez la raison"),
        ("/go-live", REASON | {"kind": KINDS[0]}, "précisez laquelle"),
        ("/go-live", REASON | {"discard": "oui"}, "discard doit être true ou false"),
        ("/followups/decisions", REASON, "Il manque decision"),
        ("/followups/decisions", REASON | {"decision": "x"}, "decision inconnu. Au choix : retry"),
        ("/limits", {"business": "B1"}, "Il manque channel"),
        ("/limits", {"business": "B1", "channel": "sms"}, "channel inconnu. Au choix : email"),
        ("/limits", {"business": "B1", "channel": "email"}, "Donnez au moins une limite"),
        (
            "/limits",
            {"business": "B1", "channel": "email", "per_day": -1},
            "per_day doit être un nombre",
        ),
        (
            "/limits",
            {"business": "B1", "channel": "email", "per_day": 2**31},
            "per_day doit être un nombre",
        ),
    ],
)
def test_a_body_that_cannot_be_used_is_400_in_french_and_does_nothing(
    in_review: Door, path: str, body: dict[str, object], told: str
) -> None:
    reply = in_review.post(path, body)
    assert reply.status == 400
    assert told in reply.json()["error"]
    assert (state(in_review, 1), state(in_review, 2)) == ("held", "held")


def test_a_business_goes_live(in_review: Door) -> None:
    reply = in_review.post("/go-live", REASON | {"business": "B1"})
    assert reply.status == 200
    assert (reply.json()["released"], reply.json()["stillHeld"]) == (2, 0)
    assert ["B1", KINDS[0]] in reply.json()["opened"]
    assert state(in_review) == "planned"
    assert in_review.post("/go-live", REASON | {"business": "B9"}).status == 404


def test_a_level_that_did_not_go_out_is_decided_upon(in_review: Door) -> None:
    in_review.post("/messages/1/cancel", REASON)
    asked = REASON | {"decision": "retry", "document": "invoice", "number": "F1", "by": "anne"}
    reply = in_review.post("/followups/decisions", asked)
    assert reply.json() == {
        "success": True,
        "businessId": "B1",
        "document": "invoice",
        "number": "F1",
        "decision": "retry",
        "level": 1,
    }
    assert in_review.post("/followups/decisions", asked | {"number": "F9"}).status == 404


def test_limits_are_set_one_at_a_time_and_usual_again_by_null(in_review: Door) -> None:
    asked = {"business": "B1", "channel": "whatsapp", "by": "anne"}
    in_review.post("/limits", asked | {"per_day": 200, "person_per_week": 3})
    in_review.post("/limits", asked | {"per_day": 0})
    reply = in_review.post("/limits", asked | {"person_per_week": None})
    (limits,) = in_review.get("/limits", query={"business": "B1"}).json()["limits"]
    assert reply.json()["limits"] == [limits]
    assert (limits["perDay"], limits["personPerWeek"], limits["setBy"]) == (0, None, "anne")
    assert in_review.get("/limits", query={"business": "B2"}).json()["limits"] == []
    assert in_review.post("/limits", asked | {"business": "B9", "per_day": 1}).status == 404


def test_what_was_written_to_a_business_is_paged_and_filtered(in_review: Door) -> None:
    for number in range(1, 4):
        inbound(
            in_review.deployment, provider_id=f"SM{number}", at=NOW + timedelta(days=number - 2)
        )
    inbound(in_review.deployment, provider_id="SM9", business_id="B2")
    page = in_review.get("/inbound", query={"business": "B1", "limit": "2"}).json()
    assert ([row["id"] for row in page["inbound"]], page["before"]) == ([3, 2], 2)
    rest = in_review.get("/inbound", query={"business": "B1", "before": "2"}).json()
    assert ([row["id"] for row in rest["inbound"]], rest["before"]) == ([1], None)
    since = in_review.get("/inbound", query={"since": "2026-03-11"}).json()["inbound"]
    assert [row["id"] for row in since] == [3]
    assert in_review.get("/inbound", query={"since": "2026-03-11T00:00:00"}).status == 400


def test_messages_are_found_by_channel_person_contact_and_date(in_review: Door) -> None:
    def found(**query: str) -> list[int]:
        reply = in_review.get("/messages", query=query)
        return [message["id"] for message in reply.json()["messages"]]

    in_review.deployment.execute(
        "UPDATE ponctuel.messages SET channel = 'whatsapp', contact = '+33612345678', "
        "planned_at = planned_at - interval '1 day' WHERE id = 2"
    )
    assert found(channel="whatsapp") == found(contact="+33612345678") == found(person="C2") == [2]
    assert found(contact="Compta@Boulangerie-Martin.example") == [2, 1]
    assert found(since="2026-03-10") == found(since="2026-03-10T00:00:00+01:00") == [1]
    assert found(since="2026-03-09") == [2, 1]
    assert in_review.get("/messages", query={"channel": "sms"}).status == 400
    assert in_review.get("/messages", query={"since": "hier"}).status == 400
