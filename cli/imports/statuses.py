"""Statuses, document types and customer types in the words of French software → ours."""

from __future__ import annotations

from dataclasses import dataclass

from cli.imports.folding import fold


@dataclass(frozen=True, slots=True)
class Status:
    """`status`: one of the schema's invoice statuses. `disputed`: the customer contests it."""

    status: str
    disputed: bool = False


# Folded words → status. Those of the reform's invoicing platforms (déposée, prise en charge…)
# are in DGFiP's list of lifecycle statuses, external specifications of electronic invoicing.
_WORDS = {
    "draft": "brouillon|provisoire|en preparation|a valider|proforma|pro forma|draft",
    "sent": (
        "impayee|impaye|non payee|non paye|a payer|en attente|en attente de paiement|"
        "en attente de reglement|attente paiement|envoyee|envoye|emise|emis|validee|valide|"
        "finalisee|ouverte|ouvert|due|a regler|non reglee|non regle|facturee|sent|open|en cours|"
        "non soldee|a encaisser|non echue|a echoir|comptabilisee|definitive|transmise|unpaid|"
        "deposee|recue|mise a disposition|prise en charge|approuvee|completee|"
        "approuvee partiellement|paiement en attente"
    ),
    "overdue": "en retard|retard|echue|echu|relancee|overdue|en retard de paiement|late",
    "partial": (
        "partiellement payee|partiellement paye|partiellement reglee|payee partiellement|"
        "reglee partiellement|paiement partiel|reglement partiel|partielle|acompte recu|"
        "partially paid|partial"
    ),
    "paid": (
        "payee|paye|reglee|regle|soldee|solde|encaissee|encaisse|acquittee|lettree|paid|"
        "payee en totalite|totalement payee|entierement payee|paiement recu|paiement transmis"
    ),
    "credited": (
        "avoir|creditee|remboursee|rembourse|annulee par avoir|avoir emis|note de credit|"
        "credited|refunded|facture d avoir"
    ),
    # Written off: nobody is to be chased for it, and it was not paid.
    "cancelled": (
        "annulee|annule|abandonnee|supprimee|irrecouvrable|passee en perte|perte|cancelled|"
        "canceled|void"
    ),
}
STATUSES = {word: Status(status) for status, words in _WORDS.items() for word in words.split("|")}
STATUSES |= {
    word: Status("sent", disputed=True)
    for word in ("en litige", "litige", "contestee", "refusee", "rejetee", "suspendue")
}

# What a "paid" column holds when it is a yes or no.
YES_NO = {"oui": "paid", "yes": "paid", "non": "sent", "no": "sent"}

# Other words in a "type" column say nothing about the document, and are passed over.
_CREDIT_NOTES = "avoir|avoirs|facture d avoir|note de credit|avoir client|credit note|av"
_OTHERS = (
    "paiement|reglement|devis|commande|bon de commande|bon de livraison|proforma|pro forma|"
    "encaissement|facture proforma|depense|facture fournisseur|facture d achat|achat|quote|payment"
)
DOCUMENT_TYPES = dict.fromkeys(_CREDIT_NOTES.split("|"), "credit_note") | dict.fromkeys(
    _OTHERS.split("|"), "other"
)

_PROFESSIONAL = "professionnel|professionnelle|pro|entreprise|societe|b2b|btob|personne morale"
_CONSUMER = "particulier|particuliere|b2c|btoc|consommateur|individu|personne physique|prive"
CUSTOMER_TYPES = dict.fromkeys(_PROFESSIONAL.split("|"), "professional") | dict.fromkeys(
    _CONSUMER.split("|"), "consumer"
)


def status_of(text: str) -> Status | None:
    """The status that a cell names, None when it is not known."""
    return STATUSES.get(fold(text)) or STATUSES.get(fold(text).removeprefix("facture "))


def customer_type_of(text: str, registration: str) -> str | None:
    """`professional`, `consumer`, or None when nothing tells: an unknown word is not guessed at.
    A SIRET, SIREN or VAT number, without a type, makes a professional."""
    known = CUSTOMER_TYPES.get(fold(text))
    if known or text.strip():
        return known
    number = "".join(character for character in registration if character.isalnum())
    is_siret = number.isdigit() and len(number) in (9, 14)
    is_vat = 8 <= len(number) <= 14 and number[:2].isalpha() and any(c.isdigit() for c in number)
    return "professional" if is_siret or is_vat else None
