"""The states in which an invoice or a quote of the sample can be, relative to a day.

`due`: range of days from today to the due date (an invoice's) or to the end of validity (a
quote's); negative ones have passed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta

Days = tuple[int, int]


@dataclass(frozen=True)
class State:
    """`balance`: share of the total that remains, or an amount as text. `document`: whether the
    PDF is "named" (pdf_key set), "stored" (and in the documents), or neither (""). `weight`: how
    often beyond the one that each business has."""

    status: str
    due: Days
    weight: int = 0
    balance: float | str = 1.0
    document: str = ""
    policy: str | None = None
    offsets: dict[str, int] = field(default_factory=dict)  # date column → days from today
    values: dict[str, object] = field(default_factory=dict)

    @property
    def is_open(self) -> bool:
        """Whether somebody still owes money or an answer."""
        return self.status in ("sent", "partial", "overdue")


NOT_YET: Days = (4, 45)
BEFORE: Days = (0, 3)
FIRST: Days = (-14, -5)
SECOND: Days = (-29, -15)
THIRD: Days = (-60, -30)

INVOICES: Mapping[str, State] = {
    "draft": State("draft", (20, 40), 4),
    "not_due": State("sent", NOT_YET, 13),
    "notice_due": State("sent", BEFORE, 3),
    "due_lately": State("sent", (-4, -1), 4),
    "reminder_due": State("sent", FIRST, 4),
    "overdue": State("overdue", FIRST, 2),
    "firm_due": State("overdue", SECOND, 1, policy="ferme"),
    "formal_notice_due": State("overdue", THIRD, 1, policy="contentieux", document="stored"),
    "pdf_missing": State("overdue", THIRD, policy="contentieux", document="named"),
    "pdf_unnamed": State("overdue", THIRD, policy="contentieux"),
    "long_overdue": State("overdue", (-400, -90)),
    "after_reminder": State("overdue", (-26, -18)),
    "after_firm_reminder": State("overdue", (-50, -45), document="stored"),
    "partly_paid": State("partial", FIRST, 1, balance=0.6),
    "tolerated": State("partial", THIRD, 1, balance="0.40"),
    "paid": State("paid", (-330, 20), 60, balance=0.0, document="named"),
    "overpaid": State("sent", FIRST, balance="-35.00"),
    "paid_unmarked": State("sent", FIRST, balance=0.0),
    "credited": State("credited", (-200, -10), 2, balance=0.0),
    "credit_note": State("credited", (-90, -10), 1, balance=0.0),
    "cancelled": State("cancelled", (-200, 20), 1, balance=0.0),
    "disputed": State("overdue", SECOND, values={"disputed": True}),
    "promised": State("overdue", SECOND, offsets={"promised_until": 7}),
    "promised_today": State("overdue", SECOND, offsets={"promised_until": 0}),
    "promise_broken": State("overdue", SECOND, offsets={"promised_until": -2}),
    "auto_off": State("overdue", SECOND, values={"auto_enabled": False}),
    "reopened": State("sent", (-40, -20), offsets={"reopened_on": -6}, values={"cycle": 1}),
    "no_due_date": State("sent", FIRST, values={"due_on": None}),
    "due_before_issue": State("sent", FIRST, offsets={"issued_on": -2}),
    "leap_day": State("overdue", FIRST, values={"due_on": "leap"}),
    "in_euros": State("sent", FIRST, values={"currency": "EUR"}),
    "in_dollars": State("sent", FIRST, values={"currency": "USD"}),
}

QUOTES: Mapping[str, State] = {
    "fresh": State("sent", (24, 29), 6),
    "answer_awaited": State("sent", (14, 22), 3),
    "expiring": State("sent", (1, 3), 1),
    "expires_today": State("sent", (0, 0)),
    "expired_unmarked": State("sent", (-20, -1), 1),
    "expired": State("expired", (-200, -20), 4),
    "accepted": State("accepted", (-200, 20), 20),
    "refused": State("refused", (-200, 20), 6),
    "cancelled": State("cancelled", (-200, 20), 1),
    "draft": State("draft", (20, 29), 3),
    "auto_off": State("sent", (14, 22), values={"auto_enabled": False}),
    "no_end": State("sent", (14, 22), values={"valid_until": None}),
    "second_version": State("sent", (14, 22), values={"version": 2}),
}
QUOTE_VALIDITY_DAYS = 30


def latest_leap_day(today: date) -> date:
    """The latest 29 February that has been over for a week."""
    day = today - timedelta(days=7)
    while (day.month, day.day) != (2, 29):
        day -= timedelta(days=1)
    return day
