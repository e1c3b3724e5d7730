"""How long a first sync's e-mails take to settle. Printed: a figure of this machine."""

from __future__ import annotations

import time
from datetime import timedelta
from random import Random
from typing import Any

import pytest
from sqlalchemy import text

from chalicelib.domain.inbox.settle import settle
from tests.domain.inbox.mailroom import ADDRESS, Mailroom, mail
from tests.harness import NOW, Deployment

MAILS, CUSTOMERS, PER_BATCH = 20_000, 5_000, 500


def history(random: Random) -> list[dict[str, Any]]:
    """Two years of conversations of one to eight mails with customers and others, newest last."""
    mails: list[dict[str, Any]] = []
    while len(mails) < MAILS:
        who = f"client{random.randrange(2 * CUSTOMERS)}@clients.example"
        at = NOW - timedelta(minutes=random.randrange(2 * 365 * 1440))
        refs: list[str] = []
        for turn in range(random.randint(1, 8)):
            ours = turn % 2 == 1
            message_id = f"{random.getrandbits(64):x}@{'nous' if ours else 'eux'}.example"
            mails.append(
                mail(
                    message_id=message_id,
                    refs=list(refs) if random.random() < 0.9 else [],
                    in_reply_to=refs[-1] if refs else None,
                    from_email=ADDRESS if ours else who,
                    recipients=[{"role": "to", "email": who if ours else ADDRESS, "name": ""}],
                    sent=ours,
                    subject=f"{'Re: ' if turn else ''}Devis {random.randrange(10_000)}",
                    internal_date=at + timedelta(hours=turn),
                    sent_at=at + timedelta(hours=turn),
                    snippet="Bonjour, pouvez-vous passer jeudi ? Merci. " * 5,
                )
            )
            refs.append(message_id)
    return sorted(mails[:MAILS], key=lambda row: str(row["internal_date"]))


@pytest.mark.slow
@pytest.mark.parametrize("order", ["as delivered", "shuffled"])
def test_twenty_thousand_mails_are_settled_in_seconds(
    deployment: Deployment, order: str, capsys: pytest.CaptureFixture[str]
) -> None:
    deployment.open_business("B1")
    deployment.execute(
        "INSERT INTO ponctuel.customers (business_id, id, name, emails) "
        "SELECT 'B1', 'K' || n, 'Client ' || n, 'Client' || n || '@Clients.example; autre@x.fr' "
        f"FROM generate_series(0, {CUSTOMERS - 1}) AS n"
    )
    room = Mailroom(deployment.database)
    random = Random(7)
    mails = history(random)
    if order == "shuffled":
        random.shuffle(mails)
    taken, slowest = 0.0, 0.0
    for start in range(0, MAILS, PER_BATCH):
        room.receive(*mails[start : start + PER_BATCH])
        began = time.perf_counter()
        with room.database.begin() as connection:
            assert settle(connection, room.id, PER_BATCH)["settled"] == PER_BATCH
        spent = time.perf_counter() - began
        taken, slowest = taken + spent, max(slowest, spent)
    with room.database.begin() as connection:
        began = time.perf_counter()
        assert settle(connection, room.id, PER_BATCH) == {}
        idle = time.perf_counter() - began
        found = connection.execute(
            text("SELECT count(DISTINCT thread_id), count(customer_id) FROM ponctuel.emails")
        ).one()
    with capsys.disabled():
        print(  # noqa: T201 - the figure is what the test is for
            f"\n{order}: {MAILS} mails settled in {taken:.1f} s, {MAILS / taken:.0f} a second; "
            f"slowest batch {slowest * 1000:.0f} ms; nothing to do {idle * 1000:.1f} ms; "
            f"{found[0]} conversations, {found[1]} of customers"
        )
    assert found[1] > MAILS / 3
