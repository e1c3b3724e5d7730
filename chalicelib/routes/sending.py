"""What was written to the businesses, what each may send, how the channels are doing: over HTTP."""

from __future__ import annotations

from chalicelib import logs
from chalicelib.db.engine import transaction
from chalicelib.outbox import channel_reading, inbound_reading, reading, sending_limits
from chalicelib.routes import bodies, queries
from chalicelib.routes.answers import Answer, plain
from chalicelib.routes.call import Call
from chalicelib.routes.door import Route

LISTED = 50
MOST_LISTED = 200


def list_inbound(call: Call) -> Answer:
    limit = queries.limit(call, LISTED, MOST_LISTED)
    where = {"business_id": queries.text(call, "business"), "since": queries.since(call)}
    before = queries.number(call, "before")
    with transaction(call.engine) as connection:
        found = inbound_reading.inbound(connection, where, limit=limit, before=before)
    following = queries.following(found, limit)
    return Answer({"success": True, "inbound": plain(found), "before": following})


def list_limits(call: Call) -> Answer:
    business = queries.text(call, "business")
    with transaction(call.engine) as connection:
        found = sending_limits.limits(connection, business)
    return Answer({"success": True, "limits": plain(found)})


def set_limits(call: Call) -> Answer:
    from chalicelib.domain import businesses

    body = call.json()
    names = sending_limits.NAMES
    bodies.only(body, ("business", "channel", *names, "by"))
    business = bodies.required(body, "business")
    channel = bodies.one_of(body, "channel", reading.CHANNELS)
    changed = {
        name: bodies.limit(body, name, sending_limits.MOST) for name in names if name in body
    }
    with transaction(call.engine) as connection:
        businesses.require(connection, business)
        found = sending_limits.set_limits(
            connection, business, channel, changed, by=bodies.by(body)
        )
    logs.info("sending_limits_set", business=business, channel=channel)
    return Answer({"success": True, "limits": plain([found])})


def list_channels(call: Call) -> Answer:
    with transaction(call.engine) as connection:
        found = channel_reading.channels(connection, call.settings)
    return Answer({"success": True, "channels": plain(found)})


_LIMIT = {"type": ["integer", "null"], "minimum": 0, "maximum": sending_limits.MOST}

ROUTES = (
    Route(
        "/inbound",
        ("GET",),
        list_inbound,
        summary="What people wrote to the businesses, the newest first, and what became of it.",
        query={
            "business": "A business's id.",
            "since": "A day in Paris, or an instant with its zone.",
            "limit": f"How many, 1 to {MOST_LISTED}; {LISTED} by default.",
            "before": "The next page: `before` of the answer before it.",
        },
        responses={200: "The messages.", 400: "A parameter cannot be used."},
    ),
    Route(
        "/channels",
        ("GET",),
        list_channels,
        summary="Each channel: circuit, rate, how much of its quota is used in 24 hours.",
        responses={200: "The channels."},
    ),
    Route(
        "/limits",
        ("GET",),
        list_limits,
        summary="What businesses may send, where it is not as usual.",
        query={"business": "A business's id."},
        responses={200: "The limits.", 400: "A parameter cannot be used."},
    ),
    Route(
        "/limits",
        ("POST",),
        set_limits,
        summary="Sets a business's limits on a channel; null: the usual one again.",
        body={
            "business": {"type": "string"},
            "channel": {"enum": list(reading.CHANNELS)},
            **dict.fromkeys(sending_limits.NAMES, _LIMIT),
            "by": bodies.BY,
        },
        responses={
            200: "The business's limits now.",
            400: "The body cannot be used.",
            404: "There is no such business.",
        },
    ),
)
