"""`jobs`, `runs` and `show`: what runs when, and what ran."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console

from chalicelib.outbox.content import shorten
from cli import output
from cli.arguments import command, positive
from cli.rehearsal import show_reports
from cli.run_words import STATUSES, asked_by, counts_in_words, show_run
from cli.schedule_words import in_words, zone_in_words
from cli.source import opened

# A title has that many characters on a screen that is not wide.
TITLE, WIDE = 22, 160


def register(subparsers: Any) -> None:
    command(
        subparsers,
        "jobs",
        "les jobs : horaire, dernière exécution, prochains créneaux",
        _jobs,
        remote=True,
    )
    parser = command(
        subparsers, "runs", "les dernières exécutions, la plus récente d'abord", _runs, remote=True
    )
    parser.add_argument("job", metavar="JOB", nargs="?")
    parser.add_argument("--limit", metavar="N", type=positive, default=20, help="20 par défaut")
    parser = command(
        subparsers, "show", "une exécution en détail, avec ses erreurs", _show, remote=True
    )
    parser.add_argument("run_id", metavar="EXÉCUTION", help="son numéro ou son identifiant")


def rows(jobs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One row per job and zone, of what a source gives; an `error` stands for what is not known."""
    found: list[dict[str, Any]] = []
    for job in jobs:
        named = {"job": job["name"], "title": job["title"]}
        if job.get("error"):
            found.append(named | {"error": job["error"]})
        elif not job["states"]:
            found.append(named | {"error": "Aucune entreprise active."})
        for state in job["states"]:
            if state.get("error"):
                found.append(named | {"error": state["error"]})
            else:
                found.append(named | _row(job["schedule"], state))
    return found


def _row(schedule: str, state: Mapping[str, Any]) -> dict[str, Any]:
    last = state.get("last_run")
    names = ("number", "status", "started_at", "finished_at")
    following = [state.get("next_slot")]  # all that a version before `next_slots` tells
    return {
        "zone": state["zone"],
        "schedule": schedule,
        "words": in_words(schedule),
        "covered_through": state["covered_through"],
        "running": state["running"],
        "unfinished_run": state["unfinished_run_id"],
        "paused": {
            "at": state["paused_at"],
            "by": state["paused_by"],
            "reason": state["pause_reason"],
        }
        if state["paused_at"]
        else None,
        "last_run": {"last_run": last["run_id"]} | {name: last[name] for name in names}
        if last
        else None,
        "next": [slot for slot in state.get("next_slots", following) if slot],
    }


def _jobs(arguments: Namespace) -> int:
    with opened(arguments) as source:
        output.answer(arguments, rows(source.jobs()), _show_jobs)
    return 0


def _runs(arguments: Namespace) -> int:
    with opened(arguments) as source:
        output.answer(arguments, source.runs(arguments.job, arguments.limit), _show_runs)
    return 0


def _show(arguments: Namespace) -> int:
    with opened(arguments) as source:
        output.answer(arguments, source.run(arguments.run_id), _show_run)
    return 0


def _show_run(screen: Console, run: dict[str, Any]) -> None:
    show_run(screen, run)
    if run["report"] is not None:
        show_reports(screen, [run], everything=False)


def _show_jobs(screen: Console, data: list[dict[str, Any]]) -> None:
    room = TITLE if screen.width < WIDE else WIDE
    listed: list[tuple[object, ...]] = []
    for row in data:
        name = f"{row['job']}\n{shorten(row['title'], room)}"
        if "error" in row:
            listed.append((name, "", "", "", "", row["error"]))
            continue
        last, zone = row["last_run"], row["zone"]
        listed.append(
            (
                name,
                f"{row['words']}\n{zone_in_words(zone)}",
                _last(last, zone),
                output.when(row["covered_through"], zone) or "jamais passé",
                "\n".join(output.when(slot, zone) for slot in row["next"]),
                _state(row),
            )
        )
    columns = ("job", "horaire", "dernière exécution", "couvert jusqu'au", "prochains", "état")
    output.table(screen, columns, listed, long="état", drop=("couvert jusqu'au",))


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
        long="résultat",
        shorten=("par", "job", "état"),
        drop=("fuseau",),
    )
