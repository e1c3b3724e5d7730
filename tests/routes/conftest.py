"""The HTTP door of a deployment."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.harness import Deployment
from tests.routes.doors import SECRET, Door, opened


@pytest.fixture
def door(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> Iterator[Door]:
    monkeypatch.setenv("CRON_SECRET", SECRET)
    monkeypatch.setenv("LOG_FORMAT", "json")
    with opened(deployment) as door:
        yield door
