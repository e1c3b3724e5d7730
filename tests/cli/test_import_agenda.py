"""Tasks and appointments of exported files, in PostgreSQL."""

from __future__ import annotations

import io
from datetime import UTC, date, datetime

from sqlalchemy import Connection, text

from cli.imports.agenda import import_appointments, import_tasks
from cli.imports.result import Counts
from tests import factories
from tests.database import Database

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
