"""What is written of a run's mailboxes: at once, only by who holds them, and told to the owner."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import event

from chalicelib.domain.inbox.outcomes import Outcome, Recorded, record
from chalicelib.domain.inbox.trouble import MAILBOX_TROUBLE
from tests.database import Server
from tests.domain.inbox.mailbox_rows import add
from tests.harness import NOW, Deployment, deployed

TICK = datetime(2026, 3, 10, 9, 5, tzinfo=UTC)
DAY = timedelta(days=1)
OWNER = "camille@perrin.example"
REFUSED = "Le serveur refuse ce mot de passe."


@pytest.fixture(scope="module")
def shared(
    database_server: Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployment]:
    with (
        database_server.database() as database,
        pytest.MonkeyPatch.context() as environment,
        deployed(database, tmp_path_factory.mktemp("inbox"), environment) as deployment,
    ):
        yield deployment


@pytest.fixture
def stage(shared: Deployment) -> Deployment:
    shared.reset()
    shared.open_business()
    shared.execute(
        "INSERT INTO ponctuel.go_lives (business_id, kind, at, by) "
        "VALUES ('B1', :kind, ponctuel.clock(), 'test')",
        kind=MAILBOX_TROUBLE,
    )
    return shared


def mailbox(stage: Deployment, address: str = "compta@perrin.example", **row: object) -> int:
    with stage.database.begin() as connection:
        return add(connection, address, **({"fence": 1} | row))  # type: ignore[arg-type]


def recorded(stage: Deployment, *outcomes: Outcome) -> Recorded:
    with stage.database.begin() as connection:
        return record(connection, outcomes, next_tick=TICK, run_id=uuid4(), draw=lambda: 0.0)


def failure(mailbox_id: int, code: str = "credentials", fence: int = 1) -> Outcome:
    return Outcome(mailbox_id, fence, code, REFUSED)


def rows(stage: Deployment) -> Sequence[Mapping[str, Any]]:
    return stage.rows("SELECT * FROM ponctuel.mailboxes ORDER BY id")


def row(stage: Deployment, mailbox_id: int) -> Mapping[str, Any]:
    return next(found for found in rows(stage) if found["id"] == mailbox_id)


def notices(stage: Deployment) -> list[Mapping[str, Any]]:
    return stage.messages(kind=MAILBOX_TROUBLE)


def troubled(past: timedelta, **others: object) -> dict[str, object]:
    return {"failures": 20, "failing_since": NOW - past, "error_code": "connection", **others}


def refused(past: timedelta, count: int = 20, **others: object) -> dict[str, object]:
    return troubled(past, refusals=count, refused_since=NOW - past, **others)


def test_a_good_sync_lets_go_and_forgets_what_was(stage: Deployment) -> None:
    held = NOW + timedelta(minutes=2)
    id_ = mailbox(stage, **refused(DAY, told_code="credentials", held_until=held, deaths=2))
    said = recorded(stage, Outcome(id_, 1))
    assert said == Recorded((id_,), (), (), 0)
    after = row(stage, id_)
    assert after["next_sync_at"] == TICK
    assert abs(after["synced_at"] - NOW) < timedelta(minutes=1)
    assert (after["held_until"], after["deaths"]) == (None, 0)
    names = ("failures", "failing_since", "refusals", "refused_since", "error_code", "told_code")
    assert [after[name] for name in names] == [0, None, 0, None, None, None]


def test_a_sync_that_ran_out_of_time_goes_on_at_once_and_has_not_come_to_the_end(
    stage: Deployment,
) -> None:
    id_ = mailbox(stage, **troubled(DAY))
    recorded(stage, Outcome(id_, 1, complete=False))
    after = row(stage, id_)
    assert abs(after["next_sync_at"] - NOW) < timedelta(minutes=1)
    assert (after["synced_at"], after["failures"]) == (None, 0)


def test_a_failure_is_kept_with_its_words_and_tried_again_later(stage: Deployment) -> None:
    id_ = mailbox(stage, synced_at=NOW - DAY)
    recorded(stage, failure(id_))
    after = row(stage, id_)
    assert (after["error_code"], after["error"], after["refusals"]) == ("credentials", REFUSED, 1)
    assert (after["failures"], after["state"]) == (1, "active")
    assert after["synced_at"] == NOW - DAY
    wait = after["next_sync_at"] - after["failing_since"]
    assert wait == timedelta(minutes=15)
    assert notices(stage) == []


def test_who_lost_the_mailbox_writes_nothing(stage: Deployment) -> None:
    mine, taken = mailbox(stage), mailbox(stage, "b@perrin.example", fence=2)
    before = row(stage, taken)
    said = recorded(stage, failure(mine), failure(taken), failure(999_999))
    assert (said.written, said.lost) == ((mine,), (taken, 999_999))
    assert row(stage, taken) == before


def test_nothing_happened_is_nothing_to_write(stage: Deployment) -> None:
    assert recorded(stage) == Recorded((), (), (), 0)


def test_two_hundred_mailboxes_are_three_statements(stage: Deployment) -> None:
    ids = [mailbox(stage, f"{n}@perrin.example", **refused(2 * DAY)) for n in range(200)]
    outcomes = [failure(id_) if number % 2 else Outcome(id_, 1) for number, id_ in enumerate(ids)]
    statements: list[str] = []
    with stage.database.begin() as connection:
        event.listen(
            connection.engine,
            "before_cursor_execute",
            lambda _c, _u, statement, *_: statements.append(statement),
        )
        said = record(connection, outcomes, next_tick=TICK)
    assert len(said.written) == 200
    assert said.told == 100
    assert len(statements) == 3


def test_three_days_of_refusals_switch_a_mailbox_off(stage: Deployment) -> None:
    id_ = mailbox(stage, **refused(3 * DAY))
    assert recorded(stage, failure(id_)).stopped == (id_,)
    assert row(stage, id_)["state"] == "disabled"


def test_mailboxes_that_their_host_refuses_together_stay_on(stage: Deployment) -> None:
    """As on 8 January 2026: healthy accounts, refused for hours."""
    ids = [mailbox(stage, f"{n}@perrin.example", **refused(4 * DAY)) for n in range(4)]
    elsewhere = mailbox(stage, "x@autre.example", host="imap.autre.example", **refused(4 * DAY))
    said = recorded(stage, *[failure(id_) for id_ in (*ids[:2], elsewhere)])
    assert said.stopped == (elsewhere,)
    # The host lets the others in again: these two are refused for reasons of their own.
    recorded(stage, *[Outcome(id_, 1) for id_ in ids[2:]])
    said = recorded(stage, *[failure(id_) for id_ in ids[:2]])
    assert said.stopped == tuple(ids[:2])


def test_what_the_same_run_saw_counts_for_the_host(stage: Deployment) -> None:
    ids = [mailbox(stage, f"{n}@perrin.example", **refused(4 * DAY)) for n in range(6)]
    outcomes = [Outcome(id_, 1) if number > 1 else failure(id_) for number, id_ in enumerate(ids)]
    assert recorded(stage, *outcomes).stopped == tuple(ids[:2])
    ids = [mailbox(stage, f"n{n}@perrin.example", **refused(4 * DAY)) for n in range(6)]
    outcomes = [Outcome(id_, 1) if number > 4 else failure(id_) for number, id_ in enumerate(ids)]
    assert recorded(stage, *outcomes).stopped == ()


def test_paused_and_switched_off_mailboxes_say_nothing_about_their_host(stage: Deployment) -> None:
    for number, state in enumerate(("paused", "disabled", "reauthorise", "paused")):
        mailbox(stage, f"{number}@perrin.example", state=state, **refused(9 * DAY))
    id_ = mailbox(stage, **refused(4 * DAY))
    assert recorded(stage, failure(id_)).stopped == (id_,)


def test_the_owner_is_told_once_of_one_trouble_and_again_of_the_next(stage: Deployment) -> None:
    id_ = mailbox(stage, owner_email=OWNER, **troubled(DAY))
    for _ in range(3):
        recorded(stage, failure(id_, "connection"))
    (notice,) = notices(stage)
    assert (notice["subject"], notice["step"]) == (str(id_), "connection")
    assert (notice["recipient"], notice["state"]) == (OWNER, "planned")
    assert notice["run_id"] is not None
    recorded(stage, Outcome(id_, 1))
    for hours in (0, 25, 50):
        stage.database.set_clock(NOW + timedelta(hours=hours))
        recorded(stage, failure(id_, "connection"))
    assert len(notices(stage)) == 2


def test_the_same_trouble_is_not_told_twice_even_to_who_has_forgotten_it(
    stage: Deployment,
) -> None:
    id_ = mailbox(stage, **troubled(DAY))
    recorded(stage, failure(id_, "connection"))
    stage.execute("UPDATE ponctuel.mailboxes SET told_code = NULL")
    assert recorded(stage, failure(id_, "connection")).told == 0


def test_without_an_owner_the_mailbox_itself_is_written_to(stage: Deployment) -> None:
    recorded(stage, failure(mailbox(stage), "reauthorise"))
    (notice,) = notices(stage)
    assert notice["recipient"] == "compta@perrin.example"
    assert rows(stage)[0]["state"] == "reauthorise"


def test_before_go_live_the_notice_waits_in_review(stage: Deployment) -> None:
    stage.execute("DELETE FROM ponctuel.go_lives WHERE kind = :kind", kind=MAILBOX_TROUBLE)
    recorded(stage, failure(mailbox(stage), "reauthorise"))
    assert [notice["hold_reason"] for notice in notices(stage)] == ["review"]


def told(stage: Deployment) -> tuple[str, str]:
    """Subject and words of the one e-mail that left."""
    (entry,) = stage.smtp.accepted()
    mail = message_from_bytes((stage.smtp.folder / entry.file).read_bytes(), policy=policy.default)
    body = mail.get_body(("plain",))
    assert body is not None
    return " ".join(mail["Subject"].split()), " ".join(body.get_content().split())


def test_the_notice_says_what_happened_and_what_to_do(stage: Deployment) -> None:
    id_ = mailbox(stage, owner_email=OWNER, synced_at=NOW - DAY, **refused(DAY))
    recorded(stage, failure(id_))
    stage.deliver()
    subject, words = told(stage)
    assert subject == "Le mot de passe de votre boîte est refusé : compta@perrin.example"
    assert "Depuis le 9 mars 2026 à 10 h 00, Ponctuel ne peut plus lire la boîte" in words
    assert "imap.perrin.example refuse le mot de passe enregistré" in words
    assert (
        f"transmettez le nouveau à la personne qui gère Ponctuel, pour la boîte n° {id_}" in words
    )
    assert "nous cesserons à partir du 12 mars 2026 à 10 h 00" in words
    assert [notice["state"] for notice in notices(stage)] == ["accepted"]


def test_a_notice_that_waited_says_how_the_mailbox_is_when_it_leaves(stage: Deployment) -> None:
    id_ = mailbox(stage, token_issuer="google", auth="xoauth2", **troubled(DAY))
    recorded(stage, failure(id_, "connection"))
    recorded(stage, failure(id_, "certificate"))
    stage.deliver()
    assert "certificat de sécurité du serveur imap.perrin.example a expiré" in told(stage)[1]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (
            "UPDATE ponctuel.mailboxes SET failing_since = NULL, error_code = NULL, "
            "told_code = NULL, failures = 0",
            "mailbox_recovered",
        ),
        ("UPDATE ponctuel.mailboxes SET state = 'paused'", "mailbox_recovered"),
        # Recovered, and in trouble again since: that is another notice's to say.
        ("UPDATE ponctuel.mailboxes SET failing_since = ponctuel.clock()", "mailbox_recovered"),
        ("DELETE FROM ponctuel.mailboxes", "mailbox_removed"),
    ],
)
def test_a_notice_is_not_sent_once_the_trouble_is_over(
    stage: Deployment, change: str, why: str
) -> None:
    recorded(stage, failure(mailbox(stage, **troubled(DAY)), "connection"))
    stage.execute(change)
    stage.deliver()
    assert stage.smtp.accepted() == []
    assert [(n["state"], n["error_code"]) for n in notices(stage)] == [("cancelled", why)]


def test_at_night_the_notice_waits_for_the_morning(stage: Deployment) -> None:
    stage.database.set_clock(datetime(2026, 3, 10, 21, 40, tzinfo=UTC))
    id_ = mailbox(stage, owner_email=OWNER)
    recorded(stage, failure(id_, "reauthorise"))
    stage.deliver()
    assert stage.smtp.accepted() == []
    stage.database.set_clock(datetime(2026, 3, 11, 7, 5, tzinfo=UTC))
    stage.deliver()
    assert told(stage)[0].startswith("Votre boîte doit être reconnectée")
