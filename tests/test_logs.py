"""Logs and metrics: what a line holds, and what never gets into one."""

from __future__ import annotations

import ast
import contextvars
import itertools
import json
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError

from chalicelib import logs
from chalicelib.errors import ItemFailed
from chalicelib.logs_format import RESERVED
from chalicelib.redaction import MASK, scrub_text
from chalicelib.settings import Settings

CHALICELIB = Path(logs.__file__).parent
SECRET = "canary-Zx9-canary-Zx9-canary-Zx9-canary"
PASSWORD = "c@nary/p#ssword%2"


@pytest.fixture(autouse=True)
def json_on_local(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PONCTUEL_STAGE", raising=False)
    monkeypatch.delenv("LOG_LEVEL", raising=False)
    monkeypatch.setenv("LOG_FORMAT", "json")


@pytest.fixture
def deployed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PONCTUEL_STAGE", "prod")


def written(capsys: pytest.CaptureFixture[str]) -> dict:
    captured = capsys.readouterr()
    return json.loads(captured.err or captured.out)


def test_a_line_is_one_json_object_with_the_event_and_its_fields(capsys):
    logs.info("run_started", job="followups", run_id=UUID(int=7), counts={"sent": 3})
    line = written(capsys)
    assert line["level"] == "INFO"
    assert line["message"] == "run_started"
    assert line["job"] == "followups"
    assert line["run_id"] == "00000000-0000-0000-0000-000000000007"
    assert line["counts"] == {"sent": 3}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", line["timestamp"])
    assert line["location"].startswith("test_a_line_is_one_json_object")


def test_a_line_break_in_a_field_does_not_make_a_second_line(capsys):
    logs.info("page_read", cursor='1\n{"level":"ERROR"}')
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_french_text_and_pictures_stay_readable_for_those_who_search_for_them(capsys):
    logs.info("job_triggered", line="🔄 Déclenchement de la synchronisation inbox via API...")
    assert "🔄 Déclenchement de la synchronisation" in capsys.readouterr().err


@pytest.mark.parametrize("name", sorted(RESERVED))
def test_a_field_may_have_any_name(capsys, name):
    logs.info("level_chosen", **{name: 2})
    line = written(capsys)
    assert line["message"] == "level_chosen"
    assert line[f"{name}_"] == 2


def test_on_aws_lines_go_to_standard_output_and_locally_to_standard_error(
    capsys, monkeypatch, request
):
    logs.info("run_started")
    captured = capsys.readouterr()
    assert (captured.out, bool(captured.err)) == ("", True)
    request.getfixturevalue("deployed")
    logs.info("run_started")
    captured = capsys.readouterr()
    assert (bool(captured.out), captured.err) == (True, "")


def test_unusable_settings_do_not_prevent_logging(capsys, monkeypatch):
    monkeypatch.setenv("LOG_LEVEL", "CHATTY")
    logs.info("run_started")
    assert written(capsys)["message"] == "run_started"


def test_the_level_is_a_setting(capsys, monkeypatch):
    logs.debug("row_read")
    assert capsys.readouterr().err == ""
    monkeypatch.setenv("LOG_LEVEL", "DEBUG")
    logs.debug("row_read")
    assert written(capsys)["message"] == "row_read"
    monkeypatch.setenv("LOG_LEVEL", "ERROR")
    logs.warning("row_read")
    assert capsys.readouterr().err == ""


def test_bound_fields_are_on_every_line_of_their_block_and_of_no_other(capsys):
    with logs.bind(job="followups", run_id="r1"):
        with logs.bind(run_id="r2", step="plan"):
            logs.info("row_read", step="send")
        logs.info("row_read")
    logs.info("row_read")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    found = [[line.get(name) for name in ("job", "run_id", "step")] for line in lines]
    assert found == [["followups", "r2", "send"], ["followups", "r1", None], [None] * 3]


def test_bound_fields_are_gone_after_an_error(capsys):
    with pytest.raises(ValueError, match="x"), logs.bind(job="followups"):
        raise ValueError("x")
    logs.info("row_read")
    assert "job" not in written(capsys)


def test_threads_do_not_share_their_bound_fields(capsys):
    def work(number: int) -> None:
        with logs.bind(number=number):
            for _ in range(20):
                logs.info("row_read", expected=number)

    with logs.bind(job="followups"), ThreadPoolExecutor(4) as pool:
        for number in range(4):
            pool.submit(contextvars.copy_context().run, work, number)
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert len(lines) == 80
    assert all(line["number"] == line["expected"] for line in lines)
    assert all(line["job"] == "followups" for line in lines)


def test_our_own_error_keeps_its_text_and_its_code(capsys):
    try:
        raise ItemFailed("La facture F-1042 n'a pas de client.", code="no_customer")
    except ItemFailed as error:
        logs.warning("item_failed", error=error)
    told = written(capsys)["error"]
    assert told["type"] == "chalicelib.errors.ItemFailed"
    assert told["code"] == "no_customer"
    assert told["message"] == "La facture F-1042 n'a pas de client."
    assert re.fullmatch(r".*/tests/test_logs\.py:\d+ test_our_own_error_.*", told["stack"][-1])


def test_another_librarys_error_loses_its_text(capsys):
    try:
        int("jean.dupont@example.fr owes 120 €")
    except ValueError as error:
        logs.error("row_refused", error=error)
    output = capsys.readouterr().err
    assert "jean" not in output
    assert "owes" not in output
    assert json.loads(output)["error"]["type"] == "builtins.ValueError"


def test_a_database_error_keeps_its_sqlstate_and_neither_its_row_nor_its_statement(
    database, capsys
):
    engine = database.engine()
    try:
        with engine.begin() as connection:
            connection.execute(text("SELECT CAST(:value AS integer)"), {"value": "Jean Dupont"})
    except DBAPIError as error:
        logs.error("run_attempt_failed", error=error)
    output = capsys.readouterr().err
    assert "Dupont" not in output
    assert "CAST" not in output
    told = json.loads(output)["error"]
    assert told["code"] == "22P02"
    assert told["cause"]["code"] == "22P02"


def test_the_cause_is_told_and_a_hidden_one_is_not(capsys):
    try:
        try:
            raise OSError(111, "refused by 10.0.0.1")
        except OSError as refused:
            raise ItemFailed("Le serveur refuse la connexion.") from refused
    except ItemFailed as error:
        logs.error("item_failed", error=error)
    assert written(capsys)["error"]["cause"]["code"] == "errno:111"
    try:
        try:
            int("x")
        except ValueError:
            raise ItemFailed("Le montant est illisible.") from None
    except ItemFailed as error:
        logs.error("item_failed", error=error)
    assert "cause" not in written(capsys)["error"]


@pytest.mark.parametrize("style", ["json", "text"])
def test_no_secret_gets_into_a_line_whichever_way_it_comes(capsys, monkeypatch, style):
    """The canary: each way in which a configured secret could reach a line by mistake."""
    monkeypatch.setenv("LOG_FORMAT", style)
    monkeypatch.setenv("LOG_LEVEL", "DEBUG")
    from urllib.parse import quote

    dsn = f"postgresql://ponctuel:{quote(PASSWORD, safe='')}@127.0.0.1:9/ponctuel"
    current = Settings.from_mapping({"CRON_SECRET": SECRET, "DATABASE_URL": dsn})
    assert current.cron_secret == SECRET
    url = current.database_url.url
    engine = create_engine(url)
    try:
        engine.connect()
    except (DBAPIError, OSError) as error:
        error.add_note(f"{dsn} {SECRET}")
        logs.error("database_refused", error=error, url=url)
    logs.info("call_refused", path=f"/inbox/integrations/sync-all?secret={SECRET}")
    logs.info("call_refused", headers={"Authorization": f"Bearer {SECRET}"})
    logs.info("call_refused", headers=[f"authorization: bearer {SECRET}", {SECRET: SECRET}])
    logs.info("settings_read", dsn=dsn, password=PASSWORD, parts=[PASSWORD, quote(PASSWORD)])
    logs.info("settings_read", error=ItemFailed(f"{dsn} {SECRET}"))
    logs.info("settings_read", text="x" * 490 + SECRET, bytes_=SECRET.encode())
    with logs.bind(caller=SECRET):
        logs.metric("calls_refused", 1, caller=SECRET)
    captured = capsys.readouterr()
    output = captured.out + captured.err
    assert output.count("settings_read") == 3
    assert "canary" not in output
    assert "c@nary" not in output
    assert "c%40nary" not in output


@pytest.mark.parametrize(
    "text",
    [
        "Jean <jean.dupont@example.fr> refused",
        "to=jean@example.fr",
        "whatsapp:+33612345678",
        "wa +33612345678.",
        "Bearer unknown-secret-of-somebody",
        "GET /cron?secret=unknown&force=1",
        "smtp://moi:motdepasse@smtp.example.fr:465",
        "smtp://moi%40example.fr:motdepasse@smtp.example.fr",
    ],
)
def test_addresses_phone_numbers_and_unknown_secrets_are_masked(text):
    cleaned = scrub_text(text)
    assert MASK in cleaned
    for private in ("jean", "336", "unknown", "motdepasse", "moi"):
        assert private not in cleaned


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-21T01:24:24.085+00:00",
        "0 */6 * * *",
        "F-1042",
        "chalicelib/runner/engine.py:73 run",
        "019f0000-0000-7000-8000-000000000001",
        "https://ponctuel.example.fr/api/runs/42",
        "B1/factures/F-1042.pdf",
        "un secret de 32 caractères",
    ],
)
def test_what_is_not_private_stays_as_it_is(text):
    assert scrub_text(text) == text


