"""What becomes of tasks and appointments that were imported from a file. It is Tuesday 10 March
2026, 10:00 in Paris."""

from __future__ import annotations

import io
from datetime import UTC, datetime

from cli.imports.agenda import import_appointments, import_tasks
from tests.harness import Deployment
from tests.jobs.test_overdue_and_reminders import JOB, mails, notifications, open_business

HEAD = "Code;Titre;Début;Utilisateur;Statut\n"


def appointments(deployment: Deployment, *lines: str) -> None:
    content = (HEAD + "\n".join(lines)).encode()
    with deployment.database.begin() as connection:
        assert not import_appointments(connection, "B1", io.BytesIO(content)).rejected


def tasks(deployment: Deployment, *lines: str) -> None:
    content = ("Titre;Échéance;Assignée à;Statut\n" + "\n".join(lines)).encode()
    with deployment.database.begin() as connection:
        assert not import_tasks(connection, "B1", io.BytesIO(content)).rejected


def test_an_imported_appointment_is_reminded_of_and_one_in_the_past_is_not(
    deployment: Deployment,
) -> None:
    open_business(deployment)
    lines = ("A1;Pose;11/03/2026 12:20;U2;", "A2;Mesures;09/03/2026 12:20;U2;Prévu",
             "A3;Devis;10/03/2026 10:30;U2;")  # fmt: skip
    appointments(deployment, *lines)
    deployment.tick(JOB)
    deployment.tick("deliver_messages", hours=1.4)
    assert mails(deployment) == [("reminder", "u2@b1.example")]
    # The same file again arms nothing again.
    appointments(deployment, *lines)
    deployment.tick(JOB, hours=0.6)
    deployment.tick("deliver_messages", hours=1.4)
    assert mails(deployment) == [("reminder", "u2@b1.example")]
    assert notifications(deployment) == [("appointment", "A1", "U2")]


def test_an_import_that_moves_or_cancels_an_appointment_moves_or_cancels_its_reminder(
    deployment: Deployment,
) -> None:
    open_business(deployment)
    appointments(deployment, "A1;Pose;11/03/2026 12:20;U2;", "A2;Devis;11/03/2026 12:20;U2;")
    deployment.tick(JOB)
    assert len(deployment.messages()) == 2
    appointments(deployment, "A1;Pose;14/03/2026 12:20;U2;", "A2;Devis;11/03/2026 12:20;U2;Annulé")
    deployment.tick("deliver_messages", hours=1.5)
    assert mails(deployment) == []
    deployment.tick(JOB, hours=0.5)
    assert notifications(deployment, resolved_at=None) == []
    deployment.database.set_clock(datetime(2026, 3, 13, 11, 20, tzinfo=UTC))
    deployment.tick(JOB, hours=0)
    assert mails(deployment) == [("reminder", "u2@b1.example")]
    assert notifications(deployment, resolved_at=None) == [("appointment", "A1", "U2")]


def test_of_imported_tasks_the_old_ones_are_shown_and_only_news_is_written_about(
    deployment: Deployment,
) -> None:
    open_business(deployment)
    tasks(
        deployment,
        "Très ancienne;15/09/2025;U2;À faire",
        "D'hier;09/03/2026;U2;À faire",
        "Faite;09/03/2026;U2;Terminée",
        "De demain;11/03/2026;U2;À faire",
    )
    deployment.tick(JOB)
    told = deployment.rows("SELECT title FROM ponctuel.notifications ORDER BY title")
    assert [row["title"].split("\u00a0: ")[1] for row in told] == ["D'hier", "Très ancienne"]
    assert mails(deployment) == [("notice", "u2@b1.example")]
    body = deployment.messages()[0]["content"]
    assert "Très ancienne" not in str(body)
