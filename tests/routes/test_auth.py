"""Who may call, what a refusal says, and what it leaves in the ledger."""

from __future__ import annotations

import contextlib
import hmac
import json
import socket
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from sqlalchemy import text

from chalicelib.db.engine import make_engine
from chalicelib.errors import NotConfigured, SettingsError, Unauthorized
from chalicelib.routes.auth import Caller, authorize, deprecation, refusal
from chalicelib.routes.refusals import (
    ROWS_PER_WINDOW,
    WORKER,
    caller_of,
    clean_path,
    delay_for,
    record,
)
from chalicelib.settings import Settings

SECRET = "current-secret-of-more-than-32-characters"
PREVIOUS = "previous-secret-of-more-than-32-characters"
PROD = Settings.from_mapping({"PONCTUEL_STAGE": "prod", "CRON_SECRET": SECRET})
ROTATING = Settings.from_mapping(
    {"PONCTUEL_STAGE": "prod", "CRON_SECRET": SECRET, "CRON_SECRET_PREVIOUS": PREVIOUS}
)


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


def refused(headers=None, query=None, *, settings=PROD, allow_query=True) -> str:
    with pytest.raises(Unauthorized) as caught:
        authorize(headers, query, settings=settings, allow_query=allow_query)
    return caught.value.code


def test_the_right_secret_in_the_header_may_call():
    caller = authorize(bearer(SECRET), None, settings=PROD, allow_query=False)
    assert caller == Caller("bearer")
    assert (caller.rotated, caller.deprecated) == (False, False)


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": f"bearer {SECRET}"},
        {"AUTHORIZATION": f"BEARER {SECRET}"},
        {"Authorization": f"  Bearer   {SECRET}  "},
        {"Authorization": [f"Bearer {SECRET}"]},
        {"Authorization": [f"Bearer {SECRET}", f"Bearer {SECRET}"]},
        {"Authorization": f"Bearer {SECRET}", "authorization": f"bearer {SECRET}"},
        {"X-Other": "Bearer other", "authorization": f"Bearer {SECRET}"},
    ],
)
def test_the_header_is_read_however_it_is_written(headers):
    assert authorize(headers, None, settings=PROD, allow_query=False).kind == "bearer"


@pytest.mark.parametrize(
    ("headers", "query", "code"),
    [
        (None, None, "secret_missing"),
        ({}, {}, "secret_missing"),
        ({"Authorization": ""}, {"secret": ""}, "secret_missing"),
        ({"Authorization": "Bearer"}, {"secret": "   "}, "secret_missing"),
        ({"Authorization": "Bearer   "}, {"secret": []}, "secret_missing"),
        ({"Authorization": SECRET}, None, "secret_missing"),
        ({"Authorization": f"Basic {SECRET}"}, None, "secret_missing"),
        ({"X-Authorization": f"Bearer {SECRET}"}, None, "secret_missing"),
        (None, {"Secret": SECRET}, "secret_missing"),
        (None, {"secrets": SECRET}, "secret_missing"),
        (bearer(SECRET[:-1]), None, "unauthorized"),
        (bearer(SECRET + "x"), None, "unauthorized"),
        (bearer(SECRET.upper()), None, "unauthorized"),
        (bearer(f"{SECRET}, Bearer {SECRET}"), None, "unauthorized"),
        (bearer(PREVIOUS), None, "unauthorized"),
        (None, {"secret": "other"}, "unauthorized"),
        ({"a": f"Bearer {SECRET}", "authorization": "Bearer other"}, None, "unauthorized"),
        (bearer("other"), {"secret": SECRET}, "unauthorized"),
        ({"Authorization": [f"Bearer {SECRET}", "Bearer other"]}, None, "secret_ambiguous"),
        (None, {"secret": [SECRET, "other"]}, "secret_ambiguous"),
    ],
)
def test_anything_else_is_refused(headers, query, code):
    assert refused(headers, query) == code


@given(st.text(min_size=1, max_size=50))
def test_no_text_is_accepted_in_place_of_the_secret_and_none_makes_it_fail(presented):
    assume(presented.strip() != SECRET)
    assert refused(bearer(presented)) in {"unauthorized", "secret_missing"}
    assert refused(None, {"secret": presented}) in {"unauthorized", "secret_missing"}


