"""Mailboxes from the command line: added, tried on a real server, stopped and mended."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from chalicelib.mailboxes.credentials import Keyring, Password, Tokens
from sandbox import dovecot, token_issuer
from tests.cli.command_line import Answer, CommandLine
from tests.database import Server
from tests.domain.inbox.mailbox_rows import KEY
from tests.harness import Deployment, deployed

OTHER = "b3RoZXItb3RoZXItb3RoZXItb3RoZXItb3RoZXItb3Q="
ADD = ("mailbox", "add", "--business", "B1")
HERE = ("--address", "Compta@Example.fr", "--host", "127.0.0.1", "--security", "aucune")
Type = Callable[[str], None]


@pytest.fixture(scope="module")
def shared(
    database_server: Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployment]:
    with (
        database_server.database() as database,
        pytest.MonkeyPatch.context() as environment,
        deployed(database, tmp_path_factory.mktemp("mailboxes"), environment) as deployment,
    ):
        yield deployment


@pytest.fixture
def stage(shared: Deployment, monkeypatch: pytest.MonkeyPatch) -> Deployment:
    shared.reset()
    shared.open_business()
    monkeypatch.setenv("MAILBOX_KEYS", KEY)
    monkeypatch.setenv("INBOX_PRIVATE_HOSTS", "127.0.0.1")
    return shared


@pytest.fixture
def type_(monkeypatch: pytest.MonkeyPatch) -> Type:
    """Feeds standard input, as a pipe does."""
    return lambda text: monkeypatch.setattr("sys.stdin", io.StringIO(text))


@pytest.fixture(scope="module")
def server() -> Iterator[dovecot.DovecotSandbox]:
    if why := dovecot.absent():
        pytest.skip(why)
    with dovecot.DovecotSandbox() as running:
        yield running


def credentials(stage: Deployment, *keys: str) -> list[object]:
    rows = stage.rows("SELECT credentials FROM ponctuel.mailboxes ORDER BY id")
    return [Keyring(keys or (KEY,)).decrypt(row["credentials"]) for row in rows]


def row(stage: Deployment) -> Any:
    (found,) = stage.rows("SELECT * FROM ponctuel.mailboxes")
    return found


def added(ponctuel: CommandLine, type_: Type, *more: str, secret: str = "s3cret\n") -> Answer:
    type_(secret)
    return ponctuel(*ADD, *more)


def test_a_known_address_and_a_password_are_enough(
    stage: Deployment, ponctuel: CommandLine, type_: Type
) -> None:
    said = added(ponctuel, type_, "--address", " Jean@Orange.FR ", secret="mot de passe, é \n")
    assert (said.code, said.err) == (0, "")
    number = row(stage)["id"]
    assert f"Boîte n° {number} (jean@orange.fr, imap.orange.fr) : active." in said.out
    assert f"./ponctuel mailbox test {number}" in said.out
    names = ("host", "port", "security", "auth", "username", "state", "folders", "since")
    assert [row(stage)[name] for name in names] == [
        "imap.orange.fr", 993, "tls", "password", "jean@orange.fr", "active", [], None,
    ]  # fmt: skip
    assert credentials(stage) == [Password("mot de passe, é ")]


def test_everything_can_be_said(stage: Deployment, ponctuel: CommandLine, type_: Type) -> None:
    said = added(
        ponctuel, type_, "--address", "a@b.fr", "--host", "IMAP.b.fr.", "--security", "STARTTLS",
        "--username", "b\\a", "--owner", "Chef@b.fr", "--folders", "INBOX", "Clients/*",
        "--since", "2025-01-01", "--json",
    )  # fmt: skip
    kept = row(stage)
    assert (kept["host"], kept["port"], kept["security"]) == ("imap.b.fr", 143, "starttls")
    assert (kept["username"], kept["owner_email"]) == ("b\\a", "chef@b.fr")
    assert (kept["folders"], str(kept["since"])) == (["INBOX", "Clients/*"], "2025-01-01")
    assert said.data["id"] == kept["id"]
    assert "credentials" not in said.data
    assert "s3cret" not in said.out


@pytest.mark.parametrize(
    ("hoster", "server"), [("ovh", "ssl0.ovh.net"), ("Gandi", "mail.gandi.net")]
)
def test_a_hosters_name_stands_for_its_server(
    stage: Deployment, ponctuel: CommandLine, type_: Type, hoster: str, server: str
) -> None:
    assert added(ponctuel, type_, "--address", "a@b.fr", "--host", hoster).code == 0
    assert row(stage)["host"] == server


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--address", "a@b.fr"), "Le serveur de b.fr n'est pas connu : donnez-le par --host"),
        (("--address", "a@outlook.fr"), "Microsoft n'accepte plus de mot de passe ici"),
        (("--address", "a@b.fr", "--host", "microsoft"), "--oauth microsoft"),
        (("--address", "a@orange.fr", "--oauth", "google"), "GOOGLE_OAUTH_URL n'est pas"),
        (("--address", "a b.fr"), "attendu : une adresse e-mail"),
        (("--address", "a@b.fr", "--host", "imap b.fr"), "n'est pas un nom de serveur"),
        (("--address", "a@b.fr", "--host", "x.fr/y"), "n'est pas un nom de serveur"),
        (("--address", "a@free.fr", "--port", "70000"), "nombre entier de 1 à 65535"),
        (("--address", "a@free.fr", "--security", "none"), "INBOX_PRIVATE_HOSTS"),
        (("--address", "a@free.fr", "--since", "hier"), "attendu une date"),
        (("--address", "a@free.fr", "--business", "B9"), "« B9 » n'existe pas"),
    ],
)
def test_what_cannot_be_added_is_refused_in_french_and_nothing_is_kept(
    stage: Deployment, ponctuel: CommandLine, type_: Type, arguments: tuple[str, ...], told: str
) -> None:
    said = added(ponctuel, type_, *arguments)
    assert said.code == 1
    assert told in " ".join(said.err.split())
    assert stage.rows("SELECT 1 FROM ponctuel.mailboxes") == []


@pytest.mark.parametrize("secret", ["", "\n", "deux\nlignes\n", "x\0y", "x" * 8_001])
def test_what_can_be_no_password_is_refused(
    stage: Deployment, ponctuel: CommandLine, type_: Type, secret: str
) -> None:
    said = added(ponctuel, type_, "--address", "a@free.fr", secret=secret)
    assert said.code == 1
    assert "Rien n'est enregistré" in said.err


def test_without_a_key_nothing_is_asked_for_and_nothing_kept(
    stage: Deployment, ponctuel: CommandLine, type_: Type, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MAILBOX_KEYS")
    said = added(ponctuel, type_, "--address", "a@free.fr")
    assert said.code == 1
    assert "MAILBOX_KEYS n'est pas renseigné" in said.err


def test_a_mailbox_is_added_once(stage: Deployment, ponctuel: CommandLine, type_: Type) -> None:
    assert added(ponctuel, type_, "--address", "a@free.fr").code == 0
    said = added(ponctuel, type_, "--address", "A@free.fr", secret="autre\n")
    assert said.code == 1
    assert "déjà cette boîte" in said.err
    assert credentials(stage) == [Password("s3cret")]


def test_a_token_of_microsofts_is_kept_and_renewed_when_the_mailbox_is_opened(
    stage: Deployment, ponctuel: CommandLine, type_: Type, monkeypatch: pytest.MonkeyPatch
) -> None:
    with token_issuer.TokenIssuer() as issuer:
        monkeypatch.setenv("MICROSOFT_OAUTH_URL", issuer.url("microsoft"))
        granted = issuer.grant("microsoft")
        said = added(
            ponctuel, type_, *HERE, "--port", "9", "--oauth", "microsoft", secret=f" {granted}\n"
        )
        assert said.code == 0
        assert credentials(stage) == [Tokens(granted)]
        tried = ponctuel("mailbox", "test", str(row(stage)["id"]))
        assert tried.code == 1  # nobody is at that port
        (kept,) = credentials(stage)
        assert isinstance(kept, Tokens)
        assert {kept.refresh_token} == issuer.valid
        issuer.revoke(kept.refresh_token)
        stage.execute("UPDATE ponctuel.mailboxes SET credentials = :c",
                      c=Keyring([KEY]).encrypt(Tokens(kept.refresh_token)))  # fmt: skip
        tried = ponctuel("mailbox", "test", str(row(stage)["id"]))
        assert "L’autorisation donnée à Microsoft n’est plus valable" in tried.err
        for secret in (token_issuer.SECRET, kept.refresh_token, kept.access_token):
            assert secret not in tried.err + tried.out


@pytest.fixture
def here(
    stage: Deployment, ponctuel: CommandLine, type_: Type, server: dovecot.DovecotSandbox
) -> str:
    """The number of a mailbox on a real server, with mail in three folders."""
    server.empty("compta")
    mail = b"From: a@b.fr\r\nSubject: x\r\n\r\nBonjour\r\n"
    server.deliver("compta", "INBOX", [mail] * 3)
    server.create("compta", "Été 2026")
    server.deliver("compta", "Été 2026", [mail])
    server.deliver("compta", "Junk", [mail] * 2)
    said = added(
        ponctuel, type_, *HERE, "--port", str(server.port), "--username", "compta",
        secret=dovecot.PASSWORD,
    )  # fmt: skip
    assert said.code == 0, said.err
    return str(row(stage)["id"])


def test_a_test_says_what_would_be_read_and_changes_nothing(
    stage: Deployment, ponctuel: CommandLine, server: dovecot.DovecotSandbox, here: str
) -> None:
    before = row(stage)
    said = ponctuel("mailbox", "test", here)
    assert (said.code, said.err) == (0, "")
    assert "127.0.0.1 donne accès à compta@example.fr." in said.out
    assert "4 messages dans" in said.words
    assert "Rien n'a été changé." in said.out
    folders = {
        one["path"]: one for one in ponctuel("mailbox", "test", here, "--json").data["folders"]
    }
    assert (folders["INBOX"]["read"], folders["INBOX"]["to_read"]) == (True, 3)
    assert (folders["Été 2026"]["read"], folders["Été 2026"]["messages"]) == (True, 1)
    assert (folders["Junk"]["read"], folders["Junk"]["to_read"]) == (False, None)
    assert row(stage) == before
    with server.client("compta", "INBOX") as client:
        assert not any(b"\\Seen" in flags for flags in client.get_flags(client.search()).values())


def test_a_test_follows_the_patterns_and_the_first_day(
    stage: Deployment, ponctuel: CommandLine, here: str
) -> None:
    stage.execute("UPDATE ponctuel.mailboxes SET folders = '{Été*,Junk}', since = '2199-01-01'")
    said = ponctuel("mailbox", "test", here, "--json").data
    assert {one["path"]: one["to_read"] for one in said["folders"] if one["read"]} == {
        "Été 2026": 0,
        "Junk": 0,
    }
    shown = ponctuel("mailbox", "test", here).out
    assert "0 message reçu depuis le 01/01/2199 dans 2 dossiers." in shown


def test_a_wrong_password_is_said_in_french_and_mended_by_another(
    stage: Deployment, ponctuel: CommandLine, type_: Type, here: str
) -> None:
    type_("faux")
    assert ponctuel("mailbox", "password", here).code == 0
    said = ponctuel("mailbox", "test", here)
    assert said.code == 1
    assert "mot de passe" in said.err
    assert "faux" not in said.err
    type_(dovecot.PASSWORD + "\n")
    assert ponctuel("mailbox", "password", here).code == 0
    assert ponctuel("mailbox", "test", here).code == 0


def test_a_server_on_a_private_network_is_not_gone_to_unless_it_is_allowed(
    stage: Deployment, ponctuel: CommandLine, here: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INBOX_PRIVATE_HOSTS", "10.0.0.0/8, imap.autre.example")
    assert ponctuel("mailbox", "test", here).code == 1
    monkeypatch.setenv("INBOX_PRIVATE_HOSTS", "127.0.0.0/8")
    assert ponctuel("mailbox", "test", here).code == 0


def test_another_password_ends_the_trouble_and_what_is_being_read_with_the_old_one(
    stage: Deployment, ponctuel: CommandLine, type_: Type
) -> None:
    added(ponctuel, type_, "--address", "a@free.fr")
    stage.execute(
        "UPDATE ponctuel.mailboxes SET state = 'disabled', failures = 70, refusals = 70, fence = 7,"
        " failing_since = created_at, refused_since = created_at, error_code = 'credentials',"
        " told_code = 'credentials', next_sync_at = ponctuel.clock() + interval '1 hour'"
    )
    number = str(row(stage)["id"])
    type_("nouveau")
    said = ponctuel("mailbox", "password", number)
    assert ": active." in said.out
    kept = row(stage)
    names = ("failures", "refusals", "failing_since", "refused_since", "error_code", "told_code")
    assert [kept[name] for name in names] == [0, 0, None, None, None, None]
    assert kept["next_sync_at"] <= stage.clock()
    assert kept["fence"] == 8
    assert credentials(stage) == [Password("nouveau")]


def test_a_paused_mailbox_stays_paused_with_another_password_until_it_is_resumed(
    stage: Deployment, ponctuel: CommandLine, type_: Type
) -> None:
    added(ponctuel, type_, "--address", "a@free.fr")
    number = str(row(stage)["id"])
    assert ": en pause." in ponctuel("mailbox", "pause", number).out
    type_("nouveau")
    ponctuel("mailbox", "password", number)
    assert row(stage)["state"] == "paused"
    assert ": active." in ponctuel("mailbox", "resume", number).out
    assert row(stage)["state"] == "active"


def test_the_list_says_how_each_mailbox_is_doing(
    stage: Deployment, ponctuel: CommandLine, type_: Type
) -> None:
    assert "Aucune boîte" in ponctuel("mailbox", "list").out
    stage.open_business("B2")
    added(ponctuel, type_, "--address", "a@free.fr")
    added(ponctuel, type_, "--business", "B2", "--address", "b@orange.fr")
    stage.execute(
        "UPDATE ponctuel.mailboxes SET error = 'Le serveur ne répond pas.', state = 'reauthorise',"
        " synced_at = '2026-03-09T08:00:00Z' WHERE business_id = 'B2'"
    )
    shown = ponctuel("mailbox", "list").words
    assert "a@free.fr imap.free.fr active" in shown
    assert "b@orange.fr imap.orange.fr à reconnecter 09/03/2026 09:00" in shown
    assert "Le serveur ne répond pas." in shown
    data = ponctuel("mailbox", "list", "--business", "B2", "--json").data["mailboxes"]
    assert [one["address"] for one in data] == ["b@orange.fr"]
    assert "credentials" not in data[0]
    assert ponctuel("mailbox", "list", "--business", "B9").code == 1


EMAIL = """
INSERT INTO ponctuel.emails (business_id, mailbox_id, message_id, has_message_id, sha256,
                             header_sha256, size, state, attempts, raw_key, created_at)
