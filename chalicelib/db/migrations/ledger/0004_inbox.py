"""Mailboxes, how far each of their folders has been read, and the e-mails that were in them."""

from __future__ import annotations

from alembic import op

revision = "ledger_0004"
down_revision = "ledger_0003"
branch_labels = None
depends_on = None

MAILBOXES = """
CREATE TABLE IF NOT EXISTS ponctuel.mailboxes (
  id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  business_id    text NOT NULL,
  address        text NOT NULL,               -- as people write to it, in lower case
  owner_email    text,                        -- whom to tell of trouble; null: address
  host           text NOT NULL,
  port           integer NOT NULL,
  security       text NOT NULL CHECK (security IN ('tls','starttls','none')),
  auth           text NOT NULL CHECK (auth IN ('password','xoauth2')),
  token_issuer   text CHECK (token_issuer IN ('google','microsoft')),   -- of xoauth2
  username       text NOT NULL,
  credentials    text NOT NULL,               -- a Fernet token, of JSON
  renewing_until timestamptz,                 -- until then one process renews its access token
  folders        text[] NOT NULL DEFAULT '{}',  -- patterns with * and ?; empty: all but trash, junk
  since          date,                        -- what the server received before is left alone
  pause_replies  boolean NOT NULL DEFAULT true,  -- who answers is not chased for a while
  created_at     timestamptz NOT NULL,
  state          text NOT NULL DEFAULT 'active'
                 CHECK (state IN ('active','paused','reauthorise','disabled')),
  next_sync_at   timestamptz NOT NULL,
  synced_at      timestamptz,                 -- the last sync that came to the end
  failures       integer NOT NULL DEFAULT 0,  -- syncs in a row that failed
  failing_since  timestamptz,
  refusals       integer NOT NULL DEFAULT 0,  -- explicit refusals of the credentials, in a row
  refused_since  timestamptz,
  error_code     text,
  error          text,                        -- French, without personal data
  told_code      text,                        -- the trouble that the owner was told of
  -- One process at a time: whoever holds the fence may write.
  fence          bigint NOT NULL DEFAULT 0,
  held_until     timestamptz,
  deaths         integer NOT NULL DEFAULT 0,  -- processes that died while they had it, in a row
  UNIQUE (business_id, address, host)
);
CREATE INDEX IF NOT EXISTS mailboxes_due ON ponctuel.mailboxes (next_sync_at)
  WHERE state = 'active';

CREATE TABLE IF NOT EXISTS ponctuel.mailbox_folders (
  id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  mailbox_id     bigint NOT NULL REFERENCES ponctuel.mailboxes ON DELETE CASCADE,
  path           text NOT NULL,               -- decoded from modified UTF-7
  special        text,                        -- inbox, sent, drafts, junk, trash, archive, all
  state          text NOT NULL DEFAULT 'active' CHECK (state IN ('active','gone','parked')),
  -- Null: never read. Negative: the server gives none, and this is how often its UIDs have changed.
  uidvalidity    bigint,
  last_uid       bigint NOT NULL DEFAULT 0,   -- everything up to here is in email_places
  -- What the server said when all that it had was known here; null: not all of it is. While it
  -- says the same there is nothing to do.
  seen_exists    bigint,
  seen_uidnext   bigint,
  highestmodseq  numeric(20),                 -- changes up to here are known
  checked_at     timestamptz,                 -- all places were compared with the server's
  resets         integer NOT NULL DEFAULT 0,  -- changes of UIDVALIDITY in a row
  reset_at       timestamptz,
  failures       integer NOT NULL DEFAULT 0,  -- times in a row that it could not be opened
  parked_until   timestamptz,
  error_code     text,
  error          text,                        -- French
  UNIQUE (mailbox_id, path)
);
"""