@given(st.text(st.characters(exclude_categories=["Cs", "Z", "C"]), min_size=32, max_size=60))
def test_a_secret_of_any_alphabet_works_as_text_and_as_bytes_read_as_latin_1(secret):
    settings = Settings.from_mapping({"CRON_SECRET": secret})
    for presented in (secret, secret.encode().decode("latin-1")):
        if presented.strip() == presented:
            assert authorize(bearer(presented), None, settings=settings, allow_query=False)
    assert refused(bearer(secret + "?"), settings=settings) == "unauthorized"


def test_a_character_that_latin_1_lacks_does_not_pass_for_a_question_mark():
    settings = Settings.from_mapping({"CRON_SECRET": "?" * 32})
    assert refused(bearer("€" * 32), settings=settings) == "unauthorized"


def test_white_space_around_a_configured_secret_does_not_count():
    settings = Settings.from_mapping({"CRON_SECRET": f"{SECRET}\n"})
    assert authorize(bearer(SECRET), None, settings=settings, allow_query=False)


def test_the_secret_in_the_query_works_and_is_deprecated():
    for query in ({"secret": SECRET}, {"secret": [SECRET]}, {"secret": [SECRET], "force": ["1"]}):
        caller = authorize(None, query, settings=PROD, allow_query=True)
        assert caller == Caller("query")
        assert caller.deprecated


def test_the_query_serves_a_caller_whose_header_is_for_somebody_else():
    headers = {"Authorization": "Basic Zm9vOmJhcg=="}
    assert authorize(headers, {"secret": SECRET}, settings=PROD, allow_query=True).deprecated


def test_the_secret_in_the_query_is_refused_where_the_route_or_the_deployment_refuses_it():
    query = {"secret": SECRET}
    assert refused(None, query, allow_query=False) == "secret_not_in_query"
    off = Settings.from_mapping(
        {"PONCTUEL_STAGE": "prod", "CRON_SECRET": SECRET, "SECRET_IN_QUERY": "off"}
    )
    assert refused(None, query, settings=off) == "secret_not_in_query"
    assert authorize(bearer(SECRET), query, settings=off, allow_query=True).kind == "bearer"


def test_an_unusable_switch_closes_the_query_and_leaves_the_header_open():
    settings = Settings.from_mapping({"CRON_SECRET": SECRET, "SECRET_IN_QUERY": "perhaps"})
    with pytest.raises(NotConfigured, match="SECRET_IN_QUERY"):
        authorize(None, {"secret": SECRET}, settings=settings, allow_query=True)
    assert authorize(bearer(SECRET), None, settings=settings, allow_query=True).kind == "bearer"


def test_during_a_rotation_both_secrets_may_call():
    for kind, request in {
        "bearer": lambda secret: (bearer(secret), None),
        "query": lambda secret: (None, {"secret": secret}),
    }.items():
        new = authorize(*request(SECRET), settings=ROTATING, allow_query=True)
        old = authorize(*request(PREVIOUS), settings=ROTATING, allow_query=True)
        assert (new, old) == (Caller(kind), Caller(kind, rotated=True))
    assert refused(bearer(SECRET + PREVIOUS), settings=ROTATING) == "unauthorized"


@pytest.mark.parametrize("presented", [SECRET, PREVIOUS, "other", "é" * 40])
@pytest.mark.parametrize("settings", [PROD, ROTATING], ids=["one", "two"])
def test_every_comparison_is_made_whatever_its_result(monkeypatch, presented, settings):
    compared = []
    original = hmac.compare_digest
    monkeypatch.setattr(
        hmac, "compare_digest", lambda a, b: compared.append(len(a + b)) or original(a, b)
    )
    with contextlib.suppress(Unauthorized):
        authorize(bearer(presented), None, settings=settings, allow_query=False)
    assert compared == [64] * 4


def test_without_a_configured_secret_nothing_runs_except_on_local():
    for headers in (None, bearer(""), bearer(SECRET)):
        with pytest.raises(NotConfigured, match="secrets store CRON_SECRET --stage prod"):
            authorize(
                headers,
                None,
                settings=Settings.from_mapping({"PONCTUEL_STAGE": "prod", "CRON_SECRET": " "}),
                allow_query=True,
            )
        caller = authorize(headers, None, settings=Settings.from_mapping({}), allow_query=True)
        assert caller == Caller("local")


def test_on_local_a_configured_secret_is_asked_for():
    settings = Settings.from_mapping({"CRON_SECRET": SECRET})
    assert refused(settings=settings) == "secret_missing"
    assert authorize(bearer(SECRET), None, settings=settings, allow_query=False).kind == "bearer"


