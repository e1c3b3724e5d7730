"""Two processes that settle at the same time do the work once, and neither waits for ever."""

from __future__ import annotations

from collections import Counter
from threading import Barrier, Thread

from chalicelib.db.engine import transaction
from chalicelib.domain.inbox.settle import settle
from tests.domain.inbox.mailroom import Mailroom, mail, rows
from tests.harness import Deployment


def settle_at_once(deployment: Deployment, mailboxes: list[int]) -> Counter[str]:
    """One process for each of these, in batches of four."""
    barrier, counts = Barrier(len(mailboxes)), Counter[str]()
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            engine = deployment.database.engine()
            barrier.wait(10)
            found = None
            while found != {}:
                with transaction(engine) as connection:
                    found = settle(connection, number, 4)
                counts.update(found)
        except BaseException as error:  # noqa: BLE001 - to be raised in the test's own thread
            failures.append(error)

    threads = [Thread(target=work, args=(number,)) for number in mailboxes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()
    if failures:
        raise failures[0]
    return counts


def test_one_mailbox_is_settled_once_by_two(deployment: Deployment) -> None:
    deployment.open_business("B1")
    room = Mailroom(deployment.database)
    room.receive(*(mail(message_id=f"m{n}", refs=[f"m{n - 1}"]) for n in range(40)))
    counts = settle_at_once(deployment, [room.id, room.id])
    assert (counts["settled"], counts["replies"], counts["notices"]) == (40, 40, 1)
    assert len(room.threads()) == 1


def test_two_mailboxes_with_the_same_mails_in_another_order_offer_each_once(
    deployment: Deployment,
) -> None:
    deployment.open_business("B1")
    for number in range(20):
        deployment.customer(f"K{number}", emails=f"k{number}@x.example")
    mails = [mail(from_email=f"k{n}@x.example", subject=f"Sujet {n}") for n in range(20)]
    first = Mailroom(deployment.database)
    second = Mailroom(deployment.database, address="compta@menuiserie-perrin.example")
    first.receive(*mails)
    second.receive(*reversed(mails))
    counts = settle_at_once(deployment, [first.id, second.id])
    assert (counts["settled"], counts["replies"]) == (40, 20)
    offers = rows(
        deployment.database,
        "SELECT outcome FROM ponctuel.inbound_offers WHERE domain = 'billing'",
    )
    assert [offer["outcome"] for offer in offers] == ["taken"] * 20
