"""Leads, and how often their closers follow them up."""

from __future__ import annotations

from alembic import op

from chalicelib.db.migrations.views import stands_in

revision = "domain_0005"
down_revision = "domain_0004"
branch_labels = None
depends_on = None

TABLES = {
    "lead_settings": """
CREATE TABLE ponctuel.lead_settings (
  business_id         text PRIMARY KEY,
  followups_enabled   boolean NOT NULL DEFAULT false,
  mode                text NOT NULL DEFAULT 'assisted' CHECK (mode IN ('assisted','api')),
  daily_cap           integer NOT NULL DEFAULT 50,      -- follow-ups of the business a day
  window_start        time NOT NULL DEFAULT '09:00',    -- in the lead's zone
  window_end          time NOT NULL DEFAULT '19:00',
  business_days_only  boolean NOT NULL DEFAULT true,
  expire_hours        integer NOT NULL DEFAULT 72       -- a proposal nobody took up is given up
);
""",
    "lead_cadences": """
CREATE TABLE ponctuel.lead_cadences (
  business_id  text NOT NULL,
  stage        text NOT NULL,
  number       integer NOT NULL CHECK (number > 0),     -- 1, 2, 3… without gaps; the last: maximum
  delay_hours  integer NOT NULL,                        -- after the stage began, or the one before
  variant      text NOT NULL DEFAULT 'relance',         -- which of the texts
  PRIMARY KEY (business_id, stage, number)
);
""",
    "leads": r"""
CREATE TABLE ponctuel.leads (
  business_id       text NOT NULL,
  id                text NOT NULL,
  name              text NOT NULL,
  phone             text,                        -- as it was typed
  whatsapp_user_id  text,                        -- Meta's, of a lead who hides the number
  email             text,
  stage             text NOT NULL DEFAULT 'nouveau',
  stage_since       timestamptz,                 -- null: since it was created
  status            text NOT NULL DEFAULT 'open' CHECK (status IN ('open','won','lost')),
  closer_id         text,                        -- a user; null: the business's owners
  zone              text,                        -- IANA; null: the number's, or the business's
  auto_enabled      boolean NOT NULL DEFAULT true,
  opted_out         boolean NOT NULL DEFAULT false,
  replied_at        timestamptz,                 -- the last answer
  followups         integer NOT NULL DEFAULT 0,  -- that were sent, all stages together
  last_followup_at  timestamptz,
  created_at        timestamptz NOT NULL DEFAULT now(),
  updated_at        timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (business_id, id)
);
CREATE INDEX leads_open ON ponctuel.leads (business_id, stage)
  WHERE status = 'open' AND auto_enabled AND NOT opted_out;
-- Who has written: an answer is looked for among all leads of its business.
CREATE INDEX leads_by_number
  ON ponctuel.leads (business_id, right(regexp_replace(phone, '\D', '', 'g'), 9));
CREATE INDEX leads_by_email ON ponctuel.leads (business_id, lower(btrim(email)));
""",
}


def upgrade() -> None:
    for relation, definition in TABLES.items():
        if not stands_in(relation):
            op.execute(definition)


def downgrade() -> None:
    raise NotImplementedError("migrations only add: restore a backup to go back")
