"""From the text of a setting to a typed value. Pure.

Each parser raises `UnusableError` with a French reason that says what is expected; the reason never
repeats the text, which may be a secret.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, quote, unquote, urlsplit

if TYPE_CHECKING:
    from chalicelib.providers.mail.port import Address

MINIMUM_SECRET = 32
LOOPBACK = {"localhost", "127.0.0.1", "::1"}

EMAIL = re.compile(
    r"[^\s@<>,;:\"()\[\]\\]{1,64}@[^\s@<>,;:\"()\[\]\\]+\.[^\s@<>,;:\"()\[\]\\.]{2,}"
)
PHONE = re.compile(r"\+[1-9][0-9]{6,14}")
AWS_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-[0-9]")
TOPIC = re.compile(r"arn:aws[a-z-]*:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_-]{1,256}")


class UnusableError(ValueError):
    """The text cannot be this setting's value; the message is the French reason."""


@dataclass(frozen=True)
class ServiceUrl:
    """Where a service is, for `open_mail` and `open_storage`, which take the address apart."""

    scheme: str
    url: str = field(repr=False)


@dataclass(frozen=True)
class AllowList:
    """Who may be written to on a stage that is not live: `addresses` also has numbers in E.164. An
    empty list allows nobody."""

    addresses: frozenset[str] = field(default=frozenset(), repr=False)
    domains: frozenset[str] = frozenset()

    def allows(self, address: str) -> bool:
        """Whether the bare address, or the number, may be written to; case does not count."""
        folded = address.strip().casefold()
        return folded in self.addresses or folded.rpartition("@")[2] in self.domains


def secret(text: str) -> str:
    if len(text) < MINIMUM_SECRET:
        raise UnusableError(
            f"trop court : il faut au moins {MINIMUM_SECRET} caractères. "
            "`./ponctuel secrets generate` en fabrique un"
        )
    return text


def secret_parts(text: str) -> list[str]:
    """What must not be shown of a secret setting: all of it, each key of several, and an address's
    password alone."""
    try:
        password = urlsplit(text).password or ""
    except ValueError:
        password = ""
    plain = unquote(password)
    several = re.split(r"[\s,]+", text)
    return [text, *several, password, plain, quote(plain), quote(plain, safe="")]


def switch(text: str) -> bool:
    known = {"on": True, "true": True, "1": True, "oui": True, "yes": True}
    known |= {"off": False, "false": False, "0": False, "non": False, "no": False}
    if text.lower() not in known:
        raise UnusableError("attendu : on ou off")
    return known[text.lower()]


def provider_secret(text: str) -> str:
    """A secret that a provider made: its length is the provider's."""
    if len(text) < 8 or not text.isprintable() or " " in text:
        raise UnusableError("attendu : le secret tel que le fournisseur l'affiche")
    return text


