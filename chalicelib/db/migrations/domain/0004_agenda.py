"""Tasks, appointments, and what users are told in the application."""

from __future__ import annotations

from alembic import op

from chalicelib.db.migrations.views import stands_in

revision = "domain_0004"
down_revision = "domain_0003"
branch_labels = None
depends_on = None

TABLES = {
    "tasks": """
CREATE TABLE ponctuel.tasks (
  business_id      text NOT NULL,
  id               text NOT NULL,
  title            text NOT NULL,
  user_id          text,                         -- who has to do it; null: the business's owners
  customer_id      text,
  due_on           date,                         -- until the end of that day, in the user's zone
  due_at           timestamptz,                  -- until then; wins over due_on
  status           text NOT NULL DEFAULT 'open' CHECK (status IN ('open','done','cancelled')),
  critical         boolean NOT NULL DEFAULT false,
  snoozed_until    timestamptz,
  overdue_told_at  timestamptz,                  -- the application has told of it by itself
  created_at       timestamptz NOT NULL DEFAULT now(),
  updated_at       timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (business_id, id)
);
-- None begins with the business: where nothing is known of the table's contents yet, it would be
-- taken for as good as the key.
CREATE INDEX tasks_due_at ON ponctuel.tasks (due_at) WHERE status = 'open';
CREATE INDEX tasks_due_on ON ponctuel.tasks (due_on) WHERE status = 'open' AND due_at IS NULL;
""",
    "appointments": """
CREATE TABLE ponctuel.appointments (
  business_id  text NOT NULL,
  id           text NOT NULL,
  title        text NOT NULL,
  user_id      text NOT NULL,
  customer_id  text,
  location     text,
  starts_at    timestamptz,
  ends_at      timestamptz,
  status       text NOT NULL DEFAULT 'scheduled'
               CHECK (status IN ('scheduled','cancelled','done')),
  offsets      text,                             -- minutes before; null: as its user prefers
  created_at   timestamptz NOT NULL DEFAULT now(),
  updated_at   timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (business_id, id)
);
CREATE INDEX appointments_to_come ON ponctuel.appointments (starts_at) WHERE status = 'scheduled';
""",
    "notifications": """
CREATE TABLE ponctuel.notifications (
  business_id   text NOT NULL,
  id            text NOT NULL,
  user_id       text NOT NULL,
  kind          text NOT NULL,                   -- agenda.invoice_overdue, agenda.task_overdue…
  subject       text NOT NULL,                   -- id of what it is about
  cycle         text NOT NULL DEFAULT '',        -- which time: a moved appointment is told of again
  title         text NOT NULL,
  body          text NOT NULL DEFAULT '',
  link          text,
  created_at    timestamptz NOT NULL,
  read_at       timestamptz,                     -- the application's
  resolved_at   timestamptz,                     -- what it was about is done, paid or cancelled
  PRIMARY KEY (business_id, id)
);
CREATE INDEX notifications_by_user ON ponctuel.notifications (business_id, user_id, created_at);
CREATE INDEX notifications_unresolved ON ponctuel.notifications (business_id, kind, subject)
  WHERE resolved_at IS NULL;
""",
}


def upgrade() -> None:
    for relation, definition in TABLES.items():
        if not stands_in(relation):
            op.execute(definition)


def downgrade() -> None:
    raise NotImplementedError("migrations only add: restore a backup to go back")
