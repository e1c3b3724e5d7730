"""Random rows in every table, and somebody who goes; at length in `make prove` (erasing)."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tests.database import Server
from tests.domain.accounts.proof import example
from tests.harness import Deployment, deployed


@pytest.fixture(scope="module")
def shared(
    database_server: Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployment]:
    with (
        database_server.database() as database,
        pytest.MonkeyPatch.context() as environment,
        deployed(database, tmp_path_factory.mktemp("anything"), environment) as deployment,
    ):
        yield deployment


@given(
    draw=st.randoms(use_true_random=False),
    scope=st.sampled_from(["user", "business"]),
    most=st.integers(1, 4),
)
# Fewer rows would hardly be easier to read, and take minutes to be found.
@settings(max_examples=4, phases=(Phase.explicit, Phase.reuse, Phase.generate))
def test_nothing_is_left_of_who_goes_and_nothing_else_has_changed(
    shared: Deployment, draw: random.Random, scope: str, most: int
) -> None:
    shared.empty()
    example(shared, scope, draw, most)
