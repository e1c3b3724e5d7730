"""E-mails that say that another one did not arrive: reports, and what servers write instead."""

from __future__ import annotations

import re
from collections.abc import Sequence

from chalicelib.mail.addresses import address_list
from chalicelib.mail.charsets import decode
from chalicelib.mail.delivery_status import MAX_RECIPIENTS, failed_recipients, status_in
from chalicelib.mail.identity import ids_in, message_id_of
from chalicelib.mail.limits import Limits
from chalicelib.mail.parsed import Bounce, Failed, Party
from chalicelib.mail.structure import Entity, Fields, header_fields
from chalicelib.mail.transfer import decoded

MAX_IDS = 20
# How much of a bounce without a report is looked at.
WINDOW = 30_000
_DAEMON = re.compile(
    r"(?:mailer[-_.]?daemon|postmaster|microsoftexchange[0-9a-f]*|mail[-_.]?delivery[a-z-]*|mdaemon"
    r"|bounces?|daemon|exchange)(?:[+=-].*)?@",
    re.IGNORECASE,
)
_DAEMON_NAME = re.compile(
    r"mail delivery (?:sub)?system|mailer[- ]daemon|system administrator|administrateur syst[èe]me"
    r"|postmaster|microsoft outlook",
    re.IGNORECASE,
)
_SUBJECT = re.compile(
    r"undeliver(?:able|ed)|failure notice|delivery (?:status notification|failure|has failed)"
    r"|mail delivery (?:failed|failure|system)|returned mail|delivery notification"
    r"|message non remis|non[- ]?(?:remis|distribu[ée]|d[ée]livr)"
    r"|[ée]chec (?:de |d')?(?:la )?(?:remise|distribution"
    r"|livraison|envoi)|notification d'[ée]tat (?:de remise)?|delayed mail|warning: message"
    r"|message (?:retard[ée]|diff[ée]r[ée])|retour de courrier",
    re.IGNORECASE,
)
# qmail; Exim; Postfix (Orange, Free, OVH); Exchange; Gmail; Courier; Notes.
_TEXT = re.compile(
    r"this is the qmail-send program|a message that you sent could not be delivered"
    r"|this is the mail system at host|i'm sorry to have to inform you|address not found"
    r"|adresse introuvable|adresse non trouvée|delivery has failed to these recipients"
    r"|diagnostic information for administrators|informations de diagnostic pour les admin"
    r"|échec de la remise (?:à|pour|de)"
    r"|your message (?:did not reach|could not be delivered|wasn't delivered)"
    r"|votre message n'a pas (?:pu être|été) (?:remis|distribué|délivré)"
    r"|the following (?:address(?:es)?|recipients?) (?:had|failed)"
    r"|message n'a pas été (?:remis|distribué)|could not be delivered to"
    r"|delivery to the following recipients? failed|permanent fatal errors|n'a pas encore été remis"
    r"|has not yet been delivered|cette adresse n'existe pas|n'a pu être délivré",
    re.IGNORECASE,
)
_LATER = re.compile(
    r"\bdelayed\b|\bretardé|has not yet been|pas encore été|will (?:continue|retry|be retried|keep)"
    r"|temporar(?:y|ily) (?:failure|problem|rejected)|\bdifféré|this is a warning message only",
    re.IGNORECASE,
)
_COPY = re.compile(
    r"^-{2,}.{0,20}(?:below this line is a copy|this is a copy of|copy of (?:the|your) message"
    r"|included is a copy|message d.origine|original message|en-têtes (?:du message )?d.origine"
    r"|original message headers).*$"
    r"|^(?:original message headers|en-têtes (?:du message )?d.origine).*$",
    re.IGNORECASE | re.MULTILINE,
)
_EMAIL = re.compile(r"[\w.!#$%&'*+/=?^`{|}~-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}")
_ID_FIELD = re.compile(
    rb"^[ \t>]*(message-id[ \t]*:[^\r\n]*(?:\r?\n[ \t]+<[^\r\n]*)?)", re.I | re.M
)


def from_report(
    raw: bytes, parts: Sequence[Entity], fields: Fields, encoding: Sequence[str], limits: Limits
) -> tuple[Bounce | None, bool]:
    """From the parts of a multipart/report. None when everybody was reached, and whether there was
    a report that could be read."""
    recipients: dict[str, Failed] = {}
    reported = False
    for part, coded in zip(parts, encoding, strict=True):
        if part.type in ("message/delivery-status", "message/global-delivery-status"):
            content, _ = decoded(raw, part.begin, part.end, coded)
            failed, said = failed_recipients(content)
            reported = reported or said
            recipients |= {one.email: one for one in failed}
    if not reported:
        return None, False
    if not recipients:
        return None, True
    ids = original_ids(raw, parts, fields, encoding, limits)
    return Bounce(list(recipients.values())[:MAX_RECIPIENTS], ids), True


def from_text(
    fields: Fields, subject: str, text: str, senders: Sequence[Party], ids: Sequence[str]
) -> Bounce | None:
    """From what servers write that make no reports: who sent it says that it is a bounce, together
    with what it says. Anybody can write like that: a caller believes what names a message of
    ours."""
    by_daemon = any(
        _DAEMON.match(p.email) or _DAEMON_NAME.search(p.name) for p in senders if p.role == "from"
    )
    by_nobody = any(value.strip() in (b"<>", b"") for value in fields.get(b"return-path", ()))
    window = text[:WINDOW].replace("’", "'")
    named = _failed_field(fields)
    if not (by_daemon or by_nobody or named):
        return None
    if not (named or _TEXT.search(window) or (by_daemon and _SUBJECT.search(subject))):
        return None
    said = _COPY.split(window, maxsplit=1)[0]
    own = {p.email for p in senders}
    emails = (
        named
        or [
            email
            for email in dict.fromkeys(m[0].lower().rstrip(".") for m in _EMAIL.finditer(said))
            if email not in own and not _DAEMON.match(email)
        ][:1]
    )
    later = bool(_LATER.search(said)) and not re.search(r"permanent", said, re.IGNORECASE)
    status = status_in(said) or ("4.0.0" if later else "5.0.0")
    permanent = status.startswith("5") and not later
    failed = [Failed(email, status, permanent, gave_up=not later) for email in emails]
    return Bounce(failed[:MAX_RECIPIENTS], ids)


def original_ids(
    raw: bytes, parts: Sequence[Entity], fields: Fields, encoding: Sequence[str], limits: Limits
) -> list[str]:
    """The Message-IDs of the message that came back: of its copy, else of its header quoted in the
    text, then those that the bounce says it answers."""
    found: list[str] = []
    for part, coded in zip(parts, encoding, strict=True):
        data, _ = decoded(raw, part.begin, min(part.end, part.begin + limits.field), coded)
        if part.type in ("message/rfc822", "text/rfc822-headers", "message/rfc822-headers",
                         "message/global", "message/global-headers"):  # fmt: skip
            known = message_id_of(header_fields(data, limits, set())[0])
            found += [known] if known else []
        elif part.type == "text/plain":
            values = [m[1].partition(b":")[2] for m in _ID_FIELD.finditer(data)]
            found += ids_in(values[:MAX_IDS])
    found += ids_in([*fields.get(b"in-reply-to", ()), *fields.get(b"references", ())])
    return list(dict.fromkeys(found))[:MAX_IDS]


def _failed_field(fields: Fields) -> list[str]:
    """X-Failed-Recipients, of Exim and Gmail."""
    values = fields.get(b"x-failed-recipients", ())
    emails = [email for value in values for _, email in address_list(decode(value)[0])]
    return list(dict.fromkeys(filter(None, emails)))
