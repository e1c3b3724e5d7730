"""A restore brings accounts back that were erased: they are erased again, and nobody else is."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from chalicelib.domain.accounts import erasure_scan, replaying, tombstones
from chalicelib.domain.accounts.replaying import There, judge
from chalicelib.domain.accounts.tombstones import Tombstone
from chalicelib.errors import ProviderError
from chalicelib.providers.storage.folder import FolderStorage
from tests.domain.accounts.backup import restore, save
from tests.domain.accounts.erased import (
    by_number,
    documents,
    fill,
    lock,
    night,
    receipts,
    rows_of,
)
from tests.domain.accounts.people import deletion
from tests.domain.accounts.test_erasing import STEPS
from tests.harness import Deployment

BORN = datetime(2024, 1, 1, tzinfo=UTC)
GONE = datetime(2026, 3, 1, tzinfo=UTC)
SECRET = "link-secret-of-these-tests-0123456789"


@pytest.fixture(autouse=True)
def secret(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LINK_SECRET", SECRET)


def filled(deployment: Deployment, business: str) -> None:
    """With accounts that are older than what becomes of them."""
    fill(deployment, business)
    deployment.execute(
        "UPDATE ponctuel.users SET created_at = :born WHERE business_id = :business",
        born=BORN,
        business=business,
    )


def compare(deployment: Deployment, *secrets: str) -> replaying.Comparison:
    storage = FolderStorage(deployment.documents)
    return replaying.compare(deployment.database.engine(), storage, secrets or (SECRET,))


def replay(deployment: Deployment) -> int:
    found = compare(deployment)
    return replaying.erase_again(deployment.database.engine(), found, by="anne")


def verdicts(found: replaying.Comparison) -> list[tuple[str, str, str]]:
    return [(f.there.business_id, f.there.user_id, f.verdict) for f in found.found]


def left_of(deployment: Deployment, user: str, scope: str, business: str = "B1") -> dict[str, int]:
    values = {
        "business": business,
        "user": user,
        "person": f"user:{user}",
        "email": f"{user.lower()}@{business.lower()}.example",
        "deletion": "0",
        "number": 0,
        "scope": scope,
    }
    with deployment.database.begin() as connection:
        return erasure_scan.found(connection, scope, values)


def graves(deployment: Deployment) -> list[str]:
    return FolderStorage(deployment.documents).keys(tombstones.FOLDER)


@pytest.mark.parametrize(("user", "scope"), [("U1", "user"), ("O", "business")])
def test_who_a_restore_brings_back_is_erased_again_with_receipts_and_no_twin(
    deployment: Deployment, user: str, scope: str
) -> None:
    filled(deployment, "B1")
    filled(deployment, "B2")
    if scope == "business":  # nobody else uses it
        deployment.execute("UPDATE ponctuel.users SET active = false WHERE id = 'U1'")
    save(deployment)
    first = lock(deployment, user)
    night(deployment)
    assert by_number(deployment, first)["state"] == "erased"
    restore(deployment)
    assert left_of(deployment, user, scope)["users"] >= 1
    before = rows_of(deployment, "B2")
    assert verdicts(compare(deployment)) == [("B1", user, "returned")]
    assert replay(deployment) == 1
    again = deletion(deployment, user)
    assert (again["state"], again["scope"], again["requested_by"]) == ("locked", scope, "replay")
    night(deployment)
    done = by_number(deployment, again["id"])
    assert (done["state"], sorted(receipts(deployment, done["id"]))) == ("erased", sorted(STEPS))
    assert left_of(deployment, user, scope) == {}
    assert rows_of(deployment, "B2") == before
    assert verdicts(compare(deployment)) == []
    assert replay(deployment) == 0
    archived = deployment.rows("SELECT number FROM ponctuel.accounting_archive")
    assert [row["number"] for row in archived] == ["F1"] * (scope == "business")


def test_a_comparison_alone_writes_nothing(deployment: Deployment) -> None:
    filled(deployment, "B1")
    save(deployment)
    lock(deployment)
    night(deployment)
    restore(deployment)
    before = rows_of(deployment, "B1")
    compare(deployment)
    assert rows_of(deployment, "B1") == before


def test_a_replay_that_dies_in_the_middle_goes_on_behind_its_receipts_and_twice_is_once(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(deployment, "B1")
    save(deployment)
    lock(deployment)
    night(deployment)
    restore(deployment)
    assert replay(deployment) == 1
    assert replay(deployment) == 0
    with monkeypatch.context() as dying:
        dying.setattr(tombstones, "bury", _killed)
        night(deployment)
    number = deletion(deployment)["id"]
    assert receipts(deployment, number) != []
    assert verdicts(compare(deployment)) == [("B1", "U1", "under_way")]
    assert replay(deployment) == 0
    night(deployment)
    night(deployment)
    assert by_number(deployment, number)["state"] == "erased"
    assert left_of(deployment, "U1", "user") == {}


def _killed(*_: Any) -> None:
    raise RuntimeError("killed")


def test_an_id_that_somebody_new_has_since_is_not_erased(deployment: Deployment) -> None:
    filled(deployment, "B1")
    save(deployment)
    lock(deployment)
    night(deployment)
    deployment.execute(
        "INSERT INTO ponctuel.users (business_id, id, name, role, created_at)"
        " VALUES ('B1', 'U1', 'Nouvelle', 'member', ponctuel.clock())"
    )
    assert verdicts(compare(deployment)) == [("B1", "U1", "new")]
    assert replay(deployment) == 0
    night(deployment)
    assert len(deployment.rows("SELECT * FROM ponctuel.users WHERE id = 'U1'")) == 1


def test_a_request_that_the_backup_still_has_is_locked_and_not_told_anew(
    deployment: Deployment,
) -> None:
    filled(deployment, "B1")
    deployment.execute(
        "INSERT INTO ponctuel.account_deletions (business_id, user_id, state, requested_at,"
        " requested_by, scheduled_at, zone) VALUES ('B1', 'U1', 'scheduled', ponctuel.clock(),"
        " 'user', ponctuel.clock() + interval '9 days', 'Europe/Paris')"
    )
    save(deployment)
    deployment.execute(
        "UPDATE ponctuel.account_deletions SET state = 'locked', scope = 'user',"
        " locked_at = ponctuel.clock()"
    )
    night(deployment)
    restore(deployment)
    assert replay(deployment) == 1
    assert deletion(deployment)["requested_by"] == "user"
    messages = len(deployment.messages())
    night(deployment)
    assert deployment.rows("SELECT state FROM ponctuel.account_deletions") == [{"state": "erased"}]
    assert len(deployment.messages()) < messages


def test_a_business_that_others_use_is_for_an_operator_to_decide(deployment: Deployment) -> None:
    filled(deployment, "B1")
    save(deployment)
    deployment.execute("DELETE FROM ponctuel.users WHERE id = 'U1'")  # by the application
    lock(deployment, "O")
    night(deployment)
    restore(deployment)
    [found] = compare(deployment).found
    assert (found.verdict, found.why) == ("doubtful", "others")
    assert replay(deployment) == 0


def test_users_erased_one_by_one_and_then_their_business_all_go_again(
    deployment: Deployment,
) -> None:
    filled(deployment, "B1")
    save(deployment)
    lock(deployment, "U1")
    night(deployment)
    lock(deployment, "O")
    night(deployment)
    restore(deployment)
    assert [v for *_, v in verdicts(compare(deployment))] == ["returned", "returned"]
    assert replay(deployment) == 2
    night(deployment)
    night(deployment)
    assert {name for name, rows in rows_of(deployment, "B1").items() if rows} <= {
        "accounting_archive", "account_deletions", "erasure_receipts", "erasure_tombstones",
        "suppressions", "run_items", "legal_holds",
    }  # fmt: skip


def test_a_hold_of_the_restored_database_holds_against_a_replay(deployment: Deployment) -> None:
    filled(deployment, "B1")
    save(deployment)
    lock(deployment)
    night(deployment)
    restore(deployment)
    deployment.execute("INSERT INTO ponctuel.legal_holds (business_id, user_id) VALUES ('B1','U1')")
    assert replay(deployment) == 1
    night(deployment)
    found = deletion(deployment)
    assert (found["state"], found["blocked_reason"]) == ("locked", "legal_hold")


def test_a_tombstone_names_nobody_and_a_changed_one_is_refused(deployment: Deployment) -> None:
    filled(deployment, "B1")
    save(deployment)
    lock(deployment)
    night(deployment)
    [key] = graves(deployment)
    path = deployment.documents / key
    said = json.loads(path.read_text())
    assert "U1" not in path.read_text() + key
    assert "@" not in path.read_text()
    restore(deployment)
    foreign = compare(deployment, "another-secret-of-thirty-two-characters")
    assert (foreign.foreign, verdicts(foreign)) == (1, [])
    rotated = compare(deployment, "another-secret-of-thirty-two-characters", SECRET)
    assert verdicts(rotated) == [("B1", "U1", "returned")]
    for wrong in (json.dumps(said | {"locked_at": "2030-01-01T00:00:00+00:00"}), "{}", "", "[1]"):
        path.write_text(wrong)
        found = compare(deployment)
        assert (len(found.unreadable), verdicts(found)) == (1, [])
        assert key in found.unreadable[0]


def test_without_a_tombstone_in_the_store_the_account_stays_until_there_is_one(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(deployment, "B1")
    number = lock(deployment)

    def away(*_: Any) -> None:
        raise ProviderError("folder", "Inaccessible.", permanent=False, code="connection")

    with monkeypatch.context() as broken:
        broken.setattr(FolderStorage, "write", away)
        night(deployment)
        assert "parent" not in receipts(deployment, number)
        assert len(rows_of(deployment, "B1")["users"]) == 2
        night(deployment)
        night(deployment)
        assert by_number(deployment, number)["blocked_reason"] == "tombstone_failed"
    night(deployment)
    assert by_number(deployment, number)["state"] == "erased"
    assert len(graves(deployment)) == 1


def test_tombstones_are_forgotten_after_three_years_here_and_in_the_store(
    deployment: Deployment,
) -> None:
    filled(deployment, "B1")
    lock(deployment)
    night(deployment)
    assert len(graves(deployment)) == 1
    deployment.execute(
        "UPDATE ponctuel.erasure_tombstones SET locked_at = locked_at - interval '1099 days'"
    )
    night(deployment)
    assert graves(deployment) == []
    assert deployment.rows("SELECT * FROM ponctuel.erasure_tombstones") == []
    assert "F1.pdf" in documents(deployment)


def test_a_store_that_cannot_be_read_stops_the_replay(deployment: Deployment) -> None:
    with pytest.raises(ProviderError):
        replaying.compare(
            deployment.database.engine(), FolderStorage(deployment.documents / "no"), (SECRET,)
        )


@pytest.mark.parametrize(
    ("was", "now", "known", "verdict"),
    [
        (BORN, BORN, True, "returned"),
        (BORN, BORN + timedelta(microseconds=1), True, "doubtful"),
        (BORN, GONE + timedelta(seconds=1), True, "new"),
        (None, BORN, True, "returned"),
        (None, GONE + timedelta(days=1), True, "new"),
        # A view that tells the present moment.
        (GONE + timedelta(days=1), GONE + timedelta(days=40), True, "doubtful"),
        (BORN, None, True, "doubtful"),
        # Its row had gone: the date is that of its request.
        (BORN, GONE - timedelta(days=30), False, "returned"),
        (BORN, GONE + timedelta(days=30), False, "new"),
    ],
)
def test_the_date_of_creation_tells_who_came_back_and_who_is_new(
    was: datetime | None, now: datetime | None, known: bool, verdict: str
) -> None:
    grave = Tombstone("k", "B1", 1, "user", "a", "", was, GONE)
    there = There("B1", "U1", now, True, None, None, known)
    [found] = judge([(grave, there)], [there])
    assert found.verdict == verdict


def test_of_two_erasures_of_one_id_the_one_that_fits_counts() -> None:
    first = Tombstone("a", "B1", 1, "user", "a", "", BORN, GONE)
    later = GONE + timedelta(days=100)
    second = Tombstone("b", "B1", 2, "user", "a", "", GONE + timedelta(days=1), later)
    there = There("B1", "U1", GONE + timedelta(days=1), True, None, None)
    for order in ([first, second], [second, first]):
        [found] = judge([(one, there) for one in order], [there])
        assert (found.verdict, found.tombstone.key) == ("returned", "b")


def test_a_scan_of_the_restored_rows_would_find_them(deployment: Deployment) -> None:
    """The helper of this file is no proof unless it sees what a restore brings back."""
    filled(deployment, "B1")
    save(deployment)
    lock(deployment)
    night(deployment)
    assert left_of(deployment, "U1", "user") == {}
    restore(deployment)
    with deployment.database.begin() as connection:
        assert connection.execute(text("SELECT count(*) FROM ponctuel.users")).scalar() == 2
    assert {"users", "mailboxes", "user_tokens"} <= set(left_of(deployment, "U1", "user"))
