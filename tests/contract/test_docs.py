"""Whoever reads docs/ finds every job and route there; tests/test_settings.py sees to settings."""

from __future__ import annotations

import re

import pytest
from chalice.app import Chalice

from chalicelib import jobs
from tests.contract.paths import ROOT


def lines(name: str) -> list[str]:
    return (ROOT / "docs" / name).read_text(encoding="utf-8").splitlines()


def naming(text: str, name: str) -> list[str]:
    """The lines of docs/`name` in which `text` stands by itself, not as a part of a longer one."""
    alone = re.compile(rf"(?<![\w/{{}}-]){re.escape(text)}(?![\w/{{}}-])")
    return [line for line in lines(name) if alone.search(line)]


@pytest.mark.parametrize("name", [*jobs.NAMES, *jobs.TOOLS])
def test_every_job_is_in_the_jobs_page(name: str) -> None:
    assert naming(name, "jobs.md")


@pytest.mark.parametrize("name", jobs.NAMES)
def test_every_jobs_own_schedule_is_in_the_jobs_page(name: str) -> None:
    schedule = jobs.job(name).schedule
    assert any(schedule in line for line in lines("jobs.md"))


def test_every_route_is_in_the_http_page_with_its_methods(app: Chalice) -> None:
    undocumented = []
    for path, methods in app.routes.items():
        # Each route also exists below /api, which the page says once.
        short = path.removeprefix("/api")
        named = naming(short if short in app.routes else path, "http.md")
        undocumented += [
            f"{method} {path}" for method in methods if not any(method in line for line in named)
        ]
    assert app.routes
    assert undocumented == []
