"""The sample businesses: the same each time, complete, plausible, and never two tenants alike."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from chalicelib.providers.mail.addresses import parse_addresses
from chalicelib.providers.phones import normalised
from chalicelib.providers.storage.keys import checked
from sandbox import pdf, registration, sample
from sandbox.sample import Sample
from sandbox.sample_states import INVOICES, QUOTES, latest_leap_day
from tests.database import Database
from tests.harness import Deployment

TODAY = date(2026, 3, 10)
RELATIONS = (
    "businesses",
    "billing_settings",
    "followup_levels",
    "customers",
    "customer_phones",
    "invoices",
    "quotes",
)


@pytest.fixture(scope="module")
def built() -> Sample:
    return sample.build(TODAY)


def labels(built: Sample, relation: str, business: str) -> Counter[str]:
    return Counter(
        label
        for (found, owner, _), label in built.labels.items()
        if (found, owner) == (relation, business)
    )


def test_the_same_day_and_seed_give_the_same_sample(built: Sample) -> None:
    again, other = sample.build(TODAY), sample.build(TODAY, seed=2)
    assert (again.customers, again.invoices, again.quotes) == (
        built.customers,
        built.invoices,
        built.quotes,
    )
    assert again.documents == built.documents
    assert other.invoices != built.invoices


def test_the_sample_has_the_sizes_asked_for(built: Sample) -> None:
    assert (len(built.businesses), len(built.invoices), len(built.quotes)) == (4, 600, 200)
    large = sample.build(TODAY, invoices_per_business=1000, quotes_per_business=90)
    assert (len(large.invoices), len(large.quotes), len(large.customers)) == (4000, 360, 800)


@pytest.mark.parametrize("business", ["B1", "B2", "B3", "B4"])
def test_every_business_has_every_state(built: Sample, business: str) -> None:
    assert set(INVOICES) <= set(labels(built, "invoices", business))
    assert set(QUOTES) <= set(labels(built, "quotes", business))


def test_twins_share_ids_and_numbers_and_nothing_else(built: Sample) -> None:
    for relation, shared in (
        ("customers", ["id"]),
        ("invoices", ["id", "number"]),
        ("quotes", ["id", "number"]),
    ):
        rows: list[dict[str, object]] = getattr(built, relation)
        first, twin = ([row for row in rows if row["business_id"] == id] for id in ("B1", "B4"))
        for column in shared:
            assert [row[column] for row in first] == [row[column] for row in twin]
    for column in ("name", "sender_email", "address", "phone", "siret", "iban"):
        assert len({row[column] for row in built.businesses}) == 4
    for column in ("name", "emails"):
        values = {
            business: {
                row[column]
                for row in built.customers
                if row["business_id"] == business and row[column]
            }
            for business in ("B1", "B4")
        }
        assert values["B1"] & values["B4"] <= {"à demander à Mme Martin"}
    amounts = [
        {row["id"]: row["total"] for row in built.invoices if row["business_id"] == business}
        for business in ("B1", "B4")
    ]
    assert sum(amounts[0][id] == amounts[1][id] for id in amounts[0]) < 5


def test_every_address_is_on_a_reserved_domain(built: Sample) -> None:
    people = [str(row["emails"]) for row in built.customers if row["emails"]]
    senders = [str(row[name]) for row in built.businesses for name in ("sender_email", "reply_to")]
    addresses = [address for cell in people + senders for address in parse_addresses(cell)]
    assert len(addresses) > 350
    assert {address.rpartition(".")[2] for address in addresses} == {"example", "test"}
    assert [cell for cell in senders if parse_addresses(cell) != [cell]] == []


def test_each_ordinary_customer_can_be_written_to_and_has_a_name_of_its_own(built: Sample) -> None:
    ordinary = [
        row
        for row in built.customers
        if not built.labels["customers", str(row["business_id"]), str(row["id"])]
    ]
    assert all(len(parse_addresses(str(row["emails"]))) == 1 for row in ordinary)
    assert (
        len({row["name"] for row in ordinary})
        == len({row["emails"] for row in ordinary})
        == len(ordinary)
    )


def test_two_businesses_write_by_whatsapp_to_numbers_that_are_kept_for_fiction(
    built: Sample,
) -> None:
    levels = [row for row in built.followup_levels if row["channel"] == "whatsapp"]
    assert {(row["business_id"], row["document"]) for row in levels} == {
        ("B2", "quote"),
        ("B3", "invoice"),
        ("B3", "quote"),
    }
    numbers = [normalised(str(row["phone"])).number for row in built.customer_phones]
    assert all(number.startswith("+3363998") for number in numbers)
    assert len(set(numbers)) < len(numbers), "two customers share a number"
    assert {row["business_id"] for row in built.customer_phones} == {"B2", "B3"}


def test_amounts_are_in_cents_and_balances_within_totals(built: Sample) -> None:
    for row in built.invoices:
        total, balance = row["total"], row["balance"]
        assert isinstance(total, Decimal)
        assert isinstance(balance, Decimal)
        assert total.as_tuple().exponent == balance.as_tuple().exponent == -2
        assert balance <= max(total, Decimal(0))
        assert 80 < abs(total) < 30_000


def test_numbers_follow_the_dates_without_gaps_in_a_year(built: Sample) -> None:
    rows = [row for row in built.invoices if row["business_id"] == "B1" and row["issued_on"]]
    by_year: dict[int, list[str]] = {}
    for row in sorted(rows, key=lambda row: str(row["number"])):
        assert isinstance(row["issued_on"], date)
        by_year.setdefault(row["issued_on"].year, []).append(str(row["number"]))
    for year, numbers in by_year.items():
        assert numbers == [f"F-{year}-{n:04}" for n in range(1, len(numbers) + 1)]


def luhn(digits: str) -> int:
    doubled = [int(d) * (1 + i % 2) for i, d in enumerate(reversed(digits))]
    return sum(n - 9 if n > 9 else n for n in doubled) % 10


@given(st.randoms(use_true_random=False))
@settings(max_examples=50)
def test_registration_numbers_and_accounts_pass_their_checks(rng: Random) -> None:
    siret, iban = registration.siret(rng), registration.iban(rng)
    assert re.fullmatch(r"0\d{13}", siret)
    assert luhn(siret) == luhn(siret[:9]) == 0
    assert re.fullmatch(r"FR\d{25}", iban)
    assert int("".join(str(int(c, 36)) for c in iban[4:] + iban[:4])) % 97 == 1
    bank, branch, account, key = iban[4:9], iban[9:14], iban[14:25], iban[25:]
    assert (89 * int(bank) + 15 * int(branch) + 3 * int(account) + int(key)) % 97 == 0


def test_stored_documents_are_those_of_invoices_that_name_them(built: Sample) -> None:
    named = {str(row["pdf_key"]) for row in built.invoices if row["pdf_key"]}
    assert set(built.documents) < named
    assert all(checked(key).startswith(("B1/", "B2/", "B3/", "B4/")) for key in named)
    assert re.fullmatch(r"B\d/factures/F-\d{4}-\d{4}\.pdf", min(built.documents))


def objects(document: bytes) -> Iterator[bytes]:
    """What each entry of the cross-reference table points to."""
    start = int(document.rsplit(b"startxref\n", 1)[1].split()[0])
    table = document[start:]
    assert table.startswith(b"xref\n0 ")
    for offset in re.findall(rb"(\d{10}) 00000 n \n", table):
        yield document[int(offset) :]


def test_a_document_is_a_pdf_whose_table_points_to_its_objects(built: Sample) -> None:
    for document in [
        *built.documents.values(),
        pdf.page([r"Ça (coûte) 1 234,56 € \ ok", "Œ", "日"]),
    ]:
        assert document.startswith(b"%PDF-1.4")
        assert document.endswith(b"%%EOF\n")
        for number, content in enumerate(objects(document), start=1):
            assert content.startswith(b"%d 0 obj\n" % number)
        length = re.search(rb"/Length (\d+) >>\nstream\n", document)
        assert length is not None
        assert document[length.end() + int(length[1]) :].startswith(b"\nendstream")


def test_text_in_a_pdf_is_french_and_cannot_end_its_string() -> None:
    document = pdf.page([r"Dû (à régler) \ 12 €", "日"])
    assert (
        rb"(D\xfb \(\xe0 r\xe9gler\) \\ 12 \x80)".replace(rb"\xfb", b"\xfb")
        .replace(rb"\xe0", b"\xe0")
        .replace(rb"\xe9", b"\xe9")
        .replace(rb"\x80", b"\x80")
        in document
    )
    assert b"(?)" in document


def test_the_leap_day_of_the_sample_is_over() -> None:
    assert latest_leap_day(date(2026, 3, 10)) == date(2024, 2, 29)
    assert latest_leap_day(date(2028, 3, 6)) == date(2024, 2, 29)
    assert latest_leap_day(date(2028, 3, 7)) == date(2028, 2, 29)


@given(st.dates(date(2010, 1, 1), date(2090, 12, 31)))
@settings(max_examples=10)
def test_a_sample_can_be_built_for_any_day(today: date) -> None:
    built = sample.build(today)
    assert len(built.invoices) == 600
    issued = [row["issued_on"] for row in built.invoices if isinstance(row["issued_on"], date)]
    assert max(issued) <= today


def test_a_loaded_sample_is_the_one_that_was_built(database: Database, built: Sample) -> None:
    with database.begin() as connection:
        sample.load(connection, built, history=True)
        for relation in (*RELATIONS, "messages"):
            rows: list[dict[str, object]] = getattr(built, relation)
            count = connection.execute(text(f"SELECT count(*) FROM ponctuel.{relation}"))
            assert count.scalar_one() == len(rows)
        stored = connection.execute(
            text("SELECT * FROM ponctuel.invoices ORDER BY business_id, id")
        ).mappings()
        for found, row in zip(stored, built.invoices, strict=True):
            assert {column: found[column] for column in row} == row


# What a dry run makes of the documents: the level that is due, or why none is.
INVOICES_DUE = {
    "not_due": "not_due",
    "notice_due": "1",
    "due_lately": "not_due",
    "reminder_due": "2",
    "overdue": "2",
    "firm_due": "1",
    "formal_notice_due": "1",
    "long_overdue": "2",
    "after_reminder": "3",
    "after_firm_reminder": "4",
    "partly_paid": "2",
    "tolerated": "tolerated",
    "overpaid": "settled",
    "paid_unmarked": "settled",
    "disputed": "disputed",
    "promised": "promised",
    "promised_today": "promised",
    "promise_broken": "2",
    "auto_off": "auto_disabled",
    "reopened": "2",
    "no_due_date": "no_due_date",
    "due_before_issue": "absurd_due_date",
    "leap_day": "2",
    "no_email": "no_email",
    "invalid_email": "no_email",
    "half_valid_emails": "2",
    "line_break_name": "2",
    "insolvent": "insolvency",
    "paused": "paused",
    "paused_until_today": "paused",
    "pause_over": "2",
    "opted_out": "opted_out",
    "strict_policy": "not_due",
}
QUOTES_DUE = {
    "fresh": "not_due",
    "answer_awaited": "1",
    "expires_today": "1",
    "expired_unmarked": "quote_expired",
    "auto_off": "auto_disabled",
    "second_version": "1",
}
CLOSED = {"draft", "paid", "credited", "credit_note", "cancelled", "expired", "accepted", "refused"}


def test_every_state_is_followed_up_or_left_out_for_its_own_reason(
    deployment: Deployment, built: Sample
) -> None:
    with deployment.database.begin() as connection:
        sample.load(connection, built, history=True)
    report = deployment.rehearse()
    outcomes: dict[tuple[str, str], set[str]] = defaultdict(set)
    for line in report["left_out"]:
        relation = f"{line['document']}s"
        label = built.labels[relation, line["business_id"], line["subject"]]
        outcomes[relation, label].add(line["reason"])
    for message in report["messages"]:
        relation = "quotes" if message["kind"] == "billing.quote_followup" else "invoices"
        label = built.labels.get((relation, message["business_id"], message["subject"]), "letter")
        outcomes[relation, label].add(message["step"])
    for relation, due in (("invoices", INVOICES_DUE), ("quotes", QUOTES_DUE)):
        for label, outcome in due.items():
            assert outcomes[relation, label] - {"customer_waits"} == {outcome}, label
        assert not CLOSED & {label for found, label in outcomes if found == relation}
    assert outcomes["invoices", "letter"]
    assert "customer_waits" in outcomes["invoices", "several_due"]
