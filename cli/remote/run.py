"""A run on a deployed stage: ask for it, and wait until it is over."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

from chalicelib.errors import NotFound
from chalicelib.runner.ledger import FINISHED
from cli import output
from cli.execution import nothing_to_do
from cli.remote.client import Client, StageError
from cli.remote.plain import detail

FIRST_PAUSE_S = 0.3
LONGEST_PAUSE_S = 5.0
# A stage that cannot be asked for that long in a row is given up; its run goes on.
PATIENCE = 6


def ask(client: Client, job: str, body: Mapping[str, object]) -> list[str]:
    """Asks for a run or a dry run and returns the ids of its runs, one per zone. The waiting is
    done here: on the stage it would keep one of the few places for it."""
    answer = client.post(f"/jobs/{quote(job, safe='')}/runs", {**body, "wait": 0})
    return [str(run["runId"]) for run in answer.get("runs") or [answer] if "runId" in run]


def wait(client: Client, job: str, ids: Sequence[str]) -> list[dict[str, Any]]:
    """The runs once they are finished, as `run_detail` has them. Raises `StageError` when the stage
    cannot be asked any more, and lets KeyboardInterrupt through."""
    with _status() as tell:
        return [_finished(client, job, run_id, tell) for run_id in ids]


def _finished(client: Client, job: str, run_id: str, tell: Callable[[str], None]) -> dict[str, Any]:
    pause, failures = FIRST_PAUSE_S, 0
    while True:
        try:
            row = detail(client.get(f"/runs/{quote(run_id, safe='')}"))
            failures = 0
        except NotFound:
            return nothing_to_do(run_id, job, _zone(client, job))
        except StageError as error:
            failures += 1
            if not error.passing or failures > PATIENCE:
                raise
        else:
            if row["status"] in FINISHED:
                return row
            tell(_doing(row))
        time.sleep(pause)
        pause = min(1.5 * pause, LONGEST_PAUSE_S)


def _zone(client: Client, job: str) -> str:
    listed = client.get("/jobs").get("jobs", ())
    return next((str(one["zone"]) for one in listed if one.get("name") == job), "")


def _doing(row: Mapping[str, Any]) -> str:
    if row["status"] == "queued":
        return "demandée, pas encore commencée"
    if row["status"] == "continued":
        return "attend la suite"
    if row["step"] == "delivery":
        return "envoi des messages"
    reached = f" {row['position']}/{row['items']}" if row["items"] else ""
    return f"étape {row['step'] or '…'}{reached}"


@contextmanager
def _status() -> Iterator[Callable[[str], None]]:
    """A line on standard error while the block lasts; nothing where that is no terminal."""
    screen = output.console(stderr=True)
    if not screen.is_terminal:
        yield lambda _doing: None
        return
    with screen.status("demandée") as status:
        yield lambda doing: status.update(output.plain(doing))
