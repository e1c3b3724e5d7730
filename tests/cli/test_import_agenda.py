"""Tasks and appointments of exported files, in PostgreSQL."""

from __future__ import annotations

import io
import time
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from chalicelib.errors import BadRequest, NotFound
from cli.imports.agenda import import_appointments, import_tasks
from cli.imports.agenda_columns import APPOINTMENTS, TASKS
from cli.imports.columns import MissingColumns
from cli.imports.result import Counts
from tests import factories
from tests.cli.command_line import CommandLine
from tests.database import Database
from tests.harness import Deployment

# As a French Excel saves them: « CSV (séparateur : point-virgule) », Windows-1252, CRLF.
TODO = """Tâche;Échéance;Heure;Priorité;Assignée à;Statut;Client
Commander les ferrures;15/12/2026;;Urgente;Zoé Martin;À faire;Café du Port
Relancer le devis "Élan";16/12/2026;14h30;Normale;ali@atelier.example;En cours;
Déclaration de TVA;20/12/2026 00:00;;Haute;;À faire;
Ranger l'atelier;;;;Ali BEN;Terminée;
""".replace('"Élan"', "« Élan »")
DIARY = """Titre;Date;Début;Fin;Participant;Lieu;Statut;Rappels
Prise de mesures;15/12/2026;9h;10h30;Zoé Martin;12 rue des Charpennes – Lyon;Confirmé;1 jour, 1 h
Pose de l'escalier;16/12/2026;14:00;;ali@atelier.example;Saint-Étienne;Prévu;
Réunion d'équipe;16/12/2026;08:15;09:00;Zoé Martin;;Annulé;30
"""


def open_business(connection: Connection, id: str = "B1", **business: object) -> None:
    factories.business(connection, id=id, **business)
    factories.user(connection, "ZOE", id, name="Zoé Martin", email="zoe@atelier.example")
    factories.user(
        connection, "ALI", id, name="Ali Ben", email="ali@atelier.example", zone="Indian/Reunion"
    )


def tasks(
    connection: Connection, content: str | bytes, business: str = "B1", **options: object
) -> Counts:
    return import_tasks(connection, business, stream(content), **options)  # type: ignore[arg-type]


def appointments(
    connection: Connection, content: str | bytes, business: str = "B1", **options: object
) -> Counts:
    return import_appointments(connection, business, stream(content), **options)  # type: ignore[arg-type]


def stream(content: str | bytes) -> io.BytesIO:
    return io.BytesIO(content if isinstance(content, bytes) else content.encode())


def excel(content: str) -> bytes:
    return content.replace("\n", "\r\n").encode("cp1252")


def counts(result: Counts) -> tuple[int, int, int, int]:
    return result.created, result.updated, result.unchanged, result.rejected


def rows(
    connection: Connection, relation: str, business: str = "B1"
) -> dict[str, dict[str, object]]:
    """By title."""
    found = connection.execute(
        text(f"SELECT * FROM ponctuel.{relation} WHERE business_id = :b ORDER BY title, id"),
        {"b": business},
    )
    return {row["title"]: dict(row) for row in found.mappings()}


def stored(connection: Connection) -> list[dict[str, object]]:
    """All tasks."""
    found = connection.execute(text("SELECT * FROM ponctuel.tasks ORDER BY id"))
    return [dict(row) for row in found.mappings()]


def paris(day: int, hour: int, minute: int = 0) -> datetime:
    """In December 2026."""
    return datetime(2026, 12, day, hour - 1, minute, tzinfo=UTC)


