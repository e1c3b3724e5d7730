"""The message ledger on two channels: contacts, who does not want to be written to, what providers
tell, how fast and how much may leave, and which deployment this is."""

from __future__ import annotations

from alembic import op

revision = "ledger_0003"
down_revision = "ledger_0002"
branch_labels = None
depends_on = None

MESSAGES = """
ALTER TABLE ponctuel.messages
  ADD COLUMN IF NOT EXISTS order_key   text,         -- waits for the earlier ones of its business
  ADD COLUMN IF NOT EXISTS contact     text,         -- whom it went to: address, E.164
  ADD COLUMN IF NOT EXISTS counted_at  timestamptz,  -- counts for caps and quotas since; null: not
  ADD COLUMN IF NOT EXISTS proof_at    timestamptz,  -- uncertain: a proof is looked for next
  ADD COLUMN IF NOT EXISTS proofs      integer NOT NULL DEFAULT 0,   -- how often that was done
  ADD COLUMN IF NOT EXISTS resends     integer NOT NULL DEFAULT 0;   -- by its kind's policy
-- Of a WhatsApp message: {"sender", "template", "language", "variables"}; null: free text.
ALTER TABLE ponctuel.message_bodies ADD COLUMN IF NOT EXISTS whatsapp jsonb;
CREATE INDEX IF NOT EXISTS messages_counted ON ponctuel.messages (channel, counted_at)
  WHERE counted_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS messages_of_contact ON ponctuel.messages (contact, counted_at)
  WHERE contact IS NOT NULL;
CREATE INDEX IF NOT EXISTS messages_in_order ON ponctuel.messages (business_id, order_key, id)
  WHERE order_key IS NOT NULL AND state NOT IN
        ('accepted','refused','delivered','failed','cancelled','expired');
CREATE INDEX IF NOT EXISTS messages_to_prove ON ponctuel.messages (proof_at)
  WHERE state = 'uncertain' AND proof_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS messages_by_provider_id ON ponctuel.messages (provider_id)
  WHERE provider_id IS NOT NULL;
"""

PEOPLE = """
-- Who does not want to be written to, or cannot be. One list per business over all its products.
CREATE TABLE IF NOT EXISTS ponctuel.suppressions (
  id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  business_id  text NOT NULL,                 -- '*': every business (an address that takes no mail)
  channel      text NOT NULL CHECK (channel IN ('email','whatsapp')),
  -- address in lower case, E.164, or Meta's user id; '': only the person is known
  contact      text NOT NULL,
  person       text NOT NULL DEFAULT '' CHECK (contact <> '' OR person <> ''),
  category     text NOT NULL DEFAULT '*',     -- '*', 'marketing', or one kind of message
  reason       text NOT NULL CHECK (reason IN
                 ('stop','unsubscribe','complaint','hard_bounce','unreachable','manual')),
  at           timestamptz NOT NULL,
  source       text NOT NULL DEFAULT '',      -- event key, message, or who entered it
  note         text NOT NULL DEFAULT '',      -- why, in the words of who entered it
  lifted_at    timestamptz,
  lifted_by    text,
  lift_reason  text
);
CREATE UNIQUE INDEX IF NOT EXISTS suppressions_in_force
  ON ponctuel.suppressions (contact, channel, business_id, category,
                            (CASE WHEN contact = '' THEN person ELSE '' END))
  WHERE lifted_at IS NULL;
CREATE INDEX IF NOT EXISTS suppressions_by_person
  ON ponctuel.suppressions (business_id, person) WHERE person <> '';

-- Who agreed to marketing, when and how; never deleted, only withdrawn.
CREATE TABLE IF NOT EXISTS ponctuel.consents (
  id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  business_id   text NOT NULL,
  channel       text NOT NULL CHECK (channel IN ('email','whatsapp')),
  contact       text NOT NULL,
  person        text NOT NULL DEFAULT '',
  granted_at    timestamptz NOT NULL,
  source        text NOT NULL,                -- the form, its wording, the order
  withdrawn_at  timestamptz,
  withdrawn_by  text
);
CREATE INDEX IF NOT EXISTS consents_by_contact ON ponctuel.consents (contact, business_id);

-- What is known of a contact: WhatsApp takes free text for 24 hours after they wrote.
CREATE TABLE IF NOT EXISTS ponctuel.contacts (
  business_id      text NOT NULL,
  channel          text NOT NULL,
  contact          text NOT NULL,
  user_id          text,                      -- Meta's business-scoped user id
  last_inbound_at  timestamptz,
  PRIMARY KEY (business_id, channel, contact)
);
CREATE INDEX IF NOT EXISTS contacts_by_contact ON ponctuel.contacts (contact);
CREATE INDEX IF NOT EXISTS contacts_by_user_id ON ponctuel.contacts (user_id)
  WHERE user_id IS NOT NULL;

CREATE TABLE IF NOT EXISTS ponctuel.inbound_messages (
  id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  business_id  text NOT NULL DEFAULT '',      -- '': nobody knows whose it is
  channel      text NOT NULL,
  provider     text NOT NULL,
  provider_id  text NOT NULL,
  contact      text NOT NULL,
  user_id      text,
  person       text NOT NULL DEFAULT '',
  known_by     text NOT NULL DEFAULT '',      -- kind of the message that tells whose it is
  sender       text NOT NULL DEFAULT '',      -- the business's number, as its provider calls it
  kind         text NOT NULL,                 -- text, button, image, reaction…
  text         text NOT NULL DEFAULT '',
  media_count  integer NOT NULL DEFAULT 0,
  in_reply_to  bigint,                        -- our message
  intent       text,                          -- opt_out, opt_in
  at           timestamptz NOT NULL,
  received_at  timestamptz NOT NULL,
  UNIQUE (provider, provider_id)
);
CREATE INDEX IF NOT EXISTS inbound_by_business ON ponctuel.inbound_messages (business_id, id DESC);
CREATE INDEX IF NOT EXISTS inbound_replies ON ponctuel.inbound_messages (in_reply_to)
  WHERE in_reply_to IS NOT NULL;
CREATE INDEX IF NOT EXISTS inbound_intents ON ponctuel.inbound_messages (contact, at)
  WHERE intent IS NOT NULL;

-- What the domains made of it; one that failed is offered again.
CREATE TABLE IF NOT EXISTS ponctuel.inbound_offers (
  inbound_id  bigint NOT NULL REFERENCES ponctuel.inbound_messages ON DELETE CASCADE,
  domain      text NOT NULL,
  outcome     text NOT NULL,                  -- taken, not_ours, failed, given_up
  attempts    integer NOT NULL DEFAULT 1,
  at          timestamptz NOT NULL,
  error       text,
  PRIMARY KEY (inbound_id, domain)
);
CREATE INDEX IF NOT EXISTS inbound_offers_failed ON ponctuel.inbound_offers (at)
  WHERE outcome = 'failed';
"""

