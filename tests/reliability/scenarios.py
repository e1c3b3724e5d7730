"""What each registered job is given to do in the reliability tests, and what must come of it.

A job that is registered without a scenario fails `test_every_job_has_a_scenario`.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from tests.harness import Deployment


@dataclass(frozen=True)
class Scenario:
    """`load` prepares the work; `expected` is the set of (business, subject, step) that must go
    out, each exactly once."""

    load: Callable[[Deployment], None]
    expected: frozenset[tuple[str, str, str]]


def _relances(deployment: Deployment) -> None:
    deployment.open_business("B1")
    deployment.open_business("B2", settings={"group_by_customer": True})
    for n in range(4):
        deployment.customer(f"K{n}", business_id="B1", emails=f"k{n}@b1.example")
        deployment.invoice(f"F{n}", business_id="B1", customer_id=f"K{n}")
    for n in range(2):
        deployment.invoice(f"F{n}", business_id="B2")
    deployment.customer("K9", business_id="B2", emails="k9@b2.example")
    deployment.quote("D1", business_id="B2", customer_id="K9")
    deployment.customer("K8", business_id="B1", emails="k8@b1.example")
    deployment.quote("D0", business_id="B1", customer_id="K8")


_RELANCES = frozenset(
    {("B1", f"F{n}", "1") for n in range(4)}
    | {("B1", "D0", "1"), ("B2", "C1", "1"), ("B2", "D1", "1")}
)


def _planned(deployment: Deployment) -> None:
    """The relances, already planned by a run that could not send them."""
    _relances(deployment)
    budget = os.environ["WAIT_SECONDS"]
    os.environ["WAIT_SECONDS"] = "0"
    deployment.tick("followups")
    os.environ["WAIT_SECONDS"] = budget
    assert {m["state"] for m in deployment.messages()} == {"planned"}


SCENARIOS = {
    "followups": Scenario(_relances, _RELANCES),
    "deliver_messages": Scenario(_planned, _RELANCES),
}


def recover(deployment: Deployment, job: str) -> None:
    """What the following ticks do by themselves, once leases and claims of the dead are over."""
    for _ in range(3):
        deployment.tick(job, hours=0.2)
        deployment.tick("deliver_messages", hours=0.2)
    deployment.tick("deliver_messages", hours=24)


def verdict(deployment: Deployment, expected: frozenset[tuple[str, str, str]]) -> Counter[str]:
    """Counts lost, duplicate and uncertain messages, by the ledger and by the server's journal."""
    accepted = Counter(entry.message_id for entry in deployment.smtp.accepted())
    ledger = deployment.messages()
    found: Counter[str] = Counter()
    found["duplicate"] = sum(n - 1 for n in accepted.values())
    found["duplicate"] += sum(
        n - 1 for n in Counter((m["business_id"], m["subject"], m["step"]) for m in ledger).values()
    )
    settled = {
        (m["business_id"], m["subject"], m["step"])
        for m in ledger
        if m["state"] in ("accepted", "uncertain")
    }
    found["lost"] = len(expected - settled)
    found["unexpected"] = len(settled - expected)
    found["uncertain"] = sum(m["state"] == "uncertain" for m in ledger)
    found["false"] = sum(
        m["state"] == "accepted" and m["message_id"] not in accepted for m in ledger
    )
    return +found
