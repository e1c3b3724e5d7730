"""What the reliability tests give `account_deletions` to do: accounts whose week begins at the next
slot. Each must be told of its date, erased, and get its last letter, each exactly once.

Their users are in Noumea, where it is noon when the job runs: nothing waits for the morning.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Set as AbstractSet

from tests import factories
from tests.domain.accounts.people import nights, open_accounts
from tests.harness import Deployment

Key = tuple[str, str, str]
ZONE = "Pacific/Noumea"
FIRST, ADDED = 90_000, 91_000
# A date that passed while nobody could be told is put off, four times at most.
MOST_NIGHTS = 60

_SCHEDULE = """
INSERT INTO ponctuel.account_deletions (id, business_id, user_id, state, requested_at, requested_by,
                                        scheduled_at, zone)
OVERRIDING SYSTEM VALUE
SELECT :id, :business, :user, 'scheduled', ponctuel.clock(), 'application',
       date_trunc('second', ponctuel.clock()) + interval '7 days 16 hours 30 minutes', :zone
"""
_LEFT = """
SELECT count(*) AS n FROM ponctuel.account_deletions
 WHERE state <> 'erased'
"""
_TOLD = """
SELECT d.business_id, d.id::text AS id,
       bool_or(m.kind = 'accounts.deletion_reminder'
               AND m.cycle = to_char(d.scheduled_at AT TIME ZONE 'UTC',
                                     'YYYY-MM-DD"T"HH24:MI:SS"Z"')) AS reminded,
       bool_or(m.kind = 'accounts.deletion_final') AS ended
  FROM ponctuel.account_deletions d
  JOIN ponctuel.messages m ON m.business_id = d.business_id AND m.subject = d.id::text
 WHERE d.state = 'erased' AND m.state IN ('accepted', 'uncertain')
 GROUP BY d.business_id, d.id
"""


def load(deployment: Deployment) -> None:
    open_accounts(deployment, "B1", "B2")
    for n in range(6):
        _schedule(deployment, FIRST + n, f"B{1 + n % 2}")


EXPECTED = frozenset((f"B{1 + n % 2}", str(FIRST + n), "erased") for n in range(6))
# Letters that name them alone.
LETTERS = tuple(key[1] for key in sorted(EXPECTED))


def add(deployment: Deployment, n: int) -> set[Key]:
    business = f"B{1 + n % 2}"
    _schedule(deployment, ADDED + n, business)
    return {(business, str(ADDED + n), "erased")}


def _schedule(deployment: Deployment, id: int, business: str) -> None:
    with deployment.database.begin() as connection:
        factories.user(connection, f"U{id}", business, name=f"Camille {id}", zone=ZONE)
    deployment.execute(_SCHEDULE, id=id, business=business, user=f"U{id}", zone=ZONE)


def verdict(deployment: Deployment, expected: AbstractSet[Key]) -> Counter[str]:
    """After the nights that come anyway: counts accounts that were not told of their date and
    erased, and letters that came twice or that nobody asked for."""
    for night in range(MOST_NIGHTS):
        if deployment.rows(_LEFT)[0]["n"] == 0:
            break
        if night == 1:  # in the middle of the week nothing is due: those slots are missed
            deployment.advance_to_slot("account_deletions", 4)
        nights(deployment, erased=True)
    accepted = Counter(entry.message_id for entry in deployment.smtp.accepted())
    ledger = [m for m in deployment.messages() if m["state"] in ("accepted", "uncertain")]
    names = Counter((m["kind"], m["subject"], m["cycle"], m["step"]) for m in ledger)
    done = {
        (row["business_id"], row["id"], "erased")
        for row in deployment.rows(_TOLD)
        if row["reminded"] and row["ended"]
    }
    found: Counter[str] = Counter()
    found["duplicate"] = sum(n - 1 for n in [*accepted.values(), *names.values()])
    found["lost"] = len(expected - done)
    known = {str(row["id"]) for row in deployment.rows("SELECT id FROM ponctuel.account_deletions")}
    found["unexpected"] = len({m["subject"] for m in ledger} - known)
    found["uncertain"] = sum(m["state"] == "uncertain" for m in ledger)
    found["false"] = sum(m["state"] == "accepted" and not accepted[m["message_id"]] for m in ledger)
    return +found
