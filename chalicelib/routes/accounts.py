"""Deletions of accounts over HTTP: asked for, taken back, looked at, approved."""

from __future__ import annotations

from chalicelib.db.engine import transaction
from chalicelib.routes import bodies, queries
from chalicelib.routes.answers import Answer, plain
from chalicelib.routes.call import Call
from chalicelib.routes.door import Route

LISTED = 50
MOST_LISTED = 200
MOST_APPROVED = 500


def request_deletion(call: Call) -> Answer:
    from chalicelib.domain.accounts import requesting

    body = call.json()
    bodies.only(body, ("business", "by"))
    by = bodies.one_of({"by": "user"} | body, "by", requesting.BY)
    with transaction(call.engine) as connection:
        found = requesting.request(
            connection,
            call.parameters["id"],
            bodies.text(body, "business"),
            by=by,
            days=call.settings.account_deletion_days,
        )
    return Answer({"success": True, "deletion": plain(found)})


def cancel_deletion(call: Call) -> Answer:
    from chalicelib.domain.accounts import requesting

    by = queries.one_of(call, "by", requesting.BY) or requesting.BY[0]
    business = queries.text(call, "business")
    with transaction(call.engine) as connection:
        found = requesting.cancel_of_user(connection, call.parameters["id"], business, by=by)
    return Answer({"success": True, "deletion": plain(found)})


def show_deletion(call: Call) -> Answer:
    from chalicelib.domain.accounts import reading

    business = queries.text(call, "business")
    with transaction(call.engine) as connection:
        found = reading.of_user(connection, call.parameters["id"], business)
    return Answer({"success": True, "deletion": plain(found)})


def list_deletions(call: Call) -> Answer:
    from chalicelib.domain.accounts import reading
    from chalicelib.domain.accounts.deletions import STATES

    where = {
        "state": queries.one_of(call, "state", tuple(STATES)),
        "business_id": queries.text(call, "business"),
        "before": queries.number(call, "before"),
    }
    limit = queries.limit(call, LISTED, MOST_LISTED)
    with transaction(call.engine) as connection:
        found = reading.listed(connection, where, limit=limit)
    before = queries.following(found, limit)
    return Answer({"success": True, "deletions": plain(found), "before": before})


def approve_deletions(call: Call) -> Answer:
    from chalicelib.domain.accounts import requesting

    body = call.json()
    bodies.only(body, ("ids", "by"))
    numbers = bodies.numbers(body, "ids", MOST_APPROVED)
    with transaction(call.engine) as connection:
        done = requesting.approve(connection, numbers, by=bodies.by(body))
    return Answer({"success": True, **done})


_BUSINESS = {"business": "A business's id, where several have a user of that id."}
_BODY = {
    "business": {"type": "string"},
    "by": {"enum": ["user", "operator"], "description": "Who asks; user by default."},
}
_ERRORS = {
    400: "A parameter cannot be used.",
    404: "There is no such account, or no deletion of it.",
    409: "Several businesses have a user of that id.",
}
ROUTES = (
    Route(
        "/users/{id}/deletion",
        ("POST",),
        request_deletion,
        summary="Asks for the deletion of an account; the same again changes nothing.",
        body=_BODY,
        responses={200: "Scheduled or, with `why`, blocked: the deletion."} | _ERRORS,
    ),
    Route(
        "/users/{id}/deletion",
        ("DELETE",),
        cancel_deletion,
        summary="Cancels the deletion of an account, until it is locked.",
        query=_BUSINESS | {"by": "Who asks, user or operator; user by default."},
        responses={200: "Cancelled, now or before: the deletion."}
        | _ERRORS
        | {409: "It is locked, or several businesses have a user of that id."},
    ),
    Route(
        "/users/{id}/deletion",
        ("GET",),
        show_deletion,
        summary="The latest deletion of an account: its state, its date, what is in the way.",
        query=_BUSINESS,
        responses={200: "The deletion."} | _ERRORS,
    ),
    Route(
        "/deletions",
        ("GET",),
        list_deletions,
        summary="Deletions of accounts, the newest first.",
        query={
            "state": "scheduled, blocked, cancelled, locked, erasing or erased.",
            "business": "A business's id.",
            "limit": f"How many, 1 to {MOST_LISTED}; {LISTED} by default.",
            "before": "The `before` of the page before.",
        },
        responses={200: "Deletions, without names or addresses.", 400: "A parameter is unusable."},
    ),
    Route(
        "/deletions/approve",
        ("POST",),
        approve_deletions,
        summary="Lets go deletions that wait for an operator, at the next run.",
        body={
            "ids": {"type": "array", "items": {"type": "integer"}, "maxItems": MOST_APPROVED},
            "by": bodies.BY,
        },
        responses={
            200: "`approved`, and `left`: those that wait for nobody.",
            400: "The body cannot be used.",
        },
    ),
)
