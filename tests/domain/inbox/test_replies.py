"""Whoever answers is not chased before somebody has read the answer, and only they."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from chalicelib.domain.inbox.decisions import is_machine
from tests.domain.inbox.mailroom import ADDRESS, CUSTOMER, SENT_FROM, Mailroom, mail, relance, rows
from tests.harness import NOW, TODAY, Deployment

PAUSED = TODAY + timedelta(days=7)
OTHER = "direction@garage-duval.example"


@pytest.fixture
def deployment(deployment: Deployment) -> Deployment:
    """Twin businesses: in each, C1 and C2 have their own address."""
    for business in ("B1", "B2"):
        deployment.open_business(business)
        deployment.customer("C2", business_id=business, name="Garage Duval", emails=OTHER)
    return deployment


@pytest.fixture
def room(deployment: Deployment) -> Mailroom:
    return Mailroom(deployment.database)


def paused(room: Mailroom) -> dict[tuple[str, str], date]:
    found = rows(room.database, "SELECT * FROM ponctuel.customers WHERE paused_until IS NOT NULL")
    return {(row["business_id"], row["id"]): row["paused_until"] for row in found}


def inbound(room: Mailroom) -> list[dict[str, Any]]:
    return rows(room.database, "SELECT * FROM ponctuel.inbound_messages ORDER BY id")


def last(room: Mailroom) -> dict[str, Any]:
    return room.emails()[-1]


def test_an_answer_to_a_relance_pauses_that_customer_of_that_business(room: Mailroom) -> None:
    number, message_id = relance(room.database)
    counts = room.get(mail(in_reply_to=message_id, refs=[message_id]))
    assert (counts["replies"], counts["matched"]) == (1, 1)
    email = last(room)
    assert (email["customer_id"], email["answers"], email["direction"]) == ("C1", number, "in")
    (told,) = inbound(room)
    assert (told["person"], told["in_reply_to"], told["channel"]) == ("C1", number, "email")
    assert told["known_by"] == "billing.invoice_followup"
    assert told["id"] == email["inbound_id"]
    assert paused(room) == {("B1", "C1"): PAUSED}


def test_the_relances_of_who_answered_wait_and_the_others_go_out(deployment: Deployment) -> None:
    for business in ("B1", "B2"):
        deployment.invoice("F2", business_id=business)
    Mailroom(deployment.database).get(mail(subject="Une question"))
    deployment.tick()
    assert [m["business_id"] for m in deployment.messages(subject="F2")] == ["B2"]


def test_any_mail_of_a_customer_is_an_answer_however_the_address_is_written(
    room: Mailroom,
) -> None:
    with room.database.begin() as connection:
        connection.execute(
            text("UPDATE ponctuel.customers SET emails = :emails WHERE id = 'C1'"),
            {"emails": "pdg@x.example; Claire <Compta@Boulangerie-Martin.EXAMPLE>,autre@x.example"},
        )
    room.get(mail(subject="Portail"))
    assert last(room)["customer_id"] == "C1"
    assert [told["known_by"] for told in inbound(room)] == ["customer_address"]
    assert paused(room) == {("B1", "C1"): PAUSED}


@pytest.mark.parametrize(
    "stored", ["compta@école.example", "compta@xn--cole-9oa.example", "mailto:Compta@école.example"]
)
def test_a_domain_in_letters_or_in_ascii_is_the_same(room: Mailroom, stored: str) -> None:
    with room.database.begin() as connection:
        connection.execute(
            text("UPDATE ponctuel.customers SET emails = :emails WHERE id = 'C1'"),
            {"emails": stored},
        )
    room.get(
        mail(from_email="compta@xn--cole-9oa.example"), mail(from_email="compta@école.example")
    )
    assert [email["customer_id"] for email in room.emails()] == ["C1", "C1"]


@pytest.mark.parametrize(
    "address",
    ["xcompta@boulangerie-martin.example", "martin@example", "boulangerie-martin.example", "", "%"],
)
def test_an_address_like_a_customer_s_is_another_person(room: Mailroom, address: str) -> None:
    room.get(mail(from_email=address))
    assert last(room)["customer_id"] is None
    assert inbound(room) == []


def test_what_ses_sent_is_known_by_the_id_that_ses_gave(room: Mailroom) -> None:
    id = "0102018e2f3a4b5c-1f2e3d4c-5b6a-7980-a1b2-c3d4e5f60718-000000"
    number, _ = relance(room.database, provider="ses", provider_id=id)
    room.get(mail(in_reply_to=f"{id}@eu-west-3.amazonses.com", from_email=CUSTOMER))
    assert last(room)["answers"] == number


def test_a_reference_by_somebody_else_is_noted_and_pauses_nobody_but_who_wrote(
    room: Mailroom,
) -> None:
    number, message_id = relance(room.database)
    room.get(mail(from_email="inconnu@ailleurs.example", in_reply_to=message_id))
    email = last(room)
    assert (email["answers"], email["customer_id"]) == (number, None)
    (told,) = inbound(room)
    assert (told["person"], told["known_by"], told["in_reply_to"]) == ("", "", None)
    assert paused(room) == {}
    room.get(mail(from_email=OTHER, refs=[message_id]))
    assert paused(room) == {("B1", "C2"): PAUSED}
    assert inbound(room)[-1]["in_reply_to"] is None


def test_another_address_of_the_same_customer_answers_for_them(room: Mailroom) -> None:
    _, message_id = relance(room.database, recipient="ancien@boulangerie-martin.example")
    with room.database.begin() as connection:
        connection.execute(
            text("UPDATE ponctuel.customers SET emails = 'a@x.example' WHERE id = 'C1'")
        )
    room.get(mail(from_email="a@x.example", refs=[message_id], subject="1"))
    room.get(mail(from_email="ancien@boulangerie-martin.example", refs=[message_id], subject="2"))
    assert [told["person"] for told in inbound(room)] == ["C1", "C1"]


def test_of_customers_with_one_address_the_answered_message_tells_which(room: Mailroom) -> None:
    with room.database.begin() as connection:
        connection.execute(text("UPDATE ponctuel.customers SET emails = :a"), {"a": CUSTOMER})
    room.get(mail(subject="Bonjour"))
    email = last(room)
    assert (email["customer_id"], email["candidates"]) == (None, ["C1", "C2"])
    assert [told["person"] for told in inbound(room)] == [""]
    assert paused(room) == {}
    _, message_id = relance(room.database, person="C2")
    room.get(mail(refs=[message_id], snippet="Pour le garage : réglé."))
    assert last(room)["customer_id"] == "C2"
    assert paused(room) == {("B1", "C2"): PAUSED}


def test_a_message_of_the_twin_with_the_same_number_is_not_ours(deployment: Deployment) -> None:
    _, message_id = relance(deployment.database, business_id="B2")
    room = Mailroom(deployment.database)
    room.get(mail(from_email="inconnu@ailleurs.example", refs=[message_id]))
    assert last(room)["answers"] is None
    assert inbound(room) == []


def test_a_number_with_another_digest_is_not_ours(room: Mailroom) -> None:
    number, message_id = relance(room.database)
    forged = f"{number}.{'0' * 16}@{message_id.partition('@')[2]}"
    absurd = [f"{'9' * 18}.{'0' * 16}@x", f"{'9' * 40}.{'0' * 16}@x", "1.zz@x", "@", "<>"]
    room.get(mail(from_email="inconnu@ailleurs.example", refs=[forged, *absurd]))
    assert last(room)["answers"] is None


def test_one_mail_in_two_mailboxes_is_one_answer(deployment: Deployment) -> None:
    first = Mailroom(deployment.database)
    second = Mailroom(deployment.database, address="compta@menuiserie-perrin.example")
    twin = Mailroom(deployment.database, business_id="B2")
    same = mail(sent_at=None)
    for room in (first, second, twin):
        room.get(same | {"internal_date": (NOW + timedelta(seconds=room.id)).isoformat()})
    assert [told["business_id"] for told in inbound(first)] == ["B1", "B2"]
    assert [e["customer_id"] for e in second.emails()] == ["C1"]


def test_what_is_read_again_after_a_reset_is_no_new_answer(room: Mailroom) -> None:
    again = mail()
    room.get(again)
    with room.database.begin() as connection:
        connection.execute(text("UPDATE ponctuel.customers SET paused_until = NULL"))
        connection.execute(text("DELETE FROM ponctuel.emails"))
    assert room.get(again)["replies"] == 0
    assert len(inbound(room)) == 1
    assert paused(room) == {}


def test_two_mails_with_one_message_id_are_two_answers(room: Mailroom) -> None:
    room.get(mail(message_id="unique@pda"), mail(message_id="unique@pda", snippet="Et aussi…"))
    assert len(inbound(room)) == 2


def test_answers_without_a_message_id_are_kept_once_each(room: Mailroom) -> None:
    made = {"has_message_id": False, "snippet": "OK"}
    room.get(
        mail(message_id="m1", **made),
        mail(message_id="m2", **made),
        mail(message_id="m3", sent_at=NOW - timedelta(days=2), **made),
    )
    assert len(inbound(room)) == 2


@pytest.mark.parametrize(
    "changes",
    [
        {"internal_date": NOW - timedelta(days=8)},
        {"sent_at": NOW - timedelta(days=8)},  # moved into the mailbox just now
        {"internal_date": None, "sent_at": NOW - timedelta(days=300)},
    ],
)
def test_history_is_filed_and_nobody_is_told(room: Mailroom, changes: dict[str, Any]) -> None:
    _, message_id = relance(room.database)
    room.get(mail(refs=[message_id], **changes))
    assert last(room)["customer_id"] == "C1"
    assert (inbound(room), paused(room)) == ([], {})
    assert rows(room.database, "SELECT * FROM ponctuel.messages WHERE kind LIKE 'inbox%'") == []


def test_what_is_older_than_the_mailbox_is_history(deployment: Deployment) -> None:
    room = Mailroom(deployment.database, created_at=NOW)
    room.get(mail())
    assert (last(room)["customer_id"], inbound(room)) == ("C1", [])


@pytest.mark.parametrize(
    "changes",
    [
        {"nature": "auto_reply", "subject": "Absent du bureau"},
        {"nature": "list"},
        {"nature": "calendar"},
        {"nature": "bounce"},
        {"from_email": "no-reply@boulangerie-martin.example"},
        {"from_email": ADDRESS},
        {"from_email": SENT_FROM},
        {"sent": True},
    ],
)
def test_what_no_person_wrote_to_us_pauses_nothing(room: Mailroom, changes: dict[str, Any]) -> None:
    with room.database.begin() as connection:
        connection.execute(
            text("UPDATE ponctuel.customers SET emails = emails || :more WHERE id = 'C1'"),
            {"more": f",no-reply@boulangerie-martin.example,{ADDRESS},{SENT_FROM}"},
        )
    _, message_id = relance(room.database)
    room.get(mail(refs=[message_id], **changes))
    assert (inbound(room), paused(room)) == ([], {})


def test_a_copy_of_our_own_relance_is_outgoing(room: Mailroom) -> None:
    _, message_id = relance(room.database)
    to = [{"role": "to", "email": CUSTOMER, "name": ""}]
    room.get(mail(message_id=message_id, from_email="x@relais.example", recipients=to))
    room.get(mail(from_email=ADDRESS, recipients=[{"role": "cc", "email": OTHER, "name": ""}, *to]))
    assert [(e["direction"], e["customer_id"]) for e in room.emails()] == [
        ("out", None),
        ("out", "C1"),
    ]
    assert inbound(room) == []


def test_a_mailbox_that_asks_for_no_pause_has_none(deployment: Deployment) -> None:
    room = Mailroom(deployment.database, pause_replies=False)
    room.get(mail())
    assert (len(inbound(room)), paused(room)) == (1, {})


def test_a_view_that_cannot_be_written_loses_no_answer(deployment: Deployment) -> None:
    from tests.bring_your_own.views import show

    room = Mailroom(deployment.database)
    show(deployment, {"customers.paused_until": "COALESCE(paused_until)"}, "customers")
    assert room.get(mail())["replies"] == 1
    (offer,) = rows(room.database, "SELECT * FROM ponctuel.inbound_offers WHERE domain = 'billing'")
    assert (offer["outcome"], offer["error"]) == ("failed", "0A000")
    assert last(room)["customer_id"] == "C1"


@pytest.mark.parametrize(
    ("words", "subject", "stops"),
    [
        ("STOP", "Re: Nos offres", True),
        ("Bonjour, désinscription svp. Merci", "Re: Nos offres", True),
        ("Stop\n-- \nClaire Martin\nBoulangerie Martin", "Re: Nos offres", True),
        ("", "Désinscription", True),
        ("", "Re: Stop", False),
        ("Merci de stopper le chantier jeudi.", "Re: Chantier", False),
        ("stop, et rappelez-moi pour le devis", "Re: Devis", False),
    ],
)
def test_only_a_stop_ends_marketing_by_e_mail_of_that_business(
    room: Mailroom, words: str, subject: str, stops: bool
) -> None:
    with room.database.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO ponctuel.consents (business_id, channel, contact, granted_at, source) "
                "SELECT b, 'email', :contact, now(), 'test' FROM unnest(ARRAY['B1','B2']) AS b"
            ),
            {"contact": CUSTOMER},
        )
    room.get(mail(snippet=words, subject=subject))
    room.get(mail(snippet=words, subject=subject, message_id="again"))
    found = rows(room.database, "SELECT * FROM ponctuel.suppressions")
    assert [(s["business_id"], s["contact"], s["category"], s["person"]) for s in found] == (
        [("B1", CUSTOMER, "marketing", "C1")] if stops else []
    )
    left = rows(room.database, "SELECT * FROM ponctuel.consents WHERE withdrawn_at IS NOT NULL")
    assert [consent["business_id"] for consent in left] == (["B1"] if stops else [])
    # Who asks for something else than an answer is told so, and goes on being chased.
    assert paused(room) == ({} if stops else {("B1", "C1"): PAUSED})


@pytest.mark.parametrize(
    ("address", "machine"),
    [
        ("noreply@x.example", True),
        ("no-reply@x.example", True),
        ("Ne-Pas-Repondre@x.example", True),
        ("nepasrepondre@x.example", True),
        ("do_not_reply+42@x.example", True),
        ("facturation-noreply@x.example", True),
        ("MAILER-DAEMON@x.example", True),
        ("bounces+1=2@x.example", True),
        ("norbert.reply@x.example", False),
        ("noel@x.example", False),
        ("contact@noreply.example", False),
        ("postmaster.dupont@x.example", False),
    ],
)
def test_nobody_is_behind_some_addresses(address: str, machine: bool) -> None:
    assert is_machine(address) is machine


def test_a_mail_at_fault_is_set_aside_and_the_others_are_settled(room: Mailroom) -> None:
    ids = room.receive(*(mail(subject=f"n° {n}") for n in range(7)))
    with room.database.begin() as connection:
        connection.execute(
            text(
                "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
                f"IF NEW.id = {ids[4]} AND NEW.customer_id IS NOT NULL THEN "
                "RAISE EXCEPTION 'no' USING ERRCODE = '22000'; END IF; RETURN NEW; END $$"
            )
        )
        connection.execute(
            text(
                "CREATE TRIGGER refusing BEFORE UPDATE ON ponctuel.emails "
                "FOR EACH ROW EXECUTE FUNCTION refuse()"
            )
        )
    counts = room.settle()
    assert (counts["settled"], counts["set_aside"], counts["replies"]) == (6, 1, 6)
    emails = room.emails()
    assert all(email["settled_at"] for email in emails)
    assert [e["id"] for e in emails if "settling" in e["faults"]] == [ids[4]]
    assert len(inbound(room)) == 6


def test_what_is_not_parsed_yet_waits_and_a_stub_does_not(room: Mailroom) -> None:
    room.get(mail(state="pending"), mail(state="stub", snippet=""), mail(state="unreadable"))
    settled = [email["state"] for email in room.emails() if email["settled_at"]]
    assert settled == ["stub"]


def test_hostile_columns_are_read_all_the_same(room: Mailroom) -> None:
    room.get(
        mail(recipients=[], sent=True),
        mail(recipients=[None, 3, {"role": "to"}, {"role": "to", "email": 5}], sent=True),
        mail(from_email="a" * 2_000 + "@x.example", subject="Re: " * 500),
        mail(refs=[f"r{n}@x" for n in range(5_000)], in_reply_to="'; DROP TABLE x; --"),
        mail(nature="bounce", bounce={"recipients": "x", "message_ids": 3}),
        mail(nature="bounce", bounce={"recipients": [None, {"email": None}], "message_ids": [1]}),
        mail(nature="bounce", bounce=None),
    )
    emails = room.emails()
    assert all(email["settled_at"] and email["faults"] == [] for email in emails)


def test_an_unknown_mailbox_or_an_empty_one_has_nothing_to_settle(room: Mailroom) -> None:
    assert room.settle() == {}
    room.id = 999_999
    assert room.settle() == {}