def one_of(*choices: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        found = next((choice for choice in choices if choice.lower() == text.lower()), None)
        if found is None:
            raise UnusableError(f"attendu : {', '.join(choices)}")
        return found

    return parse


def whole_number(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        # isdecimal alone takes other alphabets' digits, and int() an underscore.
        digits = text.isascii() and text.isdecimal() and len(text) <= 9
        if not digits or not low <= int(text) <= high:
            raise UnusableError(f"attendu : un nombre entier de {low} à {high}")
        return int(text)

    return parse


def stage(text: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,19}", text):
        raise UnusableError("attendu : 20 lettres minuscules, chiffres ou tirets au plus")
    return text


def email_address(text: str) -> str:
    if len(text) > 254 or not EMAIL.fullmatch(text):
        raise UnusableError("attendu : une adresse e-mail")
    return text


def sender(text: str) -> Address:
    from email.utils import parseaddr

    from chalicelib.providers.mail.port import Address

    name, email = parseaddr(text)
    if not text.isprintable() or not EMAIL.fullmatch(email):
        raise UnusableError("attendu : adresse@domaine ou Nom <adresse@domaine>")
    return Address(email=email, name=name)


def allow_list(text: str) -> AllowList:
    addresses, domains = set(), set()
    for entry in filter(None, (part.strip().casefold() for part in text.split(","))):
        if PHONE.fullmatch(entry):
            addresses.add(entry)
            continue
        local, _, domain = entry.rpartition("@")
        if not EMAIL.fullmatch(entry) or ("*" in entry and (local != "*" or "*" in domain)):
            raise UnusableError(
                "attendu : des adresses, *@domaine ou +336…, séparés par des virgules"
            )
        if local == "*":
            domains.add(domain)
        else:
            addresses.add(entry)
    return AllowList(frozenset(addresses), frozenset(domains))


def public_url(text: str) -> str:
    parts = split_url(text)
    secure = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK)
    if not secure or not parts.hostname or parts.query or "@" in parts.netloc:
        raise UnusableError("attendu : https://domaine[/chemin], sans paramètre")
    return text.rstrip("/")


def mail_url(text: str) -> ServiceUrl:
    parts = split_url(text)
    expected = "attendu : smtp://…, smtps://utilisateur:motdepasse@serveur:port ou ses://région"
    if parts.scheme == "ses":
        if not AWS_REGION.fullmatch(parts.netloc):
            raise UnusableError(f"{expected} (par exemple ses://eu-west-3)")
    elif parts.scheme not in {"smtp", "smtps"} or not parts.hostname or parts.path.strip("/"):
        raise UnusableError(expected)
    return ServiceUrl(parts.scheme, text)


def whatsapp_url(text: str) -> ServiceUrl:
    parts = split_url(text)
    if parts.scheme not in {"twilio", "meta"} or not parts.password or parts.path.strip("/"):
        raise UnusableError(
            "attendu : twilio://AC…:jeton@?from=%2B33… ou meta://:jeton@identifiant_du_numéro"
        )
    return ServiceUrl(parts.scheme, text)


def sent_folder_url(text: str) -> ServiceUrl:
    parts = split_url(text)
    usable = parts.scheme == "imaps" or (parts.scheme == "imap" and parts.hostname in LOOPBACK)
    if not usable or not parts.hostname or not parts.username or not parts.password:
        raise UnusableError("attendu : imaps://utilisateur:motdepasse@serveur:993/Dossier")
    return ServiceUrl(parts.scheme, text)


def topic_arns(text: str) -> frozenset[str]:
    topics = frozenset(filter(None, (part.strip() for part in text.split(","))))
    if not all(TOPIC.fullmatch(topic) for topic in topics):
        raise UnusableError("attendu : arn:aws:sns:région:compte:sujet, séparés par des virgules")
    return topics


def storage_url(text: str) -> ServiceUrl:
    parts = split_url(text)
    local = parts.scheme == "file" and not parts.netloc and bool(parts.path.strip("/"))
    if not local and not (parts.scheme == "s3" and parts.hostname):
        raise UnusableError("attendu : file:///dossier (trois barres) ou s3://compartiment/préfixe")
    return ServiceUrl(parts.scheme, text)


def file_name(text: str) -> str:
    if not text.startswith("/") or text.endswith("/") or not text.isprintable():
        raise UnusableError("attendu : le chemin complet d'un fichier, comme /dossier/fichier.json")
    return text


def schedule(text: str) -> str:
    if len(text.split()) != 5:
        raise UnusableError("attendu : une expression cron de cinq champs")
    return " ".join(text.split())


def zone(text: str) -> str:
    from zoneinfo import ZoneInfo

    if text == "business":
        return text
    try:
        # OSError: the name of a directory of the time zone database.
        return ZoneInfo(text).key
    except (KeyError, ValueError, OSError):
        raise UnusableError("attendu : business ou un fuseau comme Europe/Paris") from None


def split_url(text: str) -> SplitResult:
    """The parts of an address without fragment, spaces or control characters."""
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        raise UnusableError(
            "adresse illisible ; dans un mot de passe, écrivez %40 pour @, %2F pour /, "
            "%3A pour :, %23 pour # et %3F pour ?"
        ) from None
    if parts.fragment or not text.isprintable() or " " in text:
        raise UnusableError("adresse illisible : # s'écrit %23 et l'espace %20")
    return parts
