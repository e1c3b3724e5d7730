"""Legal holds over HTTP: placed, lifted, listed."""

from __future__ import annotations

from chalicelib.db.engine import transaction
from chalicelib.errors import NotFound
from chalicelib.routes import bodies, queries
from chalicelib.routes.answers import Answer, plain
from chalicelib.routes.call import Call
from chalicelib.routes.door import Route

LISTED = 50
MOST_LISTED = 200


def list_holds(call: Call) -> Answer:
    from chalicelib.domain.accounts import holds

    where = {
        "lifted": call.flag("lifted"),
        "business_id": queries.text(call, "business"),
        "before": queries.number(call, "before"),
    }
    limit = queries.limit(call, LISTED, MOST_LISTED)
    with transaction(call.engine) as connection:
        found = holds.listed(connection, where, limit=limit)
    before = queries.following(found, limit)
    return Answer({"success": True, "holds": plain(found), "before": before})


def place_hold(call: Call) -> Answer:
    from chalicelib.domain.accounts import holds

    body = call.json()
    bodies.only(body, ("business", "user", "reason", "by"))
    with transaction(call.engine) as connection:
        found = holds.place(
            connection,
            bodies.required(body, "business"),
            bodies.text(body, "user"),
            by=bodies.by(body),
            reason=bodies.required(body, "reason"),
        )
    return Answer({"success": True, "hold": plain(found)})


def lift_hold(call: Call) -> Answer:
    from chalicelib.domain.accounts import holds

    body = call.json()
    bodies.only(body, ("reason", "by"))
    with transaction(call.engine) as connection:
        found = holds.lift(
            connection,
            number_of(call.parameters["id"]),
            by=bodies.by(body),
            reason=bodies.required(body, "reason"),
        )
    return Answer({"success": True, "hold": plain(found)})


def number_of(given: str) -> int:
    """The hold's id in the path. Raises `NotFound`."""
    if not (given.isascii() and given.isdecimal() and len(given) <= queries.DIGITS):
        raise NotFound("Aucune conservation ne porte ce numéro.")
    return int(given)


_REASON = {
    "type": "string",
    "maxLength": queries.LONGEST,
    "description": "A file's number: it outlives the account, and may hold no address.",
}
ROUTES = (
    Route(
        "/holds",
        ("GET",),
        list_holds,
        summary="Legal holds, the newest first: what may not be erased, why, and who said so.",
        query={
            "lifted": "1: those that were lifted, too.",
            "business": "A business's id.",
            "limit": f"How many, 1 to {MOST_LISTED}; {LISTED} by default.",
            "before": "The `before` of the page before.",
        },
        responses={200: "The holds.", 400: "A parameter is unusable."},
    ),
    Route(
        "/holds",
        ("POST",),
        place_hold,
        summary="Places a legal hold on an account or a business: nothing more of it is erased.",
        body={
            "business": {"type": "string"},
            "user": {"type": ["string", "null"], "description": "Null: the whole business."},
            "reason": _REASON,
            "by": bodies.BY,
        },
        responses={
            200: "The hold; `stopped`: how many erasures it stops that had begun.",
            400: "The body cannot be used.",
            404: "There is no such business or account.",
        },
    ),
    Route(
        "/holds/{id}/lift",
        ("POST",),
        lift_hold,
        summary="Lifts a legal hold, which stays in the list as history.",
        body={"reason": _REASON, "by": bodies.BY},
        responses={
            200: "The hold, lifted.",
            400: "The body cannot be used.",
            404: "There is no such hold.",
            409: "It was lifted before.",
        },
    ),
)
