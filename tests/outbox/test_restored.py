"""A restored or copied database: nothing leaves it before an operator has accepted it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import Engine

from chalicelib.errors import BadRequest, DatabaseRestored, SettingsError
from chalicelib.message_reference import number_of, reference
from chalicelib.outbox import operator, restored
from chalicelib.outbox.go_live import go_live
from chalicelib.outbox.restored import accept, look, remember, verify
from chalicelib.providers.ledger_mark import FileMark, Mark
from tests.harness import Deployment
from tests.outbox.test_reconcile import uncertain

WHO = {"by": "Léa", "reason": "sauvegarde de la nuit"}


@pytest.fixture
def engine(deployment: Deployment) -> Engine:
    return deployment.database.engine()


@pytest.fixture
def marks(tmp_path: Path) -> FileMark:
    return FileMark(tmp_path / "mark.json")


def claimed(engine: Engine) -> Mark:
    """A claim's transaction."""
    with engine.begin() as connection:
        counted = "UPDATE ponctuel.deployment SET claims = claims + 1 RETURNING id, claims"
        return Mark(*connection.exec_driver_sql(counted).one())


def sent(engine: Engine, marks: FileMark, times: int = 1) -> None:
    for _ in range(times):
        verify(engine, marks)
        remember(engine, marks, claimed(engine))


def restore(deployment: Deployment, claims: int) -> None:
    """As if this were the backup of an earlier time."""
    deployment.execute("UPDATE ponctuel.deployment SET claims = :claims", claims=claims)


def message(deployment: Deployment, subject: str) -> Mapping[str, Any]:
    return deployment.messages(subject=subject)[0]


def planned(deployment: Deployment, subject: str, state: str, hold: str | None = None) -> int:
    number = uncertain(deployment, subject)
    deployment.execute(
        "UPDATE ponctuel.messages SET state = :state, hold_reason = :hold, proof_at = NULL "
        "WHERE id = :id",
        state=state,
        hold=hold,
        id=number,
    )
    return number


# Recognising it


def test_a_new_database_writes_its_mark_and_sends(engine: Engine, marks: FileMark) -> None:
    assert look(engine, marks).standing == "new"
    sent(engine, marks, 3)
    ledger = look(engine, marks)
    assert (ledger.standing, ledger.database.claims) == ("same", 3)
    assert ledger.mark == ledger.database


def test_an_older_copy_sends_nothing_however_often_it_tries(
    deployment: Deployment, engine: Engine, marks: FileMark
) -> None:
    sent(engine, marks, 5)
    restore(deployment, 4)
    for _ in range(3):
        with pytest.raises(DatabaseRestored, match="copie ancienne") as caught:
            verify(engine, marks)
    assert "ledger reconcile" in str(caught.value)
    assert look(engine, marks).database.claims == 4


def test_another_database_in_its_place_sends_nothing(
    deployment: Deployment, engine: Engine, marks: FileMark
) -> None:
    sent(engine, marks)
    deployment.execute("UPDATE ponctuel.deployment SET id = gen_random_uuid(), claims = 99")
    with pytest.raises(DatabaseRestored, match="n'est pas celle qui envoie ici"):
        verify(engine, marks)


def test_a_copy_on_a_stage_without_a_mark_sends_nothing(
    engine: Engine, marks: FileMark, tmp_path: Path
) -> None:
    sent(engine, marks)
    with pytest.raises(DatabaseRestored, match="déjà envoyé, mais pas ici"):
        verify(engine, FileMark(tmp_path / "of-another-stage.json"))


def test_a_mark_that_cannot_be_read_stops_everything(engine: Engine, marks: FileMark) -> None:
    sent(engine, marks)
    Path(marks.where).write_text("{")
    with pytest.raises(SettingsError):
        verify(engine, marks)
    with pytest.raises(SettingsError):
        remember(engine, marks, claimed(engine))


def test_claims_that_come_in_another_order_are_no_restore(engine: Engine, marks: FileMark) -> None:
    verify(engine, marks)
    first, second = claimed(engine), claimed(engine)
    remember(engine, marks, second)
    remember(engine, marks, first)
    assert marks.read() == second
    verify(engine, marks)


def test_a_database_that_is_replaced_during_a_delivery_is_noticed_at_the_next_claim(
    deployment: Deployment, engine: Engine, marks: FileMark
) -> None:
    sent(engine, marks, 5)
    restore(deployment, 2)
    with pytest.raises(DatabaseRestored):
        remember(engine, marks, claimed(engine))
    marks.replace(Mark(uuid4(), 1))
    with pytest.raises(DatabaseRestored):
        remember(engine, marks, claimed(engine))


def test_a_claim_whose_mark_was_not_written_is_no_restore(engine: Engine, marks: FileMark) -> None:
    sent(engine, marks)
    claimed(engine)  # and the process died
    verify(engine, marks)


# Accepting it


@pytest.fixture
def older(deployment: Deployment, engine: Engine, marks: FileMark) -> Deployment:
    """A restored database with messages in every state, whose businesses were live."""
    deployment.go_live("B1", "B2")
    for state, hold in (
        ("planned", None),
        ("claimed", None),
        ("submitting", None),
        ("accepted", None),
        ("held", "review"),
        ("held", "window"),
        ("cancelled", None),
    ):
        planned(deployment, hold or state, state, hold)
    uncertain(deployment, "uncertain")
    sent(engine, marks, 5)
    restore(deployment, 3)
    return deployment


