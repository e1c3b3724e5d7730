"""Leads, their closers and their follow-ups, for the tests. Each is one INSERT, with defaults that
a test overrides where it cares."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import text

from tests import factories
from tests.harness import NOW, Deployment

KINDS = ("leads.followup", "leads.closer_digest", "leads.replied")
STAGE_SINCE = NOW - timedelta(days=2)  # so that the first follow-up is due, and no further one
CYCLE = f"nouveau@{STAGE_SINCE:%Y-%m-%dT%H:%M:%S.%f}"


def open_business(deployment: Deployment, id: str = "B1", **settings: Any) -> None:
    """A live business that follows its leads up (assisted, unless told otherwise), its owner U0 and
    its closer U1."""
    with deployment.database.begin() as connection:
        factories.business(connection, id)
    insert(deployment, "lead_settings", {"business_id": id, "followups_enabled": True} | settings)
    user(deployment, "U0", business_id=id, name="Odile Perrin", role="owner")
    user(deployment, "U1", business_id=id)
    for business, kind in [("*", "*"), (id, "*"), *((id, kind) for kind in KINDS)]:
        deployment.execute(
            "INSERT INTO ponctuel.go_lives (business_id, kind, at, by) "
            "VALUES (:business, :kind, ponctuel.clock(), 'test') ON CONFLICT DO NOTHING",
            business=business,
            kind=kind,
        )


def user(deployment: Deployment, id: str = "U1", **overrides: Any) -> None:
    """A closer of B1."""
    business = overrides.get("business_id", "B1")
    defaults = {
        "business_id": business,
        "id": id,
        "name": "Sophie Laurent",
        "email": f"{id}@{business}.example".lower(),
        "role": "closer",
    }
    insert(deployment, "users", defaults | overrides)


def lead(deployment: Deployment, id: str = "L1", **overrides: Any) -> None:
    """A lead of U1's, new since two days, whose mobile is one that Arcep keeps for fiction."""
    defaults = {
        "business_id": "B1",
        "id": id,
        "name": "Claire Rivière",
        "phone": "06 39 98 00 01",
        "closer_id": "U1",
        "stage_since": STAGE_SINCE,
        "created_at": STAGE_SINCE,
    }
    insert(deployment, "leads", defaults | overrides)


def proposal(deployment: Deployment, lead_id: str = "L1", **overrides: Any) -> int:
    """Proposed to U1, for three days. Returns its id."""
    defaults = {
        "business_id": "B1",
        "lead_id": lead_id,
        "cycle": CYCLE,
        "number": 1,
        "mode": "assisted",
        "state": "proposed",
        "closer_id": "U1",
        "phone": "+33639980001",
        "content": "Bonjour Claire, avez-vous pu réfléchir ?",
        "due_at": NOW - timedelta(days=1),
        "proposed_at": NOW,
        "expires_at": NOW + timedelta(days=3),
    }
    values = defaults | overrides
    with deployment.database.begin() as connection:
        names = ", ".join(values)
        slots = ", ".join(f":{name}" for name in values)
        statement = f"INSERT INTO ponctuel.lead_followups ({names}) VALUES ({slots}) RETURNING id"
        found: int = connection.execute(text(statement), values).scalar_one()
    return found


def insert(deployment: Deployment, relation: str, values: dict[str, Any]) -> None:
    names, slots = ", ".join(values), ", ".join(f":{name}" for name in values)
    deployment.execute(f"INSERT INTO ponctuel.{relation} ({names}) VALUES ({slots})", **values)


def notification(deployment: Deployment, **overrides: Any) -> None:
    """U1 was told in the application that leads are due."""
    defaults = {
        "business_id": "B1",
        "id": "N1",
        "user_id": "U1",
        "kind": "leads.due",
        "subject": "U1",
        "title": "Un lead à relancer",
        "created_at": NOW,
    }
    insert(deployment, "notifications", defaults | overrides)


def cadence(deployment: Deployment, stage: str, *steps: tuple[int, str], **keys: Any) -> None:
    """The cadence of a stage of B1: (hours, variant) of each follow-up."""
    for number, (hours, variant) in enumerate(steps, 1):
        values = {
            "business_id": "B1",
            "stage": stage,
            "number": number,
            "delay_hours": hours,
            "variant": variant,
        }
        insert(deployment, "lead_cadences", values | keys)


def templates(deployment: Deployment) -> None:
    """An approved template for each of the texts, at Twilio."""
    deployment.execute(
        "INSERT INTO ponctuel.whatsapp_templates "
        "(business_id, provider, kind, variant, name, set_at, set_by) "
        "SELECT '*', 'twilio', 'leads.followup', variant, 'HX' || repeat('0', 32), now(), 'test' "
        "FROM unnest(ARRAY['relance','rappel','derniere']) AS variant ON CONFLICT DO NOTHING"
    )


def suppress(deployment: Deployment, contact: str, **overrides: Any) -> None:
    """The contact has answered STOP to B1."""
    defaults = {
        "business_id": "B1",
        "channel": "whatsapp",
        "contact": contact,
        "person": "",
        "category": "*",
        "reason": "stop",
        "at": NOW,
        "source": "test",
    }
    insert(deployment, "suppressions", defaults | overrides)
