"""`make prove`: the long forms of the reliability tests, and the passport.

    python -m tests.prove [--job followups] [--proof kill] [--seed followups/kill/…/17]

Exit code: 0 when everything was done and held, 1 when something failed, 2 when it is incomplete.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from tests import database as databases
from tests.prove import about, passport
from tests.prove.crew import Answer, Crew
from tests.prove.proofs import BY_NAME, FULL, LEAST_POINTS, all_jobs, planned
from tests.prove.seeds import Seed

FOLDER = Path("build/prove")


class Session:
    """What is asked for, and what has been done of it: in memory, and line by line on disk."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.about = {
            "date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
            "commit": about.commit(),
            "machine": about.machine(),
            "Python": platform.python_version(),
        }
        self.answers: list[Answer] = []
        self.wanted = 0
        self.shortcomings: list[str] = []
        self._begun = self._told = time.monotonic()
        FOLDER.mkdir(parents=True, exist_ok=True)
        self._results = FOLDER / "results.jsonl"
        if options.resume:
            self._read()
        if not self.answers:
            self._results.write_text(json.dumps(self.about) + "\n")

    def plan(self, points: Mapping[str, Sequence[str]]) -> list[Seed]:
        """What is left to do."""
        chosen = self.options
        seeds = chosen.seed or planned(chosen.job, chosen.proof, points, chosen.share)
        self.wanted = len(seeds)
        if not chosen.seed and len(points.get(FULL, [""] * LEAST_POINTS)) < LEAST_POINTS:
            self.shortcomings.append(f"{FULL} has fewer than {LEAST_POINTS} points to be killed at")
        known = {answer["seed"] for answer in self.answers}
        return [seed for seed in seeds if str(seed) not in known]

    def record(self, answer: Answer) -> None:
        """Keeps an answer, and says how far it has got."""
        self.answers.append(answer)
        with self._results.open("a") as results:
            results.write(json.dumps(answer, ensure_ascii=False) + "\n")
        failures = sum(map(passport.failed, self.answers))
        spent = (time.monotonic() - self._begun) / 60
        line = (
            f"{len(self.answers)} of {self.wanted} trials, {failures} failed, {spent:.1f} min, "
            f"last {answer['seed']}"
        )
        if sys.stderr.isatty():
            sys.stderr.write(f"\r\x1b[K{line}")
        elif passport.failed(answer) or time.monotonic() - self._told > 60:
            self._told = time.monotonic()
            sys.stderr.write(line + "\n")
        sys.stderr.flush()

    def close(self, crew: Crew) -> int:
        """Writes the passport; the exit code."""
        self.about |= {"PostgreSQL": crew.postgresql or "none came up"}
        self.about |= {"took": f"{(time.monotonic() - self._begun) / 60:.1f} minutes"}
        complete = len(self.answers) >= self.wanted > 0
        whole = complete and not self.options.seed and self.options.share >= 1
        table = passport.rows(self.answers)
        if whole:
            self.shortcomings += [missing for row in table for missing in row.missing()]
        told = passport.text(self.about, self.answers, self.wanted, self.shortcomings)
        (FOLDER / "passport.txt").write_text(told)
        failures = [answer for answer in self.answers if passport.failed(answer)]
        document = {
            **self.about,
            "complete": complete,
            "planned": self.wanted,
            "not_shown": self.shortcomings,
            "proofs": [_row(row) for row in table],
            "failures": failures,
        }
        (FOLDER / "passport.json").write_text(json.dumps(document, indent=1, ensure_ascii=False))
        sys.stdout.write(("\n" if sys.stderr.isatty() else "") + told)
        return 1 if failures or (whole and self.shortcomings) else 0 if complete else 2

    def _read(self) -> None:
        """What an earlier run of the same code has done."""
        lines = self._results.read_text().splitlines() if self._results.exists() else []
        whole = [json.loads(line) for line in lines if line.endswith("}")]
        if not whole or whole[0]["commit"] != self.about["commit"]:
            sys.stderr.write("Nothing to resume for this commit: it begins from the start.\n")
            return
        self.answers = [*whole[1:]]


def main() -> int:
    """See the module."""
    session = Session(_options())
    names = [name for name in session.options.job if name != "engine"]
    crew = Crew(session.options.workers, names, session.plan, session.record, FOLDER)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    databases.sweep()
    try:
        crew.run(60 * session.options.minutes)
    except KeyboardInterrupt:
        sys.stderr.write("\nInterrupted.\n")
    return session.close(crew)


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def _row(row: passport.Row) -> dict[str, object]:
    return {
        "job": row.job,
        "proof": row.proof,
        "trials": row.trials,
        **{name: row.wrong[name] for name in passport.WRONG},
        "uncertain_most": row.uncertain,
        "uncertain_bound": row.bound,
        "failures": row.failures,
        "minutes": round(row.minutes, 2),
        "done": dict(row.done),
    }


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.prove", description=__doc__)
    parser.add_argument("--job", action="append", choices=all_jobs(), help="these jobs only")
    parser.add_argument("--proof", action="append", choices=list(BY_NAME), help="these proofs only")
    parser.add_argument("--seed", action="append", type=_seed, help="these trials only, once more")
    parser.add_argument("--minutes", type=float, default=24 * 60, help="stop after that time")
    parser.add_argument("--share", type=float, default=1.0, help="0.02: a fiftieth of the trials")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--resume", action="store_true", help="go on with what was interrupted")
    options = parser.parse_args()
    if options.seed:
        options.job = sorted({seed.job for seed in options.seed})
        options.workers = min(options.workers, len(options.seed))
    options.job = options.job or all_jobs()
    options.proof = options.proof or list(BY_NAME)
    return options


def _seed(text: str) -> Seed:
    seed = Seed.parse(text)
    if seed.proof not in BY_NAME or seed.job not in all_jobs():
        raise ValueError(text)
    return seed


if __name__ == "__main__":
    sys.exit(main())
