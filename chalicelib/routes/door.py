"""The HTTP door: who may pass, what a refused or failed call is told, the headers of every answer.

Chalice's own answers to an error are in English and its log quotes the exception; so each view is
called here, and nothing that it raises reaches Chalice.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from chalice.app import Chalice, Request, Response

from chalicelib import logs
from chalicelib.errors import NotConfigured, PonctuelError, Unauthorized
from chalicelib.routes import refusals
from chalicelib.routes.answers import Answer, failure
from chalicelib.routes.auth import CHALLENGE, Family, deprecation, refusal
from chalicelib.routes.call import PREFIX, Call
from chalicelib.settings import settings

SECURITY = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    # The address may hold `?secret=`.
    "Referrer-Policy": "no-referrer",
    "Strict-Transport-Security": "max-age=31536000",
    "X-Content-Type-Options": "nosniff",
}
JSON = "application/json; charset=utf-8"
TEXT = "text/plain; charset=utf-8"

# Chalice keeps the current request on the app, where the local server's threads would mix them up.
_request: ContextVar[Request] = ContextVar("ponctuel_http_request")


@dataclass(frozen=True)
class Route:
    """One row of the table of routes. `access`: where the secret may be; an open route needs none.
    `query`, `body`, `responses` and `media` are OpenAPI's: parameters with what they mean, JSON
    schemas of the body's fields, what each status means, the type of a good answer (text/html: it
    answers pages, also when it fails, and takes forms)."""

    path: str
    methods: tuple[str, ...]
    view: Callable[[Call], Answer]
    summary: str
    family: Family = "other"
    access: Literal["bearer", "bearer_or_query", "open"] = "bearer"
    query: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None
    responses: Mapping[int, str] = field(default_factory=lambda: {200: "Done."})
    media: str = "application/json"


def register(app: Chalice, routes: Iterable[Route]) -> None:
    """Puts the routes on the app, each also under `/api`."""
    app.register_middleware(_around, "http")
    for route in routes:
        for path in (route.path, PREFIX + route.path):
            # Chalice answers 415 to every content type that is not declared.
            app.route(
                path, methods=list(route.methods), content_types=["*/*"], name=route.view.__name__
            )(_view(route))


def respond(route: Route, call: Call) -> Answer:
    """The view's answer, or what its error says. Never raises."""
    begun = time.monotonic()
    try:
        answer = _answered(route, call)
    except Exception as error:  # noqa: BLE001 - no stack trace may reach a caller, or Chalice's log
        logs.error("http_crashed", path=call.path, reference=call.reference, error=error)
        sentence = f"Erreur inattendue : le journal technique a le détail ({call.reference})."
        answer = Answer({"success": False, "error": sentence}, 500)
    finally:
        call.close()
    logs.info(
        "http_answered",
        method=call.method,
        path=call.path,
        status=answer.status,
        ms=round(1000 * (time.monotonic() - begun)),
    )
    if call.caller is not None and call.caller.deprecated:
        return replace(answer, headers={**answer.headers, **deprecation(None)})
    return answer


def _answered(route: Route, call: Call) -> Answer:
    try:
        if route.access != "open":
            call.authorize(allow_query=route.access == "bearer_or_query")
        return route.view(call)
    except (NotConfigured, Unauthorized) as error:
        return _refused(route, call, error)
    except PonctuelError as error:
        answer = failure(error)
        if answer.status >= 500:
            logs.error("http_failed", path=call.path, code=error.code, error=error)
        return answer


def _refused(route: Route, call: Call, error: PonctuelError) -> Answer:
    """Says no as the route's users know it."""
    refusals.slow_down(call, error)
    status, body = refusal(error, route.family)
    return Answer(body, status, CHALLENGE if status == 401 else {})


def _view(route: Route) -> Callable[..., Response]:
    def view(**parameters: str) -> Response:
        event = _request.get().to_original_event()
        answer = respond(route, Call(event, parameters, settings()))
        is_text = isinstance(answer.body, str)
        return Response(
            body=answer.body if is_text else json.dumps(answer.body, ensure_ascii=False),
            status_code=answer.status,
            headers={"Content-Type": TEXT if is_text else JSON, **answer.headers},
        )

    return view


def _around(request: Request, get_response: Callable[[Request], Response]) -> Response:
    token = _request.set(request)
    try:
        response = get_response(request)
    finally:
        _request.reset(token)
    for name, value in SECURITY.items():
        response.headers.setdefault(name, value)
    return response
