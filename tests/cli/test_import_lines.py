"""One line of an export → one invoice, or every reason why not."""

from __future__ import annotations

import io
import re
from datetime import date
from decimal import Decimal

import pytest

from cli.imports.decoding import opened
from cli.imports.invoice_line import Invoice, Reject
from cli.imports.invoices import Ignored, InvoiceFile

HEADER = (
    "Numéro;Client;Date;Échéance;Total TTC;Reste à payer;Réglé;Statut;Devise;Type de client;"
    "SIRET;E-mail;Code client;Fichier PDF;Type"
)
FIELDS = (
    "number",
    "customer",
    "issued",
    "due",
    "total",
    "balance",
    "paid",
    "status",
    "currency",
    "customer_type",
    "siret",
    "email",
    "code",
    "pdf",
    "type",
)


def line(**cells: str) -> str:
    defaults = {"number": "F1", "customer": "Dupont", "issued": "03/01/2026", "due": "03/02/2026"}
    values = {**dict.fromkeys(FIELDS, ""), **defaults, "total": "120,00", **cells}
    return ";".join(values[name] for name in FIELDS)


def read(*lines: str) -> list[Invoice | Reject | Ignored]:
    content = "\n".join([HEADER, *lines])
    with opened(io.BytesIO(content.encode())) as source:
        return list(InvoiceFile.survey(source).read())


def invoice(**cells: str) -> Invoice:
    (outcome,) = read(line(**cells))
    assert isinstance(outcome, Invoice), outcome
    return outcome


def reasons(**cells: str) -> str:
    (outcome,) = read(line(**cells))
    assert isinstance(outcome, Reject), outcome
    return " / ".join(outcome.reasons)


def test_a_plain_line_is_an_unpaid_invoice() -> None:
    found = invoice(email=" a@b.example ; c@d.example".replace(";", ","))
    assert (found.line, found.number, found.status) == (2, "F1", "sent")
    assert (found.issued_on, found.due_on) == (date(2026, 1, 3), date(2026, 2, 3))
    assert (found.total, found.balance) == (Decimal("120.00"), Decimal("120.00"))
    assert (found.currency, found.pdf, found.disputed) == (None, None, False)
    assert found.customer.name == "Dupont"
    assert found.customer.emails == "a@b.example , c@d.example"


@pytest.mark.parametrize(
    ("cells", "status", "balance"),
    [
        ({}, "sent", "120"),
        ({"balance": "50,00"}, "partial", "50"),
        ({"balance": "0"}, "paid", "0"),
        ({"balance": "-5,00"}, "paid", "-5"),
        ({"paid": "20,00"}, "partial", "100"),
        ({"paid": "120,00"}, "paid", "0"),
        ({"paid": "130,00"}, "paid", "-10"),
        ({"balance": "50", "paid": "20"}, "partial", "50"),
        ({"paid": "oui"}, "paid", "0"),
        ({"paid": "Non"}, "sent", "120"),
        ({"status": "Payée"}, "paid", "0"),
        ({"status": "PAYEE"}, "paid", "0"),
        ({"status": "Facture réglée"}, "paid", "0"),
        ({"status": "payée", "balance": "0,40"}, "paid", "0.40"),
        ({"status": "payée", "paid": "0,00"}, "paid", "0"),
        ({"status": "Impayée"}, "sent", "120"),
        ({"status": "Envoyée", "balance": "0,00"}, "paid", "0"),
        ({"status": "À payer", "balance": "20"}, "partial", "20"),
        ({"status": "En retard"}, "overdue", "120"),
        ({"status": "En retard", "balance": "20"}, "overdue", "20"),
        ({"status": "En retard", "balance": "0"}, "paid", "0"),
        ({"status": "Partiellement payée", "balance": "20"}, "partial", "20"),
        ({"status": "Partiellement payée", "paid": "20"}, "partial", "100"),
        ({"status": "Partiellement payée", "balance": "120"}, "sent", "120"),
        ({"status": "Brouillon"}, "draft", "120"),
        ({"status": "Annulée"}, "cancelled", "0"),
        ({"status": "Irrécouvrable", "balance": "120"}, "cancelled", "120"),
        ({"status": "Avoir"}, "credited", "0"),
        ({"status": "Remboursée"}, "credited", "0"),
        ({"type": "Avoir", "status": "Validée"}, "credited", "0"),
        ({"type": "Prestation"}, "sent", "120"),
        ({"total": "0"}, "paid", "0"),
        ({"total": "-120,00"}, "credited", "0"),
        ({"total": "-120,00", "balance": "-20"}, "credited", "-20"),
        ({"total": "-120,00", "status": "payée"}, "credited", "0"),
        ({"total": "-120,00", "status": "Brouillon"}, "draft", "0"),
        ({"balance": "-", "paid": "–"}, "sent", "120"),
    ],
)
def test_status_and_balance_complete_each_other(
    cells: dict[str, str], status: str, balance: str
) -> None:
    found = invoice(**cells)
    assert (found.status, found.balance) == (status, Decimal(balance))