def test_a_list_of_tasks_saved_by_excel_arrives_once(database: Database) -> None:
    with database.begin() as connection:
        open_business(connection)
        factories.customer(connection, "C7", name="CAFE DU PORT")
        assert counts(tasks(connection, excel(TODO), dry_run=True)) == (4, 0, 0, 0)
        assert not rows(connection, "tasks")
        assert counts(tasks(connection, excel(TODO))) == (4, 0, 0, 0)
        before = rows(connection, "tasks")
        fittings = before["Commander les ferrures"]
        assert (fittings["user_id"], fittings["customer_id"]) == ("ZOE", "C7")
        assert (fittings["due_on"], fittings["due_at"]) == (date(2026, 12, 15), None)
        assert (fittings["critical"], fittings["status"]) == (True, "open")
        quote = before["Relancer le devis « Élan »"]
        # 14:30 is Ali's: it is three hours later than in Paris where Ali is.
        assert (quote["user_id"], quote["due_at"]) == ("ALI", paris(16, 11, 30))
        vat = before["Déclaration de TVA"]
        assert (vat["user_id"], vat["due_at"]) == (None, None)
        assert (vat["due_on"], vat["critical"]) == (date(2026, 12, 20), False)
        tidy = before["Ranger l'atelier"]
        assert (tidy["user_id"], tidy["due_on"], tidy["status"]) == ("ALI", None, "done")
        assert counts(tasks(connection, excel(TODO))) == (0, 0, 4, 0)
        assert counts(tasks(connection, excel(TODO), dry_run=True)) == (0, 0, 4, 0)
        assert rows(connection, "tasks") == before


def test_a_diary_saved_by_excel_arrives_once(database: Database) -> None:
    with database.begin() as connection:
        open_business(connection)
        assert counts(appointments(connection, excel(DIARY), dry_run=True)) == (3, 0, 0, 0)
        assert counts(appointments(connection, excel(DIARY))) == (3, 0, 0, 0)
        before = rows(connection, "appointments")
        measures = before["Prise de mesures"]
        assert (measures["starts_at"], measures["ends_at"]) == (paris(15, 9), paris(15, 10, 30))
        assert measures["location"] == "12 rue des Charpennes – Lyon"
        assert (measures["status"], measures["offsets"]) == ("scheduled", "1440,60")
        stairs = before["Pose de l'escalier"]
        assert (stairs["user_id"], stairs["starts_at"]) == ("ALI", paris(16, 11))
        assert (stairs["ends_at"], stairs["offsets"]) == (None, None)
        assert before["Réunion d'équipe"]["status"] == "cancelled"
        assert counts(appointments(connection, excel(DIARY))) == (0, 0, 3, 0)
        assert rows(connection, "appointments") == before


def test_a_code_says_what_was_moved_and_an_empty_cell_says_nothing(database: Database) -> None:
    with database.begin() as connection:
        open_business(connection)
        tasks(connection, "Code;Titre;Échéance;Assignée à\nT1;Relance;15/12/2026 14:30;ZOE\n")
        appointments(
            connection,
            "Code;Objet;Début;Fin;Utilisateur;Lieu\nR1;Mesures;15/12/2026 9h;10h;ZOE;Lyon\n",
        )
        connection.execute(text("UPDATE ponctuel.tasks SET snoozed_until = '2026-12-16Z'"))
        # Another day without an hour: the old hour is no longer true.
        assert counts(tasks(connection, "Code;Titre;Échéance\nT1;Relance;18/12/2026\n")) == (
            0, 1, 0, 0,
        )  # fmt: skip
        task = rows(connection, "tasks")["Relance"]
        assert (task["due_on"], task["due_at"]) == (date(2026, 12, 18), None)
        assert (task["user_id"], task["status"]) == ("ZOE", "open")
        assert task["snoozed_until"] == datetime(2026, 12, 16, tzinfo=UTC)
        assert counts(tasks(connection, "Code;Titre;Échéance\nT1;Relance;\n")) == (0, 0, 1, 0)
        moved = "Code;Objet;Début;Statut\nR1;Mesures;17/12/2026 11h;\n"
        assert counts(appointments(connection, moved, user="ZOE")) == (0, 1, 0, 0)
        appointment = rows(connection, "appointments")["Mesures"]
        assert (appointment["starts_at"], appointment["ends_at"]) == (paris(17, 11), None)
        assert (appointment["location"], appointment["status"]) == ("Lyon", "scheduled")
        assert counts(appointments(connection, moved, user="ZOE")) == (0, 0, 1, 0)


