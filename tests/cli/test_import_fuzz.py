"""Any bytes in: invoices and rejects out, or one of the two errors that say what to do."""

from __future__ import annotations

import io
from decimal import Decimal

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from cli.imports.columns import MissingColumns
from cli.imports.decoding import UnreadableFile, opened
from cli.imports.invoice_line import Invoice, Reject
from cli.imports.invoices import Ignored, InvoiceFile
from cli.imports.store import import_invoices
from tests import factories
from tests.database import Database

EXPORT = (
    'Factures\r\n\r\nN° facture;Client;Date;Échéance;"Total TTC";Reste dû;Statut;E-mail;Devise\r\n'
    'F-1;"Dupont ""& Fils""";03/01/2026;3 février 2026;1\u202f234,56 €;0,40;Impayée;'
    "a@b.example;EUR\r\n"
    'F-2;"Rue\r\ndes Lilas";03.01.26;2026-02-03;(12,00);;Avoir;;\r\nTotal;;;;1 222,56;;;;\r\n'
)
SHARDS = st.sampled_from(
    [
        b'"',
        b'""',
        b";",
        b"\n",
        b"\r",
        b"\0",
        b"\xff",
        b"\xc3",
        b"\xef\xbb\xbf",
        b"1,234",
        b"-",
        b"(",
        b"=1+1",
        b"01/13/2026",
        b"x" * 3000,
        b"\xe2\x80\xae",
        b"\xf0\x9f\x92\xa9",
        b"\x9d",
        b"NaN",
    ]
)


@st.composite
def damaged_exports(draw: st.DrawFn) -> bytes:
    """A real export with pieces cut out and others put in, in any encoding."""
    encoding = draw(st.sampled_from(["utf-8", "utf-8-sig", "cp1252", "utf-16", "utf-16-be"]))
    content = EXPORT.encode(encoding, "replace")
    for _ in range(draw(st.integers(0, 5))):
        start = draw(st.integers(0, len(content)))
        end = start + draw(st.integers(0, 12))
        content = content[:start] + draw(SHARDS | st.binary(max_size=8)) + content[end:]
    return content


def read(content: bytes) -> list[Invoice | Reject | Ignored] | None:
    try:
        with opened(io.BytesIO(content)) as source:
            return list(InvoiceFile.survey(source).read())
    except (UnreadableFile, MissingColumns) as error:
        message = str(error)
    assert message.isprintable()
    return None


@settings(max_examples=150)
@given(st.binary(max_size=400))
def test_any_bytes_are_an_error_that_can_be_read(content: bytes) -> None:
    assert not read(content)


@settings(max_examples=400)
@given(damaged_exports())
def test_a_damaged_export_gives_invoices_and_rejects(content: bytes) -> None:
    lines = len(content.splitlines()) * 2 + 2
    for outcome in read(content) or []:
        assert 1 <= outcome.line <= lines
        if isinstance(outcome, Reject):
            assert outcome.reasons
            assert all(reason.isprintable() for reason in outcome.reasons)
        elif isinstance(outcome, Invoice):
            assert outcome.number
            assert outcome.customer.name
            assert outcome.issued_on or outcome.status == "draft"
            assert outcome.balance <= max(outcome.total, Decimal(0))
            for kept in (outcome.number, outcome.customer.name, outcome.customer.emails):
                assert kept == " ".join(kept.split())
                assert "\0" not in kept
                assert "\ufffd" not in kept


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(damaged_exports())
def test_whatever_is_read_can_be_stored(database: Database, content: bytes) -> None:
    with database.begin() as connection:
        connection.execute(text("DELETE FROM ponctuel.invoices"))
        connection.execute(text("DELETE FROM ponctuel.customers"))
        connection.execute(text("DELETE FROM ponctuel.businesses"))
        factories.business(connection)
        outcomes = read(content)
        if outcomes is not None:
            result = import_invoices(connection, "B1", io.BytesIO(content))
            good = sum(isinstance(outcome, Invoice) for outcome in outcomes)
            assert result.created == good
