"""The outbox over HTTP: what it holds, and one message. Recipients and texts are personal data:
for the holder of the secret only, and never stored by a cache."""

from __future__ import annotations

from chalicelib.db.engine import transaction
from chalicelib.errors import NotFound
from chalicelib.outbox import reading
from chalicelib.outbox.operator import HOLDS, STATES
from chalicelib.routes import queries
from chalicelib.routes.answers import Answer, plain
from chalicelib.routes.call import Call
from chalicelib.routes.door import Route

LISTED = 50
MOST_LISTED = 200


def list_messages(call: Call) -> Answer:
    limit = queries.limit(call, LISTED, MOST_LISTED)
    where = {
        "state": queries.one_of(call, "state", STATES),
        "hold": queries.one_of(call, "hold", HOLDS),
        "business_id": queries.text(call, "business"),
        "kind": queries.text(call, "kind"),
        "channel": queries.one_of(call, "channel", reading.CHANNELS),
        "person": queries.text(call, "person"),
        "contact": queries.text(call, "contact"),
        "since": queries.since(call),
    }
    before = queries.number(call, "before")
    with transaction(call.engine) as connection:
        found = reading.messages(connection, where, limit=limit, before=before)
    full = len(found["messages"]) == limit
    following = found["messages"][-1]["id"] if full else None
    return Answer({"success": True, **plain(found), "before": following})


def show_message(call: Call) -> Answer:
    from chalicelib.outbox import letter  # templates, mail: not for every cold start

    return Answer({"success": True, **plain(letter.message(call.engine, number_of(call)))})


def number_of(call: Call) -> int:
    """The message's id in the path. Raises `NotFound`."""
    given = call.parameters["id"]
    if not (given.isascii() and given.isdecimal() and len(given) <= queries.DIGITS):
        raise NotFound("Aucun message ne porte ce numéro.")
    return int(given)


ROUTES = (
    Route(
        "/messages",
        ("GET",),
        list_messages,
        summary="The messages, the newest first, with their number in each state.",
        query={
            "state": f"One of {', '.join(STATES)}.",
            "hold": f"Why it is held: {', '.join(HOLDS)}.",
            "business": "A business's id.",
            "kind": "A kind of message, billing.invoice_followup for one.",
            "channel": "email or whatsapp.",
            "person": "A customer's or user's id, exactly.",
            "contact": "Whom it went to, exactly: an address, a number in E.164.",
            "since": "Planned since: a day in Paris, or an instant with its zone.",
            "limit": f"How many, 1 to {MOST_LISTED}; {LISTED} by default.",
            "before": "The next page: `before` of the answer before it.",
        },
        responses={200: "The messages.", 400: "A parameter cannot be used."},
    ),
    Route(
        "/messages/{id}",
        ("GET",),
        show_message,
        summary="One message: was it sent, the text that was or would be, its whole history.",
        responses={200: "The message.", 404: "There is no such message."},
    ),
)
