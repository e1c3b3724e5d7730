"""A file → the business's invoices and customers, in PostgreSQL."""

from __future__ import annotations

import io
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from chalicelib.errors import NotFound
from cli.imports import result as result_module
from cli.imports import store
from cli.imports.store import ImportResult, import_invoices
from tests import factories
from tests.database import Database

HEADER = "Numéro;Client;Code client;E-mail;Date;Échéance;Total TTC;Reste à payer;Statut;Devise;PDF"
FIELDS = (
    "number",
    "customer",
    "code",
    "email",
    "issued",
    "due",
    "total",
    "balance",
    "status",
    "currency",
    "pdf",
)
TODAY = date(2026, 11, 20)


def line(number: str = "F1", **cells: str) -> str:
    defaults = {"customer": "Dupont", "issued": "03/01/2026", "due": "03/02/2026", "total": "120"}
    values = {**dict.fromkeys(FIELDS, ""), **defaults, "number": number, **cells}
    return ";".join(values[name] for name in FIELDS)


def load(
    connection: Connection, *lines: str, business: str = "B1", dry: bool = False
) -> ImportResult:
    content = "\n".join([HEADER, *lines]).encode()
    return import_invoices(connection, business, io.BytesIO(content), dry_run=dry)


def counts(result: ImportResult) -> tuple[int, int, int, int]:
    return result.created, result.updated, result.unchanged, result.rejected


def table(connection: Connection, relation: str, business: str = "B1") -> list[dict[str, object]]:
    found = connection.execute(
        text(f"SELECT * FROM ponctuel.{relation} WHERE business_id = :business ORDER BY id"),
        {"business": business},
    )
    return [dict(row) for row in found.mappings()]


def test_an_import_creates_invoices_and_their_customers(database: Database) -> None:
    with database.begin() as connection:
        factories.business(connection)
        result = load(
            connection,
            line("F-2026-001", email="a@b.example", pdf="F-2026-001.pdf", status="En retard"),
            line("FA/2026/002", customer="Société Élan", balance="20,00", currency="USD"),
            line("F-2026-003", total="x"),
        )
        assert counts(result) == (2, 0, 0, 1)
        assert (result.customers_created, result.rejects[0].line) == (2, 4)
        first, second = table(connection, "invoices")
        assert first["id"] == first["number"] == "F-2026-001"
        assert first["pdf_key"] == "B1/factures/F-2026-001.pdf"
        assert (first["status"], first["currency"]) == ("overdue", "EUR")
        assert (first["issued_on"], first["due_on"]) == (date(2026, 1, 3), date(2026, 2, 3))
        assert first["auto_enabled"] is True
        assert str(second["id"]).startswith("fa-2026-002-")
        assert (second["balance"], second["currency"]) == (Decimal("20.00"), "USD")
        customers = {row["id"]: row for row in table(connection, "customers")}
        assert customers[first["customer_id"]]["emails"] == "a@b.example"
        assert customers[second["customer_id"]]["name"] == "Société Élan"


def test_importing_the_same_file_again_changes_nothing(database: Database) -> None:
    lines = [
        line("F1", email="a@b.example"),
        line("F2", code="C2", customer="Martin"),
        line("F3", code="C3", customer="Martin"),
        line("F4", customer="DUPONT", email="autre@b.example"),
        line("F5", code="C2", customer="Martin & Fils", email="c@d.example"),
    ]
    with database.begin() as connection:
        factories.business(connection)
        assert counts(load(connection, *lines)) == (5, 0, 0, 0)
        before = table(connection, "invoices"), table(connection, "customers")
        assert len(before[1]) == 3
        assert counts(load(connection, *lines)) == (0, 0, 5, 0)
        assert (table(connection, "invoices"), table(connection, "customers")) == before


