"""What an operator reads over HTTP: messages, relances, what is set aside. tests/cli/test_remote.py
compares the answers with the database's."""

from __future__ import annotations

import pytest

from tests.routes.doors import CANARY, Door, bearer

READ = (
    "/runs",
    "/messages",
    "/messages/1",
    "/followups/explain?document=invoice&number=F1",
    "/followups/pending",
    "/quarantine",
    "/suppressions",
    "/consents",
)
RECIPIENT = "compta@boulangerie-martin.example"


@pytest.fixture
def busy(door: Door) -> Door:
    door.deployment.open_business()
    for number in range(1, 6):
        door.deployment.customer(f"C1{number}", emails=f"c{number}@client.example")
        door.deployment.invoice(f"F{number}", customer_id=f"C1{number}")
    door.deployment.tick()
    return door


@pytest.mark.parametrize("path", READ)
def test_nothing_is_read_without_the_secret_and_no_cache_keeps_it(busy: Door, path: str) -> None:
    for headers in ({}, bearer(CANARY)):
        refused = busy.outside("GET", path, headers=headers)
        assert refused.status == 401
        assert b"client.example" not in refused.body
    in_query = busy.outside("GET", f"{path}{'&' if '?' in path else '?'}secret=x")
    assert in_query.status == 401
    reply = busy.get(path)
    assert (reply.status, reply.json()["success"]) == (200, True)
    assert reply.headers["cache-control"] == "no-store"
    assert busy.under_stage().get(f"/api{path}").status == 200


def test_messages_are_paged_from_the_newest_to_the_oldest(busy: Door) -> None:
    found: list[int] = []
    before: object = None
    for _ in range(4):
        query = {"limit": "2", **({"before": str(before)} if before else {})}
        page = busy.get("/messages", query=query).json()
        found += [message["id"] for message in page["messages"]]
        assert page["counts"] == [{"state": "accepted", "holdReason": None, "count": 5}]
        before = page["before"]
        if before is None:
            break
    assert found == [5, 4, 3, 2, 1]


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ({"state": "accepted"}, 5),
        ({"state": "held"}, 0),
        ({"hold": "review"}, 0),
        ({"business": "B1", "kind": "billing.invoice_followup"}, 5),
        ({"business": "B2"}, 0),
        ({"kind": ""}, 5),
    ],
)
def test_messages_are_filtered(busy: Door, query: dict[str, str], count: int) -> None:
    assert len(busy.get("/messages", query=query).json()["messages"]) == count


@pytest.mark.parametrize(
    ("path", "query", "told"),
    [
        ("/messages", {"state": "parti"}, "state inconnu. Au choix : planned"),
        ("/messages", {"hold": "x"}, "hold inconnu"),
        ("/messages", {"limit": "201"}, "limit doit être un nombre de 1 à 200."),
        ("/messages", {"limit": "9" * 5000}, "limit"),
        ("/messages", {"limit": "²"}, "limit"),
        ("/messages", {"before": "-1"}, "before doit être un numéro."),
        ("/messages", {"business": "B\0"}, "business doit être un texte"),
        ("/messages", {"kind": "x" * 201}, "kind doit être un texte"),
        ("/messages", {"business": "\ud800"}, "business doit être un texte"),
        ("/runs", {"limit": "0"}, "limit"),
        ("/quarantine", {"limit": "1e3"}, "limit"),
        ("/followups/pending", {"limit": "999"}, "limit"),
        ("/followups/explain", {}, "Il manque document"),
        ("/followups/explain", {"document": "invoice"}, "Il manque number"),
        ("/followups/explain", {"document": "facture", "number": "F1"}, "document inconnu"),
    ],
)
def test_a_parameter_that_cannot_be_used_is_400_in_french(
    door: Door, path: str, query: dict[str, str], told: str
) -> None:
    reply = door.get(path, query=query)
    assert reply.status == 400
    assert told in reply.json()["error"]


def test_what_does_not_exist_is_404(door: Door) -> None:
    missing = {"document": "quote", "number": "D/9"}
    assert door.get("/messages/1").status == 404
    assert door.get("/messages/x").status == 404
    assert door.get(f"/messages/{'9' * 30}").status == 404
    reply = door.get("/followups/explain", query=missing)
    assert (reply.status, reply.json()["error"]) == (
        404,
        "Aucun devis ne porte le numéro « D/9 ».",
    )


def test_a_number_of_too_many_businesses_asks_for_one(
    busy: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chalicelib.domain.billing.explain.MOST", 1)
    busy.deployment.open_business("B2")
    busy.deployment.invoice("F1", business_id="B2")
    query = {"document": "invoice", "number": "F1"}
    assert busy.get("/followups/explain", query=query).status == 400
    found = busy.get("/followups/explain", query=query | {"business": "B2"}).json()["documents"]
    assert [document["businessId"] for document in found] == ["B2"]


def test_a_run_is_found_by_its_number_and_tells_what_the_ledger_says(busy: Door) -> None:
    busy.deployment.smtp.fail("refuse_permanent")
    busy.deployment.customer("C9", emails="c9@client.example")
    busy.deployment.invoice("F9", customer_id="C9")
    busy.deployment.tick()
    newest = busy.get("/runs", query={"limit": "1"}).json()["runs"][0]
    run = busy.get(f"/runs/{newest['number']}").json()
    assert run["runId"] == newest["runId"] == busy.get(f"/runs/{newest['runId']}").json()["runId"]
    assert run["detail"] == busy.deployment.last_run()["error"]
    (refused,) = run["messageErrors"]
    assert (refused["businessId"], refused["subject"], refused["state"]) == ("B1", "F9", "refused")


def test_a_message_that_has_not_left_is_shown_as_it_would_leave(busy: Door) -> None:
    assert busy.get("/messages/1").json()["preview"] is None
    assert "Boulangerie Martin" in busy.get("/messages/1").json()["text"]
    busy.deployment.execute("DELETE FROM ponctuel.go_lives WHERE business_id = 'B1'")
    busy.deployment.customer("C9", emails=RECIPIENT)
    busy.deployment.invoice("F9", customer_id="C9")
    busy.deployment.tick()
    message = busy.get("/messages/6").json()
    assert (message["recipient"], message["state"]) == (RECIPIENT, "held")
    assert message["text"] is None
    assert "F9" in message["preview"]["subject"]
    busy.deployment.execute("UPDATE ponctuel.invoices SET disputed = true WHERE id = 'F9'")
    preview = busy.get("/messages/6").json()["preview"]
    assert (preview["text"], preview["reason"]) == (None, "disputed")