def test_without_a_code_another_time_is_something_else_and_is_told(database: Database) -> None:
    with database.begin() as connection:
        open_business(connection)
        first = "Titre;Début;Utilisateur\nPose;15/12/2026 9h;ZOE\n"
        appointments(connection, first)
        later = appointments(connection, first.replace("15/12", "22/12"))
        assert counts(later) == (1, 0, 0, 0)
        assert "existe aussi à une autre date (15/12/2026)" in later.remarks[0].reasons[0]
        # A series says nothing of the kind, and neither does what is over.
        series = "Titre;Début;Utilisateur\nPose;29/12/2026 9h;ZOE\nPose;30/12/2026 9h;ZOE\n"
        assert not appointments(connection, series).remarks
        connection.execute(text("UPDATE ponctuel.appointments SET status = 'done'"))
        assert not appointments(connection, first.replace("15/12", "31/12")).remarks


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        # Less is said: the only one that fits.
        ("Relance;15/12/2026 14:30;ZOE", "Relance;15/12/2026;ZOE", (0, 1, 0, 0)),
        ("Relance;15/12/2026;ZOE", "Relance;15/12/2026 14:30;", (0, 1, 0, 0)),
        ("Relance;;", "Relance;15/12/2026;ZOE", (0, 1, 0, 0)),
        ("Relance;15/12/2026;ZOE", "RELANCE !;;", (0, 1, 0, 0)),
        # Something else is said.
        ("Relance;15/12/2026;ZOE", "Relance;15/12/2026;ALI", (1, 0, 0, 0)),
        ("Relance;15/12/2026 9h;ZOE", "Relance;15/12/2026 14h;ZOE", (1, 0, 0, 0)),
        ("Relance;15/12/2026;ZOE", "Relance;16/12/2026;ZOE", (1, 0, 0, 0)),
        # Several fit.
        ("Relance;15/12/2026;ZOE\nRelance;16/12/2026;ZOE", "Relance;;ZOE", (0, 0, 0, 1)),
        ("Relance;15/12/2026;ZOE\nRelance;15/12/2026;ALI", "Relance;15/12/2026;", (0, 0, 0, 1)),
    ],
)
def test_a_line_without_a_code_is_the_only_one_that_fits(
    database: Database, first: str, second: str, expected: tuple[int, int, int, int]
) -> None:
    with database.begin() as connection:
        open_business(connection)
        head = "Tâche;Échéance;Assignée à\n"
        tasks(connection, f"{head}{first}\n")
        assert counts(tasks(connection, f"{head}{second}\n")) == expected


def test_a_line_that_nothing_tells_apart_is_refused_until_it_has_a_code(
    database: Database,
) -> None:
    with database.begin() as connection:
        open_business(connection)
        head = "Code;Tâche;Échéance;Assignée à;Priorité\n"
        tasks(connection, f"{head}T1;Relance;15/12/2026;ZOE;\nT2;Relance;16/12/2026;ALI;\n")
        before = stored(connection)
        vague = f"{head};Relance;;;Urgente\n"
        for _ in range(2):
            result = tasks(connection, vague)
            assert counts(result) == (0, 0, 0, 1)
            assert result.rejects[0].reasons == (
                "plusieurs fiches correspondent à « Relance » (T1, T2) : ajoutez une colonne "
                "« Code », avec le code de la bonne, ou un nouveau",
            )
            assert stored(connection) == before
        assert counts(tasks(connection, vague.replace(";Relance", "T2;Relance"))) == (0, 1, 0, 0)
        assert [row["critical"] for row in stored(connection)] == [False, True]


