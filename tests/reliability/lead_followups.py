"""What the reliability tests give `lead_followups` to do: leads that are proposed to a closer, and
leads that are written to.

Each has one follow-up and no more. A proposal is a row, a message is one that WhatsApp has once;
each e-mail to the closer leaves once too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Set as AbstractSet

from chalicelib.outbox import consents
from tests import lead_rows as rows
from tests.harness import Deployment

Key = tuple[str, str, str]

ASSISTED, BY_MESSAGE = "B1", "B3"
NAMES = {ASSISTED: "P", BY_MESSAGE: "S"}
LETTERS = ("S0", "S1", "S2")
SLOTS = 4  # a day of them: what the night kept back has left
AT_ALL_HOURS = {
    "window_start": "00:00",
    "window_end": "23:59:59",
    "business_days_only": False,
    "expire_hours": 8760,
}


def load(deployment: Deployment) -> None:
    assert deployment.twilio
    rows.open_business(deployment, ASSISTED, **AT_ALL_HOURS)
    rows.open_business(deployment, BY_MESSAGE, mode="api", **AT_ALL_HOURS)
    rows.templates(deployment)
    for business in (ASSISTED, BY_MESSAGE):
        rows.cadence(deployment, "nouveau", (0, "relance"), business_id=business)
    for n in range(3):
        _lead(deployment, ASSISTED, n)
        _lead(deployment, BY_MESSAGE, n)


EXPECTED = frozenset(
    (business, f"{name}{n}", "1") for business, name in NAMES.items() for n in range(3)
)


def add(deployment: Deployment, n: int) -> set[Key]:
    business = BY_MESSAGE if n % 2 else ASSISTED
    return {_lead(deployment, business, n + 100)}


def _lead(deployment: Deployment, business: str, n: int) -> Key:
    digits = f"0639{98_0000 + n:06}"
    id = f"{NAMES[business]}{n}"
    rows.lead(deployment, id, business_id=business, name=f"Prospect {id}", phone=digits)
    if business == BY_MESSAGE:
        with deployment.database.begin() as connection:
            consents.grant(
                connection,
                business_id=business,
                channel="whatsapp",
                contact=f"+33{digits[1:]}",
                source="test",
            )
    return business, id, "1"


def verdict(deployment: Deployment, expected: AbstractSet[Key]) -> Counter[str]:
    """After the slots that come anyway: counts follow-ups that are lost, made twice or nobody's, by
    the ledger and by the providers' own journals; and e-mails that left twice."""
    for _ in range(SLOTS):
        deployment.advance_to_slot("lead_followups")
        deployment.tick("lead_followups", hours=0)
        deployment.deliver()
    made = deployment.rows(
        "SELECT business_id, lead_id, number, mode, state FROM ponctuel.lead_followups "
        "WHERE state <> 'cancelled'"
    )
    proposed = Counter(
        (row["business_id"], row["lead_id"], str(row["number"]))
        for row in made
        if row["mode"] == "assisted"
    )
    journal = Counter(entry.reference.partition("-")[2] for entry in deployment.twilio.accepted())
    sent: Counter[Key] = Counter()
    found: Counter[str] = Counter()
    for message in deployment.messages(kind="leads.followup"):
        key = (message["business_id"], message["subject"], message["step"])
        times = journal[str(message["id"])]
        sent[key] += times
        found["uncertain"] += message["state"] == "uncertain"
        found["false"] += message["state"] == "accepted" and not times
    done = proposed + sent
    found["lost"] = len(expected - done.keys() - _uncertain(deployment))
    found["unexpected"] = len(done.keys() - expected)
    found["duplicate"] = sum(n - 1 for n in done.values())
    mails = Counter(entry.message_id for entry in deployment.smtp.accepted())
    found["duplicate"] += sum(n - 1 for n in mails.values())
    return +found


def _uncertain(deployment: Deployment) -> set[Key]:
    messages = deployment.messages(kind="leads.followup", state="uncertain")
    return {(m["business_id"], m["subject"], m["step"]) for m in messages}
