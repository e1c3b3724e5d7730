"""What a server means when it says no, and how that is told to people.

Only an explicit refusal of the credentials counts against them: what nobody can place is an outage.
"""

from __future__ import annotations

import re
from typing import Literal

from chalicelib.providers.imap.port import Code, ImapError

Stage = Literal["login", "open", "other"]

MESSAGES: dict[Code, str] = {
    "connection": "Le serveur de messagerie ne répond pas comme attendu, ou la connexion est "
    "coupée : la relève sera refaite.",
    "credentials": "Le serveur de messagerie refuse l’utilisateur, le mot de passe ou le jeton : "
    "vérifiez-les. Certains services demandent un mot de passe d’application, ou que l’accès IMAP "
    "soit activé.",
    "unavailable": "Le serveur de messagerie demande de réessayer plus tard : la relève sera "
    "refaite.",
    "host": "Le serveur de messagerie est introuvable, ou son adresse n’est pas publique : "
    "vérifiez son nom.",
    "certificate": "Le certificat du serveur de messagerie n’est pas le sien, est périmé, ou "
    "l’autorité qui l’a signé n’est pas connue : vérifiez le nom du serveur.",
    "folder": "Le dossier ne peut pas être ouvert : il n’existe plus ou n’est pas accessible.",
    "reauthorise": "L’autorisation de lire la boîte a été retirée ou a expiré : reconnectez-la.",
}

# Response codes: RFC 9051, 7.1; RFC 5530.
_REFUSED_CODES = frozenset({b"AUTHENTICATIONFAILED", b"AUTHORIZATIONFAILED", b"EXPIRED"})
_TRANSIENT_CODES = frozenset(
    {b"UNAVAILABLE", b"INUSE", b"LIMIT", b"SERVERBUG", b"CONTACTADMIN", b"OVERQUOTA", b"THROTTLED"}
)
# Exchange: "User is authenticated but not connected", for healthy accounts during an incident.
_TRANSIENT = re.compile(
    rb"authenticated but not connected|too many|try(?:ing)? again|retry|\blater\b|temporar|"
    rb"\bunavailable|not available|internal (?:server )?error|server error|\bbusy\b|overload|"
    rb"time(?:d )?[ -]?out|throttl|rate limit|exceeded|maximum number|maintenance|in use|"
    rb"backend|shutting down|unexpected",
    re.IGNORECASE,
)
# Gmail: "Invalid credentials (Failure)", "Application-specific password required", "Please log in
# via your web browser". Microsoft: "AUTHENTICATE failed.", "LOGIN failed.", "basic authentication
# is disabled". Dovecot, Cyrus, Courier, hosters: the others.
_REFUSED = re.compile(
    rb"invalid credentials|(?:authentication|authenticate|login|log-in|logon) (?:has )?"
    rb"(?:failed|failure|refused|rejected|denied|incorrect)|failed to authenticate|"
    rb"not accepted|application-specific password|web browser|web login|"
    rb"basic ?auth\w* (?:is )?(?:disabled|blocked)|"
    rb"(?:bad|invalid|wrong|incorrect|unknown) (?:user|login|password|account|token|access token)|"
    rb"(?:user|username|login|password|credentials?)[ \w]{0,30} "
    rb"(?:incorrect|invalid|wrong|unknown|unrecognized|expired)|"
    rb"no such user|account (?:is |has been )?(?:disabled|locked|suspended|blocked)|"
    rb"not enabled for imap|imap (?:access )?(?:is )?disabled|invalid_token|"
    rb"identifiant|mot de passe",
    re.IGNORECASE,
)
# Dovecot and Courier: "Mailbox doesn't exist". Cyrus: "Mailbox does not exist". Gmail and Exchange
# say NONEXISTENT, or "The specified mailbox does not exist". Zimbra: "no such mailbox".
_MISSING = re.compile(
    rb"(?:does not|doesn'?t) exist|no such (?:mailbox|folder)|unknown (?:mailbox|folder)|"
    rb"(?:mailbox|folder) (?:is )?not found",
    re.IGNORECASE,
)
# Of what a server says, what is looked at.
_MOST_TEXT = 1000
_RESPONSE_CODE = re.compile(rb"\[([!-Z^-~]{1,60})")


def fault(code: Code) -> ImapError:
    """The error of this code, in words for people."""
    return ImapError(code, MESSAGES[code])


def code_of(text: bytes) -> bytes:
    """The response code in `text` (what follows OK, NO, BAD or BYE), in capitals; empty if none."""
    found = _RESPONSE_CODE.match(text)
    return found[1].upper() if found else b""


def not_understood(text: bytes) -> ImapError:
    """What a tagged BAD with this text means: Exchange has outages in this form too."""
    transient = code_of(text) in _TRANSIENT_CODES or _TRANSIENT.search(text[:_MOST_TEXT])
    return fault("unavailable" if transient else "connection")


def refused(stage: Stage, text: bytes, *, status: int | None = None) -> ImapError:
    """What a tagged NO with this text means. `status`: of the JSON that XOAUTH2 is refused with."""
    said = text[:_MOST_TEXT]
    code = _meaning(stage, said, status)
    missing = code == "folder" and bool(code_of(said) == b"NONEXISTENT" or _MISSING.search(said))
    return ImapError(code, MESSAGES[code], missing=missing)


def said_bye(text: bytes) -> ImapError:
    """What an untagged BYE means. It never counts as a refusal of credentials by its words alone:
    servers end sessions with all sorts of texts."""
    code = code_of(text)
    if code in _REFUSED_CODES:
        return fault("credentials")
    transient = code in _TRANSIENT_CODES or _TRANSIENT.search(text[:_MOST_TEXT])
    return fault("unavailable" if transient else "connection")


def _meaning(stage: Stage, text: bytes, status: int | None) -> Code:
    code = code_of(text)
    if code in _TRANSIENT_CODES:
        return "unavailable"
    if stage == "login":
        if code in _REFUSED_CODES:
            return "credentials"
        if status is not None:
            return "credentials" if status in (400, 401, 403) else "unavailable"
        if not _TRANSIENT.search(text) and _REFUSED.search(text):
            return "credentials"
        return "unavailable"
    if stage == "open":
        return "unavailable" if not code and _TRANSIENT.search(text) else "folder"
    return "unavailable"
