"""What Lambda and EventBridge will be given: handlers, names, rules and events."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import import_module
from uuid import UUID

import pytest
from chalice.app import (
    Chalice,
    CloudWatchEvent,
    EventSourceHandler,
    LambdaFunction,
    ScheduledEventConfig,
)

from chalicelib import jobs
from chalicelib.runner.events import DOORS, Call, envelope, parse
from chalicelib.runner.triggers import APP
from scripts import config
from scripts.stages import Stage
from tests.runner.eventbridge import parse_rule

Schedules = dict[str, ScheduledEventConfig]
Tools = dict[str, LambdaFunction]
RUN = UUID("01980b57-9a41-7c05-8f5e-0d6f5b8b3a11")
# As in EventBridge's documentation of scheduled events.
TICK = {
    "version": "0",
    "id": "53dc4d37-cffa-4f76-80c9-8b7d4a4d2eaa",
    "detail-type": "Scheduled Event",
    "source": "aws.events",
    "account": "123456789012",
    "time": "2026-11-20T16:53:06Z",
    "region": "eu-west-3",
    "resources": ["arn:aws:events:eu-west-3:123456789012:rule/ponctuel-prod-followups-event"],
    "detail": {},
}


def test_every_registered_job_has_a_schedule_and_every_tool_a_function(
    schedules: Schedules, tools: Tools
) -> None:
    assert set(schedules) == set(jobs.NAMES)
    assert set(tools) == set(jobs.TOOLS)


def test_each_handler_string_leads_to_an_event_handler_called_handler(schedules: Schedules) -> None:
    for name, source in schedules.items():
        module, _, attribute = source.handler_string.rpartition(".")
        assert (module, attribute) == (f"chalicelib.jobs.{name}", "handler")
        assert isinstance(import_module(module).handler, EventSourceHandler)


def test_each_tools_handler_string_leads_to_its_function(tools: Tools) -> None:
    for name, tool in tools.items():
        assert tool.handler_string == f"chalicelib.jobs.{name}.handler"
        assert callable(import_module(f"chalicelib.jobs.{name}").handler)


def test_the_job_of_a_module_bears_the_modules_name() -> None:
    assert [jobs.job(name).name for name in jobs.NAMES] == list(jobs.NAMES)


def test_jobs_rely_on_no_middleware_because_lambda_never_imports_the_application(
    app: Chalice,
) -> None:
    assert {event for _, event in app.middleware_handlers} <= {"http"}


def test_names_fit_into_lambdas_and_eventbridges_limits() -> None:
    names = [*jobs.NAMES, *jobs.TOOLS]
    # A logical id of CloudFormation keeps letters and digits only.
    assert len({re.sub(r"[^a-z0-9]", "", name.lower()) for name in names}) == len(names)
    for stage in config.load():
        for name in names:
            assert re.fullmatch(r"[a-z][a-z0-9_]{0,43}", name)
            assert len(f"{APP}-{stage.name}-{name}") <= 64
            assert len(f"{APP}-{stage.name}-{name}-event") <= 64


@pytest.mark.parametrize("stage", config.load(), ids=lambda stage: stage.name)
def test_each_rule_is_one_that_eventbridge_takes(
    stage: Stage, schedules: Schedules, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in config.environment(stage).items():
        monkeypatch.setenv(name, value)
    for source in schedules.values():
        rule = source.schedule_expression.to_string()  # type: ignore[union-attr]  # always one
        fields = re.fullmatch(r"cron\((.+)\)", rule)
        assert fields is not None, rule
        assert len(fields[1].split(" ")) == 6
        assert fields[1].split(" ").count("?") == 1
        parse_rule(rule)


def test_a_tick_of_eventbridge_is_understood_as_chalice_hands_it_over() -> None:
    assert parse(through_chalice(TICK)) == Call("schedule")


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("run_id", [RUN, None])
def test_a_call_by_hand_is_an_event_that_chalice_accepts(door: str, run_id: UUID | None) -> None:
    event = envelope(
        "followups", door=door, run_id=run_id, now=datetime(2026, 3, 29, 1, tzinfo=UTC)
    )
    assert event.keys() == TICK.keys()
    assert parse(through_chalice(event)) == Call(door, run_id)


def test_our_own_tick_has_the_shape_of_eventbridges() -> None:
    event = envelope("followups")
    assert event.keys() == TICK.keys()
    assert parse(through_chalice(event)) == Call("schedule")


@pytest.mark.parametrize("missing", sorted(TICK))
def test_anything_less_than_the_full_envelope_is_refused_by_chalice(missing: str) -> None:
    event = {key: value for key, value in TICK.items() if key != missing}
    with pytest.raises(KeyError):
        through_chalice(event)


def through_chalice(event: Mapping[str, object]) -> dict[str, object]:
    """What a handler's body reads: the JSON that Lambda delivers, made an event by Chalice."""
    delivered = json.loads(json.dumps(event))
    made = CloudWatchEvent(delivered, {})
    read: dict[str, object] = made.to_dict()
    return read
