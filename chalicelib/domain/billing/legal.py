"""What the law lets a business write about late payment, as dated figures with their source."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from chalicelib.domain.billing.calendar import next_business_day


@dataclass(frozen=True)
class Figure:
    """A figure of law, valid from `since` to `until` (both included; None: no known end)."""

    value: Decimal
    since: date
    until: date | None
    source: str


# Default late-payment rate when the terms of sale give none: the ECB's refinancing rate on the
# first day of the half-year, plus ten points. A half-year without a sourced figure has none here,
# and the letter then names the rule without a number.
LATE_PAYMENT_RATES = (
    Figure(
        Decimal("14.25"),
        date(2024, 7, 1),
        date(2024, 12, 31),
        "Code de commerce L441-10 II ; taux BCE de 4,25 % au 1er juillet 2024 (bpifrance-creation)",
    ),
)
RECOVERY_INDEMNITIES = (
    Figure(Decimal("40.00"), date(2013, 1, 1), None, "Code de commerce D441-5"),
)


# What a formal notice gives to pay in: no law sets it, eight days are the usage.
NOTICE = timedelta(days=8)


def pay_by(today: date, subdivision: str | None) -> date:
    """The last day to pay that a formal notice of `today` names. One that would be a Saturday, a
    Sunday or a public holiday is the next business day, as procedural time limits are (Code de
    procédure civile, art. 642)."""
    return next_business_day(today + NOTICE, subdivision)


def in_force(figures: tuple[Figure, ...], day: date) -> Figure | None:
    """The figure valid on that day, or None: no figure is ever carried past its dates."""
    return next(
        (f for f in figures if f.since <= day and (f.until is None or day <= f.until)), None
    )


def late_payment(
    customer_type: str | None, day: date, own_rate: Decimal | None
) -> dict[str, str | None] | None:
    """The `legal` part of a letter: None unless the customer is known to be a professional, since
    claiming recovery costs from a consumer is an offence (Code des procédures civiles d'exécution,
    L111-8). `own_rate`: the business's own terms, in percent a year, which come first."""
    if customer_type != "professional":
        return None
    indemnity = in_force(RECOVERY_INDEMNITIES, day)
    if indemnity is None:
        return None
    statutory = in_force(LATE_PAYMENT_RATES, day)
    rate = own_rate if own_rate is not None else statutory.value if statutory else None
    since = statutory.since.isoformat() if own_rate is None and statutory else None
    return {
        "indemnity": str(indemnity.value),
        "rate": None if rate is None else str(rate),
        "rate_since": since,
    }
