"""The errors of the WhatsApp adapters: our codes with what a person can do about them, in French.

Nothing of the provider's own words is quoted: they repeat numbers and texts.
"""

from __future__ import annotations

from chalicelib.errors import OutcomeUnknown, ProviderError
from chalicelib.providers.whatsapp.codes import PERMANENT_CODES, meaning

NAMES = {"twilio": "Twilio", "meta": "WhatsApp (Meta)"}

_ADVICE = {
    "configuration": "{name} refuse ses réglages : vérifiez le compte, le pays et les adresses.",
    "connection": "{name} est injoignable : rien n’a été envoyé.",
    "credentials": "{name} refuse les identifiants : renouvelez la clé dans les réglages.",
    "paused": "{name} a suspendu ce compte (blocage, paiement ou maintenance) : voyez sa console.",
    "quota": "Le quota d’envoi WhatsApp est épuisé pour le moment.",
    "sender": "{name} ne connaît pas cet expéditeur : vérifiez le numéro WhatsApp de l’entreprise.",
    "throttled": "{name} demande de ralentir.",
    "timeout": "{name} ne répond pas : rien n’a été envoyé.",
    "template_disabled": "WhatsApp a désactivé ce modèle : créez-en un autre.",
    "template_missing": "Ce modèle WhatsApp n’existe pas ou n’est pas encore approuvé dans cette "
    "langue : vérifiez son nom.",
    "template_parameters": "Ce modèle WhatsApp attend d’autres variables : comparez-le à la "
    "console.",
    "template_paused": "WhatsApp a mis ce modèle en pause : améliorez-le ou attendez.",
    "template_rejected": "WhatsApp n’a pas approuvé ce modèle : corrigez-le.",
    "invalid_recipient": "Ce destinataire n’est pas joignable sur WhatsApp : vérifiez son numéro.",
    "opt_out": "Cette personne ne veut plus de messages WhatsApp.",
    "invalid_content": "WhatsApp refuse le contenu de ce message : corrigez le texte.",
    "too_large": "Le message est trop long pour WhatsApp : raccourcissez-le.",
    "experiment": "WhatsApp ne remet pas de publicité à cette personne (étude en cours).",
    "window_closed": "La personne n’a pas écrit depuis 24 heures : il faut un modèle approuvé.",
    "marketing_limit": "WhatsApp ne remet plus de publicité à cette personne aujourd’hui.",
    "pair_rate": "Trop de messages à cette personne en peu de temps.",
}
_PERMANENT = "{name} refuse ce message."
_TRANSIENT = "{name} refuse ce message pour le moment."


def refusal(provider: str, code: str, *, retry_after: float | None = None) -> ProviderError:
    """The error for one of our own codes. `retry_after` is in seconds."""
    message = _ADVICE[code].format(name=NAMES[provider])
    permanent = code in PERMANENT_CODES
    return ProviderError(provider, message, permanent=permanent, code=code, retry_after=retry_after)


def refusal_by_number(
    provider: str, number: int | str, *, retry_after: float | None = None
) -> ProviderError:
    """The error for what the provider's number or word means; it is told too."""
    meant = meaning(provider, number)
    advice = _ADVICE.get(meant.code) or (_PERMANENT if meant.permanent else _TRANSIENT)
    message = f"{advice.format(name=NAMES[provider])} ({number})"
    wait = meant.retry_after if retry_after is None else retry_after
    return ProviderError(
        provider, message, permanent=meant.permanent, code=meant.code, retry_after=wait
    )


def refusal_by_answer(
    provider: str, status: int, number: object, *, retry_after: float | None = None
) -> ProviderError | OutcomeUnknown:
    """What an answer means that holds no message. `number` is the provider's, if there is one: in
    our tables it counts whatever the HTTP status, since who decides that has not accepted;
    otherwise it counts in a refusal of the request as such."""
    if isinstance(number, int) and not isinstance(number, bool) and number >= 0:
        plain_refusal = 400 <= status < 500 and status not in (401, 403, 408, 413, 429)
        if plain_refusal or meaning(provider, number).known:
            return refusal_by_number(provider, number, retry_after=retry_after)
    return refusal_by_status(provider, status, retry_after=retry_after)


def refusal_by_status(
    provider: str, status: int, *, retry_after: float | None = None
) -> ProviderError | OutcomeUnknown:
    """What an answer means whose content says nothing: only its HTTP status counts.

    A 4xx or a redirection accepts nothing. A 5xx may come from behind the acceptance, a 2xx that
    cannot be read all the more, and a 408 from a proxy that did not wait long enough.
    """
    if status in (401, 403):
        return refusal(provider, "credentials")
    if status == 413:
        return refusal(provider, "too_large")
    if status == 429:
        return refusal(provider, "throttled", retry_after=retry_after)
    if 300 <= status < 500 and status != 408:
        message = f"Réponse inattendue de {NAMES[provider]} (HTTP {status}) : rien n’a été envoyé."
        return ProviderError(
            provider, message, permanent=False, code=f"http_{status}", retry_after=retry_after
        )
    return unknown(provider)


def unknown(provider: str) -> OutcomeUnknown:
    """The answer was lost, or cannot be read."""
    name = NAMES[provider]
    return OutcomeUnknown(
        provider, f"La réponse de {name} s’est perdue : le message est peut-être parti."
    )
