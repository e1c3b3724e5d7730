"""`ponctuel.sync_logs`: the list, for people, of what ran, what did not, and who was refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.routes.doors import CANARY, FOLLOWUPS, Door


def logged(door: Door) -> list[Mapping[str, Any]]:
    return door.deployment.rows("SELECT * FROM ponctuel.sync_logs ORDER BY at, entry DESC")


def test_a_finished_run_a_skipped_one_and_a_refused_call_are_listed_in_order(door: Door) -> None:
    door.deployment.open_business()
    door.deployment.invoice()
    assert door.get(FOLLOWUPS).status == 200
    assert door.post("/jobs/followups/pause", {"reason": "inventaire"}).status == 200
    assert door.get(FOLLOWUPS).status == 200
    assert door.outside("GET", f"{FOLLOWUPS}?secret={CANARY}").status == 403
    finished, skipped, refused = logged(door)

    assert (finished["entry"], finished["job"], finished["zone"]) == (
        "run",
        "followups",
        "Europe/Paris",
    )
    assert (finished["door"], finished["status"], finished["code"]) == ("http", "succeeded", None)
    assert finished["counts"] == {"planned": 1, "sent": 1}
    assert finished["at"] <= finished["started_at"] <= finished["finished_at"]

    assert (skipped["entry"], skipped["job"]) == ("run", "followups")
    assert (skipped["status"], skipped["code"], skipped["counts"]) == ("skipped", "paused", {})
    assert skipped["run_id"] != finished["run_id"]

    assert (refused["entry"], refused["status"], refused["door"]) == ("refused", "refused", "http")
    assert (refused["path"], refused["job"], refused["run_id"]) == (FOLLOWUPS, None, None)
    assert refused["code"]
    assert refused["at"] >= skipped["at"]


def test_the_run_of_an_answer_is_found_by_its_number(door: Door) -> None:
    run_id = door.get(FOLLOWUPS).json()["runId"]
    found = door.deployment.rows(
        "SELECT status FROM ponctuel.sync_logs WHERE run_id = :run_id", run_id=run_id
    )
    assert found == [{"status": "succeeded"}]


def test_no_secret_and_no_address_is_in_the_list(door: Door) -> None:
    door.deployment.open_business()
    door.deployment.invoice()
    door.get(FOLLOWUPS)
    door.outside("GET", f"{FOLLOWUPS}?secret={CANARY}")
    door.outside("POST", FOLLOWUPS, headers={"Authorization": f"Bearer {CANARY}"})
    told = str(logged(door))
    assert len(logged(door)) == 3
    assert CANARY not in told
    assert "@" not in told
