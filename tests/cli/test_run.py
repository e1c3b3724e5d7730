"""`./ponctuel run`: a job by hand, with what its exit code, answer and dry run promise."""

from __future__ import annotations

import os
import signal
import threading
from datetime import timedelta
from uuid import UUID

import pytest

from chalicelib.runner.bench import DELIVERY_STEP
from cli.progress import Position, position
from tests.cli.command_line import CommandLine
from tests.harness import NOW, Deployment


def hold_the_lease(deployment: Deployment, seconds: float) -> None:
    """As if another process were running followups."""
    deployment.execute(
        "UPDATE ponctuel.job_state SET lease_holder = 'other', "
        "lease_until = ponctuel.clock() + make_interval(secs => :seconds) WHERE job = 'followups'",
        seconds=seconds,
    )


def break_followups(deployment: Deployment) -> None:
    """Reading quotes fails from now on, and a run's first failure is its last."""
    deployment.quote()
    for statement in (
        "ALTER TABLE ponctuel.quotes RENAME TO real_quotes",
        "CREATE VIEW ponctuel.quotes AS SELECT business_id, id, number, customer_id, "
        "CASE WHEN 1 / (length(id) - length(id)) = 1 THEN status END AS status, issued_on, "
        "valid_until, currency, total, auto_enabled, policy, pdf_key, version "
        "FROM ponctuel.real_quotes",
        "ALTER TABLE ponctuel.runs ALTER COLUMN failures SET DEFAULT 2",
    ):
        deployment.execute(statement)


def test_a_run_by_hand_sends_says_what_it_did_and_covers_the_slots(
    deployment: Deployment, ponctuel: CommandLine
) -> None:
    deployment.open_business()
    deployment.invoice()
    deployment.database.advance(timedelta(hours=3))
    answer = ponctuel("run", "followups", "--reason", "clôture du mois")
    assert answer.code == 0
    assert "Traitement des relances automatiques terminé avec succès." in answer.out
    assert "1 prévu, 1 envoyé" in answer.out
    run = deployment.last_run()
    assert (run["door"], run["reason"], run["status"]) == ("cli", "clôture du mois", "succeeded")
    assert run["requested_by"]
    assert len(deployment.smtp.accepted()) == 1
    assert deployment.tick(hours=0)["status"] == ["nothing_due"]


def test_a_run_in_which_an_item_failed_exits_2_and_says_which(
    deployment: Deployment, ponctuel: CommandLine
) -> None:
    deployment.open_business()
    deployment.invoice()
    deployment.smtp.fail("refuse_permanent")
    answer = ponctuel("run", "followups")
    assert answer.code == 2
    assert "Terminée en partie." in answer.out
    assert "B1 F1 1 refusé Le serveur d’e-mail refuse ce destinataire" in answer.words
    (run,) = ponctuel("runs", "--json").data
    assert run["status"] == "partial"


def test_items_that_failed_are_listed_with_their_reason(
    deployment: Deployment, ponctuel: CommandLine
) -> None:
    deployment.open_business(zone="Mars/Olympus")
    answer = ponctuel("run", "followups")
    assert answer.code == 2
    assert "B1" in answer.words
    assert "Fuseau horaire inconnu : corrigez les paramètres de l'entreprise." in answer.words


