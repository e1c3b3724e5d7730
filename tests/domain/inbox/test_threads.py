"""Conversations do not depend on the order in which e-mails are read, nor on what strangers cite."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from itertools import permutations
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from chalicelib.domain.inbox import forest
from chalicelib.domain.inbox.forest import MOST_COPIES, MOST_IN_THREAD, Node
from chalicelib.domain.inbox.settle import settle
from tests.database import Database, Server
from tests.domain.inbox.mailroom import ADDRESS, CUSTOMER, Mailroom, mail
from tests.harness import NOW, Deployment


@pytest.fixture
def room(deployment: Deployment) -> Mailroom:
    deployment.open_business("B1")
    return Mailroom(deployment.database)


def sets(*threads: Sequence[str]) -> set[frozenset[str]]:
    return {frozenset(thread) for thread in threads}


def one(id: str, *refs: str, **changes: Any) -> dict[str, Any]:
    return mail(message_id=id, refs=list(refs), subject=f"Objet {id}", **changes)


CHAIN = [
    one("a"),
    one("b", "a"),
    one("c", "a", "b"),
    one("d", in_reply_to="c"),
    one("x"),
    one("y", "x", "absent"),
]


@pytest.mark.parametrize("order", [range(6), range(5, -1, -1), (2, 5, 0, 3, 4, 1)])
def test_a_conversation_is_whole_in_whatever_order_it_is_read(
    room: Mailroom, order: Sequence[int]
) -> None:
    for number in order:
        room.get(CHAIN[number])
    assert room.threads() == sets("abcd", "xy")
    assert {e["thread_id"] for e in room.emails()} <= {e["id"] for e in room.emails()}
    assert all(e["thread_id"] <= e["id"] for e in room.emails())


_IDS = "abcdefgh"
_MAILS = st.lists(
    st.tuples(st.sampled_from(_IDS), st.lists(st.sampled_from(_IDS + "z"), max_size=4), st.none()
              | st.sampled_from(_IDS)),
    min_size=1, max_size=9,
)  # fmt: skip


@settings(max_examples=25)
@given(mails=_MAILS, seed=st.integers(0, 1_000_000), limit=st.integers(1, 4))
def test_the_partition_into_conversations_does_not_depend_on_the_order(
    partitions: Partitions, mails: list[tuple[str, list[str], str | None]], seed: int, limit: int
) -> None:
    """Copies with one Message-ID and different references included."""
    written = [
        one(id, *refs, in_reply_to=parent, snippet=f"n° {nth}")
        for nth, (id, refs, parent) in enumerate(mails)
    ]
    shuffled = list(written)
    Random(seed).shuffle(shuffled)
    assert partitions.of(written, len(written)) == partitions.of(shuffled, limit)


class Partitions:
    """One mailbox, emptied for each partition."""

    def __init__(self, database: Database) -> None:
        self.room = Mailroom(database)

    def of(self, mails: Sequence[dict[str, Any]], limit: int) -> set[frozenset[str]]:
        """The conversations, by what makes each e-mail different, read `limit` at a time."""
        with self.room.database.begin() as connection:
            connection.execute(text("DELETE FROM ponctuel.emails"))
            for start in range(0, len(mails), limit):
                self.room.store(connection, mails[start : start + limit])
                settle(connection, self.room.id, limit)
            found: dict[int, set[str]] = {}
            for row in connection.execute(
                text("SELECT thread_id, snippet FROM ponctuel.emails")
            ):
                found.setdefault(row.thread_id, set()).add(row.snippet)
        return {frozenset(thread) for thread in found.values()}


@pytest.fixture(scope="module")
def partitions(database_server: Server) -> Iterator[Partitions]:
    with database_server.database() as database:
        yield Partitions(database)


def test_settling_again_changes_nothing(room: Mailroom) -> None:
    room.get(*CHAIN)
    before = room.emails()
    assert room.settle() == {}
    assert room.emails() == before
    with room.database.begin() as connection:
        connection.execute(text("UPDATE ponctuel.emails SET settled_at = NULL"))
    room.settle(limit=2)
    assert room.threads() == sets("abcd", "xy")


def test_a_list_of_references_brings_no_two_conversations_together(room: Mailroom) -> None:
    strangers = [one(f"s{number}", from_email=f"s{number}@x.example") for number in range(100)]
    room.get(*strangers)
    room.get(one("hostile", *(f"s{number}" for number in range(100))))
    sizes = sorted(map(len, room.threads()))
    assert sizes == [1] * 99 + [2]


def test_an_id_of_another_mailbox_is_no_reference(room: Mailroom) -> None:
    other = Mailroom(room.database, address="devis@menuiserie-perrin.example")
    other.get(one("a"))
    room.get(one("b", "a"), one("c", "a"))
    assert room.threads() == sets("b", "c")
    assert other.threads() == sets("a")


def test_copies_of_one_mail_are_one_conversation_and_an_id_of_many_is_none(room: Mailroom) -> None:
    for number in range(MOST_COPIES):
        room.get(one("same", snippet=f"copie {number}"))
    room.get(one("answer", "same"))
    assert len({e["thread_id"] for e in room.emails()}) == 1
    room.get(one("same", snippet="encore une"))
    assert len({e["thread_id"] for e in room.emails()}) == MOST_COPIES + 2


def test_mails_without_an_id_are_not_one_another_s_copies(room: Mailroom) -> None:
    room.get(*(mail(message_id="made", has_message_id=False, snippet=str(n)) for n in range(3)),
             one("b", "made"))  # fmt: skip
    # The subject is the same all the same, and each is an answer.
    assert len({e["thread_id"] for e in room.emails() if e["message_id"] == "b"}) == 1
    assert all(e["parent_id"] is None for e in room.emails() if e["message_id"] == "b")


def hinted(first: dict[str, Any], second: dict[str, Any]) -> bool:
    return first["thread_id"] == second["thread_id"]


@pytest.mark.parametrize("at_once", [True, False])
def test_an_answer_without_references_is_known_by_subject_and_correspondent(
    room: Mailroom, at_once: bool
) -> None:
    ours = mail(
        sent=True,
        from_email=ADDRESS,
        recipients=[{"role": "to", "email": CUSTOMER, "name": ""}],
        subject="Chantier rue Neuve",
        sent_at=NOW - timedelta(days=3),
    )
    answer = mail(subject="RE: Chantier rue neuve")
    for mails in ([ours, answer],) if at_once else ([ours], [answer]):
        room.get(*mails)
    first, second = room.emails()
    assert hinted(first, second)
    assert (second["parent_id"], first["direction"]) == (first["id"], "out")


@pytest.mark.parametrize(
    "changes",
    [
        {"subject": "Chantier rue Neuve"},  # no answer
        {"subject": "TR: Chantier rue Neuve"},
        {"subject": "Re: Chantier rue Haute"},
        {"from_email": "autre@boulangerie-martin.example"},
        {"sent_at": NOW + timedelta(days=15)},
        {"sent_at": NOW - timedelta(days=1)},  # before what it would answer
    ],
)
def test_a_subject_alone_is_no_conversation(room: Mailroom, changes: dict[str, Any]) -> None:
    room.get(mail(subject="Chantier rue Neuve", sent_at=NOW))
    room.get(mail(**{"subject": "Re: Chantier rue Neuve", "sent_at": NOW} | changes))
    assert not hinted(*room.emails())


def test_a_reference_overrules_the_subject(room: Mailroom) -> None:
    room.get(mail(message_id="a", subject="Chantier"), one("b"))
    room.get(mail(message_id="c", subject="Re: Chantier", refs=["b"]))
    assert room.threads() == sets("a", "bc")
    room.get(mail(message_id="d", subject="Re: Chantier", refs=["e"]))
    assert room.threads() == sets("a", "bcd")
    room.get(one("e"))
    assert room.threads() == sets("a", "bc", "de")


def test_twin_mailboxes_with_the_same_mails_do_not_meet(deployment: Deployment) -> None:
    twins = []
    for business in ("B1", "B2"):
        deployment.open_business(business)
        twins.append(Mailroom(deployment.database, business_id=business))
    for number in (1, 0, 2):
        for twin in twins:
            twin.get(CHAIN[number])
    for twin in twins:
        own = {e["id"] for e in twin.emails()}
        assert {e["thread_id"] for e in twin.emails()} <= own
        assert twin.threads() == sets("abc")


def test_a_conversation_that_is_full_goes_on_as_another() -> None:
    chain = [Node(n, f"m{n}", n - 1) for n in range(1, 2 * MOST_IN_THREAD + 2)]
    found = forest.threads(chain, {})
    sizes: dict[int, int] = {}
    for root in found.values():
        sizes[root] = sizes.get(root, 0) + 1
    assert sizes == {1: MOST_IN_THREAD, MOST_IN_THREAD + 1: MOST_IN_THREAD, 2001: 1}


def test_mails_that_answer_one_another_are_one_conversation() -> None:
    for order in permutations([Node(1, "a", 2), Node(2, "b", 3), Node(3, "c", 1)]):
        assert forest.threads(order, {}) == {1: 1, 2: 1, 3: 1}
