"""`./ponctuel archive`: read with a reason, each access in the log, by a role of its own."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import make_url, text
from sqlalchemy.exc import DBAPIError

from chalicelib.db.engine import make_engine
from chalicelib.domain.accounts import archive_reading
from chalicelib.domain.accounts.archive_reading import Reader
from tests.cli.command_line import CommandLine
from tests.contract.paths import ROOT
from tests.domain.accounts.erased import fill, lock, night
from tests.harness import Deployment

WHY = ("--reason", "contrôle 2026-17")


@pytest.fixture
def archived(deployment: Deployment) -> Deployment:
    """B1 has gone, with an invoice of 2026; B2 goes on."""
    fill(deployment, "B1")
    fill(deployment, "B2")
    deployment.execute("UPDATE ponctuel.customers SET name = '=cmd|calc' WHERE business_id = 'B1'")
    lock(deployment, "O")
    night(deployment)
    return deployment


def accesses(deployment: Deployment) -> list[tuple[str, str | None, int | None, str]]:
    rows = deployment.rows("SELECT * FROM ponctuel.archive_accesses ORDER BY id")
    return [(r["action"], r["business_id"], r["archive_id"], r["reason"]) for r in rows]


def test_what_is_kept_is_listed_and_shown_and_each_access_is_in_the_log(
    archived: Deployment, ponctuel: CommandLine
) -> None:
    listed = ponctuel("archive", "list", *WHY)
    assert listed.code == 0
    assert "B1 Menuiserie Perrin 1 " in listed.words
    assert "31/12/2036" in listed.words
    assert "B2" not in listed.words
    shown = ponctuel("archive", "show", "1", *WHY)
    assert (shown.code, "Facture F1, pièce n° 1" in shown.out) == (0, True)
    assert "client@example.net" in shown.out
    assert "1 234,56 €" in shown.words.replace("\u202f", " ").replace("\xa0", " ")
    assert accesses(archived) == [
        ("list", None, None, "contrôle 2026-17"),
        ("show", None, 1, "contrôle 2026-17"),
    ]
    [row] = archived.rows("SELECT DISTINCT accessed_by, role FROM ponctuel.archive_accesses")
    assert row["accessed_by"]
    assert row["role"] == "postgres"
    assert "client@example.net" not in str(archived.rows("SELECT * FROM ponctuel.archive_accesses"))


def test_an_export_is_a_csv_for_spreadsheets_or_lines_of_json_with_exact_amounts(
    archived: Deployment, ponctuel: CommandLine, tmp_path: Path
) -> None:
    archived.execute(
        "UPDATE ponctuel.accounting_archive"
        " SET content = jsonb_set(content, '{total}', '12345678901234567.89')"
    )
    file = tmp_path / "b1.csv"
    of_b1 = ("archive", "export", "--business", "B1", *WHY)
    done = ponctuel(*of_b1, "--output", str(file))
    assert (done.code, "1 pièce dans" in done.out) == (0, True)
    assert file.stat().st_mode & 0o777 == 0o600
    with file.open(encoding="utf-8-sig", newline="") as opened:
        [row] = csv.DictReader(opened, delimiter=";")
    assert (row["numero"], row["total"]) == ("F1", "12345678901234567,89")
    assert row["client_nom"] == "'=cmd|calc"
    assert (row["client_emails"], row["document"]) == ("client@example.net", "B1/F1.pdf")
    again = ponctuel(*of_b1, "--output", str(file))
    assert (again.code, "nouveau fichier" in again.err) == (1, True)
    [line] = ponctuel(*of_b1, "--format", "jsonl").out.splitlines()
    document = json.loads(line)
    assert document["content"]["total"] == "12345678901234567.89"
    assert document["content"]["customer"]["name"] == "=cmd|calc"
    assert ponctuel(*of_b1, "--year", "2026", "--format", "jsonl").out.count("\n") == 1
    none = ponctuel(*of_b1, "--year", "2020")
    assert (none.code, "pas de pièce" in none.err) == (1, True)
    assert [action for action, *_ in accesses(archived)] == ["export"] * 5


def test_without_a_reason_nothing_is_answered(archived: Deployment, ponctuel: CommandLine) -> None:
    missing = ponctuel("archive", "list")
    assert (missing.code, "--reason" in missing.err) == (1, True)
    for reason in ("", "   ", "pour x@example.fr"):
        for action in (("list",), ("show", "1"), ("export", "--business", "B1")):
            answer = ponctuel("archive", *action, "--reason", reason)
            assert (answer.code, answer.out) == (1, "")
    assert accesses(archived) == []
    remote = ponctuel("archive", "list", *WHY, "--stage", "prod")
    assert remote.code == 1


def test_an_export_of_several_pages_has_each_invoice_once_in_the_order_of_issue(
    archived: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    archived.execute(
        "INSERT INTO ponctuel.accounting_archive (deletion_id, business_id, document, document_id,"
        " number, issued_on, content, keep_until, archived_at)"
        " SELECT d, 'B1', 'invoice', 'I' || n, 'I' || n, date '2025-01-01' + n % 7, '{}',"
        " date '2035-12-31', ponctuel.clock()"
        " FROM generate_series(1, 2500) n, generate_series(90, 91) d"
    )
    reader = Reader(archived.database.engine(), "anne", "contrôle")
    found = list(reader.export("B1"))
    assert len(found) == len({row["document_id"] for row in found}) == 2501
    days = [row["issued_on"] for row in found]
    assert days == sorted(days)
    assert len(list(reader.export("B1", 2025))) == 2500


def test_the_log_is_forgotten_after_three_years(
    archived: Deployment, ponctuel: CommandLine
) -> None:
    ponctuel("archive", "list", *WHY)
    days = archive_reading.LOG_KEPT.days
    for ago in (days - 2, days + 2):
        archived.execute(
            "INSERT INTO ponctuel.archive_accesses (at, accessed_by, action, reason)"
            " VALUES (ponctuel.clock() - :ago * interval '1 day', 'luc', 'list', 'vieux')",
            ago=ago,
        )
    night(archived)
    assert [reason for *_, reason in accesses(archived)] == ["contrôle 2026-17", "vieux"]


@pytest.fixture
def reader_url(archived: Deployment) -> Iterator[str]:
    """The role of docs/erasing.md, made by the page's own statements."""
    page = (ROOT / "docs" / "erasing.md").read_text("utf-8")
    [statements] = re.findall(r"^```sql\n(.*?)^```$", page, re.M | re.S)
    for statement in statements.split(";\n"):
        if statement.strip():
            archived.execute(statement)
    archived.execute("GRANT SELECT ON ponctuel.sandbox_clock TO ponctuel_archive")  # of the tests
    url = make_url(archived.database.url).set(username="ponctuel_archive", password="change-me")
    yield url.render_as_string(hide_password=False)
    archived.execute("DROP OWNED BY ponctuel_archive")
    archived.execute("DROP ROLE ponctuel_archive")


