"""Was it sent? One French sentence about a message, that claims no more than the ledger knows.

It begins with *Oui*, *Non*, *Pas encore* or *Personne ne le sait*.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from chalicelib.outbox.formats import NO_BREAK, date_heure
from chalicelib.outbox.operator import HOLDS, RELEASABLE

# What a message's `error_code` means, where no domain has a word for it.
CODES: Mapping[str, str] = {
    "cancelled_by_operator": "annulé par l'exploitant",
    "discarded": "écarté à la mise en service",
    "some_refused": "refusé pour une partie des destinataires",
    "no_verdict": "le document n'est plus à relancer",
    "opted_out": "le destinataire a demandé de ne plus rien recevoir",
    "unsubscribed": "le destinataire s'est désinscrit",
    "complained": "le destinataire a signalé un message comme indésirable",
    "address_dead": "l'adresse ne reçoit plus de courrier",
    "unreachable": "le destinataire n'est pas joignable sur ce canal",
    "no_consent": "le destinataire n'a pas donné son accord",
    "deleted": "le document n'existe plus",
    "reopened": "le document a été rouvert ou refait depuis",
    "customer_changed": "le document a changé de client depuis",
    "mailbox_recovered": "la boîte aux lettres remarche",
    "mailbox_removed": "la boîte aux lettres n'existe plus",
    "deletion_gone": "cette suppression de compte n'existe plus",
    "deletion_not_scheduled": "la suppression du compte n'est plus prévue",
    "deletion_moved": "la date de la suppression a changé",
    "deletion_too_late": "la date de la suppression est passée",
    "deletion_not_locked": "la suppression du compte n'a pas commencé",
    "deletion_not_blocked": "plus rien ne bloque la suppression du compte",
    "deletion_requested_again": "la suppression du compte est de nouveau demandée",
    "answer_lost": "la réponse du fournisseur s'est perdue",
}
PROVIDERS: Mapping[str, str] = {
    "twilio": "Twilio",
    "meta": "Meta",
    "ses": "Amazon SES",
    "smtp": "le serveur de messagerie",
}
# What a provider tells of a message that it has.
_HAS_IT = ("accepted", "sent")

_ARTICLE = re.compile(r"L'|(Le|La|Les|Un|Une|Il|Elle|On|Ce|Cette|Aucun|Aucune) ")

Message = Mapping[str, Any]


def was_it_sent(message: Message) -> str:
    """About a row of `reading.message`, its `events` being the whole history and `clock` the
    database's now. Instants are those of Paris."""
    return _SENTENCES[message["state"]](message)


def provider(code: str | None) -> str:
    """How a sentence calls a provider."""
    return PROVIDERS.get(code or "", code or "le fournisseur")


def _planned(message: Message) -> str:
    again = _given_up(message)
    told = "Pas encore" if again is None else "Pas encore renvoyé"
    if again == "uncertain":
        told += " (personne ne sait si le premier envoi est arrivé)"
    if message["not_before"] > message["clock"]:
        why = f", après un échec passager ({_why(message)})" if message["attempts"] else ""
        return f"{told} : prochain essai le {date_heure(message['not_before'])}{why}."
    return f"{told} : prévu, il part à l'un des prochains passages."


def _held(message: Message) -> str:
    hold = message["hold_reason"]
    why = _sentence(message["error"]) or HOLDS.get(hold, hold)
    if hold in RELEASABLE:
        return f"Pas encore : retenu jusqu'à ce que quelqu'un le libère ({why})."
    return f"Pas encore : retenu jusqu'au {date_heure(message['not_before'])} : {why}."


def _submitting(message: Message) -> str:
    return (
        f"Personne ne le sait encore : l'appel au fournisseur a commencé le "
        f"{date_heure(message['submitting_at'])}, sa réponse est attendue."
    )


def _accepted(message: Message) -> str:
    by_hand = _last(message, "arrived")
    if by_hand and not _last(message, *_HAS_IT):
        reason = f" : {_sentence(by_hand['reason'])}" if by_hand["reason"] else ""
        return (
            f"Oui, d'après {by_hand['actor'] or 'un opérateur'}, qui l'a déclaré arrivé le "
            f"{date_heure(by_hand['at'])}{reason}."
        )
    part = " pour une partie des destinataires" if message["error_code"] == "some_refused" else ""
    proved = _last(message, "proved")
    proof = f" (preuve trouvée le {date_heure(proved['at'])})" if proved else ""
    return f"Oui : {_taken(message)}{part}{proof} ; rien ne dit encore s'il a été remis."


