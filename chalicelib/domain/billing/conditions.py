"""Why a relance is not sent now: the conditions, in the order in which a person is told of them.

One list serves planning (none may hold), the guard at send time (none of the `at_send` ones), and
`explain` (the first that holds). Each `sql` is about one row of `facts` (see `queries`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from chalicelib.domain.billing.facts import DIALLED

# What has to be known to tell whether a condition holds, and so when planning asks: `document` is
# the document with its business and customer, `history` its levels, `due` is dear and asked last.
Needs = Literal["document", "history", "due"]


# That a customer cannot be reached, told cheaply: what was typed is only parsed to be written to.
# The phones are asked for last and for WhatsApp alone, in an EXISTS that PostgreSQL answers by
# index or, where the relation is a view, by a hash made once.
NO_EMAIL = r"COALESCE(emails, '') !~* '[^@\s;,<>]+@([[:alnum:]-]+\.)+[[:alnum:]-]{2,}'"
NO_PHONE = f"""NOT EXISTS (SELECT 1 FROM ponctuel.customer_phones p
     WHERE p.business_id = facts.business_id AND p.customer_id = facts.customer_id
       AND ({DIALLED} OR btrim(p.whatsapp_user_id) <> ''))"""


@dataclass(frozen=True)
class Condition:
    code: str
    reason: str
    sql: str
    at_send: bool = True
    needs: Needs = "document"


LEFT_OUT = (
    Condition("business_inactive", "entreprise inactive", "active IS NOT TRUE"),
    Condition(
        "followups_disabled",
        "relances automatiques désactivées dans les paramètres de facturation",
        "followups_enabled IS NOT TRUE",
    ),
    Condition(
        "bad_zone", "fuseau horaire ou plage d'envoi de l'entreprise invalide", "today IS NULL"
    ),
    Condition(
        "not_open", "document soldé, annulé, accepté, refusé ou non envoyé", "open IS NOT TRUE"
    ),
    Condition("auto_disabled", "auto_enabled est faux sur ce document", "auto_enabled IS NOT TRUE"),
    Condition("no_customer", "client introuvable", "customer_name IS NULL"),
    Condition("opted_out", "ce client ne veut pas de relance", "customer_auto IS NOT TRUE"),
    Condition(
        "insolvency", "client en procédure collective : déclarez la créance", "insolvency IS TRUE"
    ),
    Condition("bad_amount", "montant illisible", "remaining IS NULL OR total IS NULL"),
    Condition("settled", "rien ne reste dû", "document = 'invoice' AND remaining <= 0"),
    Condition(
        "tolerated",
        "reste dû inférieur à la tolérance",
        "document = 'invoice' AND remaining <= tolerance",
    ),
    Condition("disputed", "litige en cours", "disputed"),
    Condition("promised", "promesse de paiement en cours", "promised_until >= today"),
    Condition("paused", "relances de ce client en pause", "paused_until >= today"),
    # Code de la consommation L218-2: two years; a payment or an acknowledgement starts them again
    # (Code civil 2240), which the file does not say: a person decides.
    Condition(
        "time_barred",
        "facture d'un particulier échue depuis plus de deux ans : peut-être prescrite",
        "document = 'invoice' AND customer_type IS DISTINCT FROM 'professional'"
        " AND due_on < today - interval '2 years'",
    ),
    Condition("quote_expired", "devis expiré", "document = 'quote' AND due_on < today"),
    Condition(
        "payments_stale",
        "les paiements n'ont pas été synchronisés récemment",
        "max_payment_age_hours IS NOT NULL AND (payments_synced_at IS NULL OR payments_synced_at"
        " < ponctuel.clock() - make_interval(hours => max_payment_age_hours))",
    ),
    Condition("stopped", "relances arrêtées par l'entreprise", "stopped", needs="history"),
    Condition(
        "to_handle",
        "à traiter : la relance précédente n'est pas partie",
        "problem_level > COALESCE(last_level, 0)",
        at_send=False,
        needs="history",
    ),
    Condition(
        "in_flight",
        "relance déjà prévue ou en cours d'envoi",
        "in_flight",
        at_send=False,
        needs="history",
    ),
    Condition(
        "all_sent",
        "plus aucun niveau de relance n'est prévu pour ce document",
        "level IS NULL",
        at_send=False,
        needs="history",
    ),
    # At send time the message's own channel counts, see `queries.REREAD`.
    Condition(
        "no_email",
        "client sans adresse e-mail valable",
        f"channel = 'email' AND {NO_EMAIL}",
        at_send=False,
        needs="due",
    ),
    Condition(
        "no_phone",
        "client sans numéro WhatsApp",
        f"channel = 'whatsapp' AND {NO_PHONE}",
        at_send=False,
        needs="due",
    ),
    Condition(
        "no_due_date",
        "date d'échéance ou d'émission manquante",
        "scheduled_on IS NULL OR issued_on IS NULL OR (document = 'invoice' AND due_on IS NULL)",
        at_send=False,
        needs="history",
    ),
    Condition(
        "absurd_due_date", "échéance antérieure à l'émission", "due_on < issued_on", at_send=False
    ),
    Condition(
        "not_due",
        "délai non atteint",
        "NOT CAST(:force AS boolean) AND effective_on > today",
        at_send=False,
        needs="history",
    ),
    Condition(
        "too_soon",
        "ce client a déjà été relancé il y a peu",
        "contacted_on > today - min_interval_days",
        at_send=False,
        needs="due",
    ),
)

REASONS = {condition.code: condition.reason for condition in LEFT_OUT} | {
    "customer_waits": "une autre relance de ce client part d'abord",
    "channel_changed": "le canal de ce niveau a changé depuis",
}


def none_holds(*needing: Needs) -> str:
    """SQL that is true when, of the conditions with these needs, none speaks against planning.

    A CASE, because PostgreSQL has one estimate for it. Of twenty conditions joined by AND it thinks
    that no row meets them all, and prepares for one row.
    """
    asked = sorted(
        (condition for condition in LEFT_OUT if condition.needs in needing),
        key=lambda condition: needing.index(condition.needs),
    )
    whens = "\n OR ".join(f"({condition.sql})" for condition in asked)
    return f"CASE WHEN {whens} THEN false ELSE true END"


def first_that_holds(*, at_send: bool = False) -> str:
    """SQL that yields the code of the first condition that holds, or null."""
    whens = "\n".join(
        f"WHEN {condition.sql} THEN '{condition.code}'"
        for condition in LEFT_OUT
        if condition.at_send or not at_send
    )
    return f"CASE {whens} END"
