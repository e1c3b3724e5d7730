"""Users and leads of exported files, in PostgreSQL."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from chalicelib.errors import NotFound
from cli.imports.people import import_leads, import_users
from cli.imports.people_columns import LEADS, USERS
from cli.imports.result import Counts
from tests import factories
from tests.cli.command_line import CommandLine
from tests.database import Database
from tests.harness import Deployment

TEAM = """Nom;E-mail;Rôle;Fuseau horaire
Zoé Martin;zoe@atelier.example;Gérante;Europe/Paris
Ali Ben;ali@atelier.example;Commercial;Indian/Reunion
"""
PROSPECTS = """Nom;Téléphone;E-mail;Étape;Statut;Commercial
Café du Port;06 12 34 56 78;cafe@port.example;Devis envoyé;En cours;Ali BEN
Garage Relais;+33 6 98 76 54 32;;Nouveau;Gagné;zoe@atelier.example
Sans personne;;;;;
"""


def users(
    connection: Connection, content: str, business: str = "B1", *, dry: bool = False
) -> Counts:
    return import_users(connection, business, io.BytesIO(content.encode()), dry_run=dry)


def leads(
    connection: Connection, content: str, business: str = "B1", *, dry: bool = False
) -> Counts:
    return import_leads(connection, business, io.BytesIO(content.encode()), dry_run=dry)


def counts(result: Counts) -> tuple[int, int, int, int]:
    return result.created, result.updated, result.unchanged, result.rejected


def rows(connection: Connection, relation: str, business: str = "B1") -> list[dict[str, object]]:
    found = connection.execute(
        text(f"SELECT * FROM ponctuel.{relation} WHERE business_id = :b ORDER BY name"),
        {"b": business},
    )
    return [dict(row) for row in found.mappings()]


def test_a_team_and_its_leads_arrive_once(database: Database) -> None:
    with database.begin() as connection:
        factories.business(connection)
        assert counts(users(connection, TEAM, dry=True)) == (2, 0, 0, 0)
        assert not rows(connection, "users")
        assert counts(users(connection, TEAM)) == (2, 0, 0, 0)
        ali, zoe = rows(connection, "users")
        assert (zoe["role"], ali["role"], ali["zone"]) == ("owner", "closer", "Indian/Reunion")
        assert counts(leads(connection, PROSPECTS)) == (3, 0, 0, 0)
        cafe, garage, nobody = before = rows(connection, "leads")
        assert (cafe["closer_id"], garage["closer_id"]) == (ali["id"], zoe["id"])
        assert (cafe["stage"], garage["status"]) == ("Devis envoyé", "won")
        assert (nobody["closer_id"], nobody["stage"]) == (None, "nouveau")
        assert counts(users(connection, TEAM)) == (0, 0, 2, 0)
        assert counts(leads(connection, PROSPECTS)) == (0, 0, 3, 0)
        assert rows(connection, "leads") == before


def test_an_update_keeps_what_the_engine_knows(database: Database) -> None:
    with database.begin() as connection:
        factories.business(connection)
        leads(connection, "Nom;Étape;E-mail\nCafé;Nouveau;a@b.example\n")
        connection.execute(text("UPDATE ponctuel.leads SET followups = 3, opted_out = true"))
        again = "Nom;Étape;Téléphone;E-mail\nCafé;;06 12 34 56 78;a@b.example\n"
        assert counts(leads(connection, again)) == (0, 1, 0, 0)
        (lead,) = rows(connection, "leads")
        assert (lead["followups"], lead["opted_out"], lead["stage"]) == (3, True, "Nouveau")
        assert lead["stage_since"] is None
        moved = "Nom;Étape;E-mail\nCafé;Devis;a@b.example\n"
        assert counts(leads(connection, moved, dry=True)) == (0, 1, 0, 0)
        assert counts(leads(connection, moved)) == (0, 1, 0, 0)
        assert rows(connection, "leads")[0]["stage_since"] is not None


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (";;;", "nom : la case est vide"),
        ("Café;Personne;;", "n'est le nom d'aucun utilisateur"),
        ("Café;Jean;;", "plusieurs utilisateurs s'appellent « Jean »"),
        ("Café;;Peut-être;", "n'est pas connu"),
        ("Café;;;Mars/Olympus", "n'est pas un fuseau"),
    ],
)
def test_a_line_is_refused_with_its_reason(database: Database, line: str, reason: str) -> None:
    with database.begin() as connection:
        factories.business(connection)
        users(connection, "Code;Nom\nU1;Jean\nU2;JEAN\n")
        result = leads(connection, f"Nom;Commercial;Statut;Fuseau;Mail\n{line};a@b.example\n")
        assert counts(result) == (0, 0, 0, 1)
        assert reason in result.rejects[0].reasons[0]


def test_one_business_never_touches_its_twin(database: Database) -> None:
    with database.begin() as connection:
        for business in ("B1", "B2"):
            factories.business(connection, id=business)
            users(connection, "Code;Nom;Rôle\nU1;Zoé;Membre\n", business)
        assert counts(users(connection, "Code;Nom;Rôle\nU1;Zoé;Admin\n")) == (0, 1, 0, 0)
        assert rows(connection, "users", "B2")[0]["role"] == "member"
        with pytest.raises(NotFound):
            users(connection, TEAM, "B3")


def test_the_same_person_twice_and_a_useless_number_are_told(database: Database) -> None:
    with database.begin() as connection:
        factories.business(connection)
        result = leads(connection, "Nom;Téléphone\nCafé;12\nCAFE;\n")
        assert counts(result) == (1, 0, 0, 1)
        assert "déjà à la ligne 2" in result.rejects[0].reasons[0]
        assert result.remarks[0].line == 2


def test_two_leads_who_share_a_number_stay_two(database: Database) -> None:
    office = (
        "Nom;E-mail;Téléphone\n"
        "Marie Roux;marie@a.example;06 12 34 56 78\nJean Roux;jean@a.example;06 12 34 56 78\n"
    )
    with database.begin() as connection:
        factories.business(connection)
        assert counts(leads(connection, office)) == (2, 0, 0, 0)
        assert counts(leads(connection, office)) == (0, 0, 2, 0)
        # Without an address the name tells which; a new address alone makes nobody new.
        again = "Nom;Téléphone;Étape\nJean Roux;+33612345678;Devis\n"
        assert counts(leads(connection, again)) == (0, 1, 0, 0)
        moved = "Nom;E-mail;Téléphone\nJean Roux;jean@b.example;06 12 34 56 78\n"
        assert counts(leads(connection, moved)) == (0, 1, 0, 0)
        third = leads(connection, "Nom;Téléphone\nLe standard;06 12 34 56 78\n")
        assert "plusieurs fiches" in third.rejects[0].reasons[0]
        jean, marie = rows(connection, "leads")
        assert (jean["email"], jean["stage"]) == ("jean@b.example", "Devis")
        assert (marie["email"], marie["stage"]) == ("marie@a.example", "nouveau")


def test_the_documentation_lists_every_name() -> None:
    documentation = (Path(__file__).parents[2] / "docs" / "import.md").read_text()
    for subject in (USERS, LEADS):
        for names in subject.columns.names.values():
            assert not [name for name in names if f"`{name}`" not in documentation]


def test_colleagues_share_a_telephone(database: Database) -> None:
    office = (
        "Nom;E-mail;Téléphone\nZoé;zoe@a.example;04 78 00 00 00\nAli;ali@a.example;04 78 00 00 00\n"
    )
    with database.begin() as connection:
        factories.business(connection)
        assert counts(users(connection, office)) == (2, 0, 0, 0)
        assert counts(users(connection, office)) == (0, 0, 2, 0)


def test_a_team_is_imported_at_the_command_line(
    deployment: Deployment, ponctuel: CommandLine, tmp_path: Path
) -> None:
    deployment.open_business()
    file = tmp_path / "equipe.csv"
    file.write_text(TEAM, encoding="utf-8")
    answer = ponctuel("import", "users", str(file), "--business", "B1")
    assert answer.code == 0, answer.err
    assert len(deployment.rows("SELECT 1 FROM ponctuel.users")) == 2
    file.write_text(PROSPECTS, encoding="utf-8")
    assert ponctuel("import", "leads", str(file), "--business", "B1").code == 0
