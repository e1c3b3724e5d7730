"""What happened to a message, in French: events, and codes that have no sentence of their own."""

from __future__ import annotations

from chalicelib.domain.billing.conditions import REASONS

EVENTS = {
    "released": "libéré",
    "discarded": "écarté à la mise en service",
    "cancelled": "annulé",
    "arrived": "déclaré arrivé",
    "resent": "à renvoyer",
    "followup_retry": "niveau à renvoyer",
    "followup_skip": "niveau passé",
    "followup_stop": "relances arrêtées",
}
# `opted_out` is billing's word too, for a customer who wants no relance: one sentence for both.
_CODES = REASONS | {
    "cancelled_by_operator": "annulé par l'exploitant",
    "unsubscribed": "le destinataire s'est désinscrit",
    "complained": "le destinataire a signalé un message comme indésirable",
    "address_dead": "cette adresse ne reçoit plus de courrier",
    "unreachable": "le destinataire n'est pas joignable sur ce canal",
    "no_consent": "le destinataire n'a pas donné son accord",
    "deleted": "le document n'existe plus",
    "reopened": "le document a été rouvert ou refait depuis",
    "customer_changed": "le document a changé de client depuis",
    "discarded": "écarté à la mise en service",
    "some_refused": "refusé pour une partie des destinataires",
    "no_verdict": "le document n'est plus à relancer",
}


def code_in_words(code: str | None) -> str | None:
    """The sentence of a message's `error_code`; an unknown code as it is."""
    return _CODES.get(code, code) if code else None
