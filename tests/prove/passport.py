"""The passport: per job and proof, what was done and what came of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.prove.proofs import BY_NAME, FULL
from tests.prove.seeds import Seed

Answer = Mapping[str, Any]
WRONG = ("lost", "duplicate", "unexpected", "false")
HEADINGS = ("proof", "trials", *WRONG, "uncertain", "failures", "minutes", "gone through")


@dataclass
class Row:
    """A proof of a job. `uncertain` is the most of one trial, and `bound` what that trial may
    have; `over` counts the trials past their bound. `minutes` are a worker's."""

    job: str
    proof: str
    trials: int = 0
    wrong: Counter[str] = field(default_factory=Counter)
    uncertain: int = 0
    bound: int = 0
    failures: int = 0
    minutes: float = 0.0
    done: Counter[str] = field(default_factory=Counter)
    points: set[str] = field(default_factory=set)

    def add(self, answer: Answer) -> None:
        """One more trial."""
        self.trials += 1
        self.wrong.update(answer["wrong"])
        if answer["uncertain"] >= self.uncertain:
            self.uncertain, self.bound = answer["uncertain"], answer["bound"]
        self.failures += failed(answer)
        self.minutes += answer["seconds"] / 60
        self.done.update(answer["done"])
        self.points.add(Seed.parse(answer["seed"]).case)

    def missing(self) -> list[str]:
        """What the proof of a fully counted job has to add up to, and does not."""
        proof = BY_NAME[self.proof]
        needs = proof.needs if proof.is_full(self.job) else {}
        return [
            f"{self.job}/{self.proof}: {self.done[name]} {name} of {least}"
            for name, least in needs.items()
            if self.done[name] < least
        ]

    def cells(self) -> list[str]:
        done = [f"{number:,} {name.replace('_', ' ')}" for name, number in self.done.items()]
        cases = [f"{len(self.points)} cases"] if self.points != {""} else []
        return [
            self.proof,
            f"{self.trials:,}",
            *(str(self.wrong[name]) for name in WRONG),
            f"{self.uncertain} (≤ {self.bound})",
            str(self.failures),
            f"{self.minutes:.1f}",
            ", ".join(done + cases),
        ]


def failed(answer: Answer) -> bool:
    """Whether the trial shows a fault."""
    return bool(answer["error"] or answer["wrong"] or answer["uncertain"] > answer["bound"])


def rows(answers: Iterable[Answer]) -> list[Row]:
    """One per job and proof, in the order of the registers."""
    found: dict[tuple[str, str], Row] = {}
    for answer in answers:
        seed = Seed.parse(answer["seed"])
        key = (seed.job, seed.proof)
        found.setdefault(key, Row(*key)).add(answer)
    order = list(BY_NAME)
    ordered = list(found.values())
    ordered.sort(key=lambda row: (row.job != FULL, row.job, order.index(row.proof)))
    return ordered


def text(
    about: Mapping[str, str], answers: Sequence[Answer], planned: int, shortcomings: Sequence[str]
) -> str:
    """The passport as people read it."""
    complete = len(answers) >= planned > 0
    lines = ["Ponctuel: what was proved, and how", ""]
    lines += [f"{name:<12} {value}" for name, value in about.items()]
    lines += [f"{'trials':<12} {len(answers):,} of {planned:,}"]
    if not complete:
        lines += ["", "INCOMPLETE: what follows is what was done before it was interrupted."]
    table = rows(answers)
    for job in dict.fromkeys(row.job for row in table):
        lines += ["", job, *_table([row.cells() for row in table if row.job == job])]
    failures = [answer for answer in answers if failed(answer)]
    if failures:
        lines += ["", f"FAILED: {len(failures)}. Each with the command that replays it:"]
        lines += [line for answer in failures for line in _failure(answer)]
    lines += ["", *(f"NOT SHOWN: {missing}" for missing in shortcomings)]
    if complete and not failures and not shortcomings:
        lines += ["All of it held."]
    return "\n".join(lines).rstrip() + "\n"


def _table(cells: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[n]) for row in (HEADINGS, *cells)) for n in range(len(HEADINGS))]
    last = len(HEADINGS) - 1
    return [
        "  "
        + "  ".join(
            cell.ljust(width) if n in (0, last) else cell.rjust(width)
            for n, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in (HEADINGS, *cells)
    ]


def _failure(answer: Answer) -> list[str]:
    why = answer["error"] or ", ".join(f"{n} {name}" for name, n in answer["wrong"].items())
    why = why or f"{answer['uncertain']} uncertain, {answer['bound']} allowed"
    first = why.splitlines()[0][:160]
    return [f"  {answer['seed']}: {first}", f'    make prove ARGS="--seed {answer["seed"]}"']
