"""The engine's own tables: job state, runs, and the message ledger.

Everything lives in the schema `ponctuel`. No table here has a foreign key to a domain relation,
because a domain relation may be a view on somebody else's table; subject ids are text.
"""

from __future__ import annotations

from alembic import op

revision = "ledger_0001"
down_revision = None
branch_labels = ("ledger",)
depends_on = None

CLOCK = """
CREATE FUNCTION ponctuel.clock() RETURNS timestamptz LANGUAGE sql STABLE
AS 'SELECT pg_catalog.statement_timestamp()';
COMMENT ON FUNCTION ponctuel.clock() IS
  'The only clock. Tests and the sandbox replace it; deployed stages never do.';
"""

STATE = """
CREATE TABLE ponctuel.job_state (
  job              text NOT NULL,
  zone             text NOT NULL,
  covered_through  timestamptz NOT NULL,            -- every slot up to here has taken effect
  fence            bigint NOT NULL DEFAULT 0,       -- fencing token: grows with each lease
  lease_holder     text,
  lease_until      timestamptz,
  run_id           uuid,                            -- the unfinished run, if there is one
  retry_at         timestamptz,                     -- the unfinished run is not adopted before
  rerun_id         uuid,                            -- asked for during a run: follows it
  paused_at        timestamptz,
  paused_by        text,
  pause_reason     text,
  PRIMARY KEY (job, zone)
);
"""

RUNS = """
CREATE TABLE ponctuel.runs (
  id            uuid PRIMARY KEY,
  number        bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
  job           text NOT NULL,
  zone          text NOT NULL,
  door          text NOT NULL CHECK (door IN
                  ('schedule','http','orchestrator','cli','continuation','watchdog')),
  requested_by  text NOT NULL DEFAULT '',
  reason        text NOT NULL DEFAULT '',
  slot_from     timestamptz,                        -- first and last slot covered; null: none due
  slot_to       timestamptz,
  now_at        timestamptz,                        -- run.now: chooses the candidates
  as_of         timestamptz,                        -- only with dry_run
  dry_run       boolean NOT NULL DEFAULT false,
  force         boolean NOT NULL DEFAULT false,
  operator      boolean NOT NULL DEFAULT false,     -- goes on although the job is paused
  status        text NOT NULL CHECK (status IN
                  ('queued','running','continued','succeeded','partial','failed','skipped')),
  created_at    timestamptz NOT NULL,
  started_at    timestamptz,
  heartbeat_at  timestamptz,
  finished_at   timestamptz,
  step          text,                               -- where it is: step, position in its items,
  position      bigint NOT NULL DEFAULT 0,          --   attempt at that position
  attempt       integer NOT NULL DEFAULT 0,
  batch_limit   integer,                            -- narrowed by deaths, widened by success
  failures      integer NOT NULL DEFAULT 0,         -- attempts that ended in an error
  hops          integer NOT NULL DEFAULT 0,
  counts        jsonb NOT NULL DEFAULT '{}',
  results       jsonb NOT NULL DEFAULT '[]',
  report        jsonb,                              -- a dry run's answer
  error_code    text,
  error         text,
  CHECK (as_of IS NULL OR dry_run)
);
CREATE INDEX runs_by_job ON ponctuel.runs (job, number DESC);
CREATE INDEX runs_unfinished ON ponctuel.runs (job, zone) WHERE finished_at IS NULL;

-- The worklist of a run's current step, numbered so that businesses alternate.
CREATE TABLE ponctuel.run_items (
  run_id       uuid NOT NULL REFERENCES ponctuel.runs ON DELETE CASCADE,
  step         text NOT NULL,
  position     bigint NOT NULL,
  business_id  text NOT NULL,
  item         text NOT NULL,
  PRIMARY KEY (run_id, step, position)
);

-- One row per item that failed: ids and codes, never personal data.
CREATE TABLE ponctuel.run_errors (
  run_id       uuid NOT NULL REFERENCES ponctuel.runs ON DELETE CASCADE,
  at           timestamptz NOT NULL,
  step         text NOT NULL,
  business_id  text NOT NULL,
  item         text NOT NULL,
  code         text NOT NULL,
  error        text NOT NULL
);
CREATE INDEX run_errors_by_run ON ponctuel.run_errors (run_id);

-- Items that killed the process twice alone: left out until an operator releases them.
CREATE TABLE ponctuel.quarantine (
  job          text NOT NULL,
  step         text NOT NULL,
  business_id  text NOT NULL,
  item         text NOT NULL,
  run_id       uuid NOT NULL,
  at           timestamptz NOT NULL,
  reason       text NOT NULL,
  released_at  timestamptz,
  released_by  text,
  PRIMARY KEY (job, step, business_id, item)
);

CREATE TABLE ponctuel.refused_calls (
  id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  at      timestamptz NOT NULL,
  path    text NOT NULL,
  caller  text NOT NULL,                            -- keyed hash of the address, not the address
  code    text NOT NULL
);
CREATE INDEX refused_calls_by_caller ON ponctuel.refused_calls (caller, at);

-- HTTP calls that are waiting for a run: at most three at a time.
CREATE TABLE ponctuel.api_waits (
  id      uuid PRIMARY KEY,
  run_id  uuid NOT NULL,
  until   timestamptz NOT NULL
);

CREATE VIEW ponctuel.sync_logs AS
  SELECT r.created_at AS at, 'run' AS entry, r.job, r.zone, r.door, r.status, r.id::text AS run_id,
         r.started_at, r.finished_at, r.counts, r.error_code AS code, NULL::text AS path
    FROM ponctuel.runs r
  UNION ALL
  SELECT c.at, 'refused', NULL, NULL, 'http', 'refused', NULL, NULL, NULL, '{}'::jsonb, c.code,
         c.path
    FROM ponctuel.refused_calls c;
"""

