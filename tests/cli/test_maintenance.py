"""`check`, `migrate`, `import`, `quarantine`, and the command line itself."""

from __future__ import annotations

import os
import subprocess
import threading
from pathlib import Path

import pytest

from chalicelib import __version__
from cli.main import COMMANDS
from cli.source import database
from tests.cli.command_line import CommandLine
from tests.database import Database, Server
from tests.harness import Deployment

ROOT = Path(__file__).parents[2]
CSV = """Numéro;Client;E-mail;Date de facture;Échéance;Montant TTC
F1;Boulangerie Martin;compta@boulangerie-martin.example;01/02/2026;01/03/2026;1 234,56
F2;Garage Petit;garage@petit.example;01/02/2026;;12,00
F3;Garage Petit;garage@petit.example;01/02/2026;31/02/2026;12,00
"""


def test_check_looks_at_everything_and_finds_nothing_wrong(
    deployment: Deployment, ponctuel: CommandLine
) -> None:
    answer = ponctuel("check")
    assert answer.code == 0, answer.out
    assert "✓ base : PostgreSQL" in answer.out
    assert "✓ schéma : ledger_0001" in answer.out
    assert "• horloge : celle du bac à sable" in answer.out
    assert "le serveur SMTP de MAIL_URL répond" in answer.out
    assert "✓ documents : accessibles" in answer.out
    assert "l'étape local n'est pas en service" in answer.out
    assert deployment.smtp.received() == []


def test_check_does_not_say_that_all_is_well_when_nothing_can_be_sent(
    deployment: Deployment, ponctuel: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ponctuel("check").out.endswith("Tout est en ordre.\n")
    monkeypatch.delenv("MAIL_URL")
    answer = ponctuel("check")
    assert answer.code == 0
    assert "Tout est en ordre" not in answer.out
    assert answer.out.endswith("renseignez MAIL_URL.\n")


def test_the_command_alone_prints_the_help_and_knows_its_version(ponctuel: CommandLine) -> None:
    assert ponctuel() == ponctuel("--help")
    assert ponctuel().code == 0
    assert ponctuel("--version").out == f"{__version__}\n"


def test_check_lists_every_problem_and_goes_on(
    deployment: Deployment, ponctuel: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SENDING_CONCURRENCY", "beaucoup")
    monkeypatch.setenv("SCHEDULE_RELANCES", "0 * * * *")
    monkeypatch.setenv("MAIL_URL", "smtp://127.0.0.1:1?tls=none")
    monkeypatch.setenv("STORAGE_URL", "file:///nulle/part")
    answer = ponctuel("check", "--json")
    assert answer.code == 1
    problems = [f["text"] for f in answer.data if f["verdict"] == "problem"]
    assert len(problems) == 4
    assert "SENDING_CONCURRENCY" in problems[0]
    assert "SCHEDULE_RELANCES" in problems[1]


def test_check_says_that_the_database_is_not_there_without_its_password(
    ponctuel: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://u:motdepasse@127.0.0.1:1/base")
    for command in (("check",), ("jobs",), ("run", "followups")):
        answer = ponctuel(*command)
        assert answer.code == 1
        assert "La base de données ne répond pas" in answer.out + answer.err
        assert "motdepasse" not in answer.out + answer.err


def test_a_replaced_clock_is_a_problem_on_a_deployed_stage(
    deployment: Deployment, ponctuel: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    from chalicelib.settings import Settings
    from cli.check import _clock

    def found(stage: str) -> str:
        current = Settings.from_mapping({"PONCTUEL_STAGE": stage})
        with deployment.database.begin() as connection:
            return _clock(connection, current).verdict

    assert found("prod") == "problem"
    assert found("local") == "note"


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
            "ledger_0001"
        ]
        check = ponctuel("check")
        assert check.code == 1
        assert "il manque les vues ponctuel.businesses" in check.out
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
    with database_server.database() as here:
        monkeypatch.setenv("DATABASE_URL", here.url)
        with database() as source, source.transaction() as connection:
            connection.exec_driver_sql("SELECT 1")
        assert _connections(here) == 1


def _connections(here: Database) -> int:
    with here.begin() as connection:
        found = connection.exec_driver_sql(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
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
