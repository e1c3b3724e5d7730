"""Every HTTP route of Ponctuel, in the order in which the documentation has them."""

from __future__ import annotations

from chalicelib.routes import (
    accounts,
    acting,
    closer,
    compat,
    contact_lists,
    deletion_page,
    followups,
    health,
    holds,
    jobs,
    leads,
    messages,
    openapi,
    quarantine,
    runs,
    sending,
    unsubscribe,
    webhooks,
)
from chalicelib.routes.answers import Answer
from chalicelib.routes.call import Call
from chalicelib.routes.door import Route


def describe(call: Call) -> Answer:
    return Answer(openapi.document(ROUTES, call.link("")))


ROUTES: tuple[Route, ...] = (
    *compat.ROUTES,
    *jobs.ROUTES,
    *runs.ROUTES,
    *messages.ROUTES,
    *acting.ROUTES,
    *sending.ROUTES,
    *contact_lists.ROUTES,
    *followups.ROUTES,
    *accounts.ROUTES,
    *holds.ROUTES,
    *leads.ROUTES,
    *quarantine.ROUTES,
    *unsubscribe.ROUTES,
    *deletion_page.ROUTES,
    *closer.ROUTES,
    *webhooks.ROUTES,
    *health.ROUTES,
    Route(
        "/openapi.json",
        ("GET",),
        describe,
        summary="This description.",
        access="open",
        responses={200: "An OpenAPI 3.1 document."},
    ),
)
