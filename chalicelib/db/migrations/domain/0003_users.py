"""The people who use a business's software, how they wish to be told of things, and what is kept in
their name."""

from __future__ import annotations

from alembic import op

from chalicelib.db.migrations.views import stands_in

revision = "domain_0003"
down_revision = "domain_0002"
branch_labels = None
depends_on = None

TABLES = {
    "users": """
CREATE TABLE ponctuel.users (
  business_id            text NOT NULL,
  id                     text NOT NULL,
  name                   text NOT NULL,
  email                  text,
  phone                  text,
  role                   text NOT NULL DEFAULT 'member'
                         CHECK (role IN ('owner','admin','member','closer')),
  zone                   text,                   -- IANA name; null: the business's
  active                 boolean NOT NULL DEFAULT true,
  deletion_scheduled_at  timestamptz,            -- erased from then on; null: it stays
  stripe_customer_id     text,                   -- of the user as a customer of the software
  created_at             timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (business_id, id)
);
CREATE INDEX users_to_delete ON ponctuel.users (deletion_scheduled_at)
  WHERE deletion_scheduled_at IS NOT NULL;
""",
    "user_preferences": """
CREATE TABLE ponctuel.user_preferences (
  business_id          text NOT NULL,
  user_id              text NOT NULL,
  email                boolean NOT NULL DEFAULT true,    -- told by e-mail too
  digest               boolean NOT NULL DEFAULT false,   -- by one e-mail a day
  digest_at            time NOT NULL DEFAULT '08:00',    -- in the user's zone
  appointment_offsets  text NOT NULL DEFAULT '1440,60',  -- minutes before the start
  PRIMARY KEY (business_id, user_id)
);
""",
    "user_tokens": """
CREATE TABLE ponctuel.user_tokens (
  business_id  text NOT NULL,
  id           text NOT NULL,
  user_id      text NOT NULL,
  token_type   text NOT NULL DEFAULT 'session',  -- session, api, reset…: all go with the account
  created_at   timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (business_id, id)
);
CREATE INDEX user_tokens_by_user ON ponctuel.user_tokens (business_id, user_id);
""",
    "stored_files": """
CREATE TABLE ponctuel.stored_files (
  business_id  text NOT NULL,
  id           text NOT NULL,
  user_id      text NOT NULL,                    -- in whose name it is kept
  storage_key  text NOT NULL,
  name         text NOT NULL DEFAULT '',
  created_at   timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (business_id, id)
);
CREATE INDEX stored_files_by_user ON ponctuel.stored_files (business_id, user_id);
""",
}


def upgrade() -> None:
    for relation, definition in TABLES.items():
        if not stands_in(relation):
            op.execute(definition)


def downgrade() -> None:
    raise NotImplementedError("migrations only add: restore a backup to go back")
