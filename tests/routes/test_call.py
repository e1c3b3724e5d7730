"""What a call is told about itself, whichever way it came through API Gateway."""

from __future__ import annotations

import time
from typing import Any

import pytest

from chalicelib.errors import SettingsError
from chalicelib.routes.call import Call
from chalicelib.settings import Settings

HOST = "abc123.execute-api.eu-west-3.amazonaws.com"


def call(
    path: str = "/api/jobs/followups/runs",
    resource: str = "/jobs/{job}/runs",
    environment: dict[str, str] | None = None,
    **event: Any,
) -> Call:
    context = {"path": path, "resourcePath": resource, "domainName": HOST, "httpMethod": "POST"}
    context |= event.pop("context", {})
    return Call({"requestContext": context, **event}, {}, Settings.from_mapping(environment or {}))


@pytest.mark.parametrize(
    ("path", "resource", "root"),
    [
        ("/api/jobs/followups/runs", "/jobs/{job}/runs", "/api"),  # stage `api`
        ("/api/api/jobs/followups/runs", "/api/jobs/{job}/runs", "/api/api"),
        ("/jobs/followups/runs", "/jobs/{job}/runs", ""),  # custom domain
        ("/api/jobs/followups/runs", "/api/jobs/{job}/runs", "/api"),
        ("/jobs/followups/runs/", "/jobs/{job}/runs", ""),
        ("/base/path/jobs/a%2Fb/runs", "/jobs/{job}/runs", "/base/path"),
    ],
)
def test_a_link_leads_where_the_caller_came_from(path: str, resource: str, root: str) -> None:
    assert call(path, resource).link("/runs/1") == f"https://{HOST}{root}/runs/1"


def test_the_public_address_wins_over_the_caller_s() -> None:
    own = {"PUBLIC_URL": "https://ponctuel.example.fr/api/"}
    assert call(environment=own).link("/runs/1") == "https://ponctuel.example.fr/api/runs/1"


def test_an_unusable_public_address_is_the_operator_s_to_correct() -> None:
    with pytest.raises(SettingsError, match="PUBLIC_URL"):
        call(environment={"PUBLIC_URL": "javascript:alert(1)"}).link("/")


def test_only_http_and_https_can_be_the_scheme_of_a_link() -> None:
    for sent, scheme in [("http", "http"), ("https", "https"), ("javascript", "https")]:
        link = call(headers={"X-Forwarded-Proto": sent}).link("/x")
        assert link == f"{scheme}://{HOST}/api/x"


def test_without_a_domain_a_link_is_relative() -> None:
    assert call(context={"domainName": None}).link("/runs/1") == "/api/runs/1"


def test_the_time_spent_before_us_counts() -> None:
    received = int(1000 * (time.time() - 3))
    assert 3 <= call(context={"requestTimeEpoch": received}).elapsed() < 4
    ahead = int(1000 * (time.time() + 60))
    assert 0 <= call(context={"requestTimeEpoch": ahead}).elapsed() < 1
    assert 0 <= call().elapsed() < 1


def test_a_query_s_last_value_counts_and_flags_say_yes_in_several_ways() -> None:
    asked = call(multiValueQueryStringParameters={"strict": ["0", "1"], "deep": ["non"]})
    assert (asked.query("strict"), asked.flag("strict"), asked.flag("deep")) == ("1", True, False)
    assert call(queryStringParameters={"strict": "oui"}).flag("strict")
    assert not call(queryStringParameters=None).flag("strict")


def test_an_event_without_anything_is_still_a_call() -> None:
    empty = Call({}, {}, Settings.from_mapping({}))
    assert (empty.method, empty.path, empty.address, empty.json()) == ("", "", None, {})


def test_what_stands_after_the_path_is_never_part_of_it() -> None:
    assert call("/followups/process-automatic&secret=abc").path == "/followups/process-automatic"
