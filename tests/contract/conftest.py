"""The application as Chalice sees it when it deploys."""

from __future__ import annotations

import importlib

import pytest
from chalice.app import Chalice, LambdaFunction, ScheduledEventConfig


@pytest.fixture(scope="session")
def app() -> Chalice:
    found = importlib.import_module("app").app
    assert isinstance(found, Chalice)
    return found


@pytest.fixture(scope="session")
def schedules(app: Chalice) -> dict[str, ScheduledEventConfig]:
    """The event sources by name; there is no other sort of them yet."""
    sources = [source for source in app.event_sources if isinstance(source, ScheduledEventConfig)]
    assert sources == app.event_sources
    assert len({source.name for source in sources}) == len(sources)
    return {source.name: source for source in sources}


@pytest.fixture(scope="session")
def tools(app: Chalice) -> dict[str, LambdaFunction]:
    return {function.name: function for function in app.pure_lambda_functions}
