"""What an operator does with messages, over HTTP: release, cancel, resend, declare arrived, and
going live. What was done is answered with what was left as it was, and why."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial

from chalicelib import logs
from chalicelib.db.engine import transaction
from chalicelib.outbox import operator
from chalicelib.outbox.operator import Acted
from chalicelib.routes import bodies
from chalicelib.routes.answers import Answer, plain
from chalicelib.routes.bodies import Body
from chalicelib.routes.call import Call
from chalicelib.routes.door import Route
from chalicelib.routes.messages import number_of
from chalicelib.routes.start import LONGEST_REASON, reason_of

# Of one call: a page of the list, more than once.
MOST_IDS = 500
# As many reasons fit in a sentence; `left` has them all.
TOLD = 5
MEANING: Mapping[str, str] = {
    "release": "Lets messages go that were held (review, approval, stage, quarantine, restored)",
    "cancel": "Cancels messages that have not left; they are not planned again",
    "resend": "Sends uncertain, refused or failed messages again",
    "arrived": "Uncertain messages did arrive",
}
View = Callable[[Call], Answer]


def act_on_one(verb: str) -> View:
    """The view of `/messages/{id}/<verb>`: 404 or 409 when it is left as it was."""

    def view(call: Call) -> Answer:
        body = call.json()
        bodies.only(body, ("reason", "by"))
        return _done(call, verb, body, partial(operator.ACTS[verb], ids=[number_of(call)]))

    view.__name__ = f"{verb}_message"
    return view


def act_on_several(verb: str) -> View:
    """The view of `/messages/<verb>`, by their ids; `release` also by business and kind."""

    def view(call: Call) -> Answer:
        body = call.json()
        if verb == "release" and "ids" not in body:
            bodies.only(body, ("business", "kind", "reason", "by"))
            scope = (bodies.required(body, "business"), bodies.required(body, "kind"))
            act = partial(operator.release_kind, business_id=scope[0], kind=scope[1])
            return _done(call, verb, body, act)
        bodies.only(body, ("ids", "reason", "by"))
        ids = bodies.numbers(body, "ids", MOST_IDS)
        return _done(call, verb, body, partial(operator.ACTS[verb], ids=ids))

    view.__name__ = f"{verb}_messages"
    return view


def open_live(call: Call) -> Answer:
    from chalicelib.domain import businesses
    from chalicelib.outbox.go_live import go_live  # it lists every domain's kinds

    body = call.json()
    bodies.only(body, ("business", "kind", "reason", "discard", "by"))
    business = bodies.text(body, "business")
    with transaction(call.engine) as connection:
        if business is not None:
            businesses.require(connection, business)
        went = go_live(
            connection,
            business_id=business,
            kind=bodies.text(body, "kind"),
            by=bodies.by(body),
            reason=reason_of(body),
            discard=bodies.switch(body, "discard"),
        )
    logs.warning("went_live", business=business or "*", released=went.released)
    return Answer({"success": True, **plain(asdict(went))})


def _done(call: Call, verb: str, body: Body, act: Callable[..., Acted]) -> Answer:
    with transaction(call.engine) as connection:
        acted = act(connection, by=bodies.by(body), reason=reason_of(body))
    logs.info("operator_acted", action=verb, changed=len(acted.changed), left=len(acted.left))
    told = plain(asdict(acted))
    if acted.changed or not acted.left:
        return Answer({"success": not acted.left, **told})
    why = " ; ".join(f"n° {left.id} : {left.why}" for left in acted.left[:TOLD])
    exists = any(left.state is not None for left in acted.left)
    error = f"Rien n'a changé. Message {why}."
    return Answer({"success": False, "error": error, **told}, 409 if exists else 404)


_REASON = {"reason": {"type": "string", "maxLength": LONGEST_REASON}, "by": bodies.BY}
_IDS = {"type": "array", "items": {"type": "integer"}, "minItems": 1, "maxItems": MOST_IDS}
_SCOPE = {"business": {"type": "string"}, "kind": {"type": "string"}}
_ANSWERS = {
    400: "The body cannot be used, or has no reason (only `release` needs none).",
    404: "There is no such message.",
    409: "Nothing was changed: the messages are in no state for it.",
}

ROUTES = (
    *(
        Route(
            f"/messages/{verb}",
            ("POST",),
            act_on_several(verb),
            summary=f"{MEANING[verb]}: several, or with business and kind all that were in review."
            if verb == "release"
            else f"{MEANING[verb]}: several.",
            body={"ids": _IDS, **(_SCOPE if verb == "release" else {}), **_REASON},
            responses={200: "What was changed, and what was left.", **_ANSWERS},
        )
        for verb in operator.ACTS
    ),
    *(
        Route(
            f"/messages/{{id}}/{verb}",
            ("POST",),
            act_on_one(verb),
            summary=f"{MEANING[verb]}: this one.",
            body=_REASON,
            responses={200: "Changed.", **_ANSWERS},
        )
        for verb in operator.ACTS
    ),
    Route(
        "/go-live",
        ("POST",),
        open_live,
        summary="Opens the stage, a business with every kind of today, or one kind of a business.",
        body={**_SCOPE, "discard": {"type": "boolean"}, **_REASON},
        responses={
            200: "What was opened, and what became of the messages that were held for that.",
            400: "The body cannot be used, or has no reason.",
            404: "There is no such business or kind.",
        },
    ),
)
