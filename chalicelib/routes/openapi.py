"""The OpenAPI 3.1 description of the routes, generated from their table."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from chalicelib import __version__
from chalicelib.routes.door import Route
from chalicelib.routes.schemas import ANSWERS, SCHEMAS

JSON = "application/json"
HTML = "text/html"


def document(routes: Iterable[Route], server: str) -> dict[str, Any]:
    """The description, for an API reached at `server`."""
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        for method in route.methods:
            paths.setdefault(route.path, {})[method.lower()] = _operation(route, method)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Ponctuel", "version": __version__},
        "servers": [{"url": server or "/"}],
        "paths": paths,
        "components": {
            "schemas": SCHEMAS,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "query": {
                    "type": "apiKey",
                    "in": "query",
                    "name": "secret",
                    "description": "Deprecated: an address ends up in the logs of each proxy.",
                },
            },
        },
    }


def _operation(route: Route, method: str) -> dict[str, Any]:
    answer = ANSWERS.get((method, route.path), "Run")
    responses = {
        str(status): _plain(route.media, text)
        if route.media == HTML or (status < 400 and route.media != JSON)
        else _response(status, text, answer)
        for status, text in route.responses.items()
    }
    operation: dict[str, Any] = {
        "operationId": _identifier(route, method),
        "summary": route.summary,
        "responses": responses,
    }
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"{(\w+)}", route.path)
    ]
    parameters += [
        {"name": name, "in": "query", "description": text, "schema": {"type": "string"}}
        for name, text in route.query.items()
    ]
    if parameters:
        operation["parameters"] = parameters
    if route.body is not None:
        schema = {"type": "object", "properties": route.body, "additionalProperties": False}
        form = ("application/x-www-form-urlencoded", "multipart/form-data")
        kinds = form if route.media == HTML else (JSON,)
        operation["requestBody"] = {"content": {kind: {"schema": schema} for kind in kinds}}
    if route.access != "open":
        refused = 403 if route.family == "forbidden" else 401
        responses[str(refused)] = _response(refused, "The secret is missing or wrong.", answer)
        responses["503"] = _response(503, "No secret is configured.", answer)
        query: list[dict[str, Any]] = [{"query": []}] if route.access == "bearer_or_query" else []
        operation["security"] = [{"bearer": []}, *query]
    return operation


def _plain(media: str, text: str) -> dict[str, Any]:
    return {"description": text, "content": {media: {"schema": {"type": "string"}}}}


def _response(status: int, text: str, answer: str) -> dict[str, Any]:
    if status < 400:
        names = [answer]
    elif status == 500 and answer == "Run":
        # A failed run is answered 500 with its row, a refused call with an error alone.
        names = ["Run", "Error"]
    else:
        names = ["Error"]
    schemas = [{"$ref": f"#/components/schemas/{name}"} for name in names]
    schema = schemas[0] if len(schemas) == 1 else {"anyOf": schemas}
    return {"description": text, "content": {JSON: {"schema": schema}}}


def _identifier(route: Route, method: str) -> str:
    words = re.findall(r"\w+", route.path)
    return "_".join([method.lower(), *words]).replace("-", "_")
