"""Running a job now: record the run, wake the job's own process, wait for what it comes to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from unicodedata import category
from uuid import UUID

from chalicelib import logs
from chalicelib.db.engine import transaction
from chalicelib.errors import BadRequest, SettingsError
from chalicelib.routes import waiting
from chalicelib.routes.call import Call
from chalicelib.runner import ledger
from chalicelib.runner.bench import Bench
from chalicelib.runner.deadline import Deadline
from chalicelib.runner.job import Job
from chalicelib.runner.request import request, request_dry_run
from chalicelib.runner.triggers import trigger
from chalicelib.runner.work import zones

# Two seconds are left to answer in before API Gateway gives up.
LONGEST_WAIT_S = 27.0
LONGEST_REASON = 500
YEARS = range(2000, 2100)
# What becomes of a run when its job could not be woken.
LATER = "La demande est enregistrée : le prochain passage du job la prendra."
REHEARSAL_LOST = "Puis redemandez cette simulation."


@dataclass(frozen=True)
class Ask:
    """What the caller wants. `wait`: seconds, None for WAIT_SECONDS. `as_of` is aware."""

    dry_run: bool = False
    force: bool = False
    as_of: datetime | None = None
    reason: str = ""
    wait: float | None = None


def parse(body: Mapping[str, Any]) -> Ask:
    """Reads `{dry_run, force, as_of, reason, wait}`; raises `BadRequest`, in French."""
    known = tuple(Ask.__dataclass_fields__)
    if unknown := sorted(body.keys() - set(known)):
        raise BadRequest(f"Champ inconnu : {unknown[0][:60]}. Il y a : {', '.join(known)}.")
    ask = Ask(
        dry_run=_switch(body, "dry_run"),
        force=_switch(body, "force"),
        as_of=_instant(body.get("as_of")),
        reason=reason_of(body),
        wait=_seconds(body.get("wait")),
    )
    if ask.as_of is not None and not ask.dry_run:
        raise BadRequest('as_of ne va qu\'avec dry_run : ajoutez "dry_run": true.')
    return ask


def reason_of(body: Mapping[str, Any]) -> str:
    """The text in `reason`, on one line; empty when there is none. Raises `BadRequest`."""
    given = body.get("reason")
    if given is None:
        return ""
    if not isinstance(given, str) or len(given) > LONGEST_REASON:
        raise BadRequest(f"reason doit être un texte de {LONGEST_REASON} caractères au plus.")
    # PostgreSQL takes no NUL, and UTF-8 no lone surrogate.
    return " ".join("".join(" " if category(c) in ("Cc", "Cs") else c for c in given).split())


def run_now(call: Call, job: Job, ask: Ask, *, operator: bool) -> list[dict[str, Any]]:
    """One run per zone of the job, as the ledger has it when the wait is over: finished, or not.
    `operator`: also while the job is paused. Raises `DatabaseUnavailable` and `SchemaOutdated`."""
    why_not: str | None = None
    ids = [_record(call, job, zone, ask, operator=operator) for zone in _zones(call, job)]
    going_on = waiting.unfinished(call.engine, ids) if ids else []
    if going_on:
        # One process takes up every zone; a dry run is only done by the process that it was given.
        woken = going_on if ask.dry_run else going_on[:1]
        told = [trigger().wake(job.name, "http", run_id) for run_id in woken]
        why_not = next(filter(None, told), None)
        seconds = call.settings.wait_seconds if ask.wait is None else ask.wait
        left = min(seconds, LONGEST_WAIT_S) - call.elapsed()
        if why_not is None:  # else nobody works on it before the next tick
            waiting.wait(call.engine, going_on, Deadline.after(left, reserve=0))
    with transaction(call.engine) as connection:
        rows = [row for run_id in ids if (row := ledger.read(connection, run_id)) is not None]
    if why_not is None:
        return rows
    why_not += f" {REHEARSAL_LOST if ask.dry_run else LATER}"
    return [row | {"error": why_not} if row["status"] == "queued" else row for row in rows]


def bench(call: Call) -> Bench:
    """What the runner's functions need, on this call's connection."""
    return Bench(call.engine, call.settings, trigger(), holder="http")


def _record(call: Call, job: Job, zone: str, ask: Ask, *, operator: bool) -> UUID:
    by = call.caller.kind if call.caller else ""
    if ask.dry_run:
        return request_dry_run(
            call.engine,
            job,
            zone,
            door="http",
            by=by,
            reason=ask.reason,
            force=ask.force,
            as_of=ask.as_of,
        )
    return request(
        call.engine,
        job,
        zone,
        door="http",
        by=by,
        reason=ask.reason,
        force=ask.force,
        operator=operator,
    )


def _zones(call: Call, job: Job) -> list[str]:
    """The job's zones, without those of businesses whose zone does not exist."""
    usable = []
    for zone in zones(job, bench(call)):
        try:
            job.schedule_in(zone, call.settings)
        except SettingsError as error:
            logs.error("zone_unusable", job=job.name, error=error)
        else:
            usable.append(zone)
    return usable


def _switch(body: Mapping[str, Any], name: str) -> bool:
    given = body.get(name, False)
    if not isinstance(given, bool):
        raise BadRequest(f"{name} doit être true ou false, sans guillemets.")
    return given


def _instant(given: object) -> datetime | None:
    if given is None:
        return None
    try:
        instant = datetime.fromisoformat(given) if isinstance(given, str) else None
    except ValueError:
        instant = None
    if instant is None or instant.utcoffset() is None or instant.year not in YEARS:
        raise BadRequest(
            "as_of doit être un instant ISO 8601 avec son fuseau, par exemple "
            "2026-03-10T10:00:00+01:00."
        )
    return instant.astimezone(UTC)


def _seconds(given: object) -> float | None:
    if given is None:
        return None
    number = isinstance(given, int | float) and not isinstance(given, bool)
    if not number or not 0 <= given <= LONGEST_WAIT_S:  # type: ignore[operator]  # it is a number
        raise BadRequest(f"wait doit être un nombre de secondes de 0 à {LONGEST_WAIT_S:.0f}.")
    return float(given)  # type: ignore[arg-type]  # as above