EMAILS = """
-- What was read, once per mailbox however many folders show it. Its raw bytes are in the store.
CREATE TABLE IF NOT EXISTS ponctuel.emails (
  id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  business_id    text NOT NULL,
  mailbox_id     bigint NOT NULL REFERENCES ponctuel.mailboxes ON DELETE CASCADE,
  message_id     text NOT NULL,               -- without brackets; made from the content if none
  has_message_id boolean NOT NULL,
  sha256         bytea NOT NULL,              -- of the raw bytes
  header_sha256  bytea NOT NULL,              -- of the header, without the empty line
  size           bigint NOT NULL,             -- bytes, of the whole message
  listed_size    bigint,                      -- what the server says it is: not always the same
  raw_key        text,                        -- in the store; null: the store had no place yet
  -- pending: to be parsed. parsed; partial: with faults. unreadable: tried three times, raw kept.
  -- stub: over the limit, header only, raw in the store.
  state          text NOT NULL DEFAULT 'pending'
                 CHECK (state IN ('pending','parsed','partial','unreadable','stub')),
  attempts       integer NOT NULL DEFAULT 0,  -- of parsing
  faults         text[] NOT NULL DEFAULT '{}',
  direction      text NOT NULL DEFAULT 'in' CHECK (direction IN ('in','out')),
  nature         text NOT NULL DEFAULT 'mail'
                 CHECK (nature IN ('mail','bounce','auto_reply','list','calendar')),
  internal_date  timestamptz,                 -- when the server received it
  sent_at        timestamptz,                 -- its Date, if that can be true; else internal_date
  subject        text NOT NULL DEFAULT '',
  from_email     text NOT NULL DEFAULT '',    -- in lower case
  from_name      text NOT NULL DEFAULT '',
  recipients     jsonb NOT NULL DEFAULT '[]', -- [{"role": "to", "email": …, "name": …}]
  in_reply_to    text,
  refs           text[] NOT NULL DEFAULT '{}',  -- of References, the root first, without brackets
  bounce         jsonb,                       -- of a delivery report: {"recipients": [{"email",
                                              -- "status", "permanent", "gave_up"}], "message_ids"}
  correspondent  text NOT NULL DEFAULT '',    -- who is at the other end: the sender or addressee
  subject_key    text NOT NULL DEFAULT '',    -- the subject without Re: and the like, lower case
  parent_id      bigint,                      -- the e-mail of this mailbox that it answers
  thread_id      bigint,                      -- the id of the first e-mail of its thread
  text           text NOT NULL DEFAULT '',    -- NUL-free
  html           text NOT NULL DEFAULT '',    -- sanitised
  snippet        text NOT NULL DEFAULT '',    -- what was newly written, without quotations
  customer_id    text,
  candidates     text[] NOT NULL DEFAULT '{}',  -- the customers who share the address, if several
  lead_id        text,
  answers        bigint,                      -- the message of ours that it answers or bounces
  inbound_id     bigint,                      -- as what it was offered to the domains
  settled_at     timestamptz,                 -- threaded, matched, told; null: to be done
  created_at     timestamptz NOT NULL,
  UNIQUE (mailbox_id, message_id, sha256)
);
CREATE INDEX IF NOT EXISTS emails_unfinished ON ponctuel.emails (mailbox_id, id)
  WHERE state = 'pending' OR settled_at IS NULL;
CREATE INDEX IF NOT EXISTS emails_by_size ON ponctuel.emails (mailbox_id, listed_size);
CREATE INDEX IF NOT EXISTS emails_by_thread ON ponctuel.emails (thread_id);
CREATE INDEX IF NOT EXISTS emails_by_refs ON ponctuel.emails USING gin (refs);
CREATE INDEX IF NOT EXISTS emails_by_in_reply_to ON ponctuel.emails (mailbox_id, in_reply_to)
  WHERE in_reply_to IS NOT NULL;
CREATE INDEX IF NOT EXISTS emails_by_subject
  ON ponctuel.emails (mailbox_id, correspondent, subject_key) WHERE subject_key <> '';
CREATE INDEX IF NOT EXISTS emails_by_inbound ON ponctuel.emails (inbound_id)
  WHERE inbound_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS emails_by_sender ON ponctuel.emails (business_id, from_email, id);

-- Where a mailbox shows an e-mail. One UID of a folder is one message for ever (RFC 9051, 2.3.1.1).
CREATE TABLE IF NOT EXISTS ponctuel.email_places (
  folder_id      bigint NOT NULL REFERENCES ponctuel.mailbox_folders ON DELETE CASCADE,
  uidvalidity    bigint NOT NULL,
  uid            bigint NOT NULL,
  email_id       bigint NOT NULL REFERENCES ponctuel.emails ON DELETE CASCADE,
  flags          text[] NOT NULL DEFAULT '{}',
  gone_at        timestamptz,                 -- the server has it here no more
  PRIMARY KEY (folder_id, uidvalidity, uid)
);
CREATE INDEX IF NOT EXISTS email_places_by_email ON ponctuel.email_places (email_id);

-- UIDs that could not be read: each is tried again, ever less often, and holds up no other.
CREATE TABLE IF NOT EXISTS ponctuel.email_troubles (
  folder_id      bigint NOT NULL REFERENCES ponctuel.mailbox_folders ON DELETE CASCADE,
  uidvalidity    bigint NOT NULL,
  uid            bigint NOT NULL,
  attempts       integer NOT NULL DEFAULT 1,
  next_at        timestamptz,                 -- null: given up
  error_code     text NOT NULL,
  at             timestamptz NOT NULL,
  PRIMARY KEY (folder_id, uidvalidity, uid)
);

CREATE TABLE IF NOT EXISTS ponctuel.email_attachments (
  email_id       bigint NOT NULL REFERENCES ponctuel.emails ON DELETE CASCADE,
  position       integer NOT NULL,            -- from 1
  name           text NOT NULL,               -- safe as a file name
  declared_type  text NOT NULL,
  type           text NOT NULL,               -- by its first bytes
  size           bigint NOT NULL,
  inline         boolean NOT NULL,
  content_id     text,
  sha256         bytea NOT NULL,
  stored_key     text,                        -- null: too large, it is in the raw copy only
  PRIMARY KEY (email_id, position)
);
"""

INBOUND = """
-- Whether who wrote is to be left in peace for a while: the mailbox's pause_replies.
ALTER TABLE ponctuel.inbound_messages
  ADD COLUMN IF NOT EXISTS pauses boolean NOT NULL DEFAULT true;
"""


def upgrade() -> None:
    for block in (MAILBOXES, EMAILS, INBOUND):
        op.execute(block)


def downgrade() -> None:
    raise NotImplementedError("migrations only add: restore a backup to go back")
