"""`run` and `dry-run`: a job, now, in this process or on a deployed stage; or what it would do."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console

from chalicelib import jobs
from chalicelib.errors import BadRequest
from chalicelib.runner.bench import Bench
from chalicelib.runner.invocation import bench_for
from chalicelib.runner.job import Job
from chalicelib.runner.request import request_dry_run
from chalicelib.runner.work import rehearse
from cli import output, progress
from cli.arguments import add_reason, command, instant
from cli.caller import holder, user
from cli.execution import ask, finish, stoppable
from cli.rehearsal import show_reports
from cli.remote.client import StageError
from cli.run_words import COLOURS, counts_in_words, exit_code, show_errors
from cli.source import Source, database, is_remote

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
    parser = command(
        subparsers, "run", "exécute un job maintenant, ici ou sur une étape", _run, remote=True
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="à blanc : liste ce qui serait fait, n'écrit rien"
    )
    _add_options(parser)
    parser = command(
        subparsers, "dry-run", "ce qu'un job ferait maintenant, sans le faire", _run, remote=True
    )
    parser.set_defaults(dry_run=True)
    _add_options(parser)


def _add_options(parser: ArgumentParser) -> None:
    parser.add_argument("job", metavar="JOB")
    parser.add_argument("--zone", metavar="FUSEAU", help="un seul de ses fuseaux")
    parser.add_argument(
        "--force", action="store_true", help="lève la condition de date, et rien d'autre"
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
    if is_remote(arguments):
        return _elsewhere(arguments)
    with database() as source:
        job, zones = source.chosen_zones(arguments.job, arguments.zone)
        if not zones:
            raise BadRequest("Aucune entreprise active : ce job n'a de fuseau pour personne.")
        # A connection of its own, as a run has: the source's is for questions.
        with bench_for(job, holder=holder(), application="cli") as bench:
            if arguments.dry_run:
                return _answer(arguments, _rehearsed(arguments, source, job, zones, bench))
            return _execute(arguments, source, job, zones, bench)


def _elsewhere(arguments: Namespace) -> int:
    """On a deployed stage, which does the work; Ctrl-C only ends the waiting."""
    from cli.remote import run as remote
    from cli.remote.stage import stage

    if arguments.zone:
        raise BadRequest("--zone n'existe pas à distance : tous les fuseaux du job s'exécutent.")
    body: dict[str, object] = {"force": arguments.force, "reason": arguments.reason}
    if arguments.dry_run:
        body["dry_run"] = True
    if arguments.as_of:
        body["as_of"] = arguments.as_of.isoformat()
    with stage(arguments) as deployed:
        client = deployed.client
        ids = remote.ask(client, arguments.job, body)
        try:
            finished = remote.wait(client, arguments.job, ids)
        except (KeyboardInterrupt, StageError) as interrupted:
            again = f"./ponctuel show {ids[0]} {client.address.option}"
            print(f"L'exécution continue là-bas ; pour la voir : {again}", file=sys.stderr)
            if isinstance(interrupted, KeyboardInterrupt):
                return INTERRUPTED
            raise
    return _answer(arguments, finished)


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
    status = _answer(arguments, finished)
    if any(run["counts"].get("pending") for run in finished) and source.settings.mail_url is None:
        print("MAIL_URL n'est pas renseigné : les messages prévus attendent.", file=sys.stderr)
    return INTERRUPTED if interrupted else status


def _rehearsed(
    arguments: Namespace, source: Source, job: Job, zones: Sequence[str], bench: Bench
) -> list[Mapping[str, Any]]:
    runs: list[Mapping[str, Any]] = []
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
        runs.append(source.run(str(run_id)))
    return runs


def _answer(arguments: Namespace, runs: Sequence[Mapping[str, Any]]) -> int:
    if arguments.dry_run:
        everything = arguments.all
        output.answer(
            arguments, runs, lambda screen, data: show_reports(screen, data, everything=everything)
        )
    else:
        output.answer(arguments, runs, _show)
    return _worst([run["status"] for run in runs])


def _worst(statuses: Sequence[str]) -> int:
    codes = [exit_code(status) for status in statuses]
    return 1 if 1 in codes else max(codes, default=0)


def _show(screen: Console, runs: Sequence[Mapping[str, Any]]) -> None:
    if not runs:
        output.line(screen, "Rien à faire.")
    for run in runs:
        title = jobs.title_of(run["job"])
        known = run["job"] in jobs.NAMES
        done = jobs.job(run["job"]).summary if known else "Terminé avec succès"
        number = f", exécution n° {run['number']}" if run["number"] else ""
        where = f", {run['zone']}" if len(runs) > 1 else ""
        output.line(screen, f"{title}{number}{where}", "bold")
        sentence = _SENTENCES.get(run["status"], done)
        output.line(screen, sentence + ".", COLOURS.get(run["status"], ""))
        if run["error"]:
            output.line(screen, str(run["error"]))
        output.line(screen, counts_in_words(run["counts"]) or "Rien à faire.")
        if run["counts"].get("held"):
            output.line(screen, "Pourquoi ils sont retenus : ./ponctuel messages --state held")
        if run["counts"].get("pending"):
            output.line(screen, "Le reste part avec deliver_messages, chaque minute.")
        show_errors(screen, run)
