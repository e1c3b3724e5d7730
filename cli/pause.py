"""`pause` and `resume`: a job's ticks, and the messages that it has planned."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from rich.console import Console
from sqlalchemy import text

from chalicelib.runner import request
from cli import output
from cli.arguments import add_reason, command
from cli.source import database, user

_KNOWN = text("SELECT zone FROM ponctuel.job_state WHERE job = :job")


def register(subparsers: Any) -> None:
    parser = command(subparsers, "pause", "met un job en pause, et retient ses messages", _pause)
    parser.add_argument("job", metavar="JOB")
    add_reason(parser, required=True)
    parser = command(subparsers, "resume", "reprend un job ; ce qui manquait est rattrapé", _resume)
    parser.add_argument("job", metavar="JOB")


def _pause(arguments: Namespace) -> int:
    with database() as source:
        job, zones = source.chosen_zones(arguments.job, None)
        request.pause(source.engine, job, zones, by=user(), reason=arguments.reason)
    data = {"job": job.name, "paused": True, "zones": zones}
    output.answer(arguments, data, _show)
    return 0


def _resume(arguments: Namespace) -> int:
    with database() as source:
        job, zones = source.chosen_zones(arguments.job, None)
        with source.transaction() as connection:
            # A zone that no business is in any more may have been left in pause.
            zones = sorted({*zones, *connection.execute(_KNOWN, {"job": job.name}).scalars()})
        request.resume(source.engine, job, zones)
    output.answer(arguments, {"job": job.name, "paused": False, "zones": zones}, _show)
    return 0


def _show(screen: Console, data: dict[str, Any]) -> None:
    where = ", ".join(data["zones"])
    if data["paused"]:
        output.line(screen, f"{data['job']} est en pause ({where}).")
        output.line(screen, f"Pour le reprendre : ./ponctuel resume {data['job']}")
    else:
        output.line(screen, f"{data['job']} reprend ({where}) à son prochain passage.")
