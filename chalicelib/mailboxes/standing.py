"""What a sync makes of a mailbox: when it is tried again, whether it is switched off, whom to tell.

Pure. Switching off is for a person who has forgotten a mailbox, not for a server that has a bad
week: Chatwoot's #4532 switched healthy mailboxes off for two time-outs a night, and on 8 January
2026 Microsoft refused healthy accounts for hours (EX1215307). So only explicit refusals of the
credentials count, over both a time and a number, and never while the host refuses many others.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

State = Literal["active", "paused", "reauthorise", "disabled"]

LONGEST_WAIT = timedelta(hours=1)
# Doubled with each failure. A server that is asked too often with a wrong password locks the
# account, or the address of us all.
FIRST_WAIT = timedelta(minutes=5)
FIRST_WAIT_REFUSED = timedelta(minutes=15)
# A wait is this part shorter at most, so that a host's mailboxes do not all come back at once.
JITTER = 0.25

DISABLED_AFTER = timedelta(days=3)
DISABLED_COUNT = 10
# Of a host's active mailboxes. From three on: of two, both may well be one person's old password.
HOST_WIDE_SHARE = 0.3
HOST_WIDE_COUNT = 3
TOLD_AFTER = timedelta(hours=24)

# How much a trouble asks of the owner; a graver one is worth telling after a lesser one, never the
# other way round, and a dead server goes through several of the first. What is not here is ours or
# the operator's: a setting, a fault of the program.
GRAVITY = {
    "connection": 1,
    "unavailable": 1,
    "folder": 1,
    "host": 1,
    "certificate": 1,
    "credentials": 2,
    "reauthorise": 3,
}


@dataclass(frozen=True)
class Standing:
    """A mailbox's row, as far as it says how the mailbox is doing. Instants are aware."""

    state: State = "active"
    failures: int = 0
    failing_since: datetime | None = None
    refusals: int = 0
    refused_since: datetime | None = None
    error_code: str | None = None
    error: str | None = None
    told_code: str | None = None


@dataclass(frozen=True)
class Host:
    """The active mailboxes of one host: how many there are, this one included, and how many have
    been refused since they last were let in, this one included if it was now."""

    mailboxes: int
    refused: int

    @property
    def refuses_many(self) -> bool:
        return self.refused >= HOST_WIDE_COUNT and self.refused > HOST_WIDE_SHARE * self.mailboxes


@dataclass(frozen=True)
class Decision:
    """`next_sync_at` counts while the state is active. `tell`: the owner is to be told of
    `standing.error_code` now."""

    standing: Standing
    next_sync_at: datetime
    tell: bool = False


def succeeded(before: Standing, *, next_tick: datetime) -> Decision:
    """All is well again: counters, trouble and what was told of it are forgotten. A mailbox that
    was paused or switched off meanwhile stays so."""
    return Decision(Standing(state=before.state), next_tick)


def failed(
    before: Standing, code: str, error: str, host: Host, now: datetime, *, jitter: float
) -> Decision:
    """`code`: of `ImapError`, or of another error of ours. `error`: French. `jitter`: from 0 to 1,
    drawn by the caller."""
    refused = code == "credentials"
    refusals, refused_since = before.refusals, before.refused_since
    if refused:
        refusals, refused_since = refusals + 1, refused_since or now
    elif code == "folder":
        # Whoever gets as far as a folder was let in.
        refusals, refused_since = 0, None
    after = replace(
        before,
        failures=before.failures + 1,
        failing_since=before.failing_since or now,
        refusals=refusals,
        refused_since=refused_since,
        error_code=code,
        error=error,
    )
    if before.state == "active":
        after = replace(after, state=_state(after, host, now))
    tell = _worth_telling(after, now)
    if tell:
        after = replace(after, told_code=code)
    return Decision(after, now + wait(after, refused=refused, jitter=jitter), tell)


def wait(standing: Standing, *, refused: bool, jitter: float) -> timedelta:
    """Until the next try, an hour at most."""
    first = FIRST_WAIT_REFUSED if refused else FIRST_WAIT
    doublings = min(standing.failures - 1, 10)
    return min(first * (1 << doublings), LONGEST_WAIT) * (1 - JITTER * jitter)


def still_to_tell(now: Standing, code: str) -> str | None:
    """What to tell the owner in place of `code`, which was worth telling a while ago: the like
    trouble that there is now, or None when there is none, or a graver one that is told apart."""
    current = GRAVITY.get(now.error_code or "", 0)
    if (
        now.state == "paused"
        or now.failing_since is None
        or now.told_code != code
        or current > GRAVITY[code]
    ):
        return None
    # A server that is down for a minute says nothing about a password.
    return now.error_code if current == GRAVITY[code] else code


def _state(after: Standing, host: Host, now: datetime) -> State:
    if after.error_code == "reauthorise":
        return "reauthorise"
    if (
        after.error_code == "credentials"
        and after.refused_since is not None
        and now - after.refused_since >= DISABLED_AFTER
        and after.refusals >= DISABLED_COUNT
        and not host.refuses_many
    ):
        return "disabled"
    return "active"


def _worth_telling(after: Standing, now: datetime) -> bool:
    """Once for each trouble, and for a graver one that comes on top of it."""
    code = after.error_code or ""
    if after.state == "paused" or GRAVITY.get(code, 0) <= GRAVITY.get(after.told_code or "", 0):
        return False
    if after.state == "reauthorise":
        return True
    since = after.refused_since if code == "credentials" else after.failing_since
    return since is not None and (now - since >= TOLD_AFTER or after.state == "disabled")