def test_an_update_keeps_what_the_file_does_not_say(database: Database) -> None:
    with database.begin() as connection:
        factories.business(connection)
        factories.customer(connection, name="Dupont", paused_until=TODAY, customer_type="consumer")
        factories.invoice(
            connection,
            TODAY,
            id="id-17",
            number="F1",
            auto_enabled=False,
            disputed=True,
            promised_until=TODAY,
            pdf_key="B1/factures/scan.pdf",
            currency="CHF",
            policy="douce",
        )
        assert counts(load(connection, line("F1", balance="20", due=""))) == (0, 1, 0, 0)
        (invoice,) = table(connection, "invoices")
        assert (invoice["id"], invoice["status"], invoice["balance"]) == ("id-17", "partial", 20)
        assert (invoice["auto_enabled"], invoice["disputed"]) == (False, True)
        assert (invoice["promised_until"], invoice["policy"]) == (TODAY, "douce")
        assert (invoice["pdf_key"], invoice["currency"]) == ("B1/factures/scan.pdf", "CHF")
        assert invoice["due_on"] == date(2026, 11, 14)
        (customer,) = table(connection, "customers")
        assert (customer["paused_until"], customer["customer_type"]) == (TODAY, "consumer")
        assert customer["emails"] == "compta@boulangerie-martin.example"


def test_an_invoice_known_to_be_overdue_is_not_announced_again(database: Database) -> None:
    with database.begin() as connection:
        factories.business(connection)
        load(connection, line("F1"))
        connection.execute(text("UPDATE ponctuel.invoices SET status = 'overdue'"))
        assert counts(load(connection, line("F1", status="Impayée"))) == (0, 0, 1, 0)
        assert counts(load(connection, line("F1", due="03/04/2026"))) == (0, 1, 0, 0)
        assert table(connection, "invoices")[0]["status"] == "sent"


def test_a_payment_that_bounced_opens_a_new_cycle(database: Database) -> None:
    with database.begin() as connection:
        factories.business(connection)
        load(connection, line("F1", status="Payée"))
        load(connection, line("F1", status="Impayée"))
        (invoice,) = table(connection, "invoices")
        assert (invoice["cycle"], invoice["status"], invoice["balance"]) == (1, "sent", 120)


def test_a_dry_run_answers_the_same_and_writes_nothing(database: Database) -> None:
    with database.begin() as connection:
        factories.business(connection)
        load(connection, line("F1"), line("F2"))
    lines = [
        line("F1", balance="20"),
        line("F2"),
        line("F3", customer="Neuf"),
        line("F4", total=""),
    ]
    with database.begin() as connection:
        connection.exec_driver_sql("SET TRANSACTION READ ONLY")
        dry = load(connection, *lines, dry=True)
    with database.begin() as connection:
        assert dry == load(connection, *lines)
        assert counts(dry) == (1, 1, 1, 1)


def test_tenants_with_the_same_numbers_and_customers_do_not_meet(database: Database) -> None:
    with database.begin() as connection:
        for business in ("B1", "B2"):
            factories.business(connection, business)
        load(connection, line("F1", code="C1", email="a@b.example"))
        before = table(connection, "invoices"), table(connection, "customers")
        load(connection, line("F1", code="C1", total="7", email="z@z.example"), business="B2")
        assert (table(connection, "invoices"), table(connection, "customers")) == before
        assert table(connection, "invoices", "B2")[0]["total"] == 7


def test_a_pdf_of_another_business_cannot_be_named(database: Database) -> None:
    with database.begin() as connection:
        factories.business(connection)
        load(connection, line("F1", pdf="../../B2/factures/secret.pdf"))
        assert table(connection, "invoices")[0]["pdf_key"] == "B1/factures/secret.pdf"


def test_an_id_taken_by_a_renumbered_invoice_is_not_taken_again(database: Database) -> None:
    with database.begin() as connection:
        factories.business(connection)
        factories.invoice(connection, TODAY, id="F1", number="F1-bis")
        assert counts(load(connection, line("F1"))) == (1, 0, 0, 0)
        assert counts(load(connection, line("F1"))) == (0, 0, 1, 0)
        assert [row["number"] for row in table(connection, "invoices")] == ["F1-bis", "F1"]