PROVIDERS = """
-- Each event of a provider's once. `pending`: about a message that is not known (yet).
CREATE TABLE IF NOT EXISTS ponctuel.webhook_events (
  event_key    text PRIMARY KEY,
  provider     text NOT NULL,
  type         text NOT NULL,
  at           timestamptz NOT NULL,
  received_at  timestamptz NOT NULL,
  provider_id  text,
  reference    text,
  message_id   bigint,
  outcome      text NOT NULL CHECK (outcome IN ('applied','stale','pending','noted','unreadable')),
  payload      jsonb NOT NULL DEFAULT '{}'    -- what applying it later takes
);
CREATE INDEX IF NOT EXISTS webhook_events_pending ON ponctuel.webhook_events (provider_id)
  WHERE outcome = 'pending';
CREATE INDEX IF NOT EXISTS webhook_events_by_message ON ponctuel.webhook_events (message_id)
  WHERE message_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS webhook_events_preferences
  ON ponctuel.webhook_events ((payload ->> 'contact')) WHERE type = 'preference';

-- Token bucket and circuit breaker of a channel ('' : of the account; else of a business's sender).
CREATE TABLE IF NOT EXISTS ponctuel.channel_states (
  channel      text NOT NULL,
  business_id  text NOT NULL DEFAULT '',
  tokens       double precision,
  tokens_at    timestamptz,
  failures     integer NOT NULL DEFAULT 0,
  opened_at    timestamptz,
  openings     integer NOT NULL DEFAULT 0,
  trial_at     timestamptz,
  PRIMARY KEY (channel, business_id)
);

-- What a business may send, where it is less than the account's quota and the usual caps.
CREATE TABLE IF NOT EXISTS ponctuel.sending_limits (
  business_id      text NOT NULL,
  channel          text NOT NULL CHECK (channel IN ('email','whatsapp')),
  per_day          integer CHECK (per_day >= 0),
  person_per_day   integer CHECK (person_per_day >= 0),
  person_per_week  integer CHECK (person_per_week >= 0),
  set_at           timestamptz NOT NULL,
  set_by           text NOT NULL,
  PRIMARY KEY (business_id, channel)
);

-- The approved template of a kind; business '*': of those that have none of their own.
CREATE TABLE IF NOT EXISTS ponctuel.whatsapp_templates (
  business_id  text NOT NULL,
  provider     text NOT NULL CHECK (provider IN ('twilio','meta')),
  kind         text NOT NULL,
  variant      text NOT NULL DEFAULT '',      -- the tone, where a kind has several texts
  name         text NOT NULL,                 -- Content SID at Twilio
  language     text NOT NULL DEFAULT 'fr',
  set_at       timestamptz NOT NULL,
  set_by       text NOT NULL,
  PRIMARY KEY (business_id, provider, kind, variant)
);

-- Whose number it is: what is sent for a business, and what is answered to it.
CREATE TABLE IF NOT EXISTS ponctuel.whatsapp_senders (
  provider     text NOT NULL CHECK (provider IN ('twilio','meta')),
  sender       text NOT NULL,                 -- E.164 or MG… at Twilio, phone number id at Meta
  business_id  text NOT NULL,
  set_at       timestamptz NOT NULL,
  set_by       text NOT NULL,
  PRIMARY KEY (provider, sender),
  UNIQUE (provider, business_id)
);

-- Which deployment this is, and how many claims it has made: a copy of the database that lags
-- behind what SSM remembers must not send.
CREATE TABLE IF NOT EXISTS ponctuel.deployment (
  one     boolean PRIMARY KEY DEFAULT true CHECK (one),
  id      uuid NOT NULL DEFAULT gen_random_uuid(),
  claims  bigint NOT NULL DEFAULT 0
);
INSERT INTO ponctuel.deployment DEFAULT VALUES ON CONFLICT DO NOTHING;
"""


def upgrade() -> None:
    for block in (MESSAGES, PEOPLE, PROVIDERS):
        op.execute(block)


def downgrade() -> None:
    raise NotImplementedError("migrations only add: restore a backup to go back")
