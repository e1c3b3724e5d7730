"""EventBridge's cron expressions read by the grammar of AWS's reference, to judge our rules.

https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-cron-expressions.html
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from tests.runner.brute_force import DAY, MONTHS, WEEKDAYS, Names, day_names, values_of

MAX_LENGTH = 256  # PutRule, ScheduleExpression
_TERM = re.compile(r"(\*|\d+|[A-Z]{3})(-(\d+|[A-Z]{3}))?(/[1-9]\d*)?")
_RULE = re.compile(r"cron\(([^ ()]+) ([^ ()]+) ([^ ()]+) ([^ ()]+) ([^ ()]+) \*\)")
_AWS_WEEKDAYS = {name: number + 1 for name, number in WEEKDAYS.items()}


@dataclass(frozen=True)
class Rule:
    """A parsed rule: its UTC times of day in minutes, and whether it ticks on a day since 1970."""

    times: list[int]
    matches: Callable[[int], bool]

    def first_from(self, minute: int) -> int:
        """The first tick at or after a UTC minute since 1970."""
        for day in range(minute // DAY, minute // DAY + 9 * 366):
            if self.matches(day):
                later = bisect_left(self.times, minute - day * DAY)
                if later < len(self.times):
                    return day * DAY + self.times[later]
        raise AssertionError("the rule never ticks")


@lru_cache(maxsize=4096)
def parse_rule(rule: str) -> Rule:
    """Raises AssertionError for what AWS refuses or does not document."""
    match = _RULE.fullmatch(rule)
    assert match, rule
    assert len(rule) <= MAX_LENGTH, rule
    minute, hour, dom, month, dow = match.groups()
    assert (dom == "?") != (dow == "?"), rule
    assert "/" not in dow, rule

    def field(text: str, low: int, high: int, names: Names) -> set[int]:
        assert all(_TERM.fullmatch(term) for term in text.split(",")), rule
        values = values_of(text, low, high, names)
        assert values, rule
        assert low <= min(values) <= max(values) <= high, rule
        return values

    months = field(month, 1, 12, MONTHS)
    if dom == "?":
        names = {str(day - 1) for day in field(dow, 1, 7, _AWS_WEEKDAYS)}
    else:
        names = {"L"} if dom == "L" else {str(day) for day in field(dom, 1, 31, {})}

    def matches(day: int) -> bool:
        its_month, its_dates, its_weekdays = day_names(day)
        its_names = its_weekdays if dom == "?" else its_dates
        return its_month in months and not names.isdisjoint(its_names)

    times = [60 * h + m for h in field(hour, 0, 23, {}) for m in field(minute, 0, 59, {})]
    return Rule(sorted(times), matches)