def _delivered(message: Message) -> str:
    delivered = _last(message, "delivered") or {"at": message["settled_at"]}
    read = _last(message, "read")
    then = f" et lu le {date_heure(read['at'])}" if read else ""
    remis = f"remis le {date_heure(delivered['at'])}"
    return f"Oui : {_taken(message)}{',' if read else ' et'} {remis}{then}."


def _failed(message: Message) -> str:
    return f"Non : {_taken(message)}, mais il n'a pas été remis ({_why(message)})."


def _refused(message: Message) -> str:
    when = date_heure(message["settled_at"])
    return f"Non : {provider(message['provider'])} l'a refusé le {when} ({_why(message)})."


def _uncertain(message: Message) -> str:
    told = f"Personne ne le sait ({_why(message)})"
    looked = message["proofs"]
    times = f"{looked}{NO_BREAK}fois" if looked else ""
    if message["proof_at"] is not None:
        soon = message["proof_at"] <= message["clock"]
        when = "maintenant" if soon else f"le {date_heure(message['proof_at'])}"
        already = f", déjà cherchée {times} sans succès" if looked else ""
        return f"{told} ; une preuve est cherchée {when}{already}."
    tried = f"une preuve a été cherchée {times} sans succès" if looked else "aucune preuve"
    return f"{told} ; {tried} : à vous de dire s'il est arrivé ou de le renvoyer."


def _cancelled(message: Message) -> str:
    when = date_heure(message["settled_at"])
    act = _last(message, "cancelled", "discarded")
    if act and act["actor"]:
        reason = f" : {_sentence(act['reason'])}" if act["reason"] else ""
        return f"Non : annulé par {act['actor']} le {when}{reason}."
    why = CODES.get(message["error_code"] or "")
    return f"Non : annulé le {when}, juste avant de partir ({why or 'plus voulu'})."


def _expired(message: Message) -> str:
    return f"Non : trop tard, il n'était utile que jusqu'au {date_heure(message['expires_at'])}."


_SENTENCES = {
    "planned": _planned,
    "held": _held,
    "claimed": lambda _message: "Pas encore : un envoi en cours vient de le prendre en charge.",
    "submitting": _submitting,
    "accepted": _accepted,
    "delivered": _delivered,
    "failed": _failed,
    "refused": _refused,
    "uncertain": _uncertain,
    "cancelled": _cancelled,
    "expired": _expired,
}


def _taken(message: Message) -> str:
    """That the provider has it, and since when: it said so, or answered the call."""
    told = _last(message, *_HAS_IT)
    at = told["at"] if told else message["submitting_at"] or message["settled_at"]
    return f"{provider(message['provider'])} l'a accepté le {date_heure(at)}"


def _why(message: Message) -> str:
    code = message["error_code"] or ""
    known = _sentence(message["error"]) or CODES.get(code)
    return known or (f"code {code}" if code else "sans détail")


def _sentence(text: str | None) -> str:
    """As a part of another sentence: without its full stop, its first word in small letters where
    that is certainly no name."""
    found = " ".join((text or "").split()).rstrip(".")
    return found[:1].lower() + found[1:] if _ARTICLE.match(found) else found


def _last(message: Message, *names: str) -> Message | None:
    """The newest such entry of the history since the message was last planned."""
    for event in reversed(_events(message)):
        if event["event"] in names:
            return event
        if event["event"] in ("resent", "resent_by_policy"):
            return None
    return None


def _given_up(message: Message) -> str | None:
    """How the attempt ended before which the message was planned again, by whoever."""
    for event in reversed(_events(message)):
        if event["event"] in ("uncertain", "refused", "failed"):
            return str(event["event"])
    return "uncertain" if message["resends"] else None


def _events(message: Message) -> Sequence[Message]:
    events: Sequence[Message] = message["events"]
    return events