def test_the_code_that_a_refusal_names_is_the_one_to_give(database: Database) -> None:
    with database.begin() as connection:
        open_business(connection)
        tasks(connection, "Code;Tâche;Assignée à\nT1;Relance;ZOE\nT2;Relance;ALI\n")
        connection.execute(text("UPDATE ponctuel.tasks SET id = 'tâche n° 12' WHERE id = 'T2'"))
        file = "Code;Tâche;Échéance\n;Relance;15/12/2026\n"
        refused = tasks(connection, file)
        assert "(T1, tâche n° 12)" in refused.rejects[0].reasons[0]
        told = file.replace(";Relance", "tâche n° 12;Relance")
        assert counts(tasks(connection, told)) == (0, 1, 0, 0)
        assert counts(tasks(connection, told)) == (0, 0, 1, 0)


def test_what_a_code_names_is_no_other_lines_even_if_its_line_is_refused(
    database: Database,
) -> None:
    with database.begin() as connection:
        open_business(connection)
        head = "Code;Tâche;Échéance;Assignée à\n"
        tasks(connection, f"{head}T1;Relance;;\n")
        file = f"{head}T1;Relance;30/02/2027;\n;Relance;15/12/2026;ZOE\n"
        assert counts(tasks(connection, file)) == (1, 0, 0, 1)
        assert counts(tasks(connection, file)) == (0, 0, 1, 1)
        assert [row["user_id"] for row in stored(connection)] == [None, "ZOE"]


def test_two_lines_that_may_be_one_entry_are_refused_until_one_has_its_code(
    database: Database,
) -> None:
    with database.begin() as connection:
        open_business(connection)
        head = "Code;Tâche;Échéance;Assignée à\n"
        tasks(connection, f"{head}T1;Relance;;\n")
        before = stored(connection)
        both = f"{head};Relance;15/12/2026;ZOE\n;Relance;16/12/2026;ALI\n"
        for _ in range(2):
            result = tasks(connection, both)
            assert counts(result) == (0, 0, 0, 2)
            assert [each.reasons[0] for each in result.rejects] == [
                f"elle est peut-être la fiche T1, mais la ligne {line} lui ressemble : ajoutez une "
                "colonne « Code », avec ce code sur la bonne ligne, ou un nouveau"
                for line in (3, 2)
            ]
            assert stored(connection) == before
        told = both.replace(";Relance;16/", "T1;Relance;16/")
        assert counts(tasks(connection, told)) == (1, 1, 0, 0)
        assert counts(tasks(connection, told)) == (0, 0, 2, 0)


def test_a_list_that_says_users_on_some_lines_only_changes_nothing_the_second_time(
    database: Database,
) -> None:
    lines = "Pose;15/12/2026 14h;ZOE\nPose;15/12/2026 14h;\n"
    with database.begin() as connection:
        open_business(connection)
        head = "Tâche;Échéance;Assignée à\n"
        assert counts(tasks(connection, head + lines)) == (2, 0, 0, 0)
        before = stored(connection)
        # The second line once went to the task without a user, and made it the double of the first.
        shorter = f"{head}Pose;15/12/2026 14h;ZOE\nPose;;ZOE\n"
        for _ in range(2):
            assert counts(tasks(connection, shorter)) == (0, 0, 1, 1)
            assert stored(connection) == before
        assert counts(tasks(connection, head + lines)) == (0, 0, 2, 0)
        assert stored(connection) == before


