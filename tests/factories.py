"""One row each, with defaults that a test overrides where it cares. Each is one INSERT.

With all defaults, on `today` invoice F1 of customer C1 is due for level 1 and no further, and so
is quote D1. What a factory inserted is returned as a dict of column → value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal

from sqlalchemy import Connection, text

Row = dict[str, object]
Step = tuple[str, int, str]  # anchor, delay in days, tone

INVOICE_STEPS: Sequence[Step] = (
    ("due", 5, "rappel"),
    ("due", 15, "ferme"),
    ("due", 30, "mise_en_demeure"),
)
QUOTE_STEPS: Sequence[Step] = (("issue", 7, "rappel"), ("due", -3, "ferme"))


def business(connection: Connection, id: str = "B1", **overrides: object) -> Row:
    """A business in the Europe/Paris zone that can send."""
    defaults = {
        "id": id,
        "name": "Menuiserie Perrin",
        "zone": "Europe/Paris",
        "sender_name": "Menuiserie Perrin",
        "sender_email": "factures@menuiserie-perrin.example",
        "reply_to": "contact@menuiserie-perrin.example",
        "phone": "+33478000000",
        "address": "12 rue des Charpennes, 69100 Villeurbanne",
    }
    return _insert(connection, "businesses", defaults, overrides)


def settings(connection: Connection, business_id: str = "B1", **overrides: object) -> Row:
    """Billing settings with relances switched on, the rest as the schema has it."""
    defaults = {"business_id": business_id, "followups_enabled": True}
    return _insert(connection, "billing_settings", defaults, overrides)


def levels(
    connection: Connection,
    business_id: str = "B1",
    document: str = "invoice",
    policy: str = "standard",
    steps: Sequence[Step] | None = None,
    **overrides: object,
) -> list[Row]:
    """Levels 1, 2, 3… from `steps` (anchor, delay in days, tone); `overrides` hold for all."""
    if steps is None:
        steps = INVOICE_STEPS if document == "invoice" else QUOTE_STEPS
    rows: list[Row] = [
        {
            "business_id": business_id,
            "policy": policy,
            "document": document,
            "level": level,
            "anchor": anchor,
            "delay_days": delay,
            "tone": tone,
        }
        | overrides
        for level, (anchor, delay, tone) in enumerate(steps, start=1)
    ]
    return _insert_all(connection, "followup_levels", rows)


def customer(
    connection: Connection, id: str = "C1", business_id: str = "B1", **overrides: object
) -> Row:
    """A professional with one e-mail address, who may be chased."""
    defaults = {
        "business_id": business_id,
        "id": id,
        "name": "Boulangerie Martin",
        "customer_type": "professional",
        "emails": "compta@boulangerie-martin.example",
    }
    return _insert(connection, "customers", defaults, overrides)


def phone(
    connection: Connection, customer_id: str = "C1", business_id: str = "B1", **overrides: object
) -> Row:
    """A customer's number, one of those that Arcep keeps for fiction."""
    defaults = {"business_id": business_id, "customer_id": customer_id, "phone": "06 39 98 00 01"}
    return _insert(connection, "customer_phones", defaults, overrides)


def user(
    connection: Connection, id: str = "U1", business_id: str = "B1", **overrides: object
) -> Row:
    """An active member with an address of their own."""
    defaults = {
        "business_id": business_id,
        "id": id,
        "name": f"Camille {id}",
        "email": f"{id.lower()}@{business_id.lower()}.example",
    }
    return _insert(connection, "users", defaults, overrides)


def invoice(
    connection: Connection,
    today: date,
    id: str = "F1",
    business_id: str = "B1",
    customer_id: str = "C1",
    **overrides: object,
) -> Row:
    """An unpaid invoice, due six days before `today`. Number and balance: its id and its total."""
    defaults = {
        "business_id": business_id,
        "id": id,
        "number": id,
        "customer_id": customer_id,
        "status": "sent",
        "issued_on": today - timedelta(days=36),
        "due_on": today - timedelta(days=6),
        "total": Decimal("1234.56"),
        "balance": overrides.get("total", Decimal("1234.56")),
    }
    return _insert(connection, "invoices", defaults, overrides)


def quote(
    connection: Connection,
    today: date,
    id: str = "D1",
    business_id: str = "B1",
    customer_id: str = "C1",
    **overrides: object,
) -> Row:
    """A quote without an answer, sent eight days before `today`, valid for 22 more."""
    defaults = {
        "business_id": business_id,
        "id": id,
        "number": id,
        "customer_id": customer_id,
        "status": "sent",
        "issued_on": today - timedelta(days=8),
        "valid_until": today + timedelta(days=22),
        "total": Decimal("2850.00"),
    }
    return _insert(connection, "quotes", defaults, overrides)


def row(connection: Connection, relation: str, values: Mapping[str, object]) -> Row:
    """A row of any relation, the rest as the schema has it."""
    return _insert(connection, relation, values, {})


def _insert(
    connection: Connection,
    relation: str,
    defaults: Mapping[str, object],
    overrides: Mapping[str, object],
) -> Row:
    return _insert_all(connection, relation, [{**defaults, **overrides}])[0]


def _insert_all(connection: Connection, relation: str, rows: list[Row]) -> list[Row]:
    columns = list(rows[0])
    values = ", ".join(
        "(" + ", ".join(f":{column}_{number}" for column in columns) + ")"
        for number in range(len(rows))
    )
    parameters = {
        f"{column}_{number}": value
        for number, row in enumerate(rows)
        for column, value in row.items()
    }
    statement = f"INSERT INTO ponctuel.{relation} ({', '.join(columns)}) VALUES {values}"
    connection.execute(text(statement), parameters)
    return rows