MESSAGES = """
CREATE TABLE ponctuel.messages (
  id               bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  -- the key: never two of these, see messages_key
  business_id      text NOT NULL,
  kind             text NOT NULL,
  subject          text NOT NULL,
  cycle            text NOT NULL DEFAULT '',
  step             text NOT NULL DEFAULT '',
  key_free         boolean NOT NULL DEFAULT false,  -- cancelled by a guard, or expired
  channel          text NOT NULL CHECK (channel IN ('email','whatsapp')),
  person           text NOT NULL DEFAULT '',        -- customer or user id
  recipient        text,                            -- blanked by retention, like the content
  content          jsonb NOT NULL DEFAULT '{}',     -- template variables
  state            text NOT NULL CHECK (state IN
                     ('planned','held','claimed','submitting','accepted','refused','uncertain',
                      'delivered','failed','cancelled','expired')),
  hold_reason      text,
  planned_at       timestamptz NOT NULL,
  not_before       timestamptz NOT NULL,            -- held for the window until then; retry date
  expires_at       timestamptz NOT NULL,            -- past it: "trop tard", never sent
  run_id           uuid,                            -- the run that planned it
  claim_id         uuid,
  claimed_until    timestamptz,                     -- the claimer is surely dead after this
  claims           integer NOT NULL DEFAULT 0,      -- claims that did not reach an outcome
  attempts         integer NOT NULL DEFAULT 0,      -- calls to the provider
  submitting_at    timestamptz,
  settled_at       timestamptz,                     -- when it reached its present end state
  provider         text,
  provider_id      text,
  message_id       text,                            -- RFC 5322 Message-ID, the same on each attempt
  error_code       text,
  error            text,
  CHECK (state <> 'held' OR hold_reason IS NOT NULL)
);
CREATE UNIQUE INDEX messages_key ON ponctuel.messages (business_id, kind, subject, cycle, step)
  WHERE NOT key_free;
CREATE INDEX messages_history ON ponctuel.messages (business_id, kind, subject);
CREATE INDEX messages_due ON ponctuel.messages (business_id, not_before)
  WHERE state IN ('planned','held');
CREATE INDEX messages_in_flight ON ponctuel.messages (claimed_until)
  WHERE state IN ('claimed','submitting');
CREATE INDEX messages_by_run ON ponctuel.messages (run_id);
CREATE INDEX messages_volume ON ponctuel.messages (business_id, kind, planned_at);
CREATE INDEX messages_by_person ON ponctuel.messages (business_id, person, planned_at);
CREATE INDEX messages_open ON ponctuel.messages (state)
  WHERE state IN ('planned','held','claimed','submitting','uncertain');

-- A message that covers several subjects (one letter per customer) takes their keys here.
CREATE TABLE ponctuel.message_lines (
  message_id   bigint NOT NULL REFERENCES ponctuel.messages ON DELETE CASCADE,
  business_id  text NOT NULL,
  kind         text NOT NULL,
  subject      text NOT NULL,
  cycle        text NOT NULL DEFAULT '',
  step         text NOT NULL DEFAULT '',
  PRIMARY KEY (message_id, kind, subject, cycle, step)
);
CREATE INDEX message_lines_history ON ponctuel.message_lines (business_id, kind, subject);

-- What was really sent, frozen when the provider was about to be called.
CREATE TABLE ponctuel.message_bodies (
  message_id   bigint PRIMARY KEY REFERENCES ponctuel.messages ON DELETE CASCADE,
  subject      text NOT NULL,
  text         text NOT NULL,
  html         text,
  attachments  jsonb NOT NULL DEFAULT '[]'          -- [{name, size, sha256}]
);

CREATE TABLE ponctuel.message_events (
  id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  message_id  bigint NOT NULL REFERENCES ponctuel.messages ON DELETE CASCADE,
  at          timestamptz NOT NULL,
  event       text NOT NULL,
  actor       text NOT NULL DEFAULT '',
  reason      text NOT NULL DEFAULT ''
);
CREATE INDEX message_events_by_message ON ponctuel.message_events (message_id);

-- Nothing leaves before go-live: of the stage ('*','*'), the business (b,'*') and the kind (b,k).
CREATE TABLE ponctuel.go_lives (
  business_id  text NOT NULL,
  kind         text NOT NULL,
  at           timestamptz NOT NULL,
  by           text NOT NULL,
  reason       text NOT NULL DEFAULT '',
  PRIMARY KEY (business_id, kind)
);

-- What a message covers, whether alone or as one line of a letter.
CREATE VIEW ponctuel.coverage AS
  SELECT m.id AS message_id, m.business_id, m.kind, m.subject, m.cycle, m.step, m.state,
         m.hold_reason, m.key_free, m.planned_at, m.settled_at, m.submitting_at, m.run_id,
         m.attempts, m.error_code
    FROM ponctuel.messages m
   WHERE NOT EXISTS (SELECT 1 FROM ponctuel.message_lines l WHERE l.message_id = m.id)
  UNION ALL
  SELECT m.id, l.business_id, l.kind, l.subject, l.cycle, l.step, m.state,
         m.hold_reason, m.key_free, m.planned_at, m.settled_at, m.submitting_at, m.run_id,
         m.attempts, m.error_code
    FROM ponctuel.message_lines l JOIN ponctuel.messages m ON m.id = l.message_id;
"""


def upgrade() -> None:
    for block in (CLOCK, STATE, RUNS, MESSAGES):
        op.execute(block)


def downgrade() -> None:
    raise NotImplementedError("migrations only add: restore a backup to go back")