def test_an_appointment_that_the_application_moved_is_not_doubled(database: Database) -> None:
    with database.begin() as connection:
        open_business(connection)
        file = "Titre;Début;Utilisateur\nPose;15/12/2026 9h;ZOE\n"
        appointments(connection, file)
        connection.execute(text("UPDATE ponctuel.appointments SET starts_at = '2026-12-16 08:00Z'"))
        assert counts(appointments(connection, file)) == (0, 1, 0, 0)
        assert rows(connection, "appointments")["Pose"]["starts_at"] == paris(15, 9)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (";15/12/2026;;;;", "titre : la case est vide"),
        ("A;30/02/2026;;;;", "échéance : « 30/02/2026 » n'existe pas au calendrier"),
        ("A;01/01/1970;;;;", "échéance : « 01/01/1970 » n'est pas une date possible"),
        ("A;=AUJOURDHUI();;;;", "échéance : « =AUJOURDHUI() » n'est pas une date"),
        ("A;15/12/2026;25h00;;;", "heure : « 25h00 » n'est pas une heure possible"),
        ("A;15/12/2026 9h;10h;;;", "heure : la date en dit une autre"),
        ("A;25/10/2026;2h30;;;", "échéance : « 25/10/2026 02:30 » existe deux fois"),
        ("A;;;Bof;;", "priorité : « Bof » n'est pas connu"),
        ("A;;;;Peut-être;", "statut : « Peut-être » n'est pas connu"),
        ("A;;;;;Personne", "assignée à : « Personne » n'est le nom d'aucun utilisateur"),
        ("A;;;;;Jean", "assignée à : plusieurs utilisateurs s'appellent « Jean »"),
        ("A\0;;;;;", "caractère nul"),
        ("A\x07;;;;;", "titre : trop long ou illisible"),
        (f"{'A' * 201};;;;;", "titre : trop long ou illisible"),
        ("A;;;;;;;;", "la ligne a 9 colonnes au lieu de 6"),
    ],
)
def test_a_task_is_refused_with_its_reason(database: Database, line: str, reason: str) -> None:
    with database.begin() as connection:
        open_business(connection)
        for id in ("J1", "J2"):
            factories.user(connection, id, name="Jean")
        head = "Titre;Échéance;Heure;Priorité;Statut;Assignée à"
        result = tasks(connection, f"{head}\n{line}\nBonne;;;;;\n")
        assert counts(result) == (1, 0, 0, 1)
        assert result.rejects[0].line == 2
        assert reason in " ; ".join(result.rejects[0].reasons)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("A;;;;;;;ZOE", "début : la case est vide"),
        ("A;15/12/2026;;;;;;ZOE", "début : il manque l'heure"),
        ("A;15/12/2026 9h;;;;;;", "utilisateur : la case est vide"),
        ("A;29/03/2026 02:30;;;;;;ZOE", "« 29/03/2026 02:30 » n'existe pas (Europe/Paris)"),
        ("A;15/12/2026 9h;08:00;;;;;ZOE", "fin : elle précède le début"),
        ("A;15/12/2026 9h;14/12/2026 10h;;;;;ZOE", "fin : elle précède le début"),
        ("A;15/12/2026 9h;;longtemps;;;;ZOE", "durée : « longtemps » n'est pas une durée"),
        ("A;15/12/2026 9h;;;Oui;;;ZOE", "journée entière : sans heure de début"),
        ("A;15/12/2026 9h;;;;bientôt;;ZOE", "rappels : « bientôt » n'est pas une durée"),
        ("A;15/12/2026 9h;;;;90 jours;;ZOE", "rappels : « 90 jours » dépasse soixante jours"),
        ("A;15/12/2026 9h;;;;;Mars/Olympus;ZOE", "« Mars/Olympus » n'est pas un fuseau"),
        ("A;15/12/2026 9h;;;;;;ZOE, ALI", "« ZOE, ALI » n'est le nom d'aucun utilisateur"),
    ],
)
def test_an_appointment_is_refused_with_its_reason(
    database: Database, line: str, reason: str
) -> None:
    with database.begin() as connection:
        open_business(connection)
        head = "Titre;Début;Fin;Durée;Journée entière;Rappel;Fuseau horaire;Utilisateur"
        result = appointments(connection, f"{head}\n{line}\n")
        assert counts(result) == (0, 0, 0, 1)
        assert reason in " ; ".join(result.rejects[0].reasons)
        assert not rows(connection, "appointments")


def test_every_reason_is_told_at_once(database: Database) -> None:
    with database.begin() as connection:
        open_business(connection)
        result = tasks(connection, "Titre;Échéance;Priorité;Statut\n;30/02/2026;Bof;Bof\n")
        assert len(result.rejects[0].reasons) == 4


