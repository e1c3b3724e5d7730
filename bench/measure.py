"""What was measured, held against its goal."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Measure:
    """One figure of the table. `values`: one per round; `goal`: the bound that the median has to
    keep (`at_most` or `at_least`), None for what is shown without being judged. `detail` says what
    was compared, with the absolute figures."""

    name: str
    values: Sequence[float]
    unit: str
    goal: float | None
    detail: str
    bound: Literal["at most", "at least"] = "at most"

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def kept(self) -> bool:
        if self.goal is None:
            return True
        if self.bound == "at least":
            return self.median >= self.goal
        return self.median <= self.goal

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "median": round(self.median, 3),
            "low": round(min(self.values), 3),
            "high": round(max(self.values), 3),
            "rounds": len(self.values),
            "unit": self.unit,
            "goal": self.goal,
            "bound": self.bound,
            "kept": self.kept,
            "detail": self.detail,
        }


def table(measures: Sequence[Measure]) -> str:
    """Markdown, as docs/benchmarks.md keeps it."""
    rows = [
        "| measure | result | spread | goal | | detail |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for measure in measures:
        spread = f"{min(measure.values):.2f} to {max(measure.values):.2f}"
        goal = "–" if measure.goal is None else f"{measure.bound} {measure.goal:g}"
        verdict = "" if measure.goal is None else "ok" if measure.kept else "**KO**"
        cells = (
            measure.name,
            f"{measure.median:.2f} {measure.unit}",
            spread if len(measure.values) > 1 else "",
            goal,
            verdict,
            measure.detail,
        )
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def seconds(values: Sequence[float]) -> str:
    """The median, as a detail names it."""
    return f"{statistics.median(values):.2f} s"
