"""Tasks and appointments as other software exports them: nothing has to be renamed first."""

from __future__ import annotations

import io
from datetime import UTC, date, datetime

import pytest

from cli.imports.agenda import import_appointments, import_tasks
from cli.imports.agenda_columns import APPOINTMENTS, TASKS
from tests import factories
from tests.cli.test_import_agenda import counts, open_business, paris, rows
from tests.database import Database

OUTLOOK_FR = (
    '"Objet","Début","Début","Fin","Fin","Journée entière","Rappel actif/inactif","Date de rappel",'
    '"Heure du rappel","Organisateur d\'une réunion","Participants obligatoires",'
    '"Participants facultatifs","Ressources de la réunion","Afficher la disponibilité",'
    '"Catégories","Critère de diffusion","Description","Emplacement","Informations facturation",'
    '"Kilométrage","Priorité","Privé"\r\n'
    '"Pose, étage 2","15/12/2026","14:30:00","15/12/2026","16:00:00","Faux","Vrai","15/12/2026",'
    '"14:15:00","Zoé Martin","","","","2","","Normal","Apporter\r\nla scie","Lyon","","","Normale",'
    '"Faux"\r\n'
    '"Congés","24/12/2026","00:00:00","27/12/2026","00:00:00","Vrai","Faux","","","Zoé Martin","",'
    '"","","3","","Normal","","","","","Normale","Faux"\r\n'
).encode("cp1252")
OUTLOOK = (
    '"Subject","Start Date","Start Time","End Date","End Time","All day event","Reminder on/off",'
    '"Meeting Organizer","Required Attendees","Description","Location"\r\n'
    '"Pose, étage 2","12/15/2026","2:30:00 PM","12/15/2026","4:00:00 PM","False","True",'
    '"Zoé Martin","","","Lyon"\r\n'
).encode()
GOOGLE = (
    "Subject,Start Date,Start Time,End Date,End Time,All Day Event,Description,Location,Private\n"
    '"Pose, étage 2",2026-12-15,2:30 PM,2026-12-15,4:00 PM,False,,Lyon,True\n'
).encode()


def test_a_calendar_of_outlook_in_french_repeats_its_titles(database: Database) -> None:
    with database.begin() as connection:
        open_business(connection)
        result = import_appointments(connection, "B1", io.BytesIO(OUTLOOK_FR))
        assert counts(result) == (1, 0, 0, 1)
        assert "journée entière" in result.rejects[0].reasons[0]
        pose = rows(connection, "appointments")["Pose, étage 2"]
        assert (pose["starts_at"], pose["ends_at"]) == (paris(15, 14, 30), paris(15, 16))
        assert (pose["user_id"], pose["location"]) == ("ZOE", "Lyon")


def test_a_calendar_that_writes_months_first_is_refused_line_by_line(database: Database) -> None:
    with database.begin() as connection:
        open_business(connection)
        result = import_appointments(connection, "B1", io.BytesIO(OUTLOOK))
        assert counts(result) == (0, 0, 0, 1)
        assert "début : « 12/15/2026 »" in result.rejects[0].reasons[0]
        iso = OUTLOOK.replace(b"12/15/2026", b"2026-12-15")
        assert counts(import_appointments(connection, "B1", io.BytesIO(iso))) == (1, 0, 0, 0)
        assert rows(connection, "appointments")["Pose, étage 2"]["starts_at"] == paris(15, 14, 30)


def test_google_calendars_columns_are_known(database: Database) -> None:
    with database.begin() as connection:
        open_business(connection)
        result = import_appointments(connection, "B1", io.BytesIO(GOOGLE), user="Zoé Martin")
        assert counts(result) == (1, 0, 0, 0)
        pose = rows(connection, "appointments")["Pose, étage 2"]
        assert (pose["starts_at"], pose["ends_at"]) == (paris(15, 14, 30), paris(15, 16))


def test_todoists_notes_and_sections_are_passed_over(database: Database) -> None:
    content = (
        "TYPE,CONTENT,DESCRIPTION,PRIORITY,INDENT,AUTHOR,RESPONSIBLE,DATE,DATE_LANG,TIMEZONE,"
        "DURATION,DURATION_UNIT,DEADLINE,DEADLINE_LANG\n"
        "section,Atelier,,,,,,,,,,,,\n"
        "task,Commander les ferrures,,1,1,Zoé Martin (4711),Zoé Martin (4711),2026-12-15,fr,"
        "Europe/Paris,,,,\n"
        "note,Voir avec Ali,,,,Zoé Martin (4711),,,,,,,,\n"
        "task,Relancer,,4,1,Zoé Martin (4711),,2026-12-16T14:30:00,fr,Europe/Paris,,,,\n"
        "task,Balayer,,4,1,Zoé Martin (4711),,every monday,en,Europe/Paris,,,,\n"
        ",,,,,,,,,,,,,\n"
    )
    with database.begin() as connection:
        open_business(connection)
        result = import_tasks(connection, "B1", io.BytesIO(content.encode("utf-8-sig")))
        assert (*counts(result), result.ignored) == (2, 0, 0, 1, 2)
        assert "« every monday » n'est pas une date" in result.rejects[0].reasons[0]
        found = rows(connection, "tasks")
        fittings, call = found["Commander les ferrures"], found["Relancer"]
        assert (fittings["user_id"], fittings["critical"]) == ("ZOE", True)
        assert (fittings["due_on"], call["critical"]) == (date(2026, 12, 15), False)
        assert call["due_at"] == paris(16, 14, 30)


