"""`mailbox`: the mailboxes that are read, what is wrong with them, and what opens them."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from dataclasses import asdict
from typing import Any

from rich.console import Console

from chalicelib.domain import businesses
from chalicelib.errors import BadRequest
from chalicelib.mailboxes import credentials
from chalicelib.mailboxes import directory as mailboxes
from chalicelib.mailboxes.credentials import Keyring
from chalicelib.mailboxes.directory import Row
from cli import output
from cli.arguments import add_business, command, group, positive
from cli.mailbox_arguments import ISSUERS, SECURITIES, add_new, new_mailbox, secret
from cli.source import database

STATES = {
    "active": "active",
    "paused": "en pause",
    "reauthorise": "à reconnecter",
    "disabled": "arrêtée : mot de passe refusé trop longtemps",
}
UNREADABLE = {
    "pending": "à analyser de nouveau",
    "unreadable": "illisible, copie gardée",
    "stub": "trop grand : l'en-tête seul",
}
# Why a message could not be read.
TROUBLES = {
    "empty": "le serveur l'annonce et ne le donne pas",
    "cut": "le serveur coupe la connexion en le donnant",
}


def register(subparsers: Any) -> None:
    actions = group(subparsers, "mailbox", "les boîtes aux lettres qui sont lues")
    parser = command(actions, "add", "ajoute une boîte ; le mot de passe est demandé", _add)
    add_new(parser)
    parser = command(actions, "test", "se connecte, liste les dossiers, ne change rien", _test)
    _add_number(parser)
    parser = command(actions, "list", "les boîtes, leur état et leur dernière lecture", _list)
    add_business(parser)
    parser = command(actions, "show", "une boîte : dossiers, e-mails illisibles", _show)
    _add_number(parser)
    parser.add_argument("--limit", metavar="N", type=positive, default=50, help="50 par défaut")
    for name, text, act in (
        ("pause", "n'est plus lue jusqu'à resume", _pause),
        ("resume", "est lue de nouveau, dès le prochain passage", _resume),
        ("password", "enregistre un autre mot de passe, ou jeton", _password),
        ("retry", "relit ce qui n'a pas pu être lu", _retry),
    ):
        _add_number(command(actions, name, text, act))
    parser = command(actions, "remove", "oublie une boîte, avec les e-mails lus", _remove)
    _add_number(parser)
    parser.add_argument(
        "--confirm", metavar="ADRESSE", required=True, help="l'adresse de la boîte, pour confirmer"
    )
    command(
        actions,
        "rotate-keys",
        "chiffre tous les mots de passe avec la première clé de MAILBOX_KEYS",
        _rotate,
    )


def _add_number(parser: ArgumentParser) -> None:
    parser.add_argument("number", metavar="NUMÉRO", type=positive, help="voyez mailbox list")


def _add(arguments: Namespace) -> int:
    with database() as source:
        with source.transaction() as connection:
            businesses.require(connection, arguments.business)
        keyring = Keyring.of(source.settings)
        if arguments.oauth:
            from chalicelib.mailboxes.opening import renewal

            renewal(source.settings, arguments.oauth)  # or nothing could be done with the token
        mailbox = new_mailbox(arguments, source.settings)
        with source.transaction() as connection:
            number = mailboxes.add(connection, mailbox, keyring)
            added = mailboxes.one(connection, number)
    output.answer(arguments, added, _show_added)
    return 0


def _test(arguments: Namespace) -> int:
    """Exit code: 2 when some of the folders to read cannot be opened."""
    from cli.mailbox_test import show, tried

    with database() as source:
        data = tried(source, arguments.number)
    output.answer(arguments, data, show)
    return 2 if any(folder["error"] for folder in data["folders"]) else 0


def _list(arguments: Namespace) -> int:
    with database() as source, source.transaction() as connection:
        if arguments.business is not None:
            businesses.require(connection, arguments.business)
        rows = mailboxes.listed(connection, arguments.business)
    output.answer(arguments, {"mailboxes": rows}, _show_list)
    return 0


def _show(arguments: Namespace) -> int:
    with database() as source, source.transaction() as connection:
        data = mailboxes.shown(connection, arguments.number, limit=arguments.limit)
    output.answer(arguments, data, _show_one)
    return 0


def _pause(arguments: Namespace) -> int:
    return _change(arguments, mailboxes.pause)


def _resume(arguments: Namespace) -> int:
    return _change(arguments, mailboxes.resume)


def _change(arguments: Namespace, change: Any) -> int:
    with database() as source, source.transaction() as connection:
        change(connection, arguments.number)
        data = mailboxes.one(connection, arguments.number)
    output.answer(arguments, data, lambda screen, row: output.line(screen, _stands(row)))
    return 0


def _password(arguments: Namespace) -> int:
    with database() as source:
        with source.transaction() as connection:
            auth = mailboxes.one(connection, arguments.number)["auth"]
        keyring = Keyring.of(source.settings)
        given = secret(auth)
        with source.transaction() as connection:
            mailboxes.store(connection, arguments.number, given, auth, keyring)
            data = mailboxes.one(connection, arguments.number)
    output.answer(arguments, data, _show_added)
    return 0


def _retry(arguments: Namespace) -> int:
    with database() as source, source.transaction() as connection:
        data = mailboxes.retry(connection, arguments.number)
    output.answer(arguments, data, _show_retried)
    return 0


def _remove(arguments: Namespace) -> int:
    with database() as source, source.transaction() as connection:
        data = mailboxes.one(connection, arguments.number)
        if arguments.confirm.strip().casefold() != data["address"]:
            raise BadRequest(
                f"La boîte n° {arguments.number} n'a pas cette adresse : rien n'est supprimé."
            )
        mailboxes.remove(connection, arguments.number)
    output.answer(arguments, data, _show_removed)
    return 0


def _rotate(arguments: Namespace) -> int:
    """Exit code: 2 when some have to be looked at again."""
    with database() as source:
        keyring = Keyring.of(source.settings)
        with source.transaction() as connection:
            done = credentials.rotate(connection, keyring)
    output.answer(arguments, asdict(done), _show_rotated)
    return 2 if done.busy or done.unreadable else 0


def _show_added(screen: Console, row: Row) -> None:
    output.line(screen, _stands(row))
    output.line(screen, f"Pour l'essayer : ./ponctuel mailbox test {row['id']}")
    if row["state"] == "active":
        output.line(screen, "Elle sera lue dans les cinq minutes.")


def _stands(row: Row) -> str:
    return f"Boîte n° {row['id']} ({row['address']}, {row['host']}) : {STATES[row['state']]}."


def _show_list(screen: Console, data: dict[str, Any]) -> None:
    if not data["mailboxes"]:
        output.line(screen, "Aucune boîte. Pour en ajouter une : ./ponctuel mailbox add --help")
    output.table(
        screen,
        ("n°", "entreprise", "adresse", "serveur", "état", "lue le", "prochaine", "e-mails",
         "erreur"),
        [
            (
                row["id"],
                row["business_id"],
                row["address"],
                row["host"],
                STATES[row["state"]].partition(" :")[0],
                row["synced_at"],
                row["next_sync_at"] if row["state"] == "active" else None,
                row["emails"],
                row["error"],
            )
            for row in data["mailboxes"]
        ],
        long="erreur",
        shorten=("serveur", "entreprise", "adresse"),
        drop=("serveur", "prochaine"),
    )  # fmt: skip


def _show_one(screen: Console, data: Row) -> None:
    issuer = data["token_issuer"]
    output.facts(
        screen,
        {
            "boîte": f"n° {data['id']}, {data['address']} ({data['business_id']})",
            "serveur": f"{data['host']}, port {data['port']}, chiffrement : "
            f"{SECURITIES[data['security']]}",
            "accès": f"jeton de {ISSUERS[issuer]}" if issuer else "mot de passe",
            "à prévenir": data["owner_email"] or data["address"],
            "dossiers": ", ".join(data["folders"])
            or "tous, sauf corbeille, indésirables, brouillons",
            "depuis": data["since"],
            "état": STATES[data["state"]],
            "lue le": data["synced_at"],
            "prochaine": data["next_sync_at"] if data["state"] == "active" else None,
            "erreur": data["error"],
            "en erreur depuis": data["failing_since"],
            "échecs d'affilée": data["failures"] or None,
            "refus d'affilée": data["refusals"] or None,
            "propriétaire prévenu": "oui" if data["told_code"] else None,
            "e-mails": data["emails"],
        },
    )
    for columns, rows in (
        (
            ("dossier", "e-mails", "comparé le", "erreur"),
            [
                (row["path"], row["emails"], row["checked_at"], row["error"] or _gone(row))
                for row in data["folders_read"]
            ],
        ),
        (
            ("pas lu : dossier", "UID", "essais", "prochain", "erreur"),
            [
                (row["folder"], row["uid"], row["attempts"], row["next_at"] or "abandonné",
                 TROUBLES.get(row["error_code"], row["error_code"]))
                for row in data["troubles"]
            ],
        ),
        (
            ("illisible : e-mail n°", "état", "essais", "octets", "reçu le", "copie"),
            [
                (row["id"], UNREADABLE[row["state"]], row["attempts"], row["size"],
                 row["internal_date"], row["raw_key"])
                for row in data["unreadable"]
            ],
        ),
    ):  # fmt: skip
        if rows:
            output.line(screen)
            output.table(screen, columns, rows, shorten=(columns[0],))


def _gone(row: Row) -> str:
    return {"gone": "n'existe plus", "parked": "laissé de côté"}.get(row["state"], "")


def _show_retried(screen: Console, data: dict[str, int]) -> None:
    if not any(data.values()):
        output.line(screen, "Rien à relire : tout a été lu.")
        return
    parts = (
        output.plural(data["troubles"], "message à relire", "messages à relire"),
        output.plural(data["unreadable"], "e-mail à analyser", "e-mails à analyser"),
    )
    output.line(screen, f"{' et '.join(parts)} au prochain passage.")


def _show_removed(screen: Console, row: Row) -> None:
    emails = output.plural(row["emails"], "e-mail oublié", "e-mails oubliés")
    output.line(screen, f"Boîte n° {row['id']} supprimée, {emails}. Le serveur garde les siens.")


def _show_rotated(screen: Console, data: dict[str, Any]) -> None:
    changed = output.plural(data["changed"], "boîte chiffrée", "boîtes chiffrées")
    already = output.plural(data["current"], "l'était déjà", "l'étaient déjà")
    output.line(screen, f"{changed} avec la première clé, {already}.")
    if data["busy"]:
        output.line(screen, f"{data['busy']} en cours d'utilisation : relancez la commande.")
    if data["unreadable"]:
        ids = ", ".join(map(str, data["unreadable"]))
        output.line(screen, f"Aucune clé n'ouvre : {ids}. Voyez ./ponctuel mailbox password.")