@pytest.mark.parametrize("word", ["En litige", "Refusée", "Contestée"])
def test_an_invoice_that_the_customer_contests_is_disputed(word: str) -> None:
    found = invoice(status=word)
    assert (found.status, found.disputed) == ("sent", True)


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        ({"number": ""}, "numéro : la case est vide"),
        ({"number": "-"}, "numéro : la case est vide"),
        ({"number": "9" * 101}, "numéro : plus de 100 caractères"),
        ({"customer": " "}, "nom du client : la case est vide"),
        ({"customer": "D\x07upont"}, "nom du client : un caractère est illisible"),
        ({"customer": "D\ufffdpont"}, "nom du client : un caractère est illisible"),
        ({"total": ""}, "montant TTC : la case est vide"),
        ({"total": "1,234"}, "montant TTC : « 1,234 » peut se lire"),
        ({"issued": ""}, "date de facture : la case est vide"),
        ({"issued": "hier"}, "date de facture : « hier » n'est pas une date"),
        ({"due": "02/01/2026"}, "échéance : le 02/01/2026 est avant la date de facture"),
        ({"due": "03/02/2126"}, "échéance : .*entre 2000 et 2100"),
        ({"balance": "120,01"}, "reste à payer : 120,01 dépasse le montant TTC .120,00"),
        ({"total": "-10", "balance": "5"}, "reste à payer : 5,00 dépasse"),
        ({"total": "-10", "balance": "-50"}, "reste à payer : -50,00 dépasse"),
        ({"status": "Partiellement payée"}, "reste à payer : il faut ce montant"),
        ({"status": "Bizarre"}, "statut : « Bizarre » n'est pas connu"),
        ({"type": "Devis"}, "« Devis » : ce n'est pas une facture"),
        ({"currency": "euro fort"}, "devise : « euro fort »"),
        ({"currency": "USD", "total": "120 €"}, "devise : la ligne en a plusieurs .EUR, USD"),
        ({"total": "120 £", "balance": "10 €"}, "devise : la ligne en a plusieurs .EUR, GBP"),
        ({"email": "x" * 1001}, "adresse e-mail : plus de 1000"),
    ],
)
def test_a_line_that_cannot_be_trusted_is_refused_with_its_reason(
    cells: dict[str, str], reason: str
) -> None:
    assert re.search(reason, reasons(**cells))


def test_all_the_reasons_of_a_line_are_given() -> None:
    (outcome,) = read(line(number="", total="abc", due="31/02/2026", status="?"))
    assert isinstance(outcome, Reject)
    assert len(outcome.reasons) == 4
    assert (outcome.line, outcome.number) == (2, "")


def test_good_lines_are_kept_around_bad_ones_and_line_numbers_are_the_files() -> None:
    outcomes = read(line(number="F1"), "", line(number="F2", total="x"), line(number="F3"))
    assert [(type(found).__name__, found.line) for found in outcomes] == [
        ("Invoice", 2),
        ("Reject", 4),
        ("Invoice", 5),
    ]


def test_of_several_lines_with_one_number_the_first_good_one_is_kept() -> None:
    bad, first, second, third = read(line(customer=""), line(), line(customer="Martin"), line())
    assert isinstance(bad, Reject)
    assert isinstance(first, Invoice)
    for other in (second, third):
        assert isinstance(other, Reject)
        assert other.reasons == ("numéro : il est déjà à la ligne 3 du fichier",)


def test_an_export_with_a_line_per_article_does_not_make_an_invoice_of_the_first() -> None:
    outcomes = read(line(total="10"), line(total="20"), line(number="F2"))
    assert [type(found) for found in outcomes] == [Reject, Reject, Invoice]
    assert isinstance(outcomes[0], Reject)
    assert "une ligne par facture" in outcomes[0].reasons[0]


