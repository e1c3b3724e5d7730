"""What each registered job is given to do in the reliability tests, and what must come of it.

A job that is registered without a scenario fails `test_every_job_has_a_scenario`.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

from tests.harness import Deployment
from tests.reliability import accounts, agenda, lead_followups, mailboxes

Key = tuple[str, str, str]


# By WhatsApp: its levels, and a template for each of its texts.
BY_WHATSAPP = """
UPDATE ponctuel.followup_levels SET channel = 'whatsapp' WHERE business_id = 'B3';
INSERT INTO ponctuel.whatsapp_templates (business_id, provider, kind, variant, name, set_at, set_by)
SELECT '*', 'twilio', 'billing.' || kind, variant, 'HX' || repeat('0', 32), now(), 'test'
  FROM unnest(ARRAY['invoice_followup','quote_followup']) AS kind,
       unnest(ARRAY['rappel','ferme','mise_en_demeure']) AS variant
    ON CONFLICT DO NOTHING
"""


def verdict(deployment: Deployment, expected: AbstractSet[Key]) -> Counter[str]:
    """Counts lost, duplicate and uncertain messages, by the ledger and by the providers' own
    journals."""
    accepted = journals(deployment)
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
    found["false"] = sum(m["state"] == "accepted" and not accepted[_name(m)] for m in ledger)
    return +found


def journals(deployment: Deployment) -> Counter[str]:
    """How often each message was accepted, by its Message-ID or by the end of our reference."""
    accepted = Counter(entry.message_id for entry in deployment.smtp.accepted())
    accepted.update(entry.reference.partition("-")[2] for entry in deployment.twilio.accepted())
    return accepted


def _name(message: Mapping[str, Any]) -> str:
    return str(message["id"] if message["channel"] == "whatsapp" else message["message_id"])


@dataclass(frozen=True)
class Scenario:
    """`load` prepares the work; `expected` is the set of (business, subject, step) whose effect
    must come, each exactly once. `add` prepares the n-th piece of work for a later slot, and
    returns what must come besides. `verify` judges; a job whose effect is rows instead of messages
    brings its own, which counts the same things. `letters`: subjects that one letter alone names.
    """

    load: Callable[[Deployment], None]
    expected: frozenset[Key]
    add: Callable[[Deployment, int], set[Key]]
    verify: Callable[[Deployment, AbstractSet[Key]], Counter[str]] = verdict
    letters: tuple[str, ...] = ("F2", "F3", "D0", "D1", "W0", "W1", "W9")


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
    open_by_whatsapp(deployment)
    for n in range(2):
        _customer_by_whatsapp(deployment, f"W{n}", f"06 39 98 00 0{n}")
        deployment.invoice(f"W{n}", business_id="B3", customer_id=f"W{n}")
    _customer_by_whatsapp(deployment, "W9", "06 39 98 00 09")
    deployment.quote("W9", business_id="B3", customer_id="W9")


def open_by_whatsapp(deployment: Deployment) -> None:
    """Business B3, which writes by WhatsApp; the server is there."""
    assert deployment.twilio
    deployment.open_business("B3")
    deployment.execute(BY_WHATSAPP)


def _customer_by_whatsapp(deployment: Deployment, id: str, phone: str) -> None:
    deployment.customer(id, business_id="B3", emails="")
    deployment.phone(id, business_id="B3", phone=phone)


_RELANCES = frozenset(
    {("B1", f"F{n}", "1") for n in range(4)}
    | {("B1", "D0", "1"), ("B2", "C1", "1"), ("B2", "D1", "1")}
    | {("B3", "W0", "1"), ("B3", "W1", "1"), ("B3", "W9", "1")}
)


def _planned(deployment: Deployment) -> None:
    """The relances, already planned by a run that could not send them."""
    _relances(deployment)
    plan_only(deployment)
    assert {m["state"] for m in deployment.messages()} == {"planned"}


def plan_only(deployment: Deployment) -> None:
    """A tick of followups that has no time to send."""
    budget = os.environ["WAIT_SECONDS"]
    os.environ["WAIT_SECONDS"] = "0"
    deployment.tick("followups")
    os.environ["WAIT_SECONDS"] = budget


def _one_invoice(deployment: Deployment, n: int) -> set[Key]:
    """By e-mail and by WhatsApp in turns."""
    if n % 2:
        _customer_by_whatsapp(deployment, f"S{n}", f"06 39 98 {10 + n // 100} {n % 100:02}")
        deployment.invoice(f"S{n}", business_id="B3", customer_id=f"S{n}")
        return {("B3", f"S{n}", "1")}
    deployment.customer(f"S{n}", business_id="B1", emails=f"s{n}@b1.example")
    deployment.invoice(f"S{n}", business_id="B1", customer_id=f"S{n}")
    return {("B1", f"S{n}", "1")}


def _one_planned(deployment: Deployment, n: int) -> set[Key]:
    added = _one_invoice(deployment, n)
    plan_only(deployment)
    return added


def _told(deployment: Deployment, expected: AbstractSet[Key]) -> Counter[str]:
    return agenda.unshown(deployment, verdict(deployment, expected))


SCENARIOS = {
    "followups": Scenario(_relances, _RELANCES, _one_invoice),
    "overdue_and_reminders": Scenario(
        agenda.load, agenda.EXPECTED, agenda.add, _told, agenda.LETTERS
    ),
    "deliver_messages": Scenario(_planned, _RELANCES, _one_planned),
    "account_deletions": Scenario(
        accounts.load, accounts.EXPECTED, accounts.add, accounts.verdict, accounts.LETTERS
    ),
    "lead_followups": Scenario(
        lead_followups.load,
        lead_followups.EXPECTED,
        lead_followups.add,
        lead_followups.verdict,
        lead_followups.LETTERS,
    ),
    "inbox_sync": Scenario(mailboxes.load, mailboxes.EXPECTED, mailboxes.add, mailboxes.verdict),
}


def at_all_hours(deployment: Deployment) -> None:
    """The businesses write day and night, for tests that go on for hours."""
    deployment.execute(
        "UPDATE ponctuel.billing_settings SET window_start = '00:00', window_end = '23:59',"
        " business_days_only = false"
    )


def state_of(deployment: Deployment) -> dict[str, list[str]]:
    """Every row of every table, with the transaction that wrote it: equal when nobody wrote."""
    tables = deployment.rows(
        "SELECT table_name AS name FROM information_schema.tables "
        "WHERE table_schema = 'ponctuel' AND table_type = 'BASE TABLE' ORDER BY 1"
    )
    return {
        table["name"]: [
            row["row"]
            for row in deployment.rows(
                f"SELECT t.xmin::text || t::text AS row FROM ponctuel.{table['name']} t ORDER BY 1"
            )
        ]
        for table in tables
    }
