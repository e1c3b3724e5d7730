"""The description says what the routes do."""

from __future__ import annotations

import re

from openapi_spec_validator import validate

import app
from tests.routes.doors import FOLLOWUPS, Door


def test_the_description_is_valid_openapi_and_has_every_route(door: Door) -> None:
    reply = door.outside("GET", "/openapi.json")
    assert reply.status == 200
    document = reply.json()
    validate(document)
    described = {
        (path, method.upper()) for path, item in document["paths"].items() for method in item
    }
    registered = {(path, method) for path, methods in app.app.routes.items() for method in methods}
    assert described | {(f"/api{path}", method) for path, method in described} == registered


def test_the_description_says_who_may_call(door: Door) -> None:
    paths = door.outside("GET", "/openapi.json").json()["paths"]
    assert paths[FOLLOWUPS]["get"]["security"] == [{"bearer": []}, {"query": []}]
    assert "403" in paths[FOLLOWUPS]["get"]["responses"]
    assert paths["/jobs"]["get"]["security"] == [{"bearer": []}]
    assert "security" not in paths["/health"]["get"]


def test_an_answer_has_what_the_description_says(door: Door) -> None:
    schema = door.outside("GET", "/openapi.json").json()["components"]["schemas"]["Run"]
    body = door.get(FOLLOWUPS).json()
    assert set(schema["required"]) <= body.keys() <= schema["properties"].keys()


def test_the_app_reads_like_a_table_of_contents() -> None:
    from pathlib import Path

    source = Path(app.__file__).read_text()
    assert len(source.splitlines()) <= 50
    assert not re.search(r"^(def|class) ", source, re.MULTILINE)