@given(st.text(max_size=2000))
def test_masking_ends_at_a_bounded_length_whatever_the_text(text):
    assert len(scrub_text(text)) <= 500


def test_a_long_text_without_an_at_sign_is_masked_in_no_time():
    import time

    started = time.process_time()
    scrub_text("a" * 200_000 + "://" * 1000)
    assert time.process_time() - started < 2


def test_a_terminal_gets_one_readable_line_and_the_stack_below(capsys, monkeypatch):
    monkeypatch.setenv("LOG_FORMAT", "text")
    logs.info("run_started", job="followups", reason="à la main", counts={"sent": 1})
    line = capsys.readouterr().err
    assert re.fullmatch(
        r'\d\d:\d\d:\d\d INFO    run_started job=followups reason="à la main" '
        r'counts={"sent": 1}\n',
        line,
    )
    try:
        int("x")
    except ValueError as error:
        logs.error("row_refused", error=error)
    first, second = capsys.readouterr().err.splitlines()
    assert first.endswith("ERROR   row_refused error=builtins.ValueError")
    assert re.fullmatch(r"    .*/tests/test_logs\.py:\d+ test_a_terminal_.*", second)


def test_metrics_are_written_in_cloudwatchs_embedded_format_when_they_are_flushed(deployed, capsys):
    logs.metric("messages_accepted", 3, kind="invoice_reminder")
    logs.metric("messages_accepted", 2, kind="invoice_reminder")
    logs.metric("run_duration", 1.5, "Seconds", job="followups")
    assert capsys.readouterr().out == ""
    logs.flush_metrics()
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    by_name = {line["_aws"]["CloudWatchMetrics"][0]["Metrics"][0]["Name"]: line for line in lines}
    accepted = by_name["messages_accepted"]
    assert accepted["messages_accepted"] == [3.0, 2.0]
    assert (accepted["stage"], accepted["kind"]) == ("prod", "invoice_reminder")
    declared = accepted["_aws"]["CloudWatchMetrics"][0]
    assert declared["Namespace"] == "Ponctuel"
    assert sorted(declared["Dimensions"][0]) == ["kind", "stage"]
    duration = by_name["run_duration"]["_aws"]["CloudWatchMetrics"][0]
    assert duration["Metrics"] == [{"Name": "run_duration", "Unit": "Seconds"}]
    logs.flush_metrics()
    assert capsys.readouterr().out == ""


