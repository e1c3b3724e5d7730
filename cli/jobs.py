"""`jobs`, `runs` and `show`: what runs when, and what ran."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from rich.console import Console
from sqlalchemy import text

from chalicelib import jobs
from chalicelib.errors import BadRequest, NotFound, SettingsError
from chalicelib.runner import ledger
from chalicelib.runner.job import Job
from chalicelib.runner.schedule import Schedule
from cli import output
from cli.arguments import command, positive
from cli.rehearsal import show_reports
from cli.run_detail import detail
from cli.run_words import STATUSES, asked_by, counts_in_words, show_run
from cli.schedule_words import in_words, zone_in_words
from cli.source import Source, clock, database

NEXT = 3
_STATES = text("""
SELECT s.job, s.zone, s.covered_through, s.paused_at, s.paused_by, s.pause_reason,
       s.lease_until > ponctuel.clock() AS running, s.run_id AS unfinished,
       r.id AS last_run, r.number, r.status, r.started_at, r.finished_at
  FROM ponctuel.job_state s
  LEFT JOIN LATERAL (SELECT * FROM ponctuel.runs
                      WHERE job = s.job AND zone = s.zone AND NOT dry_run
                        AND status <> 'queued'
                      ORDER BY number DESC LIMIT 1) r ON true
""")
_BY_NUMBER = text("SELECT id FROM ponctuel.runs WHERE number = :number")


def register(subparsers: Any) -> None:
    command(subparsers, "jobs", "les jobs : horaire, dernière exécution, prochains créneaux", _jobs)
    parser = command(subparsers, "runs", "les dernières exécutions, la plus récente d'abord", _runs)
    parser.add_argument("job", metavar="JOB", nargs="?")
    parser.add_argument("--limit", metavar="N", type=positive, default=20, help="20 par défaut")
    parser = command(subparsers, "show", "une exécution en détail, avec ses erreurs", _show)
    parser.add_argument("run_id", metavar="EXÉCUTION", help="son numéro ou son identifiant")


def overview(source: Source) -> list[dict[str, Any]]:
    """One row per job and zone: schedule, state, last run and next slots (aware UTC)."""
    with source.transaction() as connection:
        now = clock(connection)
        assert isinstance(now, datetime)
        states = {(row["job"], row["zone"]): dict(row) for row in _rows(connection)}
    found = []
    for name in jobs.NAMES:
        job = jobs.job(name)
        try:
            for zone in source.zones(job):
                state = states.get((name, zone), {})
                found.append(_overview(job, job.schedule_in(zone, source.settings), now, state))
        except SettingsError as error:
            # One job's unusable setting must not hide the others.
            found.append({"job": name, "title": job.title, "error": str(error)})
    return found


def _rows(connection: Any) -> Any:
    return connection.execute(_STATES).mappings()


def _overview(
    job: Job, schedule: Schedule, now: datetime, state: Mapping[str, Any]
) -> dict[str, Any]:
    slots = []
    instant = now
    for _ in range(NEXT):
        instant = schedule.next_after(instant)
        slots.append(instant)
    last = (
        {
            name: state[name]
            for name in ("last_run", "number", "status", "started_at", "finished_at")
        }
        if state.get("last_run")
        else None
    )
    return {
        "job": job.name,
        "title": job.title,
        "zone": schedule.zone,
        "schedule": schedule.expression,
        "words": in_words(schedule.expression),
        "covered_through": state.get("covered_through"),
        "running": bool(state.get("running")),
        "unfinished_run": state.get("unfinished"),
        "paused": {
            "at": state["paused_at"],
            "by": state["paused_by"],
            "reason": state["pause_reason"],
        }
        if state.get("paused_at")
        else None,
        "last_run": last,
        "next": slots,
    }


def find_run(source: Source, wanted: str) -> dict[str, Any]:
    """A run by its number or its id. Raises `NotFound` and `BadRequest`."""
    if wanted.lstrip("#").isdecimal():
        with source.transaction() as connection:
            number = min(int(wanted.lstrip("#")), 2**63 - 1)
            run_id = connection.execute(_BY_NUMBER, {"number": number}).scalar()
        if run_id is None:
            raise NotFound("Aucune exécution ne porte ce numéro.")
    else:
        try:
            run_id = UUID(wanted)
        except ValueError:
            raise BadRequest(
                f"« {wanted} » n'est ni un numéro ni un identifiant d'exécution (voir `runs`)."
            ) from None
    with source.transaction() as connection:
        found = detail(connection, run_id)
    if found is None:
        raise NotFound("Aucune exécution ne porte cet identifiant.")
    return found


def _jobs(arguments: Namespace) -> int:
    with database() as source:
        output.answer(arguments, overview(source), _show_jobs)
    return 0


def _runs(arguments: Namespace) -> int:
    if arguments.job is not None:
        jobs.job(arguments.job)
    with database() as source, source.transaction() as connection:
        found = ledger.recent(connection, arguments.job, arguments.limit)
    output.answer(arguments, found, _show_runs)
    return 0


def _show(arguments: Namespace) -> int:
    with database() as source:
        output.answer(arguments, find_run(source, arguments.run_id), _show_run)
    return 0


def _show_run(screen: Console, run: dict[str, Any]) -> None:
    show_run(screen, run)
    if run["report"] is not None:
        show_reports(screen, [run], everything=False)


def _show_jobs(screen: Console, data: list[dict[str, Any]]) -> None:
    rows = []
    for row in data:
        if "error" in row:
            rows.append((f"{row['title']}\n{row['job']}", row["error"], "", "", "", ""))
            continue
        last, zone = row["last_run"], row["zone"]
        rows.append(
            (
                f"{row['title']}\n{row['job']}",
                f"{row['words']}\n{zone_in_words(zone)}",
                _last(last, zone),
                output.when(row["covered_through"], zone) or "jamais passé",
                "\n".join(output.when(slot, zone) for slot in row["next"]),
                _state(row),
            )
        )
    columns = ("job", "horaire", "dernière exécution", "couvert jusqu'au", "prochains", "état")
    output.table(screen, columns, rows)


def _last(last: Mapping[str, Any] | None, zone: str) -> str:
    if last is None:
        return "jamais"
    return (
        f"{output.when(last['started_at'], zone)}\n{STATUSES[last['status']]}, n° {last['number']}"
    )


def _state(row: Mapping[str, Any]) -> str:
    if row["running"]:
        return "en cours"
    if row["paused"]:
        return f"en pause depuis le {output.when(row['paused']['at'], row['zone'])}\n" + (
            f"par {row['paused']['by']} : {row['paused']['reason']}"
        )
    return "à reprendre" if row["unfinished_run"] else ""


def _show_runs(screen: Console, data: list[dict[str, Any]]) -> None:
    if not data:
        output.line(screen, "Aucune exécution.")
    output.table(
        screen,
        ("n°", "job", "fuseau", "début", "durée", "état", "par", "résultat"),
        [
            (
                run["number"],
                run["job"],
                run["zone"],
                output.when(run["started_at"] or run["created_at"], run["zone"]),
                output.duration(run["started_at"], run["finished_at"]),
                STATUSES[run["status"]] + (" (à blanc)" if run["dry_run"] else ""),
                asked_by(run),
                counts_in_words(run["counts"]) or run["error"] or "",
            )
            for run in data
        ],
    )
