"""Who must not be written to, and who agreed to marketing, over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from sqlalchemy import Connection

from chalicelib import logs
from chalicelib.db.engine import transaction
from chalicelib.outbox import consents, contact_lists, suppressions
from chalicelib.outbox.contacts import CHANNELS
from chalicelib.outbox.suppressions import EVERYBODY, EVERYTHING
from chalicelib.routes import bodies, queries
from chalicelib.routes.answers import Answer, plain
from chalicelib.routes.call import Call
from chalicelib.routes.door import Route
from chalicelib.routes.start import LONGEST_REASON, reason_of

if TYPE_CHECKING:
    from chalicelib.outbox.contacts import Channel
    from chalicelib.routes.bodies import Body

LISTED = 50
MOST_LISTED = 200
MOST_IDS = 500


def list_suppressions(call: Call) -> Answer:
    limit, where = queries.limit(call, LISTED, MOST_LISTED), _where(call)
    where |= {"person": queries.text(call, "person")}
    with transaction(call.engine) as connection:
        found = suppressions.listed(
            connection,
            where,
            lifted=call.flag("lifted"),
            limit=limit,
            before=queries.number(call, "before"),
        )
    before = queries.following(found, limit)
    return Answer({"success": True, "suppressions": plain(found), "before": before})


def suppress(call: Call) -> Answer:
    body = call.json()
    bodies.only(body, ("business", "channel", "contacts", "category", "person", "reason", "by"))
    business, channel = bodies.required(body, "business"), _channel(body)
    with transaction(call.engine) as connection:
        if business != EVERYBODY:
            _require(connection, business)
        done = contact_lists.suppress(
            connection,
            business,
            channel,
            bodies.texts(body, "contacts", contact_lists.MOST),
            category=bodies.text(body, "category") or EVERYTHING,
            person=bodies.text(body, "person") or "",
            by=bodies.by(body),
            reason=reason_of(body),
        )
    logs.info("contacts_suppressed", business=business, channel=channel, added=done["added"])
    return Answer({"success": True, **plain(done)})


def lift(call: Call) -> Answer:
    body = call.json()
    bodies.only(body, ("ids", "reason", "by"))
    ids = bodies.numbers(body, "ids", MOST_IDS)
    with transaction(call.engine) as connection:
        done = contact_lists.lift(connection, ids, by=bodies.by(body), reason=reason_of(body))
    logs.info("suppressions_lifted", lifted=done["lifted"], left=len(done["left"]))
    if done["lifted"]:
        return Answer({"success": not done["left"], **done})
    error = "Rien n'a changé : ces inscriptions n'existent pas, ou ne sont plus en vigueur."
    return Answer({"success": False, "error": error, **done}, 404)


def list_consents(call: Call) -> Answer:
    limit = queries.limit(call, LISTED, MOST_LISTED)
    before = queries.number(call, "before")
    with transaction(call.engine) as connection:
        found = consents.listed(connection, _where(call), limit=limit, before=before)
    following = queries.following(found, limit)
    return Answer({"success": True, "consents": plain(found), "before": following})


def grant(call: Call) -> Answer:
    body = call.json()
    bodies.only(body, ("business", "channel", "contact", "source", "person", "by"))
    business = bodies.required(body, "business")
    with transaction(call.engine) as connection:
        _require(connection, business)
        done = contact_lists.grant(
            connection,
            business,
            _channel(body),
            bodies.required(body, "contact"),
            source=bodies.required(body, "source"),
            person=bodies.text(body, "person") or "",
            by=bodies.by(body),
        )
    return Answer({"success": True, **plain(done)})


def withdraw(call: Call) -> Answer:
    body = call.json()
    bodies.only(body, ("business", "channel", "contact", "by"))
    with transaction(call.engine) as connection:
        done = contact_lists.withdraw(
            connection,
            bodies.required(body, "business"),
            _channel(body),
            bodies.required(body, "contact"),
            by=bodies.by(body),
        )
    return Answer({"success": True, **plain(done)})


def _where(call: Call) -> dict[str, str | None]:
    channel = queries.one_of(call, "channel", CHANNELS)
    return contact_lists.searched(
        queries.text(call, "business"),
        cast("Channel | None", channel),
        queries.text(call, "contact"),
    )


def _channel(body: Body) -> Channel:
    return cast("Channel", bodies.one_of(body, "channel", CHANNELS))


def _require(connection: Connection, business: str) -> None:
    from chalicelib.domain import businesses

    businesses.require(connection, business)


_FILTERS = {
    "business": "A business's id.",
    "channel": "`email` or `whatsapp`.",
    "contact": "An address or a number, as it is typed.",
    "limit": f"How many, 1 to {MOST_LISTED}; {LISTED} by default.",
    "before": "The `before` of the page before.",
}
_CHANNEL = {"enum": list(CHANNELS)}
_TEXT = {"type": "string"}
_PERSON = {"type": "string", "description": "The customer's id in the business's file."}
_REASON = {"type": "string", "maxLength": LONGEST_REASON}
_UNUSABLE = {400: "The body cannot be used.", 404: "There is no such business or kind."}

ROUTES = (
    Route(
        "/suppressions",
        ("GET",),
        list_suppressions,
        summary="Who must not be written to, the newest entries first, and why.",
        query={
            **_FILTERS,
            "person": "A customer's id.",
            "lifted": "1: those that were lifted, too.",
        },
        responses={200: "The entries.", 400: "A parameter cannot be used."},
    ),
    Route(
        "/suppressions",
        ("POST",),
        suppress,
        summary="Nothing leaves to these contacts any more.",
        body={
            "business": {"type": "string", "description": "`*`: every business."},
            "channel": _CHANNEL,
            "contacts": {
                "type": "array",
                "items": _TEXT,
                "minItems": 1,
                "maxItems": contact_lists.MOST,
            },
            "category": {
                "type": "string",
                "description": "`marketing` or a kind; every message without it.",
            },
            "person": _PERSON,
            "reason": _REASON,
            "by": bodies.BY,
        },
        responses={
            200: "The contacts in their normal form; `added`: how many are new.",
            **_UNUSABLE,
        },
    ),
    Route(
        "/suppressions/lift",
        ("POST",),
        lift,
        summary="These entries no longer hold.",
        body={
            "ids": {
                "type": "array",
                "items": {"type": "integer"},
                "minItems": 1,
                "maxItems": MOST_IDS,
            },
            "reason": _REASON,
            "by": bodies.BY,
        },
        responses={
            200: "What was lifted, and what was not in force.",
            400: "The body cannot be used, or has no reason.",
            404: "None was in force.",
        },
    ),
    Route(
        "/consents",
        ("GET",),
        list_consents,
        summary="Who agreed to marketing, the newest first, withdrawn ones included.",
        query=_FILTERS,
        responses={200: "The consents.", 400: "A parameter cannot be used."},
    ),
    Route(
        "/consents",
        ("POST",),
        grant,
        summary="Records that a contact agreed to marketing.",
        body={
            "business": _TEXT,
            "channel": _CHANNEL,
            "contact": _TEXT,
            "source": {"type": "string", "description": "Where: the form and its wording."},
            "person": _PERSON,
            "by": bodies.BY,
        },
        responses={200: "`suppressions`: entries that stand in its way all the same.", **_UNUSABLE},
    ),
    Route(
        "/consents/withdraw",
        ("POST",),
        withdraw,
        summary="Records that a contact agrees no more.",
        body={"business": _TEXT, "channel": _CHANNEL, "contact": _TEXT, "by": bodies.BY},
        responses={
            200: "`withdrawn`: how many consents that ended.",
            400: "The body cannot be used.",
        },
    ),
)
