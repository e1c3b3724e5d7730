"""Businesses of any size, made by the database itself in seconds.

Dates are relative to the day of the database, so that production's own `ponctuel.clock()` stays in
place: a clock that can be set costs more per call than the one that is measured.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, text

BUSINESSES = 20
INVOICES_PER_CUSTOMER = 4


@dataclass(frozen=True)
class Sample:
    """`due` invoices, each of another customer, can be relanced now; the other `unpaid` ones
    cannot, and the rest of the `invoices` are paid. `history`: each invoice has had its first
    relance, two months ago for those that are paid, 20 days ago for those that are due again, 5
    days ago for the others; without it, nothing was ever sent, and the others have not reached
    their first date."""

    name: str
    invoices: int
    unpaid: int
    due: int
    history: bool = False

    def __post_init__(self) -> None:
        if not self.due <= self.customers or not self.due <= self.unpaid <= self.invoices:
            raise ValueError(f"no such sample: {self}")

    @property
    def customers(self) -> int:
        return max(self.due, self.invoices // INVOICES_PER_CUSTOMER, 1)

    def fill(self, connection: Connection) -> None:
        """Writes it into an empty, migrated database."""
        values = {"n": BUSINESSES, "customers": self.customers}
        values |= {name: getattr(self, name) for name in ("invoices", "unpaid", "due", "history")}
        statements = [_BUSINESSES, _LIVE, _SETTINGS, _LEVELS, _CUSTOMERS, _INVOICES]
        for statement in statements + ([_HISTORY] if self.history else []):
            asked = text(statement)
            connection.execute(asked, {name: values[name] for name in asked.compile().params})


_BUSINESSES = """
INSERT INTO ponctuel.businesses (id, name, sender_email, reply_to, phone, address, siret, iban)
SELECT 'B' || b, 'Menuiserie Lefèvre & Fils ' || b, 'relances@menuiserie-' || b || '.example',
       'compta@menuiserie-' || b || '.example', '+33139010203',
       '12 rue des Ateliers, 78000 Versailles', '73282932000074', 'FR7630006000011234567890189'
  FROM generate_series(1, :n) b
"""
_LIVE = """
INSERT INTO ponctuel.go_lives (business_id, kind, at, by)
SELECT b, k, now(), 'bench' FROM (SELECT id FROM ponctuel.businesses UNION ALL SELECT '*') x(b),
       unnest(ARRAY['*', 'billing.invoice_followup']) k
"""
_SETTINGS = """
INSERT INTO ponctuel.billing_settings (business_id, followups_enabled)
SELECT id, true FROM ponctuel.businesses
"""
_LEVELS = """
INSERT INTO ponctuel.followup_levels (business_id, document, level, anchor, delay_days, tone)
SELECT id, 'invoice', l, 'due', l * 10, 'rappel' FROM ponctuel.businesses, generate_series(1, 3) l
"""
_CUSTOMERS = """
INSERT INTO ponctuel.customers (business_id, id, name, emails)
SELECT 'B' || 1 + mod(c, :n), 'C' || c, 'Hôtel de la Gare n° ' || c, 'c' || c || '@client.example'
  FROM generate_series(0, :customers - 1) c
"""
_INVOICES = """
INSERT INTO ponctuel.invoices (business_id, id, number, customer_id, status, issued_on, due_on,
                               total, balance)
SELECT 'B' || 1 + mod(mod(g, :customers), :n), 'F' || g, 'F' || g, 'C' || mod(g, :customers),
       CASE WHEN g < :unpaid THEN 'sent' ELSE 'paid' END, current_date - 90,
       current_date - CASE WHEN g < :due OR CAST(:history AS boolean) THEN 30 ELSE 5 END,
       1234.56, CASE WHEN g < :unpaid THEN 1234.56 ELSE 0 END
  FROM generate_series(0, :invoices - 1) g
"""
_HISTORY = """
INSERT INTO ponctuel.messages (business_id, kind, subject, cycle, step, channel, person, recipient,
                               content, state, planned_at, not_before, expires_at, attempts,
                               submitting_at, settled_at, provider)
SELECT i.business_id, 'billing.invoice_followup', i.id, '0', '1', 'email', i.customer_id,
       lower(i.customer_id) || '@client.example',
       jsonb_build_object('document', 'invoice', 'number', i.number, 'level', 1, 'tone', 'rappel',
                          'remaining', '1234.56', 'currency', 'EUR'),
       'accepted', x.at, x.at, x.at + interval '7 days', 1, x.at, x.at, 'smtp'
  FROM ponctuel.invoices i, LATERAL (
    SELECT now() - make_interval(days => CASE WHEN i.status = 'paid' THEN 60
             WHEN substr(i.id, 2)::integer < :due THEN 20 ELSE 5 END) AS at) x
"""
