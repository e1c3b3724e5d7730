"""What is said, in French, of a follow-up that is not made: its codes, for closers and owners."""

from __future__ import annotations

from collections.abc import Mapping

# What a closer may give as the reason for skipping a proposal. The first three say something about
# the lead, and end more than this one follow-up (`proposals.skip`).
SKIPPED: Mapping[str, str] = {
    "replied": "a déjà répondu",
    "opted_out": "ne veut plus être contacté",
    "wrong_number": "le numéro n'est pas le bon",
    "not_now": "pas maintenant",
    "other": "autre raison",
}

ENDED: Mapping[str, str] = {
    "deleted": "le lead n'existe plus",
    "won": "le lead est gagné",
    "lost": "le lead est perdu ou clos",
    "auto_disabled": "auto_enabled est faux sur ce lead",
    "opted_out": "ce lead ne veut plus être contacté",
    "replied": "ce lead a répondu",
    "stage_changed": "le lead a changé d'étape",
    "suppressed": "ce numéro ne veut plus être contacté, ou n'est pas joignable",
    "followups_disabled": "relances de leads désactivées dans les paramètres",
    "handed_over": "le lead a changé de closer",
    "expired": "proposition expirée",
    "unsendable": "WhatsApp ne prend pas ce numéro ou ce texte",
}
