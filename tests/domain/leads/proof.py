"""Histories of leads, lived through, for `make prove` and, in small, for the fast suite: each level
of a cadence once and in order, none early, none at night, none to who is not to have it, no more in
a day than the cap, and all that is due at once otherwise.

What is due is worked out here from the leads' own story and the days on which follow-ups were
settled; nothing of it is the job's SQL.
"""

from __future__ import annotations

import logging
import random
from collections import Counter, defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime, time, timedelta
from typing import Any

from holidays import country_holidays

from tests.domain.leads.histories import API, CAP, DAY, HOUR, PARIS, History, Lead, World, drawn
from tests.harness import Deployment
from tests.reliability.trial import Finding

JOB = "lead_followups"
LOG = logging.getLogger(__name__)
MINUTE, TICK = timedelta(minutes=1), timedelta(seconds=2)
CASES: Mapping[str, tuple[int, tuple[timedelta, ...]]] = {
    "quarter": (90, (MINUTE, 78 * MINUTE, 3 * DAY, 30 * DAY)),
    "month": (24, (MINUTE, 78 * MINUTE, 3 * DAY)),
}
QUICK = (3, (DAY / 2,))
HOLIDAYS = country_holidays("FR")

Row = Mapping[str, Any]
# Business, lead, cycle, number.
Level = tuple[str, str, str, int]
ACTIVE = ("planned", "proposed", "opened")
SETTLED = ("confirmed", "skipped", "expired")


def trial(deployment: Deployment, job: str, case: str, draw: random.Random) -> Finding:
    """One history of the case's length."""
    days, outages = CASES[case]
    return lived(deployment, drawn(draw, days, outages), draw)


def lived(deployment: Deployment, history: History, draw: random.Random) -> Finding:
    """Runs the job and the delivery at each wake of the history, and judges each run by itself."""
    world, wakes = World(deployment, history, draw), history.wakes()
    wrong, treated = Counter[str](), 0
    for at, runs in wakes:
        world.come_to(at)
        if runs:
            before = _followups(deployment)
            deployment.tick(JOB, hours=0)
            wrong += _run(history, at, before, _followups(deployment))
        deployment.tick("deliver_messages", hours=0)
        treated += world.act(at)
    followups = _followups(deployment)
    wrong += _levels(followups)
    sent = _sent(deployment, history)
    done = Counter(days=history.days, wakes=len(wakes), treated=treated)
    done["followups"] = sum(row["state"] != "cancelled" for row in followups)
    done["messages"] = sent.pop("messages")
    return Finding(+(wrong + sent), done=done)


def _followups(deployment: Deployment) -> list[Row]:
    return deployment.rows("SELECT * FROM ponctuel.lead_followups ORDER BY id")


def _due(history: History, at: datetime, followups: list[Row]) -> dict[Level, datetime]:
    """The levels that are due at a wake, and since when."""
    of: defaultdict[tuple[str, str, str], list[Row]] = defaultdict(list)
    for row in followups:
        if row["state"] != "cancelled":
            of[row["business_id"], row["lead_id"], row["cycle"]].append(row)
    found = {}
    for key in history.leads:
        lead = history.at(key, at)
        if lead is None or not lead.wanted:
            continue
        past = of[(*key, lead.cycle)]
        number = 1 + max((row["number"] for row in past), default=0)
        if any(row["state"] in ACTIVE for row in past) or number > len(lead.cadence()):
            continue
        since = max((row["settled_at"] for row in past), default=lead.stage_since)
        due = since + lead.cadence()[number - 1] * HOUR
        if due <= at + TICK:
            found[(*key, lead.cycle, number)] = due
    return found


def _run(history: History, at: datetime, before: list[Row], after: list[Row]) -> Counter[str]:
    """Whether the run made what was due before it, the oldest first, as many as the day allows."""
    known = {row["id"] for row in before}
    made = {_level(row) for row in after if row["id"] not in known and row["state"] in ACTIVE}
    due = _due(history, at, before)
    wrong = Counter(unexpected=len(made - due.keys()))
    start = datetime.combine(at.astimezone(PARIS).date(), time.min, PARIS)
    for business in {key[0] for key in history.leads}:
        used = sum(
            row["business_id"] == business
            and row["proposed_at"] >= start
            and row["state"] != "cancelled"
            for row in after
        )
        # What becomes due in the run's first seconds may be made or not.
        late = {level for level, since in due.items() if level[0] == business and since <= at}
        missing = late - made
        ours = [due[level] for level in made & due.keys() if level[0] == business]
        if missing and used < CAP:
            LOG.warning("lost at %s: %s", at, missing)
            wrong["lost"] += len(missing)
        if missing and ours and max(ours) > min(due[level] for level in missing):
            LOG.warning("out of turn at %s: %s", at, missing)
            wrong["unexpected"] += 1
        if used > CAP:
            LOG.warning("%d of %s on the day of %s", used, business, at)
            wrong["unexpected"] += used - CAP
    if made - due.keys():
        LOG.warning("not due at %s: %s", at, made - due.keys())
    return wrong


def _level(row: Row) -> Level:
    return row["business_id"], row["lead_id"], row["cycle"], row["number"]


def _levels(followups: list[Row]) -> Counter[str]:
    """Each level once, and none left out before a later one."""
    wrong = Counter[str]()
    of: defaultdict[tuple[str, str, str], list[int]] = defaultdict(list)
    for row in followups:
        if row["state"] != "cancelled":
            of[row["business_id"], row["lead_id"], row["cycle"]].append(row["number"])
    for key, numbers in of.items():
        if numbers != list(range(1, len(numbers) + 1)):
            LOG.warning("levels of %s: %s", key, numbers)
            wrong["duplicate"] += 1
    return wrong


def _sent(deployment: Deployment, history: History) -> Counter[str]:
    """By the provider's own journal: each message once, to whom it may go, when it may."""
    found = Counter(messages=0)
    journal = Counter(e.reference.partition("-")[2] for e in deployment.twilio.accepted())
    levels = Counter[Level]()
    for message in deployment.messages(kind="leads.followup"):
        times = journal[str(message["id"])]
        found["messages"] += times
        found["duplicate"] += max(times - 1, 0)
        found["false"] += message["state"] == "accepted" and not times
        if not times:
            continue
        levels[API, message["subject"], message["cycle"], int(message["step"])] += 1
        at = message["submitting_at"]
        # What was changed since the wake before is not in the tables yet.
        lead = history.at((API, message["subject"]), at.replace(second=0, microsecond=0))
        if lead is None or not _may_be_written_to(lead, message, at):
            LOG.warning("not to be sent: %s %s at %s", message["subject"], message["cycle"], at)
            found["unexpected"] += 1
    found["duplicate"] += sum(times - 1 for times in levels.values())
    mails = Counter(entry.message_id for entry in deployment.smtp.accepted())
    found["duplicate"] += sum(times - 1 for times in mails.values())
    for digest in deployment.messages(kind="leads.closer_digest", state="accepted"):
        found["unexpected"] += not _in_hours(digest["submitting_at"].astimezone(PARIS))
    return found


def _may_be_written_to(lead: Lead, message: Row, at: datetime) -> bool:
    in_time = at <= message["expires_at"].astimezone(UTC) + TICK
    right = lead.wanted and lead.cycle == message["cycle"]
    return right and in_time and _in_hours(at.astimezone(lead.local))


def _in_hours(here: datetime) -> bool:
    works = here.weekday() < 5 and here.date() not in HOLIDAYS
    return works and time(9) <= here.time() < time(19)