def test_total_lines_are_ignored_and_incomplete_invoices_are_not() -> None:
    blank = dict.fromkeys(("customer", "issued", "due"), "")
    outcomes = read(
        line(number="F1"),
        line(**blank, number="Total", total="9 999,00"),
        line(**blank, number="", total="9 999,00"),
        line(**{**blank, "customer": "TOTAL GÉNÉRAL"}, number="", total="9 999,00"),
        line(**blank, number="F2"),
        line(**{**blank, "customer": "Total Énergies"}, number="F3"),
    )
    kinds = [type(found) for found in outcomes]
    assert kinds == [Invoice, Ignored, Ignored, Ignored, Reject, Reject]


def test_an_ambiguous_amount_is_read_as_the_rest_of_the_file_is_written() -> None:
    found = read(line(number="F1", total="1.234"), line(number="F2", total="12,50"))
    assert [outcome.total for outcome in found if isinstance(outcome, Invoice)] == [
        Decimal("1234.00"),
        Decimal("12.50"),
    ]
    mixed = read(
        line(total="1.234"), line(number="F2", total="12,50"), line(number="F3", total="9.5")
    )
    assert isinstance(mixed[0], Reject)


def test_a_file_with_dates_month_first_is_not_misread() -> None:
    first, second = read(
        line(number="F1", issued="01/02/2026", due="02/01/2026"),
        line(number="F2", issued="01/31/2026", due="02/28/2026"),
    )
    assert isinstance(first, Reject)
    assert isinstance(second, Reject)
    assert "mois/jour" in first.reasons[0]


@pytest.mark.parametrize(
    ("cells", "customer_type"),
    [
        ({"customer_type": "Professionnel"}, "professional"),
        ({"customer_type": "PARTICULIER"}, "consumer"),
        ({"customer_type": "Association"}, None),
        ({"siret": "552 100 554 00013"}, "professional"),
        ({"siret": "FR 83 404 833 048"}, "professional"),
        ({"siret": "néant"}, None),
        ({"siret": "552 100 554 00013", "customer_type": "particulier"}, "consumer"),
        ({}, None),
    ],
)
def test_who_is_a_professional_is_known_or_left_unknown(
    cells: dict[str, str], customer_type: str | None
) -> None:
    assert invoice(**cells).customer.customer_type == customer_type


@pytest.mark.parametrize(
    ("cells", "currency"),
    [
        ({"currency": "EUR"}, "EUR"),
        ({"currency": "€"}, "EUR"),
        ({"currency": "usd", "total": "120 $"}, "USD"),
        ({"currency": "CAD", "total": "120 $"}, "CAD"),
        ({"total": "120 CHF"}, "CHF"),
        ({}, None),
    ],
)
def test_the_currency_is_the_columns_or_the_amounts(
    cells: dict[str, str], currency: str | None
) -> None:
    assert invoice(**cells).currency == currency


@pytest.mark.parametrize(
    ("pdf", "kept"),
    [
        ("F-1.pdf", "F-1.pdf"),
        (r"C:\Factures\2026\F-1.PDF", "F-1.PDF"),
        ("../../autre/F-1.pdf", "F-1.pdf"),
        ("https://app.example/F-1.pdf", None),
        ("oui", None),
        ("", None),
    ],
)
def test_of_a_pdf_only_the_files_name_is_kept(pdf: str, kept: str | None) -> None:
    assert invoice(pdf=pdf).pdf == kept


def test_formulas_and_markup_are_text() -> None:
    found = invoice(number="=1+1", customer="<b>Dupont & Fils</b>")
    assert (found.number, found.customer.name) == ("=1+1", "<b>Dupont & Fils</b>")


def test_invisible_characters_and_line_breaks_in_a_name_become_plain_spaces() -> None:
    found = invoice(customer='"Rue\u00a0des\nLilas\u200b  SARL\u202e"', number=" F\u200b1 ")
    assert (found.customer.name, found.number) == ("Rue des Lilas SARL", "F1")
    assert invoice(customer="Re\u0301mi").customer.name == "Rémi"


def test_a_draft_may_have_no_date() -> None:
    found = invoice(status="Brouillon", issued="", due="")
    assert (found.issued_on, found.due_on) == (None, None)
