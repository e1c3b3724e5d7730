"""Which column is which, in the exports of the software that small businesses use."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from cli.imports.columns import INVOICES, NAMES, REQUIRED, MissingColumns

EXPORTS = {
    "Pennylane": (
        "Numéro de facture;Client;Date d'émission;Date d'échéance;Montant HT;Montant TTC;"
        "Montant restant dû;Statut;Devise"
    ),
    "Sage": (
        "N° pièce;Compte tiers;Intitulé tiers;Date pièce;Date échéance;Montant TTC;"
        "Montant réglé;Solde dû"
    ),
    "EBP": (
        "Numéro du document;Date;Code client;Nom du client;Date d'échéance;Total HT;Total TTC;"
        "Solde dû;État"
    ),
    "Henrri": "Numéro;Date;Client;Échéance;Total HT;Total TVA;Total TTC;Reste à payer;Statut",
    "Axonaut": (
        "Numéro;Société;Date;Date d'échéance;Montant HT (€);Montant TTC (€);Reste à payer (€);"
        "Statut;E-mail"
    ),
    "Tiime": (
        "N° ;Client ;Date de facture;Date limite de paiement;Total TTC en EUR;Payé;"
        "Statut de paiement"
    ),
    "QuickBooks": "Date;Type d'opération;N°;Nom;Échéance;Montant;Solde ouvert;Statut;Devise",
}


@pytest.mark.parametrize("header", EXPORTS.values(), ids=EXPORTS)
@pytest.mark.parametrize("write", [str, str.upper, str.lower])
def test_the_exports_of_known_software_have_all_that_is_needed(
    header: str, write: Callable[[str], str]
) -> None:
    assert set(REQUIRED) <= set(INVOICES.require(write(header).split(";")))


@pytest.mark.parametrize(
    ("title", "field"),
    [
        ("N° Facture", "number"),
        ("Nº de facture", "number"),
        ("Référence", "number"),
        ("Raison sociale", "customer_name"),
        ("Code client", "customer_code"),
        ("N° client", "customer_code"),
        ("E-mail", "emails"),
        ("Adresse e-mail du client", None),
        ("Courriel", "emails"),
        ("Type de client", "customer_type"),
        ("N° SIRET", "registration"),
        ("Date de la facture", "issued_on"),
        ("À payer avant le", "due_on"),
        ("Date\nd’échéance", "due_on"),
        ("Montant TTC (en €)", "total"),
        ("Montant dû", "balance"),
        ("Reste à payer (EUR)", "balance"),
        ("Montant_réglé", "paid"),
        ("Fichier PDF", "pdf"),
        ("Montant HT", None),
        ("TVA", None),
        ("", None),
    ],
)
def test_a_title_names_its_field(title: str, field: str | None) -> None:
    assert INVOICES.recognise([title]) == ({field: 0} if field else {})


def test_the_most_precise_title_wins_wherever_it_stands() -> None:
    header = ["Référence", "Montant", "Numéro de facture", "Client", "Montant TTC", "Nom du client"]
    found = INVOICES.recognise(header)
    assert (found["number"], found["total"], found["customer_name"]) == (2, 4, 5)


def test_of_two_equal_titles_the_first_counts() -> None:
    assert INVOICES.recognise(["Date", "Date"]) == {"issued_on": 0}


def test_a_missing_column_is_named_with_those_that_were_found() -> None:
    with pytest.raises(MissingColumns) as one:
        INVOICES.require(["Numéro", "Client", "Date", "Échéance", "Montant HT"])
    assert "la colonne « Montant TTC »" in str(one.value)
    assert "« Numéro », « Client », « Date », « Échéance », « Montant HT »" in str(one.value)
    with pytest.raises(
        MissingColumns, match="les colonnes « Date de facture », « Date d'échéance »"
    ):
        INVOICES.require(["Numéro", "Client", "Montant TTC"])


def test_a_title_line_is_no_header() -> None:
    assert INVOICES.score(["Factures"]) == 0
    assert INVOICES.score(["Factures du mois", "novembre", ""]) == 0
    assert INVOICES.score(EXPORTS["Henrri"].split(";")) > INVOICES.score(["Client", "Date"]) > 0


def test_the_documentation_lists_every_name() -> None:
    documentation = (Path(__file__).parents[2] / "docs" / "import.md").read_text()
    missing = [
        name for names in NAMES.values() for name in names if f"`{name}`" not in documentation
    ]
    assert not missing
