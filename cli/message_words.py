"""What happened to a message, in French: events, and codes that have no sentence of their own."""

from __future__ import annotations

from chalicelib.domain.billing.conditions import REASONS
from chalicelib.outbox.operator import STATES
from chalicelib.outbox.verdicts import CODES, PROVIDERS

# What operators and jobs did, what providers told, and how an attempt ended.
EVENTS = {
    **STATES,
    "submitting": "appel du fournisseur",
    "released": "libéré",
    "under_review": "retenu pour la mise en service de l'entreprise",
    "discarded": "écarté à la mise en service",
    "arrived": "déclaré arrivé",
    "resent": "à renvoyer",
    "restored": "repris d'une base restaurée",
    "proved": "preuve trouvée",
    "unproved": "aucune preuve trouvée",
    "resent_by_policy": "à renvoyer, selon la règle de son genre",
    "followup_retry": "niveau à renvoyer",
    "followup_skip": "niveau passé",
    "followup_stop": "relances arrêtées",
    "sent": "transmis",
    "read": "lu",
    "bounce": "retourné",
    "complaint": "signalé comme indésirable",
    "alerted": "exploitant prévenu",
}
# Of what people wrote.
INTENTS = {"opt_out": "ne veut plus rien recevoir", "opt_in": "veut de nouveau recevoir"}
OUTCOMES = {
    "taken": "pris en compte",
    "not_ours": "sans objet",
    "failed": "en échec, à reprendre",
    "given_up": "en échec, abandonné après plusieurs essais",
}
_ACTORS = {
    **PROVIDERS,
    "webhook": "le fournisseur",
    "reconcile": "recherche de preuves",
    "deliver_messages": "envoi des messages",
}
# Why an operator was told of a message.
_TROUBLES = {"uncertain": "incertain", "refused": "refusé", "held": "retenu", "blocked": "bloqué"}
# Where both have a word for a code, the domain's.
_CODES = {**REASONS, **CODES, **_TROUBLES}


def code_in_words(code: str | None) -> str | None:
    """The sentence of a message's `error_code`; an unknown code as it is."""
    return _CODES.get(code, code) if code else None


def actor_in_words(name: str) -> str:
    """A provider or a job of ours by its name, a person as the ledger has it."""
    return _ACTORS.get(name, name)