def test_the_same_line_twice_is_refused_with_the_first_ones_number(database: Database) -> None:
    with database.begin() as connection:
        open_business(connection)
        file = "Code;Titre;Échéance\n;Relance;15/12/2026\n;RELANCE;15/12/2026\nT1;A;\nT1;B;\n"
        for expected in ((2, 0, 0, 2), (0, 0, 2, 2)):
            result = tasks(connection, file)
            assert counts(result) == expected
            assert [each.reasons[0] for each in result.rejects] == [
                "la même fiche est déjà à la ligne 2 du fichier",
                "la même fiche est déjà à la ligne 4 du fichier",
            ]


def test_hours_are_on_the_clock_of_the_line_then_the_user_then_the_business(
    database: Database,
) -> None:
    with database.begin() as connection:
        open_business(connection, zone="America/Martinique")
        head = "Titre;Début;Fuseau;Utilisateur\n"
        lines = (
            "de la ligne;15/12/2026 12:00;Asia/Tokyo;ALI\n"
            "du décalage;2026-12-15T12:00+02:00;Asia/Tokyo;ALI\n"
            "de l'utilisateur;15/12/2026 12:00;;ALI\n"
            "de l'entreprise;15/12/2026 12:00;;ZOE\n"
        )
        assert counts(appointments(connection, head + lines)) == (4, 0, 0, 0)
        hours = {
            title: row["starts_at"].astimezone(UTC).hour  # type: ignore[attr-defined]
            for title, row in rows(connection, "appointments").items()
        }
        assert hours == {
            "de la ligne": 3, "du décalage": 10, "de l'utilisateur": 8, "de l'entreprise": 16,
        }  # fmt: skip
        connection.execute(text("UPDATE ponctuel.businesses SET zone = 'Nulle/Part'"))
        appointments(connection, f"{head}de Paris;15/12/2026 12:00;;ZOE\n")
        assert rows(connection, "appointments")["de Paris"]["starts_at"] == paris(15, 12)


def test_whose_calendar_it_is_may_be_said_once(database: Database) -> None:
    with database.begin() as connection:
        open_business(connection)
        file = "Subject,Start Date,Start Time\nPose,15/12/2026,2:30 PM\n"
        with pytest.raises(MissingColumns, match="--user"):
            appointments(connection, file)
        with pytest.raises(BadRequest, match="--user : « Personne »"):
            appointments(connection, file, user="Personne")
        assert counts(appointments(connection, file, user="zoe@atelier.example")) == (1, 0, 0, 0)
        assert rows(connection, "appointments")["Pose"]["user_id"] == "ZOE"
        assert rows(connection, "appointments")["Pose"]["starts_at"] == paris(15, 14, 30)


def test_a_customer_who_is_unknown_does_not_stop_a_task(database: Database) -> None:
    with database.begin() as connection:
        open_business(connection)
        result = tasks(connection, "Titre;Client\nRelance;Inconnu\n")
        assert counts(result) == (1, 0, 0, 0)
        assert "sans son client" in result.remarks[0].reasons[0]


def test_a_file_that_writes_months_first_is_not_misread(database: Database) -> None:
    with database.begin() as connection:
        open_business(connection)
        file = "Titre;Début;Utilisateur\nA;04/03/2027 9:00 AM;ZOE\nB;04/25/2027 9:00 AM;ZOE\n"
        result = appointments(connection, file)
        assert counts(result) == (0, 0, 0, 2)
        assert "mois/jour" in result.rejects[0].reasons[0]