def test_a_thousand_values_are_all_written(deployed, capsys):
    for value in range(1000):
        logs.metric("messages_accepted", value, kind="invoice_reminder")
    logs.flush_metrics()
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    values = itertools.chain.from_iterable(line["messages_accepted"] for line in lines)
    assert sorted(values) == list(range(1000))
    assert all(line["kind"] == "invoice_reminder" for line in lines)


def test_locally_a_metric_is_a_debug_line(capsys, monkeypatch):
    monkeypatch.setenv("LOG_LEVEL", "DEBUG")
    logs.metric("messages_accepted", 3, kind="invoice_reminder")
    logs.flush_metrics()
    captured = capsys.readouterr()
    assert captured.out == ""
    assert json.loads(captured.err)["metric"] == "messages_accepted"


def test_every_event_in_the_code_has_a_constant_name_in_snake_case():
    wrong = []
    for file in sorted(CHALICELIB.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and isinstance(node.func.value, ast.Name)
                and node.func.value.id in {"log", "logs"}
                and node.func.attr in {"debug", "info", "warning", "error", "metric"}
                and not is_event_name(node.args[0] if node.args else None)
            ):
                wrong.append(f"{file.relative_to(CHALICELIB)}:{node.lineno}")
    assert wrong == []


def is_event_name(node: ast.expr | None) -> bool:
    return (
        isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", node.value) is not None
    )


def test_importing_logs_costs_less_than_three_milliseconds_and_loads_nothing_heavy():
    # These are imported before any handler, by AWS's bootstrap or by the handler's own package.
    program = (
        "import chalicelib, contextvars, json, logging, re, sys, threading, time, typing\n"
        "start = time.process_time()\n"
        "import chalicelib.logs\n"
        "print(time.process_time() - start)\n"
        "print(sorted(sys.modules.keys() & {'aws_lambda_powertools', 'sqlalchemy', 'botocore',"
        " 'dataclasses', 'chalicelib.settings'}))"
    )
    runs = [
        subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True
        ).stdout.splitlines()
        for _ in range(3)
    ]
    assert runs[0][1] == "[]"
    assert min(float(run[0]) for run in runs) < 0.003
