"""The items that are set aside, over HTTP."""

from __future__ import annotations

from chalicelib.db.engine import transaction
from chalicelib.routes import queries
from chalicelib.routes.answers import Answer, plain
from chalicelib.routes.call import Call
from chalicelib.routes.door import Route
from chalicelib.runner import quarantine

LISTED = 100
MOST_LISTED = 200


def list_quarantine(call: Call) -> Answer:
    limit = queries.limit(call, LISTED, MOST_LISTED)
    with transaction(call.engine) as connection:
        found = quarantine.waiting(connection, limit)
    return Answer({"success": True, "items": plain(found)})


ROUTES = (
    Route(
        "/quarantine",
        ("GET",),
        list_quarantine,
        summary="Items that killed the process at each attempt, until somebody releases them.",
        query={"limit": f"How many, 1 to {MOST_LISTED}; {LISTED} by default."},
        responses={200: "The items.", 400: "A parameter cannot be used."},
    ),
)
