"""A history, lived through: what was told against what had to be, for `make prove` and, in small,
for the fast suite."""

from __future__ import annotations

import logging
import random
from collections import Counter
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from tests.domain.agenda.expected import TICK, Expected, expected, iso
from tests.domain.agenda.history import DAY, MINUTE, History, drawn
from tests.domain.agenda.world import World
from tests.harness import Deployment
from tests.reliability.trial import Finding

JOB = "overdue_and_reminders"
LOG = logging.getLogger(__name__)
OUTAGES = (MINUTE, 78 * MINUTE, 3 * DAY, 30 * DAY)
# Days, and the outages in them.
CASES: Mapping[str, tuple[int, tuple[timedelta, ...]]] = {
    "year": (365, OUTAGES),
    "month": (30, OUTAGES[:3]),
}
QUICK = (3, (78 * MINUTE,))


def trial(deployment: Deployment, job: str, case: str, draw: random.Random) -> Finding:
    """One history of the case's length."""
    days, outages = CASES[case]
    return lived(deployment, drawn(draw, days, outages))


def lived(deployment: Deployment, history: History) -> Finding:
    """Runs the job and the delivery at each wake of the history, and holds what they did against
    what they had to."""
    world, wakes = World(deployment, history), history.wakes()
    for at, runs in wakes:
        world.come_to(at)
        if runs:
            deployment.tick(JOB, hours=0)
        deployment.tick("deliver_messages", hours=0)
    wanted = expected(history, wakes)
    wrong = _shown(deployment, wanted) + _written(deployment, history, wanted)
    done = Counter(days=history.days, wakes=len(wakes), told=len(wanted.told))
    done["reminders"] = len(wanted.reminders)
    done["e-mails"] = sum(wanted.notices.values()) + len(wanted.digests)
    return Finding(+wrong, done=done)


def _compared(found: Counter[Any], wanted: Counter[Any]) -> Counter[str]:
    differences = {"lost": wanted - found, "unexpected": found - wanted}
    for name, keys in differences.items():
        for key, times in keys.items():
            LOG.warning("%s: %s, %d times", name, key, times)
    return Counter({name: sum(keys.values()) for name, keys in differences.items()})


def _shown(deployment: Deployment, wanted: Expected) -> Counter[str]:
    rows = deployment.rows("SELECT kind, subject, cycle, user_id FROM ponctuel.notifications")
    found = Counter(
        (row["kind"].removeprefix("agenda."), row["subject"], row["cycle"], row["user_id"])
        for row in rows
    )
    return _compared(found, Counter(wanted.told))


def _written(deployment: Deployment, history: History, wanted: Expected) -> Counter[str]:
    left = [m for m in deployment.messages() if m["state"] == "accepted"]
    by_kind: dict[str, Counter[Any]] = {name: Counter() for name in ("reminder", "notice")}
    by_kind["digest"] = Counter()
    wrong = Counter[str]()
    for message in left:
        kind = message["kind"].removeprefix("agenda.")
        subject, cycle = message["subject"], message["cycle"]
        if kind == "reminder":
            by_kind[kind]["appointment", subject, cycle, message["step"]] += 1
            wrong["unexpected"] += _is_stale(history, message)
        elif kind == "notice":
            by_kind[kind][subject, cycle.partition("/agenda.")[2]] += 1
            local = message["submitting_at"].astimezone(history.users[subject].local)
            if not 8 <= local.hour < 21:
                LOG.warning("at night: %s of %s at %s", cycle, subject, local)
                wrong["unexpected"] += 1
        else:
            by_kind[kind][subject, cycle] += 1
    wrong += _compared(by_kind["reminder"], Counter(wanted.reminders.keys()))
    wrong += _compared(by_kind["notice"], wanted.notices)
    wrong += _compared(by_kind["digest"], Counter(wanted.digests))
    copies = Counter(entry.message_id for entry in deployment.smtp.accepted())
    wrong["duplicate"] += sum(times - 1 for times in copies.values())
    wrong["false"] += len({m["message_id"] for m in left} - copies.keys())
    return wrong


def _is_stale(history: History, message: Mapping[str, Any]) -> bool:
    """Whether a reminder left too early, too late, or of something that was no longer so. Without
    what `expected` knows of plans and runs."""
    [thing] = [t for t in history.of("appointments") if t.id == message["subject"]]
    at = message["submitting_at"]
    # What was changed since the wake before is not in the tables yet.
    row = thing.at(at.replace(second=0, microsecond=0))
    start, _, minutes = message["cycle"].partition("/")
    if row is None or row["status"] != "scheduled" or iso(row["starts_at"]) != start:
        LOG.warning("stale: %s %s at %s", message["subject"], message["cycle"], at)
        return True
    due = row["starts_at"] - int(minutes) * MINUTE
    latest = due + max(int(minutes) // 2, 5) * MINUTE + 5 * MINUTE
    if not due - TICK <= at <= min(latest, row["starts_at"] + 6 * MINUTE):
        LOG.warning("out of time: %s %s at %s", message["subject"], message["cycle"], at)
        return True
    return False