VALUES ('B1', :box, :state, true, '', '', 10, :state, 3, 'raw/' || :state, ponctuel.clock())
"""
FOLDER = """
INSERT INTO ponctuel.mailbox_folders (mailbox_id, path, uidvalidity) VALUES (:box, 'INBOX', 1)
"""
TROUBLE = """
INSERT INTO ponctuel.email_troubles (folder_id, uidvalidity, uid, attempts, next_at, error_code, at)
SELECT id, 1, 42, 9, NULL, 'nil', ponctuel.clock() FROM ponctuel.mailbox_folders
"""


def test_what_cannot_be_read_is_listed_and_tried_again_on_demand(
    stage: Deployment, ponctuel: CommandLine, type_: Type
) -> None:
    added(ponctuel, type_, "--address", "a@free.fr")
    number = str(row(stage)["id"])
    stage.execute(FOLDER, box=int(number))
    stage.execute(TROUBLE)
    for state in ("parsed", "unreadable", "stub"):
        stage.execute(EMAIL, box=int(number), state=state)
    shown = ponctuel("mailbox", "show", number)
    assert "INBOX 42 9 abandonné nil" in shown.words
    assert "raw/unreadable" in shown.out
    assert "raw/stub" in shown.out
    assert "raw/parsed" not in shown.out
    data = ponctuel("mailbox", "show", number, "--json").data
    assert (data["emails"], len(data["unreadable"]), len(data["troubles"])) == (3, 2, 1)
    said = ponctuel("mailbox", "retry", number)
    assert said.out == "1 message à relire et 1 e-mail à analyser au prochain passage.\n"
    states = stage.rows("SELECT state, attempts FROM ponctuel.emails ORDER BY id")
    assert [tuple(one.values()) for one in states] == [("parsed", 3), ("pending", 0), ("stub", 3)]
    (trouble,) = stage.rows(
        "SELECT next_at <= ponctuel.clock() AS due FROM ponctuel.email_troubles"
    )
    assert trouble["due"]


def test_a_mailbox_is_removed_with_its_emails_once_its_address_is_said(
    stage: Deployment, ponctuel: CommandLine, type_: Type
) -> None:
    added(ponctuel, type_, "--address", "a@free.fr")
    number = str(row(stage)["id"])
    stage.execute(EMAIL, box=int(number), state="parsed")
    assert ponctuel("mailbox", "remove", number, "--confirm", "b@free.fr").code == 1
    assert row(stage)["id"] == int(number)
    said = ponctuel("mailbox", "remove", number, "--confirm", "A@free.fr")
    assert "1 e-mail oublié" in said.out
    for table in ("mailboxes", "emails"):
        assert stage.rows(f"SELECT 1 FROM ponctuel.{table}") == []


@pytest.mark.parametrize(
    "arguments",
    [("test",), ("show",), ("pause",), ("resume",), ("password",), ("retry",),
     ("remove", "--confirm", "a@b.fr")],
)  # fmt: skip
def test_a_number_that_is_no_mailboxs_is_said(
    stage: Deployment, ponctuel: CommandLine, arguments: tuple[str, ...]
) -> None:
    said = ponctuel("mailbox", arguments[0], "999", *arguments[1:])
    assert said.code == 1
    assert "Il n'y a pas de boîte n° 999" in said.err


def test_changing_the_key_leaves_every_mailbox_open(
    stage: Deployment, ponctuel: CommandLine, type_: Type, monkeypatch: pytest.MonkeyPatch
) -> None:
    added(ponctuel, type_, "--address", "a@free.fr")
    monkeypatch.setenv("MAILBOX_KEYS", f"{OTHER} {KEY}")
    added(ponctuel, type_, "--address", "b@free.fr", secret="deux")
    said = ponctuel("mailbox", "rotate-keys")
    assert (said.code, said.out) == (
        0,
        "1 boîte chiffrée avec la première clé, 1 l'était déjà.\n",
    )
    assert credentials(stage, OTHER) == [Password("s3cret"), Password("deux")]
    monkeypatch.setenv("MAILBOX_KEYS", KEY)
    lost = ponctuel("mailbox", "rotate-keys")
    assert lost.code == 2
    assert "Aucune clé n'ouvre" in lost.out