def test_a_failed_run_exits_1_with_one_sentence_and_no_stack_trace(
    deployment: Deployment, ponctuel: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployment.open_business()
    break_followups(deployment)
    answer = ponctuel("run", "followups")
    assert answer.code == 1
    assert "Échec." in answer.out
    assert "22012" in answer.out
    assert "Traceback" not in answer.out


def test_a_paused_job_still_runs_for_its_operator(
    deployment: Deployment, ponctuel: CommandLine
) -> None:
    deployment.open_business()
    deployment.invoice()
    assert ponctuel("pause", "followups", "--reason", "migration").code == 0
    assert deployment.tick()["status"] == ["paused"]
    assert ponctuel("run", "followups", "--json").data[0]["counts"]["planned"] == 1
    assert ponctuel("resume", "followups").code == 0
    assert deployment.tick()["status"] == ["succeeded"]


def test_a_pause_needs_a_reason(deployment: Deployment, ponctuel: CommandLine) -> None:
    assert ponctuel("pause", "followups").code == 1
    blank = ponctuel("pause", "followups", "--reason", " ")
    assert (blank.code, blank.out) == (1, "")
    assert blank.err == "Donnez la raison de la pause : un collègue la lira.\n"


def test_a_run_waits_for_the_one_that_is_going_on_elsewhere(
    deployment: Deployment, ponctuel: CommandLine
) -> None:
    deployment.open_business()
    deployment.invoice()
    hold_the_lease(deployment, seconds=0.8)
    answer = ponctuel("run", "followups", "--json")
    assert answer.code == 0
    assert answer.data[0]["counts"]["sent"] == 1


def test_ctrl_c_leaves_the_run_to_the_next_tick(
    deployment: Deployment, ponctuel: CommandLine
) -> None:
    deployment.open_business()
    deployment.invoice()
    hold_the_lease(deployment, seconds=600)
    timer = threading.Timer(0.7, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    answer = ponctuel("run", "followups")
    timer.join()
    assert answer.code == 130
    assert "une autre exécution est en cours" in answer.out
    hold_the_lease(deployment, seconds=0)
    assert deployment.tick()["status"] == ["succeeded"]
    assert deployment.states() == [("F1", "1", "accepted")]


def test_a_run_that_finds_nothing_to_do_and_leaves_no_row_is_a_success(
    deployment: Deployment, ponctuel: CommandLine
) -> None:
    answer = ponctuel("run", "deliver_messages")
    assert answer.code == 0
    assert "Rien à faire." in answer.out


def test_without_a_mail_server_it_says_that_the_messages_wait(
    deployment: Deployment, ponctuel: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MAIL_URL")
    deployment.open_business()
    deployment.invoice()
    answer = ponctuel("run", "followups")
    assert "1 en attente d'envoi" in answer.out
    assert "MAIL_URL n'est pas renseigné" in answer.err


def test_a_dry_run_lists_what_the_run_then_does_and_writes_nothing(
    deployment: Deployment, ponctuel: CommandLine
) -> None:
    deployment.open_business()
    deployment.invoice()
    deployment.customer("C2")
    deployment.invoice("F2", customer_id="C2", disputed=True)
    answer = ponctuel("run", "followups", "--dry-run")
    assert answer.code == 0
    assert "1 message serait prévu" in answer.words
    assert "B1 F1 1 compta@boulangerie-martin.example 1 234,56 €" in answer.words
    assert "1 litige en cours" in answer.words
    assert "F2" not in answer.words
    assert deployment.messages() == []
    listed = ponctuel("run", "followups", "--dry-run", "--all")
    assert "B1 F2 1 09/03/2026 litige en cours" in listed.words
    report = ponctuel("run", "followups", "--dry-run", "--json").data[0]["report"]
    ponctuel("run", "followups")
    assert [m["subject"] for m in report["messages"]] == [m[0] for m in deployment.states()]


def test_a_dry_run_as_of_another_instant_sees_what_will_be_due_then(
    deployment: Deployment, ponctuel: CommandLine
) -> None:
    deployment.open_business()
    deployment.invoice(due_on=NOW.date())
    assert "Aucun message ne serait prévu" in ponctuel("run", "followups", "--dry-run").words
    later = ponctuel("run", "followups", "--dry-run", "--as-of", "2026-03-16T10:00:00+01:00")
    assert "1 message serait prévu" in later.words


@pytest.mark.parametrize(
    "options",
    [("--as-of", "2026-03-16T10:00:00+01:00"), ("--dry-run", "--as-of", "2026-03-16T10:00"),
     ("--dry-run", "--as-of", "demain"), ("--all",), ("--zone", "Indian/Reunion")],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_in_one_french_line_and_runs_nothing(
    deployment: Deployment, ponctuel: CommandLine, options: tuple[str, ...]
) -> None:
    answer = ponctuel("run", "followups", *options)
    assert (answer.code, answer.out) == (1, "")
    assert answer.err.count("\n") == 1
    assert deployment.rows("SELECT 1 FROM ponctuel.runs") == []


def test_progress_is_read_from_the_runs_row(deployment: Deployment) -> None:
    run_id = UUID(int=1)
    deployment.execute(
        "INSERT INTO ponctuel.runs (id, job, zone, door, status, created_at, step, position) "
        "VALUES (:id, 'followups', 'Europe/Paris', 'cli', 'queued', ponctuel.clock(), 's', 2)",
        id=run_id,
    )
    deployment.execute(
        "INSERT INTO ponctuel.run_items SELECT :id, 's', n, 'B1', n::text "
        "FROM generate_series(1, 5) n",
        id=run_id,
    )

    def now() -> Position:
        with deployment.database.begin() as connection:
            return position(connection, run_id)

    assert now().doing == "attend la fin de l'exécution en cours"
    deployment.execute("UPDATE ponctuel.runs SET status = 'running'")
    assert now() == Position("étape s", 2, 5)
    deployment.execute("UPDATE ponctuel.runs SET step = :step", step=DELIVERY_STEP)
    assert now() == Position("envoi des messages", 0, 0)
    deployment.execute("DELETE FROM ponctuel.runs")
    assert now().doing == "terminé"


def test_the_progress_bar_goes_to_standard_error_of_a_terminal_only(
    deployment: Deployment, ponctuel: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployment.open_business()
    deployment.invoice()
    deployment.smtp.fail("slow", seconds=0.6)
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich then takes the stream for a terminal
    answer = ponctuel("run", "followups", "--json")
    assert "envoi des messages" in answer.err
    assert answer.data[0]["counts"]["sent"] == 1


def test_the_list_of_runs_leaves_out_what_a_dry_run_would_send_and_show_has_it(
    deployment: Deployment, ponctuel: CommandLine
) -> None:
    deployment.open_business()
    deployment.invoice()
    ponctuel("run", "followups", "--dry-run")
    (listed,) = ponctuel("runs", "--json").data
    assert listed["dry_run"]
    assert "report" not in listed
    assert ponctuel("show", str(listed["number"]), "--json").data["report"]["messages"]