def test_when_the_database_fails_nothing_of_the_file_is_kept(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "CHUNK", 2)
    with database.begin() as connection:
        factories.business(connection)
        connection.exec_driver_sql(
            "ALTER TABLE ponctuel.invoices ADD CONSTRAINT refused CHECK (number <> 'F9')"
        )
    lines = [line(f"F{number}") for number in range(10)]
    engine = database.engine()
    with engine.connect() as connection, pytest.raises(DBAPIError, match="refused"):
        load(connection, *lines)
    with database.begin() as connection:
        with pytest.raises(DBAPIError, match="refused"):
            load(connection, *lines)
        assert table(connection, "invoices") == []  # the caller's transaction goes on
        assert table(connection, "customers") == []


def test_a_file_larger_than_a_chunk_is_stored_whole(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "CHUNK", 7)
    lines = [line(f"F{number}", customer=f"Client {number % 20}") for number in range(50)]
    with database.begin() as connection:
        factories.business(connection)
        result = load(connection, *lines)
        assert (result.created, result.customers_created) == (50, 20)
        assert len(table(connection, "invoices")) == 50


def test_only_the_first_rejects_of_a_hopeless_file_are_kept(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(result_module, "MAX_REJECTS_KEPT", 3)
    with database.begin() as connection:
        factories.business(connection)
        result = load(connection, *[line("F1", total="x") for _ in range(10)])
    assert (result.rejected, len(result.rejects)) == (10, 3)


def test_an_unknown_business_is_refused(database: Database) -> None:
    with database.begin() as connection, pytest.raises(NotFound, match="« B9 » n'existe pas"):
        load(connection, line(), business="B9")


def test_a_file_on_disk_is_imported_without_a_transaction_of_the_callers(
    database: Database, tmp_path: Path
) -> None:
    path = tmp_path / "factures.csv"
    path.write_bytes("\n".join([HEADER, line()]).encode("cp1252"))
    with database.begin() as connection:
        factories.business(connection)
    with database.engine().connect() as connection:
        assert counts(import_invoices(connection, "B1", path)) == (1, 0, 0, 0)
    with database.begin() as connection:
        assert len(table(connection, "invoices")) == 1


def customer_of(connection: Connection, number: str) -> object:
    return next(
        row["customer_id"] for row in table(connection, "invoices") if row["number"] == number
    )


def test_a_customer_known_by_name_is_found_whatever_its_spelling(database: Database) -> None:
    with database.begin() as connection:
        factories.business(connection)
        factories.customer(connection, id="C1", name="Société Élan & Fils", emails="a@b.example")
        result = load(connection, line(customer="SOCIETE  ELAN ET FILS", email="c@d.example"))
        assert result.customers_created == 0
        (customer,) = table(connection, "customers")
        assert customer["emails"] == "c@d.example"
        assert customer["name"] == "Société Élan & Fils"


def test_a_code_tells_two_customers_of_one_name_apart(database: Database) -> None:
    with database.begin() as connection:
        factories.business(connection)
        load(connection, line("F1", code="C1"), line("F2", code="C2"), line("F3", code="C1"))
        assert customer_of(connection, "F1") == customer_of(connection, "F3") == "C1"
        assert customer_of(connection, "F2") == "C2"


def test_a_code_takes_over_the_customer_known_by_name_only_once(database: Database) -> None:
    lines = [line("F1", code="C1"), line("F2", code="C2")]
    with database.begin() as connection:
        factories.business(connection)
        load(connection, line("F0"))
        by_name = customer_of(connection, "F0")
        for _ in range(2):
            load(connection, *lines)
            assert customer_of(connection, "F1") == by_name
            assert customer_of(connection, "F2") == "C2"


def test_a_code_does_not_take_over_a_namesake_with_another_address(database: Database) -> None:
    with database.begin() as connection:
        factories.business(connection)
        factories.customer(connection, id="17", name="Dupont", emails="jean@b.example")
        load(connection, line("F1", code="C1", email="paul@b.example"))
        assert customer_of(connection, "F1") == "C1"
        assert table(connection, "customers")[0]["emails"] == "jean@b.example"


def test_a_name_that_several_customers_have_is_refused_unless_the_address_tells(
    database: Database,
) -> None:
    with database.begin() as connection:
        factories.business(connection)
        factories.customer(connection, id="17", name="Dupont", emails="jean@b.example")
        factories.customer(connection, id="18", name="Dupont", emails="paul@b.example")
        result = load(connection, line("F1"), line("F2", email="Paul@b.example"))
        assert "plusieurs clients s'appellent « Dupont »" in result.rejects[0].reasons[0]
        assert customer_of(connection, "F2") == "18"


NAMES = st.sampled_from(["Dupont", "DUPONT", "Martin", "Élan", "Elan SARL"])
LINES = st.builds(
    lambda number, name, code, email, total: line(
        f"F{number}", customer=name, code=code, email=email, total=str(total)
    ),
    st.integers(1, 6),
    NAMES,
    st.sampled_from(["C1", "C2", "C 3"]),
    st.sampled_from(["", "a@b.example", "c@d.example"]),
    st.integers(1, 3),
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(earlier=st.lists(LINES, max_size=4), lines=st.lists(LINES, min_size=1, max_size=8))
def test_whatever_came_before_a_second_import_of_a_file_changes_nothing(
    database: Database, earlier: list[str], lines: list[str]
) -> None:
    with database.begin() as connection:
        connection.exec_driver_sql(
            "DELETE FROM ponctuel.invoices; DELETE FROM ponctuel.customers;"
            "DELETE FROM ponctuel.businesses"
        )
        factories.business(connection)
        load(connection, *[text.replace(";C1;", ";;") for text in earlier])
        first = load(connection, *lines)
        before = table(connection, "invoices"), table(connection, "customers")
        second = load(connection, *lines)
        assert (second.created, second.updated, second.customers_created) == (0, 0, 0)
        assert second.rejects == first.rejects
        assert (table(connection, "invoices"), table(connection, "customers")) == before


WITH_PHONES = "Numéro;Client;Date;Échéance;Total TTC;Téléphone;Portable"


def load_with_phones(connection: Connection, *lines: str, dry: bool = False) -> ImportResult:
    content = "\n".join([WITH_PHONES, *lines]).encode()
    return import_invoices(connection, "B1", io.BytesIO(content), dry_run=dry)


def phones(connection: Connection) -> list[tuple[str, str]]:
    rows = connection.execute(
        text("SELECT customer_id, phone FROM ponctuel.customer_phones ORDER BY customer_id")
    )
    return [(row[0].rpartition("-")[0], row[1]) for row in rows]


def test_numbers_are_kept_as_typed_and_replace_those_known_before(database: Database) -> None:
    with database.begin() as connection:
        factories.business(connection)
        first = "F1;Dupont;03/01/2026;03/02/2026;120;04 78 00 00 00;06 39 98 00 01"
        assert load_with_phones(connection, first, dry=True).remarks == []
        assert phones(connection) == []
        load_with_phones(connection, first, "F2;Martin;03/01/2026;03/02/2026;120;;")
        assert phones(connection) == [("dupont", "06 39 98 00 01")]
        load_with_phones(connection, "F1;Dupont;03/01/2026;03/02/2026;120;;+262 692 12 34 56")
        assert phones(connection) == [("dupont", "+262 692 12 34 56")]
        load_with_phones(connection, first.replace(";06 39 98 00 01", ";-"))
        assert phones(connection) == [("dupont", "+262 692 12 34 56")]


@pytest.mark.parametrize(
    ("number", "why"),
    [
        ("06 39", "court"),
        ("06 39 98 00", "n’existe pas"),
        ("6,3998E+08", "lettres"),
        ("06 39 98 00 01 / 06 39 98 00 02", "plusieurs numéros"),
        ("0899 12 34 56", "spécial"),
        ("à demander", "lettres"),
    ],
)
def test_a_number_that_nobody_can_call_is_told_and_its_invoice_imported_without(
    database: Database, number: str, why: str
) -> None:
    with database.begin() as connection:
        factories.business(connection)
        result = load_with_phones(connection, f"F1;Dupont;03/01/2026;03/02/2026;120;;{number}")
        assert counts(result) == (1, 0, 0, 0)
        (remark,) = result.remarks
        assert (remark.line, remark.number) == (2, "F1")
        assert remark.reasons[0].startswith("téléphone : ")
        assert why in remark.reasons[0]
        assert number not in remark.reasons[0]
        assert phones(connection) == []
