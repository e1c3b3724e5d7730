"""Leads over HTTP: what their cron route answers besides the common fields, which are followed up,
why not, pauses, and the links of their closers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import date
from typing import Any

from chalicelib import logs
from chalicelib.db.engine import snapshot, transaction
from chalicelib.errors import BadRequest
from chalicelib.routes import bodies, queries
from chalicelib.routes.answers import Answer, Row, plain
from chalicelib.routes.call import Call
from chalicelib.routes.door import Route
from chalicelib.routes.start import LONGEST_REASON, reason_of

LISTED = 50
MOST_LISTED = 1000


def waiting_fields(call: Call, _run: Row) -> Mapping[str, Any]:
    """`checked`, `due` and `leads`, as `/gestion/auto-relance` has always answered: whatever waits
    for a closer now, whichever run proposed it. Names and numbers are never logged."""
    from chalicelib.domain.leads.waiting import waiting

    with snapshot(call.engine) as connection:
        checked, due, found = waiting(connection)
    leads = [
        {
            "leadId": one.lead_id,
            "businessId": one.business_id,
            "name": one.name,
            "phone": one.phone,
            "whatsappLink": one.link,
            "followupNumber": one.number,
        }
        for one in found
    ]
    return {"checked": checked, "due": due, "leads": leads}


def explain_lead(call: Call) -> Answer:
    from chalicelib.domain.leads.explain import explain

    lead = queries.required(call, "id")
    business = queries.text(call, "business")
    with snapshot(call.engine) as connection:
        found = explain(connection, lead, business_id=business, force=call.flag("force"))
    return Answer({"success": True, "leads": plain(found)})


def list_leads(call: Call) -> Answer:
    from chalicelib.domain.leads.listing import listed

    where = {
        "business_id": queries.text(call, "business"),
        "stage": queries.text(call, "stage"),
        "closer": queries.text(call, "closer"),
    }
    limit = queries.limit(call, LISTED, MOST_LISTED)
    only = {name: call.flag(name) for name in ("due", "paused")}
    with snapshot(call.engine) as connection:
        found = listed(connection, where, **only, limit=limit)
    return Answer({"success": True, "leads": plain(found)})


def pause_lead(call: Call) -> Answer:
    from chalicelib.domain.leads.pauses import pause

    body = call.json()
    bodies.only(body, ("id", "business", "until", "reason", "by"))
    with transaction(call.engine) as connection:
        found = pause(
            connection,
            bodies.required(body, "id"),
            business_id=bodies.text(body, "business"),
            until=_day(body, "until"),
            by=bodies.by(body),
            why=reason_of(body),
        )
    logs.info("lead_paused", business=found.business_id, lead=found.id)
    return Answer({"success": True, **plain(asdict(found))})


def resume_lead(call: Call) -> Answer:
    from chalicelib.domain.leads.pauses import resume

    body = call.json()
    bodies.only(body, ("id", "business", "reason", "by"))
    with transaction(call.engine) as connection:
        found = resume(
            connection,
            bodies.required(body, "id"),
            business_id=bodies.text(body, "business"),
            by=bodies.by(body),
            why=reason_of(body),
        )
    logs.info("lead_resumed", business=found.business_id, lead=found.id)
    return Answer({"success": True, **plain(asdict(found))})


def give_link(call: Call) -> Answer:
    from chalicelib.domain.leads.closer_links import give

    body = call.json()
    bodies.only(body, ("closer", "business"))
    whose = (bodies.required(body, "closer"), bodies.text(body, "business"))
    with snapshot(call.engine) as connection:
        found = give(connection, call.settings, *whose)
    logs.info("closer_link_given", business=found["business_id"], user=found["user_id"])
    return Answer({"success": True, **plain(found)})


def revoke_links(call: Call) -> Answer:
    from chalicelib.domain.leads.closer_links import take_back

    body = call.json()
    bodies.only(body, ("closer", "business", "by"))
    whose = (bodies.required(body, "closer"), bodies.text(body, "business"))
    with transaction(call.engine) as connection:
        found = take_back(connection, *whose, by=bodies.by(body))
    logs.info("closer_links_revoked", business=found["business_id"], user=found["user_id"])
    return Answer({"success": True, **plain(found)})


def _day(body: bodies.Body, name: str) -> date | None:
    given = bodies.text(body, name)
    try:
        return None if given is None else date.fromisoformat(given)
    except ValueError:
        raise BadRequest(f"{name} doit être un jour, comme 2026-03-10.") from None


_LEAD = {
    "id": {"type": "string"},
    "business": {"type": "string"},
    "reason": {"type": "string", "maxLength": LONGEST_REASON},
    "by": bodies.BY,
}
_CLOSER = {
    "closer": {"type": "string", "description": "A user's id or e-mail address."},
    "business": {"type": "string"},
}
_REFUSED = {
    400: "The body cannot be used, or does not say which business.",
    404: "There is none of that id.",
}
ROUTES = (
    Route(
        "/leads",
        ("GET",),
        list_leads,
        summary="The open leads, and where each of them is in its cadence.",
        query={
            "business": "A business's id.",
            "stage": "Those in this stage.",
            "closer": "Those of this user (id).",
            "due": "1: those only that the next run looks at.",
            "paused": "1: those only that a person has paused.",
            "limit": f"How many, 1 to {MOST_LISTED}; {LISTED} by default.",
        },
        responses={200: "The leads, the one due first on top.", 400: "A parameter is unusable."},
    ),
    Route(
        "/leads/pause",
        ("POST",),
        pause_lead,
        summary="Leaves a lead in peace, through a day or until it is resumed.",
        body=_LEAD | {"until": {"type": "string", "format": "date"}},
        responses={200: "Paused."} | _REFUSED,
    ),
    Route(
        "/leads/resume",
        ("POST",),
        resume_lead,
        summary="Ends a lead's pause.",
        body=_LEAD,
        responses={200: "Resumed."} | _REFUSED,
    ),
    Route(
        "/closers/link",
        ("POST",),
        give_link,
        summary="A fresh link to a closer's page: whoever has it can do what the page does.",
        body=_CLOSER,
        responses={200: "The link."} | _REFUSED | {503: "No PUBLIC_URL or LINK_SECRET."},
    ),
    Route(
        "/closers/revoke",
        ("POST",),
        revoke_links,
        summary="Voids every link to a closer's page that was given until now.",
        body=_CLOSER | {"by": bodies.BY},
        responses={200: "Voided."} | _REFUSED,
    ),
    Route(
        "/leads/explain",
        ("GET",),
        explain_lead,
        summary="Why a lead is not followed up now, in each business that has it.",
        query={
            "id": "The lead's id.",
            "business": "A business's id.",
            "force": "1: without the condition of date.",
        },
        responses={
            200: "The lead of each business.",
            400: "A parameter is missing or unusable.",
            404: "No business has that lead.",
        },
    ),
)
