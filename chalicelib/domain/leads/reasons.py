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
    "paused": "les relances de ce lead sont en pause",
    "handed_over": "le lead a changé de closer",
    "expired": "proposition expirée",
    "unsendable": "WhatsApp ne prend pas ce numéro ou ce texte",
}

# Why a due lead gets no follow-up, besides: dry runs, `explain`.
LEFT_OUT: Mapping[str, str] = {
    **ENDED,
    "business_inactive": "entreprise inactive",
    "bad_zone": "fuseau horaire ou plage horaire de l'entreprise invalide",
    "bad_window": "aucune heure possible : plage horaire de l'entreprise invalide",
    "opted_out_elsewhere": "un autre lead du même numéro ne veut plus être contacté",
    "bad_dates": "date d'entrée dans l'étape manquante",
    "no_cadence": "aucune cadence n'est prévue pour cette étape",
    "in_flight": "relance déjà proposée ou en cours d'envoi",
    "all_done": "toutes les relances de cette étape ont été faites ou proposées",
    "no_number": "lead sans numéro de téléphone",
    "number_refused": "numéro inutilisable : corrigez-le",
    "not_due": "délai non atteint",
    "same_number": "un autre lead du même numéro est déjà relancé",
    "no_consent": "ce numéro n'a pas donné son accord à la prospection",
    "no_closer": "ni closer ni responsable actif à prévenir",
    "capped": "plafond de relances de la journée atteint",
    "mode_changed": "l'entreprise est passée en mode assisté",
    "phone_missing": "lead sans numéro de téléphone",
    "phone_several": "le champ contient plusieurs numéros, ou un numéro trop long",
    "phone_letters": "le numéro contient des lettres",
    "phone_service": "c'est un numéro court ou spécial",
    "phone_invalid": "ce numéro n'existe pas, ou il lui manque son indicatif",
    "phone_landline": "c'est un téléphone fixe",
}
