"""`pause` and `resume`: a job's ticks, and the messages that it has planned."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from rich.console import Console

from cli import output
from cli.arguments import add_reason, command
from cli.source import opened


def register(subparsers: Any) -> None:
    parser = command(
        subparsers, "pause", "met un job en pause, et retient ses messages", _pause, remote=True
    )
    parser.add_argument("job", metavar="JOB")
    add_reason(parser, required=True)
    parser = command(
        subparsers, "resume", "reprend un job ; ce qui manquait est rattrapé", _resume, remote=True
    )
    parser.add_argument("job", metavar="JOB")


def _pause(arguments: Namespace) -> int:
    with opened(arguments) as source:
        zones = source.pause(arguments.job, arguments.reason)
    output.answer(arguments, {"job": arguments.job, "paused": True, "zones": zones}, _show)
    return 0


def _resume(arguments: Namespace) -> int:
    with opened(arguments) as source:
        zones = source.resume(arguments.job)
    output.answer(arguments, {"job": arguments.job, "paused": False, "zones": zones}, _show)
    return 0


def _show(screen: Console, data: dict[str, Any]) -> None:
    where = ", ".join(data["zones"])
    if data["paused"]:
        output.line(screen, f"{data['job']} est en pause ({where}).")
        output.line(screen, f"Pour le reprendre : ./ponctuel resume {data['job']}")
    else:
        output.line(screen, f"{data['job']} reprend ({where}) à son prochain passage.")