def test_the_role_of_the_page_reads_the_archive_and_nothing_else(
    archived: Deployment, ponctuel: CommandLine, reader_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = make_engine(reader_url, application="tests")
    try:
        found = Reader(engine, "anne", "contrôle").businesses()
        assert [row["business_id"] for row in found] == ["B1"]
        for statement in (
            "SELECT * FROM ponctuel.invoices",
            "SELECT * FROM ponctuel.archive_accesses",
            "DELETE FROM ponctuel.archive_accesses",
            "DELETE FROM ponctuel.accounting_archive",
            "UPDATE ponctuel.accounting_archive SET number = 'x'",
        ):
            with pytest.raises(DBAPIError, match="42501"), engine.begin() as connection:
                connection.execute(text(statement))
    finally:
        engine.dispose()
    [row] = archived.rows("SELECT role FROM ponctuel.archive_accesses")
    assert row["role"] == "ponctuel_archive"


def test_nobody_reads_the_archive_without_being_given_the_right(archived: Deployment) -> None:
    archived.execute("CREATE ROLE ponctuel_nobody LOGIN")
    try:
        archived.execute("GRANT USAGE ON SCHEMA ponctuel TO ponctuel_nobody")
        for table in ("accounting_archive", "archive_accesses"):
            [row] = archived.rows(
                "SELECT has_table_privilege('ponctuel_nobody', :table, 'SELECT') AS may",
                table=f"ponctuel.{table}",
            )
            assert row["may"] is False
    finally:
        archived.execute("DROP OWNED BY ponctuel_nobody")
        archived.execute("DROP ROLE ponctuel_nobody")