def test_accepting_it_holds_whatever_has_not_left(
    older: Deployment, engine: Engine, marks: FileMark
) -> None:
    accepted = accept(engine, marks, **WHO)
    assert (accepted.held, accepted.uncertain) == (4, 1)
    states = {m["subject"]: (m["state"], m["hold_reason"]) for m in older.messages()}
    held = ("held", "restored")
    assert states == {
        "planned": held,
        "claimed": held,
        "submitting": ("uncertain", None),
        "accepted": ("accepted", None),
        "review": held,
        "window": held,
        "cancelled": ("cancelled", None),
        "uncertain": ("uncertain", None),
    }
    recorded = older.rows("SELECT * FROM ponctuel.message_events")
    assert len(recorded) == 5
    assert {(e["event"], e["actor"], e["reason"]) for e in recorded} == {
        ("restored", "Léa", "sauvegarde de la nuit")
    }


def test_then_it_is_the_one_that_sends_under_its_own_id(
    older: Deployment, engine: Engine, marks: FileMark
) -> None:
    before = look(engine, marks)
    accepted = accept(engine, marks, **WHO)
    assert accepted.now == marks.read() == Mark(before.database.deployment, 6)
    verify(engine, marks)
    with pytest.raises(BadRequest, match="rien à réconcilier"):
        accept(engine, marks, **WHO)


def test_proof_is_looked_for_and_no_policy_resends(
    older: Deployment, engine: Engine, marks: FileMark
) -> None:
    accept(engine, marks, **WHO)
    called = message(older, "submitting")
    assert called["proof_at"] is not None
    assert {message(older, s)["resends"] for s in ("submitting", "uncertain")} == {1}


def test_every_business_is_back_in_review_and_going_live_lets_go_of_nothing_held(
    older: Deployment, engine: Engine, marks: FileMark
) -> None:
    older.open_business("B1")
    assert accept(engine, marks, **WHO).closed == ("B1", "B2")
    assert older.rows("SELECT business_id, kind FROM ponctuel.go_lives") == [
        {"business_id": "*", "kind": "*"}
    ]
    with older.database.begin() as connection:
        go_live(connection, business_id="B1", **WHO)
    assert message(older, "review")["hold_reason"] == "restored"


def test_new_messages_get_no_id_of_before(
    older: Deployment, engine: Engine, marks: FileMark
) -> None:
    highest = max(m["id"] for m in older.messages())
    accept(engine, marks, **WHO)
    assert uncertain(older, "new") > highest + restored.SKIPPED_IDS


def test_an_operator_releases_what_did_not_leave_and_settles_what_did(
    older: Deployment, engine: Engine, marks: FileMark
) -> None:
    accept(engine, marks, **WHO)
    ids = {m["subject"]: m["id"] for m in older.messages()}
    with older.database.begin() as connection:
        arrived = operator.arrived(connection, [ids["planned"], ids["cancelled"]], **WHO)
        released = operator.release(connection, [ids["window"]], **WHO)
    assert arrived.changed == (ids["planned"],)
    assert [left.id for left in arrived.left] == [ids["cancelled"]]
    assert released.changed == (ids["window"],)
    states = {m["subject"]: m["state"] for m in older.messages()}
    assert (states["planned"], states["window"]) == ("accepted", "planned")
    assert states["claimed"] == "held"


def test_the_copy_of_another_stages_database_gets_an_id_of_its_own(
    older: Deployment, engine: Engine, tmp_path: Path
) -> None:
    elsewhere = FileMark(tmp_path / "of-another-stage.json")
    original = look(engine, elsewhere).database.deployment
    now = accept(engine, elsewhere, **WHO).now
    assert now.deployment != original
    verify(engine, elsewhere)
    # What a provider tells about the original's messages is not this copy's.
    assert number_of(reference(original, 1), now.deployment) is None


def test_a_mark_that_nobody_can_read_is_replaced(
    deployment: Deployment, engine: Engine, marks: FileMark
) -> None:
    Path(marks.where).write_text("{")
    now = accept(engine, marks, **WHO).now
    assert marks.read() == now
    verify(engine, marks)


def test_a_reason_has_to_be_given(older: Deployment, engine: Engine, marks: FileMark) -> None:
    with pytest.raises(BadRequest, match="raison"):
        accept(engine, marks, by="Léa", reason=" ")
    assert message(older, "planned")["state"] == "planned"


def test_when_the_mark_cannot_be_written_accepting_can_be_done_again(
    older: Deployment, engine: Engine, tmp_path: Path
) -> None:
    class Full(FileMark):
        """A disk that is full at the last moment."""

        def replace(self, mark: Mark) -> None:
            raise SettingsError("plein")

    path = tmp_path / "of-another-stage.json"
    with pytest.raises(SettingsError, match="plein"):
        accept(engine, Full(path), **WHO)
    with pytest.raises(DatabaseRestored):
        verify(engine, FileMark(path))
    accept(engine, FileMark(path), **WHO)
    verify(engine, FileMark(path))
    older.database.advance(timedelta(minutes=1))
    assert message(older, "planned")["hold_reason"] == "restored"
