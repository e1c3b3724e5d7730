"""Amounts, dates and counts as a French reader expects them."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.outbox import formats

# Babel loads its data on the first call, which no example's deadline should pay for.
patient = settings(deadline=None, max_examples=60)
amounts = st.decimals(min_value=-(10**11), max_value=10**11, places=2)
days = st.dates(min_value=date(1, 1, 1), max_value=date(9998, 12, 31))


@patient
@given(amounts)
def test_an_amount_can_be_read_back_and_no_line_breaks_inside_it(amount: Decimal) -> None:
    shown = formats.montant(amount, "EUR")

    assert re.fullmatch("−?[0-9]{1,3}(\u202f[0-9]{3})*,[0-9]{2}\u00a0€", shown)
    figures = shown.removesuffix("\u00a0€").replace("\u202f", "").replace(",", ".")
    assert Decimal(figures.replace("−", "-")) == amount


@pytest.mark.parametrize(
    ("amount", "currency", "shown"),
    [
        ("1234.56", "EUR", "1\u202f234,56\u00a0€"),
        ("1234.56", "USD", "1\u202f234,56\u00a0$US"),
        ("1234.56", "eur", "1\u202f234,56\u00a0€"),
        ("1234.00", "JPY", "1\u202f234\u00a0JPY"),
        ("1234.5", "TND", "1\u202f234,500\u00a0TND"),
        ("5", "XPF", "5\u00a0FCFP"),
        ("0", "EUR", "0,00\u00a0€"),
        (Decimal("0.1"), "EUR", "0,10\u00a0€"),
        ("1234567.8", "CHF", "1\u202f234\u202f567,80\u00a0CHF"),
    ],
)
def test_each_currency_has_its_own_decimals_and_symbol(
    amount: str | Decimal, currency: str, shown: str
) -> None:
    assert formats.montant(amount, currency) == shown


def test_further_decimals_are_rounded_half_up_as_accounts_are() -> None:
    assert formats.montant("0.125", "EUR") == "0,13\u00a0€"
    assert formats.montant("-0.125", "EUR") == "−0,13\u00a0€"


def test_nothing_is_ever_minus_zero() -> None:
    assert formats.montant("-0.004", "EUR") == "0,00\u00a0€"
    assert formats.taux("-0.00001") == "0\u00a0%"
    assert formats.nombre("-0.0001") == "0"


@pytest.mark.parametrize("amount", ["", "abc", "1,5", "NaN", "Infinity", "1e40", None, 1.5])
def test_an_unreadable_amount_is_refused_without_being_repeated(amount: object) -> None:
    with pytest.raises(ValueError, match=r"^(nombre|montant) ") as refusal:
        formats.montant(amount, "EUR")  # type: ignore[arg-type]  # what bad content may hold
    assert not amount or str(amount) not in str(refusal.value)


@pytest.mark.parametrize("currency", ["", "€", "ZZZ", "XXX", "EURO"])
def test_an_unknown_currency_is_refused(currency: str) -> None:
    with pytest.raises(ValueError, match="devise inconnue"):
        formats.montant("1", currency)


@pytest.mark.parametrize(
    ("percent", "shown"),
    [
        ("14.76", "14,76\u00a0%"),
        ("12.00", "12\u00a0%"),
        ("0.5", "0,5\u00a0%"),
        ("-1.25", "−1,25\u00a0%"),
    ],
)
def test_a_rate_keeps_its_decimals_and_no_trailing_zero(percent: str, shown: str) -> None:
    assert formats.taux(percent) == shown


@patient
@given(st.integers(min_value=0, max_value=10**6))
def test_days_are_plural_from_two_on(count: int) -> None:
    figure, unit = formats.jours(count).rsplit("\u00a0", 1)

    assert int(figure.replace("\u202f", "")) == count
    assert unit == ("jours" if count >= 2 else "jour")


def test_small_counts_are_written_in_words() -> None:
    assert [formats.en_lettres(count) for count in (2, 3, 10)] == ["deux", "trois", "dix"]
    assert [formats.en_lettres(count) for count in (0, 1, 11, 1200)] == [
        "0",
        "1",
        "11",
        "1\u202f200",
    ]


@patient
@given(days)
def test_a_short_date_can_be_read_back(day: date) -> None:
    number, month, year = formats.date_courte(day.isoformat()).split("/")

    assert date(int(year), int(month), int(number)) == day
    assert len(formats.date_courte(day)) == 10


@patient
@given(days)
def test_only_the_first_of_a_month_is_ordinal(day: date) -> None:
    number, month, year = formats.date_jour(day).split(" ")

    assert number == ("1er" if day.day == 1 else str(day.day))
    assert month.isalpha()
    assert int(year) == day.year


@patient
@given(days)
def test_a_long_date_is_the_weekday_before_the_date(day: date) -> None:
    weekdays = ["lundi", "mardi", "mercredi", "jeudi", "vendredi", "samedi", "dimanche"]

    assert formats.date_longue(day) == f"{weekdays[day.weekday()]} {formats.date_jour(day)}"


def test_dates_are_french() -> None:
    assert formats.date_jour("2026-03-03") == "3 mars 2026"
    assert formats.date_jour("2026-08-01") == "1er août 2026"
    assert formats.date_jour(datetime(2026, 2, 9, 12)) == "9 février 2026"  # noqa: DTZ001 - a wall date
    assert formats.date_longue("2026-03-03") == "mardi 3 mars 2026"
    assert formats.date_courte("2026-03-03") == "03/03/2026"


@pytest.mark.parametrize("day", ["", "2026-02-30", "03/03/2026", "demain", None, 20260303])
def test_an_unreadable_date_is_refused(day: object) -> None:
    with pytest.raises(ValueError, match="date illisible"):
        formats.date_jour(day)  # type: ignore[arg-type]  # what bad content may hold


def test_an_instant_is_shown_on_the_clocks_of_its_reader() -> None:
    assert formats.date_heure("2026-03-10T08:05:00.000Z") == "10 mars 2026 à 9\u00a0h\u00a005"
    assert formats.date_heure("2026-07-10T08:00:00Z") == "10 juillet 2026 à 10\u00a0h\u00a000"
    assert (
        formats.date_heure("2026-03-31T23:30:00Z", "Indian/Reunion")
        == "1er avril 2026 à 3\u00a0h\u00a030"
    )


@pytest.mark.parametrize("instant", ["2026-03-10T08:05:00", "hier", None])
def test_an_instant_without_an_offset_is_refused(instant: object) -> None:
    with pytest.raises(ValueError, match=r"^date "):
        formats.date_heure(instant)  # type: ignore[arg-type]  # what bad content may hold


@patient
@given(days, st.integers(min_value=0, max_value=60))
def test_a_deadline_counts_calendar_days(day: date, count: int) -> None:
    assert formats.dans_jours(day.isoformat(), count) == day + timedelta(days=count)


@patient
@given(st.text("ABCDEFabcdef0123456789 ", max_size=40))
def test_an_iban_is_only_regrouped(account: str) -> None:
    shown = formats.iban(account)

    assert shown.replace("\u00a0", "") == account.replace(" ", "").upper()
    assert " " not in shown
    assert all(len(group) <= 4 for group in shown.split("\u00a0"))


def test_a_siret_is_grouped_and_anything_else_left_alone() -> None:
    assert formats.siret("123 456 78200010") == "123\u00a0456\u00a0782\u00a000010"
    assert formats.siret("en cours") == "en cours"


@pytest.mark.parametrize(
    ("typed", "set_in_type"),
    [
        ("Rappel : l'avis", "Rappel\u00a0: l’avis"),
        ("Quand ? Maintenant !", "Quand\u202f? Maintenant\u202f!"),
        ("un ; deux", "un\u202f; deux"),
        ("« bon pour accord »", "«\u00a0bon pour accord\u00a0»"),
        ("qu'", "qu’"),
        ("<b>IBAN :</b>", "<b>IBAN\u00a0:</b>"),
        ("à 10:30, color:#fff!important;", "à 10:30, color:#fff!important;"),
        ("font-family:'Segoe UI',Arial", "font-family:'Segoe UI',Arial"),
    ],
)
def test_plain_typing_becomes_french_typography_and_css_is_left_alone(
    typed: str, set_in_type: str
) -> None:
    assert formats.typographie(typed) == set_in_type


@patient
@given(st.text("ab': ;!?«»\n", max_size=30))
def test_typography_applied_twice_changes_nothing_more(typed: str) -> None:
    once = formats.typographie(typed)
    assert formats.typographie(once) == once
