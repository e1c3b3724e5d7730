"""`migrate`, `import`, `quarantine`, and the command line itself."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from pathlib import Path

import pytest

from chalicelib import __version__
from cli.main import COMMANDS
from cli.source import database
from tests.cli.command_line import CommandLine
from tests.connections import SHELF
from tests.database import Database, Server
from tests.harness import Deployment

ROOT = Path(__file__).parents[2]
CSV = """Numéro;Client;E-mail;Date de facture;Échéance;Montant TTC
F1;Boulangerie Martin;compta@boulangerie-martin.example;01/02/2026;01/03/2026;1 234,56
F2;Garage Petit;garage@petit.example;01/02/2026;;12,00
F3;Garage Petit;garage@petit.example;01/02/2026;31/02/2026;12,00
"""


def test_the_command_alone_prints_the_help_and_knows_its_version(ponctuel: CommandLine) -> None:
    assert ponctuel() == ponctuel("--help")
    assert ponctuel().code == 0
    assert ponctuel("--version").out == f"{__version__}\n"


def test_migrate_upgrades_an_empty_database_and_older_code_says_what_to_do(
    database_server: Server, ponctuel: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with database_server.database() as empty:
        monkeypatch.setenv("DATABASE_URL", empty.url)
        with empty.begin() as connection:
            connection.exec_driver_sql("DROP SCHEMA ponctuel CASCADE")
        before = ponctuel("runs")
        assert (before.code, before.out) == (1, "")
        assert "lancez `./ponctuel migrate`" in before.err
        assert ponctuel("migrate", "--branch", "ledger", "--json").data["revisions"] == [
            "ledger_0010"
        ]
        assert ponctuel("migrate").code == 0
        assert ponctuel("runs").out == "Aucune exécution.\n"


def test_an_import_tells_the_rejects_by_line_and_exits_2(
    deployment: Deployment, ponctuel: CommandLine, tmp_path: Path
) -> None:
    deployment.open_business()
    file = tmp_path / "factures.csv"
    file.write_text(CSV)
    rehearsed = ponctuel("import", "invoices", str(file), "--business", "B1", "--dry-run")
    assert "rien n'est écrit" in rehearsed.out
    assert deployment.rows("SELECT 1 FROM ponctuel.invoices") == []
    answer = ponctuel("import", "invoices", str(file), "--business", "B1")
    assert answer.code == 2
    assert "factures créées 2" in answer.words
    assert "4 F3 " in answer.words
    again = ponctuel("import", "invoices", str(file), "--business", "B1", "--json").data
    assert (again["unchanged"], [reject["line"] for reject in again["rejects"]]) == (2, [4])
    file.write_text(CSV.splitlines()[0] + "\n" + CSV.splitlines()[3])
    assert ponctuel("import", "invoices", str(file), "--business", "B1").code == 1


@pytest.mark.parametrize(
    "arguments", [("absent.csv", "--business", "B1"), (__file__, "--business", "B1")]
)
def test_an_import_of_something_else_fails_in_one_line(
    deployment: Deployment, ponctuel: CommandLine, arguments: tuple[str, ...]
) -> None:
    deployment.open_business()
    answer = ponctuel("import", "invoices", *arguments)
    assert (answer.code, answer.out) == (1, "")
    assert answer.err.count("\n") == 1


def test_quarantined_items_are_listed_and_released(
    deployment: Deployment, ponctuel: CommandLine
) -> None:
    assert ponctuel("quarantine", "list").out == "Rien n'est mis de côté.\n"
    deployment.open_business()
    deployment.invoice()
    deployment.execute(
        "INSERT INTO ponctuel.quarantine (job, step, business_id, item, run_id, at, reason) VALUES "
        "('followups', 'plan_relances', 'B1', 'C1', gen_random_uuid(), ponctuel.clock(), 'x')"
    )
    deployment.tick()
    assert deployment.states() == []
    assert "followups plan_relances B1 C1" in ponctuel("quarantine", "list").words
    assert ponctuel("quarantine", "release", "followups", "B1", "C1").code == 0
    assert ponctuel("quarantine", "release", "followups", "B1", "C1").code == 1
    deployment.tick()
    assert deployment.states() == [("F1", "1", "accepted")]


@pytest.mark.parametrize(
    "argv",
    [("nope",), ("run",), ("cancel", "x", "--reason", "y"), ("runs", "--limit", "-1"),
     ("preview", "followups", "--days", "0"), ("pause", "followups")],
)  # fmt: skip
def test_a_refused_command_line_says_so_in_french_and_exits_1(
    ponctuel: CommandLine, argv: tuple[str, ...]
) -> None:
    answer = ponctuel(*argv)
    assert (answer.code, answer.out) == (1, "")
    assert answer.err.endswith("--help)\n")
    for english in ("required", "invalid", "unrecognized", "expected", "argument --"):
        assert english not in answer.err.replace("argument --limit :", "").replace(
            "argument --days :", ""
        )


def test_the_help_is_french_and_names_every_command(ponctuel: CommandLine) -> None:
    answer = ponctuel("--help")
    assert answer.code == 0
    assert "show this help" not in answer.out
    for name in ("jobs", "run", "preview", "explain", "followups", "go-live", "check", "secrets"):
        assert f"    {name} " in answer.out
    assert len(COMMANDS) == len(set(COMMANDS))


def test_a_source_is_closed_when_a_command_ends(
    database_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    with SHELF.closed(), database_server.database() as here:
        monkeypatch.setenv("DATABASE_URL", here.url)
        with database() as source, source.transaction() as connection:
            connection.exec_driver_sql("SELECT 1")
            assert _connections(here) == 1
        until = time.monotonic() + 10
        while _connections(here) and time.monotonic() < until:
            time.sleep(0.02)  # PostgreSQL hears of it a moment later
        assert _connections(here) == 0


def _connections(here: Database) -> int:
    """Those of others than the test."""
    with here.begin() as connection:
        found = connection.exec_driver_sql(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND NOT starts_with(application_name, 'ponctuel/tests')"
        )
        return int(found.scalar_one())


def test_the_launcher_works_from_any_folder_and_pipes_cleanly(
    deployment: Deployment, tmp_path: Path
) -> None:
    (tmp_path / "cli.py").write_text("raise SystemExit('the wrong cli')")
    command = f"'{ROOT / 'ponctuel'}' preview followups --days 3000 --json | head -1"
    done = subprocess.run(
        ["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert (done.stdout, done.stderr) == ("{\n", "")


def test_the_launcher_says_how_to_install_what_is_missing(tmp_path: Path) -> None:
    launcher = tmp_path / "ponctuel"
    launcher.write_bytes((ROOT / "ponctuel").read_bytes())
    done = subprocess.run(
        ["bash", launcher, "jobs"], capture_output=True, text=True, timeout=60, env=os.environ
    )
    assert done.returncode == 1
    assert "make" in done.stderr


def test_the_scheduler_refuses_an_unusable_schedule_before_it_starts(
    deployment: Deployment, ponctuel: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCHEDULE_FOLLOWUPS", "0 25 * * *")
    threads = threading.active_count()
    answer = ponctuel("scheduler")
    assert answer.code == 1
    assert "l’heure doit aller de 0 à 23" in answer.err
    assert threading.active_count() == threads
