"""Businesses, customers, invoices and quotes, for those who keep them in Ponctuel's own tables.

Whoever has some of them elsewhere creates views of the same names and columns first: only what is
not there is created (docs/bring-your-own-tables.md).
"""

from __future__ import annotations

from alembic import op

from chalicelib.db.migrations.views import stands_in

revision = "domain_0001"
down_revision = None
branch_labels = ("domain",)
depends_on = None

# Relation → its table, with its indexes.
TABLES = {
    "businesses": """
CREATE TABLE ponctuel.businesses (
  id             text PRIMARY KEY,
  name           text NOT NULL,
  zone           text NOT NULL DEFAULT 'Europe/Paris',   -- IANA name
  subdivision    text,                   -- holidays: '57', '6AE', '971'..'976'; null: common ones
  sender_name    text,
  sender_email   text,                   -- From, an identity that the provider has verified
  reply_to       text,
  phone          text,
  address        text,
  siret          text,
  iban           text,
  active         boolean NOT NULL DEFAULT true
);
""",
    "billing_settings": """
CREATE TABLE ponctuel.billing_settings (
  business_id             text PRIMARY KEY,
  followups_enabled       boolean NOT NULL DEFAULT false,
  group_by_customer       boolean NOT NULL DEFAULT false,
  min_interval_days       integer NOT NULL DEFAULT 3,    -- between two relances of one customer
  tolerance               numeric(12,2) NOT NULL DEFAULT 1.00,  -- remainders up to it: left alone
  courtesy_days           integer NOT NULL DEFAULT 2,    -- none sooner than that after the issue
  window_start            time NOT NULL DEFAULT '09:00', -- sending window, in the business's zone
  window_end              time NOT NULL DEFAULT '18:00',
  business_days_only      boolean NOT NULL DEFAULT true,
  payments_synced_at      timestamptz,                   -- last import of payments
  max_payment_age_hours   integer,                       -- older than that: no relance; null: off
  late_penalty_rate       numeric(5,2)                   -- the business's own terms, % a year
);
""",
    "followup_levels": """
CREATE TABLE ponctuel.followup_levels (
  business_id  text NOT NULL,
  policy       text NOT NULL DEFAULT 'standard',
  document     text NOT NULL CHECK (document IN ('invoice','quote')),
  level        integer NOT NULL CHECK (level > 0),
  anchor       text NOT NULL CHECK (anchor IN ('issue','due')),
  delay_days   integer NOT NULL,                          -- negative: before the anchor
  channel      text NOT NULL DEFAULT 'email' CHECK (channel IN ('email','whatsapp')),
  tone         text NOT NULL CHECK (tone IN ('rappel','ferme','mise_en_demeure')),
  attach_pdf   boolean NOT NULL DEFAULT false,
  PRIMARY KEY (business_id, policy, document, level)
);
""",
    "customers": """
CREATE TABLE ponctuel.customers (
  business_id           text NOT NULL,
  id                    text NOT NULL,
  name                  text NOT NULL,
  customer_type         text CHECK (customer_type IN ('professional','consumer')),
  emails                text,            -- one, or several separated by , or ;
  policy                text,            -- null: the document's, else 'standard'
  auto_enabled          boolean NOT NULL DEFAULT true,
  paused_until          date,            -- no relance up to and including that day
  insolvency            boolean NOT NULL DEFAULT false,  -- sauvegarde, redressement, liquidation
  PRIMARY KEY (business_id, id)
);
""",
    "invoices": """
CREATE TABLE ponctuel.invoices (
  business_id     text NOT NULL,
  id              text NOT NULL,
  number          text NOT NULL,
  customer_id     text NOT NULL,
  status          text NOT NULL CHECK (status IN
                    ('draft','sent','partial','paid','credited','cancelled','overdue')),
  issued_on       date,
  due_on          date,
  currency        text NOT NULL DEFAULT 'EUR',
  total           numeric(14,2) NOT NULL,
  balance         numeric(14,2) NOT NULL,  -- what remains to be paid, tax included
  disputed        boolean NOT NULL DEFAULT false,
  promised_until  date,
  auto_enabled    boolean NOT NULL DEFAULT true,
  policy          text,
  pdf_key         text,
  cycle           integer NOT NULL DEFAULT 0,  -- grows when a payment is reversed
  reopened_on     date,
  updated_at      timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (business_id, id)
);
CREATE UNIQUE INDEX invoices_by_number ON ponctuel.invoices (business_id, number);
CREATE INDEX invoices_chased ON ponctuel.invoices (business_id, customer_id)
  WHERE status IN ('sent','partial','overdue') AND auto_enabled AND balance > 0;
""",
    "quotes": """
CREATE TABLE ponctuel.quotes (
  business_id   text NOT NULL,
  id            text NOT NULL,
  number        text NOT NULL,
  customer_id   text NOT NULL,
  status        text NOT NULL CHECK (status IN
                  ('draft','sent','accepted','refused','expired','cancelled')),
  issued_on     date,
  valid_until   date,
  currency      text NOT NULL DEFAULT 'EUR',
  total         numeric(14,2) NOT NULL,
  auto_enabled  boolean NOT NULL DEFAULT true,
  policy        text,
  pdf_key       text,
  version       integer NOT NULL DEFAULT 1,    -- a new version is a new cycle of relances
  updated_at    timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (business_id, id)
);
CREATE UNIQUE INDEX quotes_by_number ON ponctuel.quotes (business_id, number);
CREATE INDEX quotes_chased ON ponctuel.quotes (business_id, customer_id) WHERE status = 'sent';
""",
    "followup_decisions": """
-- What the owner decided about a level that did not go out.
CREATE TABLE ponctuel.followup_decisions (
  business_id  text NOT NULL,
  document     text NOT NULL,
  document_id  text NOT NULL,
  cycle        text NOT NULL,
  level        integer NOT NULL,
  decision     text NOT NULL CHECK (decision IN ('retry','skip','stop')),
  decided_at   timestamptz NOT NULL,
  decided_by   text NOT NULL,
  reason       text NOT NULL DEFAULT '',
  PRIMARY KEY (business_id, document, document_id, cycle, level)
);
""",
}

# A payment that bounces re-opens the invoice: its relances start over, under new keys.
REOPENING = """
CREATE FUNCTION ponctuel.reopen_invoice() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF (OLD.status IN ('paid','credited') OR OLD.balance <= 0)
     AND NEW.status IN ('sent','partial','overdue') AND NEW.balance > 0
     AND NEW.cycle = OLD.cycle THEN
    NEW.cycle := OLD.cycle + 1;
    IF NEW.reopened_on IS NOT DISTINCT FROM OLD.reopened_on THEN
      NEW.reopened_on := (ponctuel.clock() AT TIME ZONE 'Europe/Paris')::date;
    END IF;
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER invoices_reopened BEFORE UPDATE OF status, balance ON ponctuel.invoices
  FOR EACH ROW EXECUTE FUNCTION ponctuel.reopen_invoice();
"""


def upgrade() -> None:
    for relation, definition in TABLES.items():
        if not stands_in(relation):
            op.execute(definition)
    if not stands_in("invoices"):
        op.execute(REOPENING)


def downgrade() -> None:
    raise NotImplementedError("migrations only add: restore a backup to go back")
