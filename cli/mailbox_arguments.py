"""What `mailbox add` was given, completed by what is known of the provider, and checked."""

from __future__ import annotations

import argparse
import sys
from argparse import Namespace
from collections.abc import Callable
from getpass import getpass
from typing import TypeVar

from chalicelib import setting_types, setting_types_inbox
from chalicelib.errors import BadRequest
from chalicelib.mailboxes import known_hosts
from chalicelib.mailboxes.credentials import Credentials, Password, Tokens
from chalicelib.mailboxes.directory import NewMailbox
from chalicelib.mailboxes.known_hosts import HOSTERS, KnownHost
from chalicelib.providers.imap.account import Security
from chalicelib.settings import Settings
from cli.arguments import add_business, day, french, listed

T = TypeVar("T")

SECURITIES = {"tls": "TLS", "starttls": "STARTTLS", "none": "aucune"}
ISSUERS = {"google": "Google", "microsoft": "Microsoft"}
LONGEST_SECRET = 8_000


def add_new(parser: argparse.ArgumentParser) -> None:
    add_business(parser, required=True)
    parser.add_argument("--address", metavar="ADRESSE", required=True, type=address)
    parser.add_argument(
        "--host",
        metavar="SERVEUR",
        type=host,
        help=f"serveur IMAP, ou {listed(HOSTERS)} ; inutile pour les adresses connues (gmail.com, "
        "orange.fr, free.fr, laposte.net…)",
    )
    parser.add_argument("--port", metavar="PORT", type=port, help="993, ou 143 avec STARTTLS")
    parser.add_argument(
        "--security",
        metavar="SÉCURITÉ",
        type=french(SECURITIES),
        help="tls (par défaut), starttls, ou aucune sur un réseau privé autorisé",
    )
    parser.add_argument("--username", metavar="NOM", help="si ce n'est pas l'adresse")
    parser.add_argument(
        "--owner", metavar="ADRESSE", type=address, help="à prévenir en cas de panne (sinon la "
        "boîte elle-même)",
    )  # fmt: skip
    parser.add_argument(
        "--folders",
        metavar="MOTIF",
        nargs="+",
        default=[],
        help="dossiers à lire, avec * et ? (sinon tous, sauf corbeille, indésirables, brouillons)",
    )
    parser.add_argument(
        "--since", metavar="JOUR", type=day, help="laisse ce qui a été reçu avant, 2025-01-01"
    )
    parser.add_argument(
        "--oauth",
        metavar="FOURNISSEUR",
        type=french(ISSUERS),
        help="google ou microsoft : un jeton d'actualisation au lieu d'un mot de passe",
    )


def new_mailbox(arguments: Namespace, settings: Settings) -> NewMailbox:
    """Raises `BadRequest`. Asks for the secret last, once the rest is right."""
    known = known_hosts.known(arguments.address, arguments.host or "")
    server = known.host if known else arguments.host
    if server is None:
        raise BadRequest(
            f"Le serveur de {arguments.address.rpartition('@')[2]} n'est pas connu : donnez-le par "
            f"--host (imap.votre-fournisseur.fr, ou {listed(HOSTERS)})."
        )
    _check_issuer(arguments.oauth, known)
    security: Security = arguments.security or ("starttls" if arguments.port == 143 else "tls")
    if security == "none" and not settings.inbox_private_hosts.allows(server, server):
        raise BadRequest(
            "Sans chiffrement, le mot de passe se lirait en chemin : --security none n'est permis "
            "que vers un serveur de INBOX_PRIVATE_HOSTS."
        )
    usual = known_hosts.TLS_PORT if security == "tls" else known_hosts.STARTTLS_PORT
    return NewMailbox(
        business_id=arguments.business,
        address=arguments.address,
        host=server,
        port=arguments.port or usual,
        security=security,
        auth="xoauth2" if arguments.oauth else "password",
        username=arguments.username or arguments.address,
        credentials=secret("xoauth2" if arguments.oauth else "password"),
        token_issuer=arguments.oauth,
        owner_email=arguments.owner,
        folders=arguments.folders,
        since=arguments.since,
    )


def secret(auth: str) -> Credentials:
    """From a pipe, or typed without being shown; never an argument, which other users of the
    machine could see. Raises `BadRequest`."""
    what = "Mot de passe" if auth == "password" else "Jeton d'actualisation"
    given = getpass(f"{what} (non affiché) : ") if sys.stdin.isatty() else sys.stdin.read()
    given = given.rstrip("\r\n")
    if auth != "password":
        given = given.strip()
    if not given or "\0" in given or "\n" in given or len(given) > LONGEST_SECRET:
        raise BadRequest(
            f"{what} attendu sur une ligne : tapez-le, ou donnez-le par un tube "
            "(`… | ./ponctuel mailbox …`). Rien n'est enregistré."
        )
    return Password(given) if auth == "password" else Tokens(given)


def _check_issuer(oauth: str | None, known: KnownHost | None) -> None:
    if known is None:
        return
    if oauth is None and not known.password:
        raise BadRequest(
            f"{ISSUERS[known.issuer or 'microsoft']} n'accepte plus de mot de passe ici : ajoutez "
            f"--oauth {known.issuer} (docs/inbox.md dit comment obtenir le jeton)."
        )
    if oauth is not None and oauth != known.issuer:
        raise BadRequest(f"Cette boîte n'est pas chez {ISSUERS[oauth]} : enlevez --oauth.")


def address(text: str) -> str:
    return _checked(setting_types.email_address, text.strip()).casefold()


def host(text: str) -> str:
    found = text.strip().casefold().rstrip(".")
    if not setting_types_inbox.HOST.fullmatch(found) and not setting_types_inbox.is_ip(found):
        raise argparse.ArgumentTypeError(f"« {text} » n'est pas un nom de serveur")
    return found


def port(text: str) -> int:
    return _checked(setting_types.whole_number(1, 65_535), text)


def _checked(parse: Callable[[str], T], text: str) -> T:
    try:
        return parse(text)
    except setting_types.UnusableError as error:
        raise argparse.ArgumentTypeError(f"« {text} » : {error}") from None