@pytest.mark.parametrize("stage", ["local", "prod"])
@pytest.mark.parametrize(
    "secrets",
    [
        {"CRON_SECRET": "x" * 31},
        {"CRON_SECRET": SECRET, "CRON_SECRET_PREVIOUS": "x" * 31},
        {"CRON_SECRET_PREVIOUS": PREVIOUS},
    ],
)
def test_a_weak_or_half_configured_secret_refuses_everybody(stage, secrets):
    settings = Settings.from_mapping({"PONCTUEL_STAGE": stage, **secrets})
    for presented in ("x" * 31, SECRET, PREVIOUS, "other"):
        with pytest.raises(NotConfigured) as caught:
            authorize(bearer(presented), None, settings=settings, allow_query=True)
        assert "xxx" not in str(caught.value)
        assert "CRON_SECRET" in str(caught.value)


def test_when_ssm_cannot_be_read_nothing_runs():
    def fail(path: str) -> dict[str, str]:
        raise SettingsError("Les paramètres ne sont pas accessibles.", code="ssm")

    settings = Settings({"PONCTUEL_STAGE": "prod", "CRON_SECRET": SECRET}, fail)
    with pytest.raises(NotConfigured, match="pas accessibles"):
        authorize(bearer(SECRET), None, settings=settings, allow_query=True)


def test_a_function_that_does_not_know_its_stage_runs_nothing():
    settings = Settings.from_mapping({"AWS_LAMBDA_FUNCTION_NAME": "ponctuel-prod"})
    with pytest.raises(NotConfigured, match="PONCTUEL_STAGE"):
        authorize(None, None, settings=settings, allow_query=True)


def test_an_api_gateway_event_fits():
    from chalice.app import Request

    event = {
        "headers": {"Authorization": "Bearer other"},
        "multiValueHeaders": {"Authorization": [f"Bearer {SECRET}", "Bearer other"]},
        "multiValueQueryStringParameters": None,
        "pathParameters": None,
        "stageVariables": None,
        "requestContext": {"httpMethod": "POST", "resourcePath": "/cron/request-reviews"},
        "body": None,
        "isBase64Encoded": False,
    }
    original = Request(event).to_original_event()
    code = refused(
        original["multiValueHeaders"], original["multiValueQueryStringParameters"], settings=PROD
    )
    assert code == "secret_ambiguous"


@pytest.mark.parametrize(
    ("family", "status", "body"),
    [
        ("forbidden", 403, {"success": False, "error": "Secret refusé."}),
        (
            "shop",
            401,
            {"success": False, "error": "Unauthorized", "message": "Secret refusé."},
        ),
        ("other", 401, {"success": False, "error": "Secret refusé."}),
    ],
)
def test_each_family_of_routes_is_refused_as_its_users_know_it(family, status, body):
    assert refusal(Unauthorized("Secret refusé."), family) == (status, body)
    not_configured = refusal(NotConfigured("Aucun secret."), family)
    assert not_configured == (503, {"success": False, "error": "Aucun secret."})


def test_no_refusal_says_anything_about_the_secret_that_was_sent_or_is_configured():
    for presented in ("canary-of-the-caller", SECRET[:-1]):
        for headers, query in ((bearer(presented), None), (None, {"secret": presented})):
            with pytest.raises(Unauthorized) as caught:
                authorize(headers, query, settings=PROD, allow_query=True)
            body = json.dumps(refusal(caught.value, "shop"))
            assert presented not in body
            assert SECRET[:10] not in body


def test_the_deprecation_header_is_a_structured_date_and_links_to_a_page():
    headers = deprecation("https://ponctuel.example.fr/api/openapi.json")
    assert headers["Deprecation"][0] == "@"
    moment = datetime.fromtimestamp(int(headers["Deprecation"][1:]), UTC)
    assert moment == datetime(2026, 11, 21, tzinfo=UTC)
    assert headers["Link"] == ('<https://ponctuel.example.fr/api/openapi.json>; rel="deprecation"')
    assert "Link" not in deprecation(None)


# Refused calls


def rows_of(database) -> list:
    with database.begin() as connection:
        return list(
            connection.execute(
                text("SELECT caller, path, code FROM ponctuel.refused_calls ORDER BY id")
            )
        )


def test_the_first_five_failures_are_not_slowed_down_and_none_by_more_than_three_seconds():
    delays = [delay_for(failures) for failures in range(100)]
    assert delays[:6] == [0.0] * 6
    assert delays[6] == 0.5
    assert delays == sorted(delays)
    assert max(delays) == 3.0


