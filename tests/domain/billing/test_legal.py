"""What the law lets a letter say, on which day."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest

from chalicelib.domain.billing.legal import (
    LATE_PAYMENT_RATES,
    RECOVERY_INDEMNITIES,
    in_force,
    late_payment,
)

DAY = date(2026, 3, 10)


@pytest.mark.parametrize("customer_type", ["consumer", None, "", "Professional"])
def test_nobody_but_a_known_professional_reads_of_penalties(customer_type: str | None) -> None:
    assert late_payment(customer_type, DAY, Decimal("12")) is None


def test_a_day_without_a_sourced_rate_has_no_figure() -> None:
    legal = late_payment("professional", DAY, None)
    assert legal == {"indemnity": "40.00", "rate": None, "rate_since": None}


def test_the_rate_of_the_half_year_is_given_with_its_date() -> None:
    legal = late_payment("professional", date(2024, 10, 1), None)
    assert legal == {"indemnity": "40.00", "rate": "14.25", "rate_since": "2024-07-01"}


def test_the_businesss_own_terms_come_first() -> None:
    legal = late_payment("professional", date(2024, 10, 1), Decimal("12.00"))
    assert legal == {"indemnity": "40.00", "rate": "12.00", "rate_since": None}


def test_no_indemnity_is_claimed_for_a_day_before_the_law() -> None:
    assert late_payment("professional", date(2012, 12, 31), None) is None


@pytest.mark.parametrize("figures", [LATE_PAYMENT_RATES, RECOVERY_INDEMNITIES])
def test_figures_have_a_source_and_do_not_overlap(figures: tuple) -> None:  # type: ignore[type-arg]  # of Figure
    assert all(figure.source for figure in figures)
    for earlier, later in pairwise(figures):
        assert earlier.until is not None
        assert earlier.until < later.since
    last = figures[-1]
    if last.until is not None:
        assert in_force(figures, last.until + timedelta(days=1)) is None
