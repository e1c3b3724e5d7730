"""When an account is erased, and what stands in the way: the decisions, without any I/O.

The rules are told to operators and developers in docs/accounts.md.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Literal
from zoneinfo import ZoneInfo

from chalicelib.outbox.windows import zone as zone_named

# Nobody who learns of a date from us has less time than that: the week of the first reminder, and
# the day until it leaves.
NOTICE: Final = timedelta(days=8)
# Calendar days before the date, where the user is.
REMINDED: Final = (7, 1)
# A date that passes before any letter could leave is put off so often, then an operator decides.
MOST_POSTPONED: Final = 4
FALLBACK: Final = "Europe/Paris"

OPEN: Final = ("scheduled", "blocked", "locked", "erasing")
CANCELLABLE: Final = ("scheduled", "blocked")

LEGAL_HOLD: Final = "legal_hold"
LAST_OWNER: Final = "last_owner"
NO_USER: Final = "no_user"
SURGE: Final = "surge"
NOT_TOLD: Final = "not_told"
# What an operator lets go; and of that, what does not heal by itself when its cause has gone.
APPROVED: Final = (SURGE, NOT_TOLD, NO_USER)
FOR_OPERATOR: Final = (SURGE, NOT_TOLD)

STATES: Final = {
    "scheduled": "prévue",
    "blocked": "bloquée",
    "cancelled": "annulée",
    "locked": "verrouillée",
    "erasing": "en cours",
    "erased": "faite",
}
REASONS: Final = {
    LEGAL_HOLD: "conservation imposée (litige, contrôle ou enquête)",
    LAST_OWNER: "dernier propriétaire d'une entreprise qui a d'autres utilisateurs",
    NO_USER: "l'application n'a plus ce compte : à approuver, pour effacer ce qui en reste",
    SURGE: "beaucoup plus de comptes que d'habitude sont à effacer : à approuver",
    NOT_TOLD: "aucun message n'a pu prévenir la personne : à approuver",
    # Of what is being erased; each night tries again.
    "files_failed": "des documents ne peuvent pas être effacés du stockage",
    "revoke_failed": "Google ne retire pas l'accès donné à une boîte aux lettres",
    "stripe_failed": "le client ne peut pas être effacé chez Stripe",
    "tombstone_failed": "la trace de l'effacement ne peut pas être gardée dans le stockage",
    "erasing_failed": "une étape de l'effacement échoue nuit après nuit",
    "remains": "la vérification trouve encore des données de la personne",
}

Action = Literal["adopt", "move", "tie", "cancel", "block", "heal"]


@dataclass(frozen=True)
class Deletion:
    """An open deletion, as its row has it. Instants are aware."""

    id: int
    state: str
    scheduled_at: datetime
    wanted_at: datetime | None
    blocked_reason: str | None
    approved: bool = False


@dataclass(frozen=True)
class Account:
    """What is known of a user. `wanted`: the date that the application holds. `others`, `owners`:
    the other active users and owners of the business who will still be there at the date.
    `declined`: the date that was cancelled and that the application went on holding."""

    business_id: str
    user_id: str
    known: bool
    wanted: datetime | None
    is_owner: bool
    others: int
    owners: int
    held: bool
    zone: str
    declined: datetime | None = None
    deletion: Deletion | None = None


@dataclass(frozen=True)
class Decision:
    """What becomes of a deletion: its row is to have `state`, `scheduled_at` and the rest."""

    action: Action
    state: str
    scheduled_at: datetime
    wanted_at: datetime | None
    blocked_reason: str | None = None


def zone_of(*names: str | None) -> str:
    """The first usable IANA name: the user's, the business's, or that of Paris."""
    return next((name for name in names if name and zone_named(name)), FALLBACK)


def scheduled_for(now: datetime, days: int, zone: str) -> datetime:
    """The same wall clock time `days` later (aware UTC, whole seconds, rounded up). A time that a
    clock change skips moves behind it, one that comes twice is the second: never early."""
    local = now.astimezone(ZoneInfo(zone))
    wall = local.replace(tzinfo=None) + timedelta(days=days)
    readings = (wall.replace(tzinfo=ZoneInfo(zone), fold=fold) for fold in (0, 1))
    return whole_seconds(max(reading.astimezone(UTC) for reading in readings))


def whole_seconds(instant: datetime) -> datetime:
    """Rounded up, aware UTC."""
    return (instant + timedelta(microseconds=999_999)).astimezone(UTC).replace(microsecond=0)


def remaining_days(scheduled_at: datetime, now: datetime, zone: str) -> int:
    """Midnights between now and the date, where the user is: 0 on the day itself."""
    local = ZoneInfo(zone)
    return (scheduled_at.astimezone(local).date() - now.astimezone(local).date()).days


def adopted_date(wanted: datetime, now: datetime) -> datetime:
    """When an account is erased whose date the application has set by itself."""
    return whole_seconds(max(wanted, now + NOTICE))


def moved_date(wanted: datetime, now: datetime, before: datetime) -> datetime:
    """The date after the application has changed its own. Sooner than it was, it leaves the notice
    that is due to somebody who has just been told."""
    return whole_seconds(max(wanted, min(before, now + NOTICE)))


def obstacle(account: Account) -> str | None:
    """Why the account may not be erased as things are; None when nothing is in the way."""
    if account.held:
        return LEGAL_HOLD
    if not account.known:
        return None if account.deletion and account.deletion.approved else NO_USER
    if account.is_owner and account.others > 0 and account.owners == 0:
        return LAST_OWNER
    return None


def scope(account: Account) -> str:
    """What is erased: the user alone, or, with the last user, the business."""
    return "user" if account.others else "business"


def follow(account: Account, now: datetime) -> Decision | None:
    """What the daily look at an account changes; None when it is as it should be."""
    deletion = account.deletion
    if deletion is None:
        return _adopt(account, now)
    if deletion.state not in CANCELLABLE:
        return None
    date, wanted = deletion.scheduled_at, deletion.wanted_at
    action: Action | None = None
    if account.known and account.wanted != deletion.wanted_at:
        if account.wanted is None:
            return Decision("cancel", "cancelled", date, None)
        wanted = account.wanted
        date = moved_date(wanted, now, date)
        action = "move" if date != deletion.scheduled_at else "tie"
    reason = obstacle(account)
    if reason is not None and reason != deletion.blocked_reason:
        return Decision("block", "blocked", date, wanted, reason)
    if reason is None and deletion.state == "blocked":
        if deletion.blocked_reason not in FOR_OPERATOR:
            return Decision("heal", "scheduled", max(date, whole_seconds(now + NOTICE)), wanted)
        if action == "move":  # another date, of which the person has to be told first
            return Decision("move", "scheduled", max(date, whole_seconds(now + NOTICE)), wanted)
    if action is None:
        return None
    return Decision(action, deletion.state, date, wanted, deletion.blocked_reason)


def _adopt(account: Account, now: datetime) -> Decision | None:
    if account.wanted is None or account.wanted == account.declined:
        return None
    reason = obstacle(account)
    state = "scheduled" if reason is None else "blocked"
    return Decision("adopt", state, adopted_date(account.wanted, now), account.wanted, reason)


def surge_limit(usual: Iterable[int]) -> int:
    """How many accounts may be locked within a day without an operator: five times the median of
    the days of the last month on which any was, and 10 in any case."""
    days = sorted(usual)
    median = days[len(days) // 2] if days else 0
    return max(10, 5 * median)
