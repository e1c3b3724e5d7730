"""What the following ticks do by themselves, in simulated time that jumps from event to event."""

from __future__ import annotations

from datetime import datetime, timedelta

from tests.harness import Deployment

# Retries are bounded: a job that is not at rest after that many events never will be.
MOST_EVENTS = 40
A_MOMENT = timedelta(seconds=1)

_NEXT = """
SELECT min(at) AS at FROM (
  SELECT lease_until AS at FROM ponctuel.job_state
   UNION ALL SELECT retry_at FROM ponctuel.job_state
   UNION ALL SELECT claimed_until FROM ponctuel.messages WHERE state IN ('claimed','submitting')
   UNION ALL SELECT not_before FROM ponctuel.messages WHERE state IN ('planned','held')
   UNION ALL SELECT held_until FROM ponctuel.mailboxes
   UNION ALL SELECT proof_at FROM ponctuel.messages WHERE state = 'uncertain' AND :proofs
) AS events WHERE at > ponctuel.clock()
"""


def recover(deployment: Deployment, job: str) -> None:
    """Ticks of the job and of the outbox, at each lease, claim or wait that is over, until nothing
    is left to wait for; and the outbox a day later."""
    for _ in range(MOST_EVENTS):
        deployment.tick(job, hours=0)
        if job != "deliver_messages":
            deployment.tick("deliver_messages", hours=0)
        event = next_event(deployment)
        if event is None:
            deployment.tick("deliver_messages", hours=24)
            return
        deployment.database.set_clock(event + A_MOMENT)
    raise AssertionError("still not at rest")


def next_event(deployment: Deployment, *, proofs: bool = False) -> datetime | None:
    """The next instant at which something that waits may go on by itself; slots are left out, and
    without `proofs` the searches for those of uncertain messages."""
    at: datetime | None = deployment.rows(_NEXT, proofs=proofs)[0]["at"]
    return at


def end_idle_transactions(deployment: Deployment) -> None:
    """What the server does by itself after `idle_in_transaction_session_timeout`."""
    deployment.rows(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
        "WHERE datname = current_database() AND state = 'idle in transaction'"
    )
