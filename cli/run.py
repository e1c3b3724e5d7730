"""`run`: a job, now, in this process; or what it would do."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console

from chalicelib import jobs
from chalicelib.errors import BadRequest
from chalicelib.runner.bench import Bench
from chalicelib.runner.invocation import bench_for
from chalicelib.runner.job import Job
from chalicelib.runner.request import request_dry_run, run_or_raise
from chalicelib.runner.work import rehearse
from cli import output, progress
from cli.arguments import add_reason, command, instant
from cli.execution import ask, finish, stoppable
from cli.rehearsal import show_reports
from cli.run_words import COLOURS, counts_in_words, exit_code, show_errors
from cli.source import Source, database, holder, user

INTERRUPTED = 130
_SENTENCES = {
    "partial": "Terminée en partie",
    "failed": "Échec",
    "skipped": "Passée",
    "continued": "Pas encore terminée : le prochain passage la reprendra",
    "queued": "Pas encore commencée : une autre exécution est en cours, elle suivra",
    "running": "Une autre exécution de ce job la poursuit",
}


def register(subparsers: Any) -> None:
    parser = command(subparsers, "run", "exécute un job maintenant, ici même", _run)
    parser.add_argument("job", metavar="JOB")
    parser.add_argument("--zone", metavar="FUSEAU", help="un seul de ses fuseaux")
    parser.add_argument(
        "--force", action="store_true", help="lève la condition de date, et rien d'autre"
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="à blanc : liste ce qui serait fait, n'écrit rien"
    )
    parser.add_argument(
        "--as-of", metavar="INSTANT", type=instant, help="à blanc, comme si on était à cet instant"
    )
    parser.add_argument(
        "--all", action="store_true", help="à blanc : liste aussi tout ce qui est laissé de côté"
    )
    add_reason(parser, required=False)


def _run(arguments: Namespace) -> int:
    if not arguments.dry_run and (arguments.as_of or arguments.all):
        raise BadRequest("--as-of et --all n'existent qu'à blanc : ajoutez --dry-run.")
    with database() as source:
        job, zones = source.chosen_zones(arguments.job, arguments.zone)
        if not zones:
            raise BadRequest("Aucune entreprise active : ce job n'a de fuseau pour personne.")
        # A connection of its own, as a run has: the source's is for questions.
        with bench_for(job, holder=holder(), application="cli") as bench:
            if arguments.dry_run:
                return _rehearse(arguments, job, zones, bench)
            return _execute(arguments, source, job, zones, bench)


def _execute(
    arguments: Namespace, source: Source, job: Job, zones: Sequence[str], bench: Bench
) -> int:
    finished: list[Mapping[str, Any]] = []
    with stoppable() as stop:
        for zone in zones:
            if stop.is_set():
                break
            run_id = ask(
                bench, job, zone, by=user(), reason=arguments.reason, force=arguments.force
            )
            with progress.shown(source.settings, run_id):
                finished.append(finish(bench, job, zone, run_id, stop))
        interrupted = stop.is_set()
    output.answer(arguments, finished, _show)
    if any(run["counts"].get("pending") for run in finished) and source.settings.mail_url is None:
        print("MAIL_URL n'est pas renseigné : les messages prévus attendent.", file=sys.stderr)
    return INTERRUPTED if interrupted else _worst([run["status"] for run in finished])


def _rehearse(arguments: Namespace, job: Job, zones: Sequence[str], bench: Bench) -> int:
    runs = []
    for zone in zones:
        run_id = request_dry_run(
            bench.engine,
            job,
            zone,
            door="cli",
            by=user(),
            reason=arguments.reason,
            force=arguments.force,
            as_of=arguments.as_of,
        )
        rehearse(job, run_id, bench)
        runs.append(run_or_raise(bench.engine, run_id))
    output.answer(
        arguments, runs, lambda screen, data: show_reports(screen, data, everything=arguments.all)
    )
    return _worst([str(run["status"]) for run in runs])


def _worst(statuses: Sequence[str]) -> int:
    codes = [exit_code(status) for status in statuses]
    return 1 if 1 in codes else max(codes, default=0)


def _show(screen: Console, runs: Sequence[Mapping[str, Any]]) -> None:
    for run in runs:
        job = jobs.job(run["job"])
        number = f", exécution n° {run['number']}" if run["number"] else ""
        where = f", {run['zone']}" if len(runs) > 1 else ""
        output.line(screen, f"{job.title}{number}{where}", "bold")
        sentence = _SENTENCES.get(run["status"], job.summary)
        output.line(screen, sentence + ".", COLOURS.get(run["status"], ""))
        if run["error"]:
            output.line(screen, str(run["error"]))
        output.line(screen, counts_in_words(run["counts"]) or "Rien à faire.")
        if run["counts"].get("held"):
            output.line(screen, "Pourquoi ils sont retenus : ./ponctuel messages --state held")
        if run["counts"].get("pending"):
            output.line(screen, "Le reste part avec deliver_messages, chaque minute.")
        show_errors(screen, run)
