"""What happened to a message, in French: events, and codes that have no sentence of their own."""

from __future__ import annotations

from chalicelib.domain.billing.conditions import REASONS

EVENTS = {
    "released": "libéré",
    "discarded": "écarté à la mise en service",
    "cancelled": "annulé",
    "arrived": "déclaré arrivé",
    "resent": "à renvoyer",
    "restored": "repris d'une base restaurée",
    "proved": "preuve trouvée",
    "unproved": "aucune preuve trouvée",
    "resent_by_policy": "à renvoyer, selon la règle de son genre",
    "followup_retry": "niveau à renvoyer",
    "followup_skip": "niveau passé",
    "followup_stop": "relances arrêtées",
}
_CODES = REASONS | {
    "cancelled_by_operator": "annulé par l'exploitant",
    "discarded": "écarté à la mise en service",
    "some_refused": "refusé pour une partie des destinataires",
    "no_verdict": "le document n'est plus à relancer",
}


def code_in_words(code: str | None) -> str | None:
    """The sentence of a message's `error_code`; an unknown code as it is."""
    return _CODES.get(code, code) if code else None
