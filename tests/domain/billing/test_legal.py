"""What the law lets a letter say, on which day."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.domain.billing.legal import (
    LATE_PAYMENT_RATES,
    NOTICE,
    RECOVERY_INDEMNITIES,
    in_force,
    late_payment,
    pay_by,
)
from chalicelib.outbox.windows import is_business_day
from tests.harness import Deployment

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


@pytest.mark.parametrize(
    ("today", "subdivision", "until"),
    [
        (date(2026, 3, 10), None, date(2026, 3, 18)),
        # a Saturday, a Sunday
        (date(2026, 3, 13), None, date(2026, 3, 23)),
        (date(2026, 3, 14), None, date(2026, 3, 23)),
        # Good Friday, a holiday in Alsace-Moselle; then Easter Monday
        (date(2026, 3, 26), None, date(2026, 4, 3)),
        (date(2026, 3, 26), "57", date(2026, 4, 7)),
        # Christmas is a Friday
        (date(2026, 12, 17), None, date(2026, 12, 28)),
    ],
)
def test_a_formal_notice_ends_on_a_business_day(
    today: date, subdivision: str | None, until: date
) -> None:
    assert pay_by(today, subdivision) == until


@given(
    today=st.dates(date(2020, 1, 1), date(2040, 1, 1)),
    subdivision=st.sampled_from([None, "57", "67", "971", "974", "<script>"]),
)
def test_nobody_has_less_than_eight_days_nor_more_than_it_takes_to_open(
    today: date, subdivision: str | None
) -> None:
    until = pay_by(today, subdivision)
    assert until >= today + NOTICE
    assert is_business_day(until, subdivision)
    day = today + NOTICE
    while day < until:
        assert not is_business_day(day, subdivision)
        day += timedelta(days=1)


@pytest.mark.parametrize(
    ("subdivision", "until"), [(None, "vendredi 3 avril 2026"), ("57", "mardi 7 avril 2026")]
)
def test_the_letter_knows_the_holidays_of_the_business(
    deployment: Deployment, subdivision: str | None, until: str
) -> None:
    deployment.open_business(subdivision=subdivision)
    deployment.execute("UPDATE ponctuel.followup_levels SET tone = 'mise_en_demeure'")
    deployment.database.set_clock(datetime(2026, 3, 26, 9, 0, tzinfo=UTC))
    deployment.invoice()
    deployment.tick()
    (letter,) = deployment.rows("SELECT subject, text FROM ponctuel.message_bodies")
    assert until in " ".join(letter["text"].replace("\u00a0", " ").split())
