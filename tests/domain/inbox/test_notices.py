"""The user is told of answers: soon, once, not too often, and never of what we sent ourselves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.domain.inbox.notices import DIGEST, MOST_PER_DAY, REPLY, period, wanted
from tests.domain.inbox.mailroom import ADDRESS, CUSTOMER, Mailroom, mail, relance
from tests.harness import NOW, Deployment


@pytest.fixture
def deployment(deployment: Deployment) -> Deployment:
    """Twin businesses, each with the same customer, who has three invoices and a quote."""
    for business in ("B1", "B2"):
        deployment.open_business(business)
        for id in ("F1", "F2", "F3"):
            deployment.invoice(id, business_id=business)
        deployment.invoice("F4", business_id=business, status="paid")
        deployment.quote(business_id=business)
        deployment.execute(
            "INSERT INTO ponctuel.go_lives (business_id, kind, at, by) "
            "VALUES (:business, :kind, ponctuel.clock(), 'test')",
            business=business,
            kind=REPLY,
        )
    return deployment


@pytest.fixture
def room(deployment: Deployment) -> Mailroom:
    return Mailroom(deployment.database)


def told(deployment: Deployment) -> list[EmailMessage]:
    """What the SMTP server took, the notices only; those of one delivery in any order."""
    deployment.deliver()
    parser = BytesParser(policy=policy.default)
    mails: list[Any] = [
        parser.parsebytes(path.read_bytes())
        for path in sorted(deployment.smtp.folder.glob("*.eml"), key=lambda p: p.stat().st_mtime_ns)
    ]
    return [mail for mail in mails if mail["Auto-Submitted"]]


def words(mail: EmailMessage) -> str:
    body = mail.get_body(("plain",))
    assert body is not None
    return " ".join(body.get_content().split())


def test_the_user_is_told_who_answered_what_and_which_relances_wait(
    deployment: Deployment, room: Mailroom
) -> None:
    _, message_id = relance(deployment.database)
    assert room.get(mail(refs=[message_id]))["notices"] == 1
    (notice,) = told(deployment)
    assert notice["To"] == "contact@menuiserie-perrin.example"
    assert notice["From"].addresses[0].addr_spec == "relances@ponctuel.example"
    assert notice["Subject"] == "Réponse de Claire Martin\u00a0: Re: Facture F1"
    assert (notice["Auto-Submitted"], notice["X-Auto-Response-Suppress"]) == (
        "auto-generated",
        "All",
    )
    text = words(notice)
    assert "pour votre client Boulangerie Martin, vous a écrit le 10 mars 2026 à 9 h 59" in text
    assert "le virement est parti ce matin" in text
    assert "en pause jusqu’au 17 mars 2026 inclus (factures F1, F2 et F3, devis D1)" in text


def test_it_is_held_for_review_until_the_kind_is_live(
    deployment: Deployment, room: Mailroom
) -> None:
    deployment.execute("DELETE FROM ponctuel.go_lives WHERE kind = :kind", kind=REPLY)
    room.get(mail())
    (notice,) = deployment.messages(kind=REPLY)
    assert (notice["state"], notice["hold_reason"]) == ("held", "review")


def test_answers_in_one_conversation_are_one_notice_a_day(
    deployment: Deployment, room: Mailroom
) -> None:
    room.get(mail(message_id="a"), mail(message_id="b", refs=["a"], snippet="Précision : jeudi."))
    (notice,) = told(deployment)
    assert notice["Subject"] == "2 réponses à lire"
    assert "virement" in words(notice)
    assert "Précision" in words(notice)
    room.get(mail(message_id="c", refs=["b"], snippet="Autre chose."))
    assert len(told(deployment)) == 1
    deployment.database.advance(timedelta(days=1))
    tomorrow = NOW + timedelta(days=1)
    room.get(mail(message_id="d", refs=["c"], internal_date=tomorrow, sent_at=tomorrow))
    assert len(told(deployment)) == 2
    assert "Autre chose" not in words(told(deployment)[1])


def test_a_conversation_that_joins_another_before_the_notice_leaves_is_told_of(
    deployment: Deployment, room: Mailroom
) -> None:
    room.get(mail(message_id="a", nature="list"), mail(message_id="c", refs=["b"], subject="x"))
    room.get(mail(message_id="b", refs=["a"], nature="list", subject="y"))
    assert len({e["thread_id"] for e in room.emails()}) == 1
    (notice,) = told(deployment)
    assert "virement" in words(notice)


def test_many_answers_are_told_of_by_the_hour(deployment: Deployment, room: Mailroom) -> None:
    for number in range(MOST_PER_DAY):
        room.get(mail(subject=f"Sujet {number}", snippet=f"Un {number}."))
    assert len(told(deployment)) == MOST_PER_DAY
    room.get(*(mail(subject=f"Objet {n}", snippet=f"Deux {n}.") for n in range(30)))
    assert len(told(deployment)) == MOST_PER_DAY
    assert room.get(mail(subject="Encore", snippet="Trois."))["notices"] == 0
    deployment.database.advance(timedelta(hours=1))
    digest = told(deployment)[-1]
    assert len(told(deployment)) == MOST_PER_DAY + 1
    assert digest["Subject"] == "31 réponses à lire"
    assert "Deux 0." in words(digest)
    assert "Un 0." not in words(digest)
    assert "11 autres réponses vous attendent" in words(digest)


@pytest.mark.parametrize(
    ("reply_to", "owner_email", "to"),
    [
        ("patron@x.example", "gerant@x.example", "patron@x.example"),
        (None, "gerant@x.example", "gerant@x.example"),
        ("pas une adresse", None, ADDRESS),
    ],
)
def test_the_notice_goes_to_whom_the_business_names(
    deployment: Deployment, reply_to: str | None, owner_email: str | None, to: str
) -> None:
    deployment.execute("UPDATE ponctuel.businesses SET reply_to = :a", a=reply_to)
    Mailroom(deployment.database, owner_email=owner_email).get(mail())
    assert [m["recipient"] for m in deployment.messages(kind=REPLY)] == [to]


def test_a_notice_and_what_answers_it_are_no_answers(
    deployment: Deployment, room: Mailroom
) -> None:
    """Not even where the user is a customer of their own, or answers from another address."""
    deployment.customer("C9", emails=f"{ADDRESS};perso@x.example;relances@ponctuel.example")
    room.get(mail())
    (notice,) = told(deployment)
    own = notice["Message-ID"].strip("<>")
    room.get(
        mail(message_id=own, from_email="relances@ponctuel.example", snippet="copie"),
        mail(refs=[own], from_email="perso@x.example", snippet="Bien reçu"),
        mail(refs=[own], from_email=ADDRESS, snippet="Je m'en occupe"),
    )
    assert len(told(deployment)) == 1
    assert len(deployment.rows("SELECT 1 FROM ponctuel.inbound_messages")) == 1


def test_a_stranger_and_a_shared_address_are_named_as_such(
    deployment: Deployment, room: Mailroom
) -> None:
    deployment.customer("C2", emails="cabinet@comptable.example")
    deployment.customer("C3", emails="cabinet@comptable.example")
    _, message_id = relance(deployment.database)
    room.get(mail(from_email="inconnu@ailleurs.example", from_name="", refs=[message_id]))
    room.get(mail(from_email="cabinet@comptable.example", subject="Bonjour"))
    stranger, shared = sorted(
        map(words, told(deployment)), key=lambda text: "inconnu@ailleurs.example" not in text
    )
    assert "inconnu@ailleurs.example vous a écrit" in stranger
    assert "(F1) dont son expéditeur n’était pas le destinataire" in stranger
    assert "celle de 2 clients" in shared
    assert "pause jusqu" not in stranger + shared


def test_a_mailbox_that_pauses_nothing_says_that_relances_go_on(deployment: Deployment) -> None:
    Mailroom(deployment.database, pause_replies=False).get(mail())
    (notice,) = told(deployment)
    assert "Ses relances continuent (factures F1, F2 et F3, devis D1)" in words(notice)


def test_a_notice_whose_mailbox_was_removed_is_cancelled(
    deployment: Deployment, room: Mailroom
) -> None:
    room.get(mail())
    deployment.execute("DELETE FROM ponctuel.mailboxes")
    assert told(deployment) == []
    (notice,) = deployment.messages(kind=REPLY)
    assert (notice["state"], notice["error_code"]) == ("cancelled", "deleted")


@pytest.mark.parametrize(
    "changes",
    [
        {"from_name": "\u202e\u200b", "subject": "\u200b", "snippet": ""},
        {"from_name": "<b>x</b>", "subject": "a\r\nBcc: x@y.example", "snippet": "<script>" * 500},
        {"snippet": "\u202e" * 3_000 + "x", "from_name": "é" * 4_000, "subject": "z" * 4_000},
    ],
)
def test_whatever_strangers_wrote_can_be_told(
    deployment: Deployment, room: Mailroom, changes: dict[str, Any]
) -> None:
    room.get(mail(**changes))
    (notice,) = told(deployment)
    assert notice["Bcc"] is None
    html = notice.get_body(("html",))
    assert html is not None
    assert "<script" not in html.get_content()
    assert CUSTOMER in words(notice)


def test_the_twin_is_not_told(deployment: Deployment, room: Mailroom) -> None:
    twin = Mailroom(deployment.database, business_id="B2")
    room.get(mail(snippet="Pour le premier."))
    twin.get(mail(snippet="Pour le second."))
    sent = [words(notice) for notice in told(deployment)]
    assert sorted(("premier" in text, "second" in text) for text in sent) == [
        (False, True),
        (True, False),
    ]


def test_the_limit_is_on_conversations_with_a_notice_of_their_own() -> None:
    clock = datetime(2026, 3, 10, 9, 20, tzinfo=UTC)
    day = "2026-03-10"
    assert wanted(["7"], [], clock, day) == [("7", day, clock)]
    assert wanted(["7"], ["7"], clock, day) == []
    full = [str(n) for n in range(MOST_PER_DAY)]
    assert wanted(["7", *full[:2]], full[:-1], clock, day) == [("7", day, clock)]
    hour = clock.replace(minute=0)
    digest = [(DIGEST, hour.isoformat(), hour + timedelta(hours=1))]
    assert wanted(["7"], full, clock, day) == digest
    assert wanted(full[:2], full, clock, day) == []
    assert wanted([f"x{n}" for n in range(MOST_PER_DAY + 1)], [], clock, day) == digest


@given(
    st.integers(0, 100 * 366 * 86_400),
    st.sampled_from(["Europe/Paris", "Indian/Reunion", "America/Cayenne", "Pacific/Noumea"]),
)
def test_a_notice_planned_now_tells_of_now(seconds: int, name: str) -> None:
    """Also on the days on which the clock is moved."""
    clock = datetime(2000, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    local = ZoneInfo(name)
    day = clock.astimezone(local).date().isoformat()
    for told_today in ([], [str(n) for n in range(MOST_PER_DAY)]):
        ((subject, cycle, _),) = wanted(["x"], told_today, clock, day)
        since, until = period(subject, cycle, local)
        assert since <= clock < until
