"""What `make prove` plans, and what its passport says."""

from __future__ import annotations

from typing import Any

import pytest

from chalicelib import jobs
from tests.contract.paths import ROOT
from tests.prove import passport
from tests.prove.proofs import BY_NAME, ENGINE, FULL, PROOFS, all_jobs, planned
from tests.prove.seeds import Seed

POINTS = {name: ["before:engine._batch", "before_call", "after_call"] for name in jobs.NAMES}
ABOUT = {"commit": "0123456789ab"}


def answer(seed: str, **overrides: Any) -> dict[str, Any]:
    values = {"wrong": {}, "uncertain": 0, "bound": 2, "done": {}, "error": None, "seconds": 60}
    return {"seed": seed, **values, **overrides}


@pytest.mark.parametrize("text", ["followups/storm/3", "followups/kill/before:engine._batch/17"])
def test_a_seed_is_read_as_it_is_written(text: str) -> None:
    assert str(Seed.parse(text)) == text


def test_what_is_no_seed_is_refused() -> None:
    for text in ("", "followups", "followups/kill/x", "a/b/c/d/1"):
        with pytest.raises(ValueError, match="no seed"):
            Seed.parse(text)


def test_every_registered_job_is_killed_frozen_stormed_and_cut_off() -> None:
    seeds = planned(all_jobs(), list(BY_NAME), POINTS)
    for job in jobs.NAMES:
        proofs = {seed.proof for seed in seeds if seed.job == job}
        assert {"kill", "zombie", "storm", "cuts", "commits", "deadlines"} <= proofs
    assert len(seeds) == len(set(seeds))


def test_followups_has_the_full_counts_and_the_longest_trials_begin_first() -> None:
    seeds = planned(all_jobs(), list(BY_NAME), POINTS)
    kills = [seed for seed in seeds if (seed.job, seed.proof) == (FULL, "kill")]
    assert len(kills) == 25 * len(POINTS[FULL])
    costs = [BY_NAME[seed.proof].cost_s for seed in seeds]
    assert costs == sorted(costs, reverse=True)
    cases = sum(10_000 for seed in seeds if (seed.job, seed.proof) == (ENGINE, "schedules"))
    assert cases == 1_000_000


def test_a_passport_names_each_failure_with_the_command_that_replays_it() -> None:
    failure = answer("followups/kill/after_call/3", wrong={"duplicate": 1})
    told = passport.text(ABOUT, [answer("followups/kill/before_call/0"), failure], 2, [])
    assert 'make prove ARGS="--seed followups/kill/after_call/3"' in told
    assert "1 duplicate" in told
    assert "All of it held." not in told


def test_a_passport_of_an_interrupted_run_says_that_it_is_incomplete() -> None:
    told = passport.text(ABOUT, [answer("followups/storm/0")], 50, [])
    assert "INCOMPLETE" in told
    assert "1 of 50" in told
    assert "All of it held." not in told


def test_more_uncertain_messages_than_calls_in_flight_are_a_failure() -> None:
    assert not passport.failed(answer("followups/kill/after_call/3", uncertain=2))
    assert passport.failed(answer("followups/kill/after_call/3", uncertain=3))


def test_a_proof_that_has_gone_through_less_than_it_must_is_not_shown() -> None:
    (row,) = passport.rows([answer("followups/storm/0", done={"slots": 200})])
    assert row.missing() == ["followups/storm: 200 slots of 10000"]


def test_every_proof_is_explained_in_the_documentation() -> None:
    text = (ROOT / "docs" / "proofs.md").read_text(encoding="utf-8")
    assert [proof.name for proof in PROOFS if f"`{proof.name}`" not in text] == []
