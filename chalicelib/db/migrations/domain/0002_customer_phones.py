"""Telephone numbers of customers, in a relation of their own: who shows customers as a view goes on
as before, and adds a second view to use WhatsApp."""

from __future__ import annotations

from alembic import op

from chalicelib.db.migrations.views import stands_in

revision = "domain_0002"
down_revision = "domain_0001"
branch_labels = None
depends_on = None

TABLES = {
    "customer_phones": """
CREATE TABLE ponctuel.customer_phones (
  business_id       text NOT NULL,
  customer_id       text NOT NULL,
  phone             text,              -- as it was typed; 06 12 34 56 78 as well as +33612345678
  whatsapp_user_id  text,              -- Meta's, of a customer who hides the number
  PRIMARY KEY (business_id, customer_id)
);
""",
}


def upgrade() -> None:
    for relation, definition in TABLES.items():
        if not stands_in(relation):
            op.execute(definition)


def downgrade() -> None:
    raise NotImplementedError("migrations only add: restore a backup to go back")
