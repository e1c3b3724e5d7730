"""`migrate`, `check` and `scheduler`."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import asdict
from typing import Any

from rich.console import Console

from chalicelib.db.migrate import BRANCHES, migrate
from cli import output
from cli.arguments import command
from cli.check import NO_MAIL, findings
from cli.source import database


def register(subparsers: Any) -> None:
    parser = command(subparsers, "migrate", "met le schéma de la base à jour", _migrate)
    parser.add_argument(
        "--branch",
        choices=BRANCHES,
        action="append",
        help="une branche seulement : ledger (le moteur) ou domain (factures, devis, clients)",
    )
    command(subparsers, "check", "vérifie réglages, base, schéma, e-mail et documents", _check)
    command(
        subparsers,
        "scheduler",
        "exécute les jobs à leurs horaires, sans fin",
        _scheduler,
        json=False,
    )


def _migrate(arguments: Namespace) -> int:
    with database() as source:
        revisions = migrate(source.engine, arguments.branch or BRANCHES)
    output.answer(
        arguments,
        {"revisions": revisions},
        lambda screen, data: output.line(
            screen, f"Le schéma est à jour : {', '.join(data['revisions'])}."
        ),
    )
    return 0


def _check(arguments: Namespace) -> int:
    found = findings()
    output.answer(arguments, [asdict(finding) for finding in found], _show_findings)
    return 1 if any(finding.verdict == "problem" for finding in found) else 0


def _show_findings(screen: Console, data: list[dict[str, Any]]) -> None:
    signs = {"ok": ("✓", "green"), "note": ("•", "yellow"), "problem": ("✗", "red")}
    for finding in data:
        sign, colour = signs[finding["verdict"]]
        output.line(screen, f"{sign} {finding['topic']} : {finding['text']}", colour)
    problems = sum(finding["verdict"] == "problem" for finding in data)
    output.line(screen, _conclusion(problems, data))


def _conclusion(problems: int, data: list[dict[str, Any]]) -> str:
    if problems:
        return output.plural(problems, "problème", "problèmes")
    if any(finding["text"] == NO_MAIL for finding in data):
        return "Aucun problème, mais aucun message ne peut partir : renseignez MAIL_URL."
    return "Tout est en ordre."


def _scheduler(_arguments: Namespace) -> int:
    from sandbox import scheduler

    with database() as source:
        # A setting that stops every job is told in one line, before anything starts.
        scheduler.schedules(source.settings)
    return scheduler.main()
