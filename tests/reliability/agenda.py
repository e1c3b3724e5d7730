"""What the reliability tests give `overdue_and_reminders` to do: a task each for some users, an
appointment each for others. Each must be shown once in the application and written of once."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

from tests import factories
from tests.harness import NOW, TODAY, Deployment

Key = tuple[str, str, str]
KINDS = ("agenda.notice", "agenda.reminder", "agenda.digest")
SLOT = NOW + timedelta(hours=1)

# A row of the ledger without its row in the application, or the other way round.
_UNSHOWN = """
SELECT count(*) AS n FROM ponctuel.agenda_told t
  FULL JOIN ponctuel.notifications s
    ON s.business_id = t.business_id AND s.kind = t.kind AND s.subject = t.subject
   AND s.cycle = t.cycle AND s.user_id = t.user_id
 WHERE s.id IS NULL OR t.id IS NULL
"""


def load(deployment: Deployment) -> None:
    for business in ("B1", "B2"):
        deployment.open_business(business, settings={"followups_enabled": False})
        deployment.go_live(business, kinds=KINDS)
        for n in range(2):
            _overdue_task(deployment, f"T{n}", business)
            _appointment(deployment, f"A{n}", business)
    for id in LETTERS:
        _appointment(deployment, id, "B1")


# Of one business alone.
LETTERS = ("A2", "A3")
EXPECTED = frozenset(
    {(business, f"UT{n}", "") for business in ("B1", "B2") for n in range(2)}
    | {(business, f"A{n}", f"UA{n}") for business in ("B1", "B2") for n in range(2)}
    | {("B1", id, f"U{id}") for id in LETTERS}
)


def add(deployment: Deployment, n: int) -> set[Key]:
    _overdue_task(deployment, f"S{n}", "B1")
    return {("B1", f"US{n}", "")}


def _overdue_task(deployment: Deployment, id: str, business: str) -> None:
    with deployment.database.begin() as connection:
        factories.user(connection, f"U{id}", business)
        task = {"business_id": business, "id": id, "user_id": f"U{id}", "title": f"Tâche {id}"}
        # Without an hour: it is due to the day's end, wherever its user is.
        factories.row(connection, "tasks", task | {"due_on": TODAY - timedelta(days=2)})


def _appointment(deployment: Deployment, id: str, business: str) -> None:
    """Its reminder is due at the next slot, and may be twelve hours late."""
    with deployment.database.begin() as connection:
        factories.user(connection, f"U{id}", business)
        appointment = {
            "business_id": business, "id": id, "user_id": f"U{id}", "title": f"Visite {id}",
            "starts_at": SLOT + timedelta(days=1), "offsets": "1440",
            "created_at": NOW - timedelta(days=9),
        }  # fmt: skip
        factories.row(connection, "appointments", appointment)


def unshown(deployment: Deployment, found: Counter[str]) -> Counter[str]:
    """A verdict on the messages, with what is not shown counted as lost."""
    return found + Counter(lost=deployment.rows(_UNSHOWN)[0]["n"])