def test_a_caller_is_known_again_without_its_address():
    caller = caller_of("203.0.113.7", SECRET)
    assert caller == caller_of(" 203.0.113.7 ", SECRET) == caller_of("::ffff:203.0.113.7", SECRET)
    assert len(caller) == 16
    assert caller != caller_of("203.0.113.8", SECRET)
    assert caller != caller_of("203.0.113.7", PREVIOUS)
    assert caller_of("2001:db8:1:2::1", SECRET) == caller_of("2001:db8:1:2:ffff::9", SECRET)
    assert caller_of("2001:db8:1:2::1", SECRET) != caller_of("2001:db8:1:3::1", SECRET)
    assert caller_of(None, SECRET) == caller_of("localhost", SECRET) == caller_of("::1", None) == ""


@pytest.mark.parametrize(
    ("path", "kept"),
    [
        ("/cron/request-reviews", "/cron/request-reviews"),
        ("/inbox/integrations/sync-all?secret=abc", "/inbox/integrations/sync-all"),
        ("/cron/clean-expired-carts&secret=abc", "/cron/clean-expired-carts"),
        ("/cron/clean-expired-carts%3fsecret=abc", "/cron/clean-expired-carts"),
        ("/users/jean@example.fr/deletion", "/users/•••/deletion"),
        ("/" + "a" * 300, "/" + "a" * 199),
    ],
)
def test_a_path_is_kept_without_what_follows_it(path, kept):
    assert clean_path(path) == kept


def test_a_refused_call_is_in_the_ledger_without_address_or_query(database):
    delay = record(
        database.engine(),
        caller=caller_of("203.0.113.7", SECRET),
        path=f"/cron/request-reviews?secret={SECRET}x",
        code="unauthorized",
    )
    assert delay == 0.0
    caller = caller_of("203.0.113.7", SECRET)
    assert rows_of(database) == [(caller, "/cron/request-reviews", "unauthorized")]
    with database.begin() as connection:
        logged = connection.execute(text("SELECT entry, code, path FROM ponctuel.sync_logs")).one()
    assert logged == ("refused", "unauthorized", "/cron/request-reviews")


def test_an_address_that_insists_waits_and_another_does_not(database):
    engine = database.engine()
    delays = [record(engine, caller="insists", path="/jobs", code="unauthorized") for _ in range(9)]
    assert delays[:6] == [0.0] * 6
    assert 0.2 < delays[6] <= 0.5 < delays[8] <= 1.5
    assert record(engine, caller="another", path="/jobs", code="unauthorized") == 0.0
    database.advance(timedelta(minutes=5, seconds=1))
    assert record(engine, caller="insists", path="/jobs", code="unauthorized") == 0.0


def test_calls_without_an_address_do_not_slow_each_other_down(database):
    engine = database.engine()
    delays = [record(engine, caller="", path="/jobs", code="not_configured") for _ in range(8)]
    assert delays == [0.0] * 8


def test_a_flood_does_not_fill_the_table(database):
    with database.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO ponctuel.refused_calls (at, path, caller, code) "
                "SELECT ponctuel.clock(), '/jobs', 'floods', 'unauthorized' "
                "FROM generate_series(1, :rows)"
            ),
            {"rows": ROWS_PER_WINDOW},
        )
    delay = record(database.engine(), caller="floods", path="/jobs", code="unauthorized")
    assert 2 < delay <= 3
    assert len(rows_of(database)) == ROWS_PER_WINDOW


def test_without_a_database_a_call_is_refused_all_the_same(capsys):
    engine = make_engine("postgresql+pg8000://u@127.0.0.1:9/d", application="tests")
    assert record(engine, caller="c", path="/jobs", code="unauthorized") == 0.0
    assert "refused_call_not_recorded" in capsys.readouterr().err


def test_a_database_that_does_not_answer_holds_nobody_up_for_more_than_the_longest_delay():
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"postgresql+pg8000://u@127.0.0.1:{server.getsockname()[1]}/d"
        engine = make_engine(url, application="tests", socket_timeout_s=20)
        started = time.monotonic()
        assert record(engine, caller="c", path="/jobs", code="unauthorized") == 0.0
        assert time.monotonic() - started < 3.5
        # It wakes up at last, refuses TLS and goes away: the thread that was left behind ends.
        (left_behind,) = (thread for thread in threading.enumerate() if thread.name == WORKER)
        connection, _ = server.accept()
        with connection:
            connection.recv(8)
            connection.sendall(b"N")
        left_behind.join(10)
        assert not left_behind.is_alive()