def test_what_asana_says_was_completed_is_done(database: Database) -> None:
    content = (
        "Task ID,Created At,Completed At,Last Modified,Name,Section/Column,Assignee,Assignee Email,"
        "Start Date,Due Date,Tags,Notes,Projects,Parent task\n"
        "1201,2026-12-01,2026-12-02,2026-12-02,Relancer,A faire,Z. Martin,zoe@atelier.example,,"
        "2026-12-15,,,Atelier,\n"
        "1202,2026-12-01,,2026-12-02,Balayer,A faire,,,,,,,Atelier,\n"
    )
    with database.begin() as connection:
        open_business(connection)
        assert counts(import_tasks(connection, "B1", io.BytesIO(content.encode()))) == (2, 0, 0, 0)
        found = rows(connection, "tasks")
        assert (found["Relancer"]["id"], found["Relancer"]["status"]) == ("1201", "done")
        assert (found["Relancer"]["user_id"], found["Balayer"]["status"]) == ("ZOE", "open")


def test_trellos_cards_have_moments_and_ids(database: Database) -> None:
    content = (
        "Card ID,Card Name,Card URL,Card Description,Labels,Members,Due Date,Attachment Count,"
        "Checklist Item Total Count,List ID,List Name,Board ID,Board Name,Archived,Start Date,"
        "Due Complete\n"
        '5f1,Relancer,https://trello.example/c/5f1,"a, b",,,2026-12-15T13:30:00.000Z,0,0,l,À faire,'
        "b,Atelier,false,,false\n"
        "5f2,Balayer,https://trello.example/c/5f2,,,Zoé Martin,,0,0,l,Fait,b,Atelier,false,,true\n"
    )
    with database.begin() as connection:
        open_business(connection)
        assert counts(import_tasks(connection, "B1", io.BytesIO(content.encode()))) == (2, 0, 0, 0)
        found = rows(connection, "tasks")
        assert found["Relancer"]["due_at"] == datetime(2026, 12, 15, 13, 30, tzinfo=UTC)
        assert (found["Relancer"]["id"], found["Relancer"]["status"]) == ("5f1", "open")
        assert (found["Balayer"]["user_id"], found["Balayer"]["status"]) == ("ZOE", "done")


@pytest.mark.parametrize(
    ("header", "fields"),
    [
        ("Tâche;À faire avant le;Assignée à;Priorité;Statut",
         {"title", "due", "user_id", "critical", "status"}),
        ("N° de tâche;Titre de la tâche;Date d'échéance;Heure;Responsable;État;Client",
         {"code", "title", "due", "due_time", "user_id", "status", "customer_id"}),
        ("Objet;Date de début;Échéance;Date d'achèvement;% achevé;Statut;Priorité",
         {"title", "due", "done", "status", "critical"}),
        ("Task Name;Bucket Name;Progress;Priority;Assigned To;Due Date;Late;Completed Date",
         {"title", "status", "critical", "user_id", "due"}),
        ("Nom;Terminé;Urgence;Affecté à;Fuseau horaire",
         {"title", "done", "critical", "user_id", "zone"}),
    ],
)  # fmt: skip
def test_the_columns_of_tasks_are_recognised(header: str, fields: set[str]) -> None:
    assert TASKS.columns.require(header.split(";")).keys() == fields


@pytest.mark.parametrize(
    ("header", "fields"),
    [
        ("Rendez-vous;Date;Heure de début;Heure de fin;Collaborateur;Lieu",
         {"title", "day", "start_time", "end_time", "user_id", "location"}),
        ("Motif;Date et heure;Durée (min);Praticien;Patient;Statut",
         {"title", "starts", "duration", "user_id", "customer_id", "status"}),
        ("Objet;Début le;Début à;Fin le;Fin à;Toute la journée;Organisateur;Emplacement",
         {"title", "starts", "start_time", "ends", "end_time", "all_day", "user_id", "location"}),
        ("Titre;Date RDV;Heure;Technicien;Adresse;Rappels;N° de rendez-vous",
         {"title", "day", "start_time", "user_id", "location", "offsets", "code"}),
    ],
)  # fmt: skip
def test_the_columns_of_appointments_are_recognised(header: str, fields: set[str]) -> None:
    assert APPOINTMENTS.columns.require(header.split(";")).keys() == fields


def test_an_hour_with_a_name_of_its_own_wins_over_a_repeated_title() -> None:
    found = APPOINTMENTS.columns.recognise(["Début", "Début", "Heure de début"])
    assert (found["starts"], found["start_time"]) == (0, 2)


def test_a_day_and_two_hours_are_a_span(database: Database) -> None:
    content = (
        "Client;Objet;Date;Début;Fin;Avec\n"
        "Café du Port;Pose;mardi 15 décembre 2026;9 h;10h30;Zoé Martin\n"
        "Café du Port;Retouche;15/12/2026 00:00;30/12/1899 11:00;;Zoé Martin\n"
    )
    with database.begin() as connection:
        open_business(connection)
        factories.customer(connection, "C7", name="Café du Port")
        result = import_appointments(connection, "B1", io.BytesIO(content.encode()))
        assert counts(result) == (2, 0, 0, 0)
        found = rows(connection, "appointments")
        assert (found["Pose"]["starts_at"], found["Pose"]["ends_at"]) == (
            paris(15, 9), paris(15, 10, 30),
        )  # fmt: skip
        assert found["Retouche"]["starts_at"] == paris(15, 11)
        assert found["Pose"]["customer_id"] == "C7"
