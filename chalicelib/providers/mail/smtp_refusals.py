"""What a refusal of an SMTP server means: whose fault it is, and whether to try again."""

from __future__ import annotations

import re
from typing import Literal

from chalicelib.errors import ProviderError
from chalicelib.providers.mail.headers import clean
from chalicelib.providers.mail.smtp_session import Reply

Stage = Literal["greeting", "login", "sender", "recipient", "content"]

# Servers that put off every verdict to RCPT or to the end of the content (Postfix does by default)
# say only in words that it is the sender, not this recipient, that they refuse.
_SENDER_REFUSED = re.compile(
    r"sender address rejected|not owned by user|send ?as ?denied|permissions? to send as", re.I
)
_RELAY_REFUSED = re.compile(
    r"relay access denied|relaying denied|unable to relay|not permitted to relay"
    r"|client host .*(?:rejected|blocked)",
    re.I,
)
_NOT_IN_A_LOG = re.compile(r"\S*@\S*|\bhttps?:\S+", re.I)

_AUTHENTICATION = frozenset({530, 534, 535, 538})  # RFC 4954, 6


def without_addresses(text: str, limit: int = 160) -> str:
    """A provider's words on one line, without the addresses and links that they may quote."""
    return clean(_NOT_IN_A_LOG.sub("…", text), limit)


def refusal(stage: Stage, reply: Reply, *, encrypted: bool) -> ProviderError:
    """The error for an answer that is not the one that was hoped for.

    Codes of RFC 5321, 4.2 and RFC 3463. A 5yz about a recipient or about the content is permanent;
    whatever is about the sender, the account or the server is transient, under one of the codes of
    `port.SENDER_WIDE_CODES`.
    """
    status = f"{reply.code} {reply.enhanced}".strip()
    said = without_addresses(reply.text.replace(reply.enhanced, "").strip())
    quoted = f"({status})" if stage == "login" else f"({status} : « {said} »)"
    sender_wide = _sender_wide(stage, reply, encrypted=encrypted)
    if sender_wide is not None:
        code, advice = sender_wide
        return ProviderError("smtp", f"{advice} {quoted}", permanent=False, code=code)
    subject_code = reply.enhanced.partition(".")[2]
    if reply.code == 552 and stage != "recipient" and subject_code != "2.2":
        advice = "Le message est trop volumineux pour le serveur d’e-mail : allégez-le."
        return ProviderError("smtp", f"{advice} {quoted}", permanent=True, code="too_large")
    # 552 about a recipient is a full mailbox or too many recipients (RFC 5321, 4.5.3.1.10): it may
    # pass, as an enhanced x.2.2 (mailbox full) may at any stage.
    permanent = reply.code >= 500 and reply.code != 552 and subject_code != "2.2"
    if stage == "recipient":
        advice = "Le serveur d’e-mail refuse ce destinataire"
        advice += " : vérifiez son adresse." if permanent else " pour le moment."
    else:
        advice = "Le serveur d’e-mail refuse ce message"
        advice += "." if permanent else " pour le moment."
    return ProviderError("smtp", f"{advice} {quoted}", permanent=permanent, code=status)


def _sender_wide(stage: Stage, reply: Reply, *, encrypted: bool) -> tuple[str, str] | None:
    """Code and French advice when the other messages of this sender would be refused as well."""
    if "Daily message quota" in reply.text or reply.enhanced in {"4.4.5", "5.4.5"}:  # SES; Gmail
        return "quota", "Le quota d’envoi du jour est épuisé."
    if reply.code == 421 or "Throttling failure" in reply.text:  # the latter: SES
        return "throttled", "Le serveur d’e-mail demande de ralentir ou s’arrête."
    if reply.code == 530 and not encrypted:
        return "configuration", "Le serveur d’e-mail exige une connexion chiffrée : réglez tls."
    if reply.code in _AUTHENTICATION and stage != "content":
        return "credentials", "Identifiant ou mot de passe d’e-mail refusé : corrigez les réglages."
    if stage == "login":
        if reply.code < 500:
            return (
                "connection",
                "Le serveur d’e-mail ne peut vérifier l’identifiant pour le moment.",
            )
        return "configuration", "Le serveur d’e-mail refuse cette façon de s’identifier."
    if stage == "greeting":
        return "connection", "Le serveur d’e-mail refuse la connexion."
    if _RELAY_REFUSED.search(reply.text):
        return "configuration", "Le serveur d’e-mail refuse de relayer : vérifiez les réglages."
    refused_sender = _SENDER_REFUSED.search(reply.text) or reply.enhanced in {"5.1.7", "5.1.8"}
    if reply.code >= 500 and (refused_sender or (stage == "sender" and reply.code != 552)):
        return "sender", "Le serveur d’e-mail refuse l’adresse d’expéditeur : vérifiez-la."
    return None
