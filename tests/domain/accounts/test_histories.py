"""Whatever happens to an account between its request and its date: nobody is locked who should not
be, no letter comes twice, and none comes too late."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.domain.accounts import requesting
from chalicelib.errors import Conflict, NotFound
from tests.database import Server
from tests.domain.accounts.people import add_user, nights, open_accounts, set_date
from tests.harness import Deployment, deployed

_LOCKED = """
SELECT d.*, u.email, u.role, u.deletion_scheduled_at AS wanted,
       EXISTS (SELECT 1 FROM ponctuel.legal_holds h WHERE h.lifted_at IS NULL) AS held,
       (SELECT count(*) FROM ponctuel.users o
         WHERE o.business_id = d.business_id AND o.id <> d.user_id AND o.active) AS others,
       (SELECT count(*) FROM ponctuel.users o
         WHERE o.business_id = d.business_id AND o.id <> d.user_id AND o.active
           AND o.role = 'owner') AS owners,
       EXISTS (SELECT 1 FROM ponctuel.messages m
                WHERE m.subject = d.id::text AND m.settled_at < d.locked_at
                  AND m.kind IN ('accounts.deletion_requested', 'accounts.deletion_reminder')
                  AND m.state = 'accepted' AND m.cycle = to_char(
                      d.scheduled_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')) AS told
  FROM ponctuel.account_deletions d
  JOIN ponctuel.users u ON u.business_id = d.business_id AND u.id = d.user_id
 WHERE d.state = 'locked'
"""
_LETTERS = """
SELECT m.*, d.state AS becomes, d.locked_at, d.cancelled_at
  FROM ponctuel.messages m JOIN ponctuel.account_deletions d ON d.id::text = m.subject
 WHERE m.state = 'accepted'
"""
HOLD = "INSERT INTO ponctuel.legal_holds (business_id, user_id) VALUES ('B1', 'U1')"
LIFT = "UPDATE ponctuel.legal_holds SET lifted_at = ponctuel.clock() WHERE lifted_at IS NULL"


def _asked(by_api: Callable[..., Any]) -> Callable[[Deployment], None]:
    def act(deployment: Deployment) -> None:
        with suppress(Conflict, NotFound), deployment.database.begin() as connection:
            by_api(connection)

    return act


def _dated(days: int) -> Callable[[Deployment], None]:
    def act(deployment: Deployment) -> None:
        set_date(deployment, deployment.clock() + timedelta(days=days))

    return act


def _said(statement: str) -> Callable[[Deployment], None]:
    return lambda deployment: deployment.execute(statement)


MOVES: Mapping[str, Callable[[Deployment], None]] = {
    "night": nights,
    "week": lambda deployment: nights(deployment, 7),
    "long": lambda deployment: nights(deployment, 12),
    "silence": lambda deployment: deployment.database.advance(timedelta(days=9)),
    "request": _asked(lambda c: requesting.request(c, "U1", "B1", by="user", days=10)),
    "cancel": _asked(lambda c: requesting.cancel_of_user(c, "U1", "B1", by="user")),
    "past": _dated(-400),
    "near": _dated(2),
    "far": _dated(15),
    "clear": lambda deployment: set_date(deployment, None),
    "hold": _said(HOLD),
    "lift": _said(LIFT),
    "alone": _said("UPDATE ponctuel.users SET active = false WHERE id = 'O'"),
    "together": _said("UPDATE ponctuel.users SET active = true WHERE id = 'O'"),
    "owner": _said("UPDATE ponctuel.users SET role = 'owner' WHERE id = 'U1'"),
    "steps_down": _said("UPDATE ponctuel.users SET role = 'member' WHERE id = 'O'"),
    "no_mail": lambda deployment: deployment.smtp.fail("refuse_temporary"),
    "mail": lambda deployment: deployment.smtp.heal(),
}
ALWAYS = ("far", "week", "long")


@pytest.fixture(scope="module")
def shared(
    database_server: Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployment]:
    folder = tmp_path_factory.mktemp("histories")
    with (
        database_server.database() as database,
        pytest.MonkeyPatch.context() as environment,
        deployed(database, folder, environment) as deployment,
    ):
        yield deployment


histories = st.lists(st.sampled_from(sorted(MOVES)), max_size=8)


@given(histories)
@settings(max_examples=3)
def test_whatever_happens_nobody_is_locked_who_should_not_be(
    shared: Deployment, moves: list[str]
) -> None:
    _live(shared, moves)


@pytest.mark.slow
@given(histories)
@settings(max_examples=40)
def test_whatever_happens_over_many_histories(shared: Deployment, moves: list[str]) -> None:
    _live(shared, moves)


def _live(shared: Deployment, moves: list[str]) -> None:
    shared.reset()
    open_accounts(shared, "B1")
    add_user(shared)
    add_user(shared, "M")
    known: set[int] = set()
    ended: dict[int, Mapping[str, Any]] = {}
    for name in (*moves, *ALWAYS):
        for _ in range({"week": 7, "long": 12}.get(name, 1)):
            MOVES["night" if name in ("week", "long") else name](shared)
            for row in shared.rows(_LOCKED):
                if row["id"] not in known:
                    _may_be_locked(row)
                known.add(row["id"])
            _stays_cancelled(shared, ended)
    _letters_are_right(shared)


def _may_be_locked(row: Mapping[str, Any]) -> None:
    assert row["locked_at"] >= row["scheduled_at"]
    assert row["wanted"] is not None
    assert not row["held"]
    assert not (row["role"] == "owner" and row["others"] and not row["owners"])
    assert row["scope"] == ("user" if row["others"] else "business")
    assert row["told"] or row["approved_at"]


def _stays_cancelled(shared: Deployment, ended: dict[int, Mapping[str, Any]]) -> None:
    now = {
        row["id"]: row
        for row in shared.rows(
            "SELECT * FROM ponctuel.account_deletions WHERE state IN ('cancelled', 'locked')"
        )
    }
    assert {id: now[id] for id in ended} == ended
    ended |= now


def _letters_are_right(shared: Deployment) -> None:
    sent = shared.rows(_LETTERS)
    keys = Counter((m["kind"], m["subject"], m["cycle"], m["step"]) for m in sent)
    assert set(keys.values()) <= {1}
    assert set(Counter(e.message_id for e in shared.smtp.accepted()).values()) <= {1}
    for message in sent:
        kind = message["kind"].removeprefix("accounts.deletion_")
        if kind == "final":
            assert message["becomes"] == "locked"
        elif kind == "cancelled":
            assert message["becomes"] == "cancelled"
        else:
            for end in (message["locked_at"], message["cancelled_at"]):
                assert end is None or message["submitting_at"] <= end