def test_one_business_never_touches_its_twin(database: Database) -> None:
    with database.begin() as connection:
        head = "Code;Titre;Échéance;Assignée à\n"
        diary = "Code;Titre;Début;Utilisateur\nR1;Pose;15/12/2026 9h;ZOE\n"
        for business in ("B1", "B2"):
            open_business(connection, business)
            tasks(connection, f"{head}T1;Relance;15/12/2026;ZOE\n", business)
            appointments(connection, diary, business)
        before = rows(connection, "tasks", "B2"), rows(connection, "appointments", "B2")
        connection.execute(text("DELETE FROM ponctuel.users WHERE business_id = 'B1'"))
        factories.user(connection, "EVE", name="Ève")
        # Nobody of B1 is called so any more: B2's users are no help.
        refused = tasks(connection, f"{head}T1;Relance;16/12/2026;ZOE\n")
        assert counts(refused) == (0, 0, 0, 1)
        moved = f"{head}T1;Relance;16/12/2026;Ève\n;Relance;15/12/2026;Ève\n"
        assert counts(tasks(connection, moved)) == (1, 1, 0, 0)
        assert counts(appointments(connection, diary.replace("15/", "16/"), user="EVE")) == (
            0, 1, 0, 0,
        )  # fmt: skip
        assert (rows(connection, "tasks", "B2"), rows(connection, "appointments", "B2")) == before
        with pytest.raises(NotFound):
            tasks(connection, TODO, "B3")


def test_dates_that_are_none_do_not_stop_an_import(database: Database) -> None:
    with database.begin() as connection:
        open_business(connection)
        connection.execute(
            text(
                "INSERT INTO ponctuel.tasks (business_id, id, title, due_on, due_at) VALUES"
                " ('B1', 'X', 'Un jour', 'infinity', '-infinity')"
            )
        )
        assert counts(tasks(connection, "Titre;Échéance\nUn jour;15/12/2026\n")) == (0, 1, 0, 0)


class SlowDisk(io.BytesIO):
    """Takes longer for its first bytes than the test's session may be idle."""

    slept = False

    def read(self, size: int | None = -1) -> bytes:
        if not self.slept:
            time.sleep(1.5)
            self.slept = True
        return super().read(size)


def test_a_file_that_takes_long_to_read_does_not_end_the_transaction(database: Database) -> None:
    with database.begin() as connection:
        open_business(connection)
        connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 1000"))
        assert counts(import_tasks(connection, "B1", SlowDisk(excel(TODO)))) == (4, 0, 0, 0)


def test_the_documentation_lists_every_name_and_word() -> None:
    documentation = (Path(__file__).parents[2] / "docs" / "import.md").read_text()
    agenda = documentation[documentation.index("## Tasks and appointments") :]
    for subject in (TASKS, APPOINTMENTS):
        part = agenda[agenda.index(f"| {subject.relation} |") :]
        for names in subject.columns.names.values():
            assert not [name for name in names if f"`{name}`" not in part]
        for field in subject.words.keys() & subject.stated.keys():
            listed = part.replace("|", ",").replace("\n", ",").split(",")
            known = {each.strip() for each in listed}
            assert not [word for word in subject.words[field] if word not in known]


def test_a_diary_is_imported_at_the_command_line(
    deployment: Deployment, ponctuel: CommandLine, tmp_path: Path
) -> None:
    deployment.open_business()
    with deployment.database.begin() as connection:
        factories.user(connection, "ZOE", name="Zoé Martin")
    file = tmp_path / "agenda.csv"
    file.write_bytes(excel("Titre;Début;Fin\nPose;15/12/2026 9h;10h\nÉté;30/02/2026 9h;\n"))
    arguments = ("import", "appointments", str(file), "--business", "B1", "--user", "Zoé Martin")
    answer = ponctuel(*arguments, "--dry-run")
    assert answer.code == 2, answer.err
    assert "À blanc, rien n'est écrit" in answer.words
    assert "rendez-vous créés 1" in answer.words
    assert "n'existe pas au calendrier" in answer.words
    assert not deployment.rows("SELECT 1 FROM ponctuel.appointments")
    assert ponctuel(*arguments).code == 2
    assert ponctuel(*arguments, "--json").data["unchanged"] == 1
    assert len(deployment.rows("SELECT 1 FROM ponctuel.appointments")) == 1
    file.write_bytes(excel(TODO))
    told = ponctuel("import", "tasks", str(file), "--business", "B1")
    assert told.code == 2
    assert "tâches créées 2" in told.words
    assert "« ali@atelier.example » n'est le nom d'aucun utilisateur" in told.words
