"""The providers' own OpenAPI documents, to check requests and answers against.

They are no part of this repository: `folder` says where they are, if they are anywhere.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import (  # type: ignore[import-untyped] # jsonschema has no types of its own
    Draft202012Validator,
    FormatChecker,
)
from openapi_schema_validator import OAS30Validator, OAS31Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

TWILIO = "twilio_messages_v2010.json"
META = "meta_business_messaging_v23.0.yaml"
FORM = "application/x-www-form-urlencoded"

_HERE = Path(__file__).parent.parent


def folder() -> Path | None:
    """The folder of the documents: PONCTUEL_CONTRACTS, else `shared/contracts` beside the
    repository; None when it is not there."""
    named = os.environ.get("PONCTUEL_CONTRACTS")
    found = Path(named) if named else _HERE.parent / "shared" / "contracts"
    return found if found.is_dir() else None


@cache
def contract(path: Path) -> Contract:
    """The document of that file, read once. Meta's takes half a second."""
    if path.suffix == ".json":
        return Contract(json.loads(path.read_text(encoding="utf-8")))
    import yaml  # type: ignore[import-untyped] # nor has PyYAML

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    with path.open(encoding="utf-8") as file:
        return Contract(yaml.load(file, Loader=loader))


class Contract:
    """One OpenAPI document (3.0 or 3.1)."""

    def __init__(self, document: dict[str, Any]) -> None:
        _soften(document["components"]["schemas"])
        self._document = document
        resource = Resource.from_contents(document, default_specification=DRAFT202012)
        self._registry: Registry = Registry().with_resource("urn:contract", resource)
        oas30 = document["openapi"].startswith("3.0")
        self._validator = OAS30Validator if oas30 else OAS31Validator
        # A path without parameters goes before one with (OpenAPI, Paths Object).
        patterns = sorted(document["paths"], key=lambda pattern: pattern.count("{"))
        self._paths = {pattern: _regex(pattern) for pattern in patterns}

    def request_problems(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: object,
        query: Mapping[str, str] | None = None,
    ) -> list[str]:
        """What the document has against a request; headers in lower case, the body parsed (a form
        as a mapping of texts). An unknown field of a form is a problem too."""
        pattern, parameters = self._match(path)
        operation = self._document["paths"].get(pattern, {}).get(method.lower())
        if operation is None:
            return [f"{method} {path}: no such operation"]
        given = {"path": parameters, "header": headers, "query": query or {}}
        problems = [
            problem
            for parameter in (
                *self._document["paths"][pattern].get("parameters", ()),
                *operation.get("parameters", ()),
            )
            for problem in self._parameter_problems(parameter, given)
        ]
        content = operation.get("requestBody", {}).get("content", {})
        kind = headers.get("content-type", "").partition(";")[0]
        if content and kind not in content:
            return [*problems, f"content type {kind}"]
        if content:
            where = f"/paths/{_escaped(pattern)}/{method.lower()}/requestBody/content"
            problems += self._problems(f"{where}/{_escaped(kind)}/schema", body)
            if kind == FORM and isinstance(body, Mapping):
                unknown = set(body) - set(content[kind]["schema"]["properties"])
                problems += [f"unknown field {name}" for name in sorted(unknown)]
        return problems

    def answer_problems(self, method: str, path: str, status: int, body: object) -> list[str]:
        """What the document has against an answer in JSON."""
        pattern, _ = self._match(path)
        where = f"/paths/{_escaped(pattern)}/{method.lower()}/responses/{status}/content"
        return self._problems(f"{where}/application~1json/schema", body)

    def examples(self, method: str, path: str) -> dict[str, Any]:
        """The document's own requests in JSON, by name."""
        operation = self._document["paths"][self._match(path)[0]][method.lower()]
        found = operation["requestBody"]["content"]["application/json"]["examples"]
        return {name: example["value"] for name, example in found.items()}

    def _match(self, path: str) -> tuple[str, dict[str, str]]:
        for pattern, regex in self._paths.items():
            if found := regex.fullmatch(path):
                names = re.findall(r"\{([^}]+)\}", pattern)
                return pattern, dict(zip(names, found.groups(), strict=True))
        return "", {}

    def _parameter_problems(
        self, parameter: dict[str, Any], given: Mapping[str, Mapping[str, str]]
    ) -> list[str]:
        if "$ref" in parameter:
            parameter = self._document["components"]["parameters"][
                parameter["$ref"].rpartition("/")[2]
            ]
        name, where = parameter["name"], parameter["in"]
        value = given[where].get(name.lower() if where == "header" else name)
        if value is None:
            return [f"{where} {name} is missing"] if parameter.get("required") else []
        schema = parameter["schema"]
        typed = int(value) if schema.get("type") == "integer" and value.isdigit() else value
        errors = Draft202012Validator(schema).iter_errors(typed)
        return [f"{where} {name}: {error.message}" for error in errors]

    def _problems(self, pointer: str, body: object) -> list[str]:
        validator = self._validator(
            {"$ref": f"urn:contract#{pointer}"},
            registry=self._registry,
            format_checker=FormatChecker(),
        )
        return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(body)]


def _soften(schemas: dict[str, Any]) -> None:
    """Takes `additionalProperties: false` out of the members of `allOf`. Meta's document writes it
    there, where JSON Schema makes it forbid what the other members require: no text message at
    all would be valid."""
    for schema in schemas.values():
        for member in schema.get("allOf", ()):
            member.pop("additionalProperties", None)


def _regex(pattern: str) -> re.Pattern[str]:
    parts = re.split(r"(\{[^}]+\})", pattern)
    return re.compile("".join("([^/]+)" if part[:1] == "{" else re.escape(part) for part in parts))


def _escaped(part: str) -> str:
    """As one step of a JSON pointer, inside the fragment of an address."""
    from urllib.parse import quote

    return quote(part.replace("~", "~0").replace("/", "~1"))
