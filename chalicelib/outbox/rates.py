"""How fast messages may leave, and how long a refused one waits. Arithmetic only: the state is two
plain values that a table can hold, and time and chance are arguments."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

# Of a token: a tenth of a second ten times is one second all the same.
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Rate:
    """`per_second` messages on average, `burst` at once after a pause. Raises `ValueError` unless
    `per_second` is above 0 and `burst` at least 1."""

    per_second: float
    burst: float

    def __post_init__(self) -> None:
        if not (0 < self.per_second < float("inf") and 1 <= self.burst < float("inf")):
            raise ValueError("a rate lets messages through: per_second > 0 and burst >= 1")


@dataclass(frozen=True)
class Bucket:
    """A token bucket as it was at `at` (aware): each message takes one of its `tokens`."""

    tokens: float
    at: datetime


def full(rate: Rate, now: datetime) -> Bucket:
    """The bucket of a sender that has not sent for long."""
    return Bucket(rate.burst, now)


def refilled(bucket: Bucket, rate: Rate, now: datetime) -> Bucket:
    """The bucket at `now` (aware). A clock that went back gives nothing and takes nothing; a burst
    that was lowered counts at once."""
    seconds = max(0.0, (now - bucket.at).total_seconds())
    tokens = min(rate.burst, bucket.tokens + seconds * rate.per_second)
    return Bucket(tokens, max(now, bucket.at))


def take(bucket: Bucket, rate: Rate, now: datetime, wanted: int = 1) -> tuple[int, Bucket]:
    """How many of `wanted` messages may leave now, and the bucket without their tokens."""
    current = refilled(bucket, rate, now)
    granted = max(0, min(wanted, int(current.tokens + _ROUNDING)))
    return granted, Bucket(current.tokens - granted, current.at)


def give_back(bucket: Bucket, rate: Rate, unused: int) -> Bucket:
    """The bucket with the tokens of messages that did not leave after all."""
    return Bucket(min(rate.burst, bucket.tokens + unused), bucket.at)


def drained(bucket: Bucket, now: datetime) -> Bucket:
    """The empty bucket of a sender that was told that it goes too fast."""
    return Bucket(min(0.0, bucket.tokens), max(now, bucket.at))


def seconds_until(bucket: Bucket, rate: Rate, now: datetime, wanted: int = 1) -> float:
    """Seconds from `now` until `wanted` tokens (at most a burst) are there; 0 when they are."""
    missing = min(wanted, int(rate.burst)) - refilled(bucket, rate, now).tokens
    # A bucket dated after `now` starts to fill when `now` has caught up with it.
    behind = max(0.0, (bucket.at - now).total_seconds())
    return behind + missing / rate.per_second if missing > _ROUNDING else 0.0


def backoff(
    attempts: int,
    *,
    first: float,
    longest: float,
    chance: float,
    retry_after: float | None = None,
) -> float:
    """Seconds to wait after `attempts` calls (1 or more): `first` doubled each time, up to
    `longest`, times 0.5 to 1.5 so that senders do not come back together. `chance` is drawn by the
    caller, from 0 to 1. Never sooner than the provider's `retry_after`, in seconds, asks."""
    wait = min(longest, first * 2.0 ** min(max(attempts, 1) - 1, 30))
    return max(retry_after or 0.0, wait * (0.5 + chance))
