"""Amounts and dates, as French software writes them."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.imports.amounts import Amount, AmountError, decimal_mark_of, parse_amount
from cli.imports.dates import DateError, is_month_first, parse_date

NBSP, NARROW = "\u00a0", "\u202f"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1 234,56", "1234.56"),
        (f"1{NBSP}234,56{NBSP}€", "1234.56"),
        (f"1{NARROW}234,56 €", "1234.56"),
        ("1.234,56", "1234.56"),
        ("1,234.56", "1234.56"),
        ("1'234.56", "1234.56"),
        ("1’234’567.80", "1234567.80"),
        ("1234.56", "1234.56"),
        ("1234,5", "1234.50"),
        ("1234", "1234.00"),
        ("1 234", "1234.00"),
        ("1.234.567", "1234567.00"),
        ("1.234.567,8", "1234567.80"),
        ("12,5000", "12.50"),
        ("-12,00", "-12.00"),
        ("−12,00", "-12.00"),
        ("- 12,00 €", "-12.00"),
        ("12,00-", "-12.00"),
        ("(12,00)", "-12.00"),
        ("(12,00 €)", "-12.00"),
        ("12,00 CR", "-12.00"),
        ("+12,00", "12.00"),
        ("-0,00", "0.00"),
        ("999 999 999 999,99", "999999999999.99"),
    ],
)
def test_an_amount_is_read_whatever_its_marks(text: str, value: str) -> None:
    assert parse_amount(text, None).value == Decimal(value)
    assert parse_amount(text, None).value.as_tuple().exponent == -2


@pytest.mark.parametrize(
    ("text", "currency"),
    [
        ("12 €", "EUR"),
        ("€12", "EUR"),
        ("12,00 EUR", "EUR"),
        ("$ 12.00", "USD"),
        ("12 euros", "EUR"),
        ("12 CHF", "CHF"),
        ("12,00 EUR CR", "EUR"),
        ("12", None),
    ],
)
def test_the_currency_beside_an_amount_is_kept(text: str, currency: str | None) -> None:
    assert parse_amount(text, None).currency == currency


@pytest.mark.parametrize(
    "text",
    [
        "",
        "abc",
        "12,345,6",
        "1 23,00",
        "1.23.456",
        "12,345678",
        "1 234.567,891",
        "--12",
        "(12",
        "12)",
        "-(12)",
        "12 %",
        "1e3",
        "NaN",
        "∞",
        "١٢",
        "=1+1",
        "12 34 56",
        "1 000 000 000 000,00",
        "1" * 80,
    ],
)
def test_what_is_no_amount_is_refused_with_a_reason(text: str) -> None:
    with pytest.raises(AmountError, match="«"):
        parse_amount(text, None)


def test_an_amount_that_reads_two_ways_is_refused_when_the_file_does_not_tell() -> None:
    with pytest.raises(AmountError, match="avec ou sans décimales"):
        parse_amount("1,234", None)


def test_an_amount_that_reads_two_ways_follows_the_other_amounts_of_the_file() -> None:
    assert parse_amount("1.234", ",") == Amount(Decimal("1234.00"))
    assert parse_amount("1,234", ".") == Amount(Decimal("1234.00"))
    assert parse_amount("1,500", ",") == Amount(Decimal("1.50"))
    with pytest.raises(AmountError, match="deux décimales"):
        parse_amount("1,234", ",")


@pytest.mark.parametrize(
    ("text", "mark"),
    [
        ("12,50", ","),
        ("12.50", "."),
        ("1.234,56", ","),
        ("1 234,567", ","),
        ("0,123", ","),
        ("1,234", None),
        ("1.234.567", None),
        ("1234", None),
        ("abc", None),
    ],
)
def test_only_an_unmistakable_amount_proves_the_decimal_mark(text: str, mark: str | None) -> None:
    assert decimal_mark_of(text) == mark


@given(
    st.decimals("-999999999.99", "999999999.99", places=2),
    st.sampled_from([" ", NBSP, NARROW, "", "."]),
    st.sampled_from(["", " €", f"{NBSP}€", " EUR"]),
)
def test_an_amount_written_the_french_way_comes_back(
    value: Decimal, group: str, currency: str
) -> None:
    text = f"{value:,.2f}".replace(",", "G").replace(".", ",").replace("G", group) + currency
    assert parse_amount(text, None).value == value


@given(st.text(max_size=20), st.sampled_from([None, ",", "."]))
def test_any_text_is_an_amount_or_a_reason(text: str, mark: str | None) -> None:
    decimal_mark_of(text)
    try:
        assert abs(parse_amount(text, mark).value) < Decimal("1e12")
    except AmountError as error:
        reason = str(error)
    else:
        reason = ""
    assert len(reason) < 200


@pytest.mark.parametrize(
    "text",
    [
        "03/03/2026",
        "3/3/2026",
        "03/03/26",
        "03.03.2026",
        "03-03-2026",
        "2026-03-03",
        "2026/03/03",
        "3 mars 2026",
        "03 MARS 2026",
        "mardi 3 mars 2026",
        "mar. 3 mars 2026",
        "3-mars-26",
        "03/03/2026 00:00",
        "03/03/2026 14:05:22",
        "2026-03-03T00:00:00",
        "2026-03-03 00:00:00.000",
    ],
)
def test_a_date_is_read_whatever_its_form(text: str) -> None:
    assert parse_date(text) == date(2026, 3, 3)


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("1er janvier 2026", date(2026, 1, 1)),
        ("15 févr. 2026", date(2026, 2, 15)),
        ("31 août 2026", date(2026, 8, 31)),
        ("14 juil. 26", date(2026, 7, 14)),
        ("25-déc.-26", date(2026, 12, 25)),
        ("29/02/2028", date(2028, 2, 29)),
        ("03/04/2026", date(2026, 4, 3)),
    ],
)
def test_months_in_words_and_days_first(text: str, day: date) -> None:
    assert parse_date(text) == day


@pytest.mark.parametrize(
    "text",
    [
        "",
        "demain",
        "31/02/2026",
        "29/02/2026",
        "00/01/2026",
        "32/01/2026",
        "01/13/2026",
        "46084",
        "01/01/1999",
        "01/01/2101",
        "0001-01-01",
        "9999-12-31",
        "01/01/202",
        "3 brumaire 2026",
        "2026-03-02T23:00:00Z",
        "2026-03-02T23:00:00+01:00",
        "03/03-2026",
        "٠٣/٠٣/٢٠٢٦",
    ],
)
def test_what_is_no_date_or_an_absurd_one_is_refused_with_a_reason(text: str) -> None:
    with pytest.raises(DateError, match="«"):
        parse_date(text)


def test_where_a_date_was_month_first_those_that_read_two_ways_are_refused() -> None:
    assert is_month_first("04/25/2026")
    assert not is_month_first("25/04/2026")
    for text in ("03/04/2026", "04/25/2026"):
        with pytest.raises(DateError, match="mois/jour"):
            parse_date(text, month_first_seen=True)
    assert parse_date("25/04/2026", month_first_seen=True) == date(2026, 4, 25)
    assert parse_date("03/03/2026", month_first_seen=True) == date(2026, 3, 3)


@given(st.dates(date(2000, 1, 1), date(2099, 12, 31)))
def test_a_day_written_any_way_comes_back(day: date) -> None:
    for form in ("%d/%m/%Y", "%d/%m/%y", "%Y-%m-%d", "%d.%m.%Y"):
        assert parse_date(day.strftime(form)) == day


@given(st.text(max_size=20) | st.from_regex(r"[0-9]{1,2}[/.-][0-9]{1,2}[/.-][0-9]{2,4}"))
def test_any_text_is_a_date_or_a_reason(text: str) -> None:
    is_month_first(text)
    try:
        assert 2000 <= parse_date(text).year <= 2100
    except DateError as error:
        reason = str(error)
    else:
        reason = ""
    assert len(reason) < 200
