"""The lists of who may be written to, from the command line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.exc import DBAPIError

from chalicelib.outbox import suppressions
from chalicelib.outbox.suppressions import Suppression
from cli.caller import user
from tests.cli.command_line import CommandLine
from tests.database import Server
from tests.harness import Deployment, deployed

B1 = ("--business", "B1")
EMAIL = ("--channel", "email")
WHATSAPP = ("--channel", "whatsapp")
WHY = ("--reason", "demande au téléphone")


@pytest.fixture(scope="module")
def shared(
    database_server: Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployment]:
    with (
        database_server.database() as database,
        pytest.MonkeyPatch.context() as environment,
        deployed(database, tmp_path_factory.mktemp("lists"), environment) as deployment,
    ):
        yield deployment


@pytest.fixture
def stage(shared: Deployment) -> Deployment:
    shared.reset()
    shared.open_business()
    shared.open_business("B2")
    return shared


def in_force(stage: Deployment) -> list[tuple[str, str, str, str]]:
    rows = stage.rows(
        "SELECT business_id, channel, contact, category FROM ponctuel.suppressions "
        "WHERE lifted_at IS NULL ORDER BY id"
    )
    return [tuple(row.values()) for row in rows]  # type: ignore[misc]  # four columns


def test_a_contact_is_added_in_its_normal_form_with_who_and_why(
    stage: Deployment, ponctuel: CommandLine
) -> None:
    said = ponctuel("suppressions", "add", *B1, *EMAIL, "--contact", " Jean@Café.FR ", *WHY)
    assert (said.code, said.err) == (0, "")
    assert "Plus rien ne partira vers jean@xn--caf-dma.fr (B1, e-mail, messages : tous)" in said.out
    ponctuel("suppressions", "add", *B1, *WHATSAPP, "--contact", "06 39 98 12 34", *WHY)
    ponctuel("suppressions", "add", "--business", "*", *EMAIL, "--contact", "x@y.fr",
             "--category", "marketing", "--person", "C1", *WHY)  # fmt: skip
    assert in_force(stage) == [
        ("B1", "email", "jean@xn--caf-dma.fr", "*"),
        ("B1", "whatsapp", "+33639981234", "*"),
        ("*", "email", "x@y.fr", "marketing"),
    ]
    rows = stage.rows("SELECT DISTINCT reason, source, note FROM ponctuel.suppressions")
    assert rows == [{"reason": "manual", "source": user(), "note": "demande au téléphone"}]
    again = ponctuel("suppressions", "add", *B1, *EMAIL, "--contact", "JEAN@café.fr", *WHY)
    assert again.code == 0
    assert "était déjà inscrit" in again.out
    assert len(in_force(stage)) == 3


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((*B1, *EMAIL, "--contact", "jean", *WHY), "adresse e-mail n'est pas valable"),
        ((*B1, *WHATSAPP, "--contact", "3639", *WHY), "numéro court"),
        (("--business", "B9", *EMAIL, "--contact", "a@b.fr", *WHY), "« B9 » n'existe pas"),
        ((*B1, *EMAIL, "--contact", "a@b.fr"), "il manque : --reason"),
        ((*B1, "--channel", "fax", "--contact", "a@b.fr", *WHY), "au choix : e-mail, WhatsApp"),
        (
            (*B1, *EMAIL, "--contact", "a@b.fr", "--category", "pub", *WHY),
            "Genre de message inconnu : « pub »",
        ),
    ],
)
def test_what_cannot_be_added_is_refused_in_french(
    stage: Deployment, ponctuel: CommandLine, arguments: tuple[str, ...], told: str
) -> None:
    said = ponctuel("suppressions", "add", *arguments)
    assert said.code == 1
    assert told in said.err
    assert in_force(stage) == []


def test_entries_are_listed_by_business_channel_and_contact(
    stage: Deployment, ponctuel: CommandLine
) -> None:
    with stage.database.begin() as connection:
        suppressions.suppress(
            connection,
            [
                Suppression("B1", "email", "a@b.fr", "unsubscribe", "marketing", "C1", "u:1"),
                Suppression("B1", "whatsapp", "+33639981234", "stop"),
                Suppression("*", "email", "a@b.fr", "hard_bounce"),
                Suppression("B2", "email", "a@b.fr", "complaint"),
                Suppression("B1", "whatsapp", "", "unsubscribe", "marketing", "C1"),
            ],
        )

    def reasons(*arguments: str) -> set[str]:
        found = ponctuel("suppressions", "list", "--json", *arguments).data["suppressions"]
        return {entry["reason"] for entry in found}

    assert reasons("--contact", "A@B.fr") == {"unsubscribe", "hard_bounce", "complaint"}
    assert reasons(*B1, "--contact", "A@B.fr") == {"unsubscribe", "hard_bounce"}
    assert reasons("--contact", "06.39.98.12.34") == {"stop"}
    assert reasons(*WHATSAPP) == {"stop", "unsubscribe"}
    assert reasons("--contact", "FR.1234567890") == set()
    assert reasons("--person", "C1") == {"unsubscribe"}
    shown = ponctuel("suppressions", "list", "--business", "B2").words
    assert "toutes e-mail a@b.fr" in shown
    assert "B2 e-mail a@b.fr" in shown
    assert "a signalé le message comme indésirable" in shown
    assert "où qu'il soit" in ponctuel("suppressions", "list", *WHATSAPP).words
    assert "commerciaux" in ponctuel("suppressions", "list", *WHATSAPP).words
    assert ponctuel("suppressions", "list", "--business", "B3", *WHATSAPP).out == (
        "Aucune inscription.\n"
    )


def test_an_entry_is_lifted_by_its_number_and_kept_with_who_and_why(
    stage: Deployment, ponctuel: CommandLine
) -> None:
    ponctuel("suppressions", "add", *B1, *EMAIL, "--contact", "a@b.fr", *WHY)
    (entry,) = ponctuel("suppressions", "list", "--json").data["suppressions"]
    number = str(entry["id"])
    said = ponctuel("suppressions", "lift", number, "999999", "--reason", "il a changé d'avis")
    assert said.code == 2
    assert "1 inscription levée." in said.out
    assert "Pas en vigueur, ou inexistant : 999999." in said.out
    assert in_force(stage) == []
    assert ponctuel("suppressions", "list").out == "Aucune inscription.\n"
    assert (
        f"levée par {user()} : il a changé d'avis"
        in ponctuel("suppressions", "list", "--all").words
    )
    assert ponctuel("suppressions", "lift", number, *WHY).code == 1
    again = ponctuel("suppressions", "add", *B1, *EMAIL, "--contact", "a@b.fr", *WHY, "--json")
    assert again.data["added"] is True


def test_a_list_from_another_tool_is_imported_and_bad_lines_are_told_by_number(
    stage: Deployment, ponctuel: CommandLine, tmp_path: Path
) -> None:
    file = tmp_path / "optout.csv"
    file.write_text(
        "Export du 3 mars\n"
        "Date;E-mail\n"
        "2026-01-01;Anne@Exemple.fr\n"
        "2026-01-02;pas une adresse\n"
        "\n"
        "2026-01-03;\n"
        '2026-01-04;"ouvert\n'
        "2026-01-05;anne@exemple.fr\n"
        "2026-01-06;léo@exemple.fr\n"
        "2026-01-07;bob@exemple.fr;de trop\n"
        "2026-01-08;zoe@exemple.fr\n",
        encoding="utf-8",
    )
    arguments = ("suppressions", "import", str(file), *B1, *EMAIL, "--category", "marketing")
    said = ponctuel(*arguments, "--json")
    assert said.code == 2
    assert (said.data["added"], said.data["known"], said.data["rejected"]) == (2, 0, 5)
    assert [reject["line"] for reject in said.data["rejects"]] == [4, 6, 7, 9, 10]
    assert in_force(stage) == [
        ("B1", "email", "anne@exemple.fr", "marketing"),
        ("B1", "email", "zoe@exemple.fr", "marketing"),
    ]
    again = ponctuel(*arguments)
    assert again.code == 2
    assert "déjà inscrits 2" in again.words
    assert "4 Cette adresse e-mail n'est pas valable" in again.words
    assert "pas une adresse" not in again.out


def test_a_list_of_numbers_is_one_column_of_any_encoding(
    stage: Deployment, ponctuel: CommandLine, tmp_path: Path
) -> None:
    file = tmp_path / "stop.csv"
    file.write_bytes("Téléphone\r\n06 39 98 12 34\r\n+262 692 12 34 56\r\n".encode("cp1252"))
    said = ponctuel("suppressions", "import", str(file), *B1, *WHATSAPP)
    assert said.code == 0
    assert {row[2] for row in in_force(stage)} == {"+33639981234", "+262692123456"}


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"a@b.fr\nc@d.fr\n", "nommer les colonnes (contact)"),
        (b"", "nommer les colonnes (contact)"),
        (b"PK\x03\x04", "classeur Excel"),
        (None, "ne peut pas être ouvert"),
    ],
)
def test_a_file_that_is_no_list_is_refused(
    stage: Deployment, ponctuel: CommandLine, tmp_path: Path, content: bytes | None, told: str
) -> None:
    file = tmp_path / "list.csv"
    if content is not None:
        file.write_bytes(content)
    said = ponctuel("suppressions", "import", str(file), *B1, *EMAIL)
    assert said.code == 1
    assert told in said.err
    file.write_text("contact\nx\n")
    assert ponctuel("suppressions", "import", str(file), *B1, *EMAIL).code == 1
    assert in_force(stage) == []


def test_a_consent_is_granted_listed_and_withdrawn(
    stage: Deployment, ponctuel: CommandLine
) -> None:
    whom = (*B1, *EMAIL, "--contact", "Anne@Exemple.fr")
    said = ponctuel("consents", "grant", *whom, "--source", "bon papier du 3 mars")
    assert (said.code, said.err) == (0, "")
    assert "Accord enregistré : anne@exemple.fr (e-mail)." in said.out
    assert "déjà enregistré" in ponctuel("consents", "grant", *whom, "--source", "x").out
    (row,) = ponctuel("consents", "list", "--json", "--contact", "ANNE@exemple.fr").data["consents"]
    assert (row["source"], row["withdrawn_at"]) == (f"bon papier du 3 mars ({user()})", None)
    assert ponctuel("consents", "list", "--business", "B2").out == "Aucun accord.\n"
    assert ponctuel("consents", "withdraw", *whom).code == 0
    assert ponctuel("consents", "withdraw", *whom).code == 1
    (row,) = ponctuel("consents", "list", "--json").data["consents"]
    assert row["withdrawn_by"] == user()
    assert "bon papier du 3 mars" in ponctuel("consents", "list").words


def test_a_consent_of_one_who_unsubscribed_says_that_nothing_will_leave(
    stage: Deployment, ponctuel: CommandLine
) -> None:
    whom = (*B1, *EMAIL, "--contact", "anne@exemple.fr")
    ponctuel("suppressions", "add", *whom, "--category", "marketing", *WHY)
    said = ponctuel("consents", "grant", *whom, "--source", "formulaire")
    assert "Rien ne partira pourtant" in said.words


def test_an_entry_is_about_a_contact_or_a_person(stage: Deployment) -> None:
    with stage.database.begin() as connection:
        entries = [Suppression("B1", "email", "", "manual", person=p) for p in ("", "C1", "C2")]
        assert suppressions.suppress(connection, entries) == 2
        assert suppressions.suppress(connection, entries) == 0
    with pytest.raises(DBAPIError, match="suppressions_check"):
        stage.execute(
            "INSERT INTO ponctuel.suppressions (business_id, channel, contact, reason, at) "
            "VALUES ('B1', 'email', '', 'manual', ponctuel.clock())"
        )
