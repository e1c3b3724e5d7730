"""Relances over HTTP: why a document is not chased, and what waits for a decision."""

from __future__ import annotations

from dataclasses import asdict

from chalicelib import logs
from chalicelib.db.engine import snapshot, transaction
from chalicelib.routes import bodies, queries
from chalicelib.routes.answers import Answer, plain
from chalicelib.routes.call import Call
from chalicelib.routes.door import Route
from chalicelib.routes.start import LONGEST_REASON, reason_of

LISTED = 100
MOST_LISTED = 200
DOCUMENTS = ("invoice", "quote")
DECISIONS = ("retry", "skip", "stop")


def explain_document(call: Call) -> Answer:
    from chalicelib.domain.billing.explain import explain

    queries.required(call, "document")
    document = queries.one_of(call, "document", DOCUMENTS)
    assert document is not None
    number = queries.required(call, "number")
    business = queries.text(call, "business")
    with snapshot(call.engine) as connection:
        found = explain(
            connection, document, number, business_id=business, force=call.flag("force")
        )
    return Answer({"success": True, "documents": plain(found)})


def list_pending(call: Call) -> Answer:
    from chalicelib.domain.billing.decisions import pending

    limit = queries.limit(call, LISTED, MOST_LISTED)
    business = queries.text(call, "business")
    with transaction(call.engine) as connection:
        found = pending(connection, business, limit=limit)
    return Answer({"success": True, **plain(found)})


def decide_level(call: Call) -> Answer:
    from chalicelib.domain.billing.decisions import decide

    body = call.json()
    bodies.only(body, ("decision", "document", "number", "business", "reason", "by"))
    decision = bodies.one_of(body, "decision", DECISIONS)
    with transaction(call.engine) as connection:
        decided = decide(
            connection,
            decision,  # type: ignore[arg-type]  # one of the three, as just asked
            bodies.one_of(body, "document", DOCUMENTS),
            bodies.required(body, "number"),
            business_id=bodies.text(body, "business"),
            by=bodies.by(body),
            reason=reason_of(body),
        )
    logs.info("followup_decided", decision=decision, business=decided.business_id)
    return Answer({"success": True, **plain(asdict(decided))})


ROUTES = (
    Route(
        "/followups/explain",
        ("GET",),
        explain_document,
        summary="Why an invoice or a quote is not chased now, in each business that has it.",
        query={
            "document": "invoice or quote.",
            "number": "Its number. In the query, because numbers have slashes.",
            "business": "A business's id.",
            "force": "1: without the condition of date.",
        },
        responses={
            200: "The document of each business.",
            400: "A parameter is missing or unusable.",
            404: "No business has that number.",
        },
    ),
    Route(
        "/followups/pending",
        ("GET",),
        list_pending,
        summary="Levels that did not go out and wait for a decision; relances that do not leave.",
        query={
            "business": "A business's id.",
            "limit": f"How many of each, 1 to {MOST_LISTED}; {LISTED} by default.",
        },
        responses={200: "What is pending.", 400: "A parameter cannot be used."},
    ),
    Route(
        "/followups/decisions",
        ("POST",),
        decide_level,
        summary="What becomes of a level that did not go out: planned again, skipped, or stopped.",
        body={
            "decision": {"enum": list(DECISIONS)},
            "document": {"enum": list(DOCUMENTS)},
            "number": {"type": "string"},
            "business": {"type": "string"},
            "reason": {"type": "string", "maxLength": LONGEST_REASON},
            "by": bodies.BY,
        },
        responses={
            200: "Recorded, for this level.",
            400: "The body cannot be used, has no reason, or there is nothing to decide.",
            404: "No business has that number.",
        },
    ),
)
