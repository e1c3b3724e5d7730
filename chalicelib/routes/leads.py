"""Leads over HTTP: what their cron route answers besides the common fields, and why a lead is not
followed up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chalicelib.db.engine import snapshot
from chalicelib.routes import queries
from chalicelib.routes.answers import Answer, Row, plain
from chalicelib.routes.call import Call
from chalicelib.routes.door import Route


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


ROUTES = (
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
