"""What the reliability tests give `inbox_sync` to read: a mailbox on a real Dovecot.

The mails of the mailbox are what must come of it, each exactly once: kept and parsed, shown where
the server shows it; and of the answers among them one message that came in, one pause, one notice.
"""

from __future__ import annotations

import atexit
from collections import Counter
from collections.abc import Set as AbstractSet
from functools import cache

import pytest

from sandbox.dovecot import PASSWORD, DovecotSandbox, absent
from tests.domain.inbox import mailbox_rows
from tests.domain.inbox.world import mail
from tests.harness import Deployment

Key = tuple[str, str, str]

USER = "compta"
# From the server's point of view those of one job: without a step.
OF_MAIL = "mail"
_STORED = """
SELECT e.message_id, e.state, e.settled_at IS NOT NULL AS settled,
       (SELECT count(*) FROM ponctuel.email_places p WHERE p.email_id = e.id AND p.gone_at IS NULL)
         AS places,
       (SELECT count(*) FROM ponctuel.inbound_messages i WHERE i.id = e.inbound_id) AS inbound
  FROM ponctuel.emails e
"""
_NOTICES = """
SELECT count(*) AS planned, count(DISTINCT (subject, cycle)) AS subjects
  FROM ponctuel.messages WHERE kind = 'inbox.reply' AND state <> 'cancelled'
"""
SLOTS = 3


@cache
def dovecot() -> DovecotSandbox:
    """The process's own, until it ends."""
    server = DovecotSandbox(users=(USER,))
    server.__enter__()
    atexit.register(server.__exit__, None, None, None)
    return server


def load(deployment: Deployment) -> None:
    """Two answers of a customer, in one conversation, and four mails of nobody we know."""
    if reason := absent():
        pytest.skip(reason)
    deployment.patch.setenv("MAILBOX_KEYS", mailbox_rows.KEY)
    deployment.patch.setenv("INBOX_PRIVATE_HOSTS", "on")
    deployment.open_business("B1")
    server = dovecot()
    server.empty(USER)
    answer = {"From": "Client <compta@boulangerie-martin.example>", "Subject": "Re: votre facture"}
    server.deliver(
        USER,
        "INBOX",
        [
            *(mail(n) for n in range(4)),
            mail(4, **answer),
            mail(5, **answer, References="<4@example.fr>"),
        ],
    )
    with deployment.database.begin() as connection:
        mailbox_rows.add(
            connection,
            host="127.0.0.1",
            port=server.port,
            security="none",
            username=USER,
            credentials=mailbox_rows.Password(PASSWORD),
        )


EXPECTED = frozenset(("B1", f"{n}@example.fr", OF_MAIL) for n in range(6))


def add(deployment: Deployment, n: int) -> set[Key]:
    dovecot().deliver(USER, "INBOX", [mail(100 + n)])
    return {("B1", f"{100 + n}@example.fr", OF_MAIL)}


def verdict(deployment: Deployment, expected: AbstractSet[Key]) -> Counter[str]:
    """After the slots that come anyway: counts mails that are lost, kept or told of twice, or not
    the server's."""
    for _ in range(SLOTS):
        deployment.advance_to_slot("inbox_sync")
        deployment.tick("inbox_sync", hours=0)
    stored = deployment.rows(_STORED)
    names = Counter(("B1", row["message_id"], OF_MAIL) for row in stored)
    whole = {
        ("B1", row["message_id"], OF_MAIL)
        for row in stored
        if row["state"] == "parsed" and row["settled"] and row["places"] == 1
    }
    found: Counter[str] = Counter()
    found["lost"] = len(expected - whole)
    found["duplicate"] = sum(count - 1 for count in names.values())
    found["unexpected"] = len(names.keys() - expected)
    answers = [row for row in stored if row["message_id"] in ("4@example.fr", "5@example.fr")]
    found["lost"] += sum(row["inbound"] != 1 for row in answers)
    inbound = deployment.rows("SELECT count(*) AS n FROM ponctuel.inbound_messages")[0]["n"]
    found["duplicate"] += max(inbound - len(answers), 0)
    notices = deployment.rows(_NOTICES)[0]
    found["lost"] += notices["planned"] == 0
    found["duplicate"] += notices["planned"] - notices["subjects"]
    return +found
