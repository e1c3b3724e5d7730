"""`migrate` and `scheduler`."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from chalicelib.db.migrate import BRANCHES, migrate
from cli import output
from cli.arguments import command
from cli.source import database


def register(subparsers: Any) -> None:
    parser = command(subparsers, "migrate", "met le schéma de la base à jour", _migrate)
    parser.add_argument(
        "--branch",
        choices=BRANCHES,
        action="append",
        help="une branche seulement : ledger (le moteur) ou domain (les tables métier, sauf celles "
        "que vous montrez par des vues)",
    )
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


def _scheduler(_arguments: Namespace) -> int:
    from sandbox import scheduler

    with database() as source:
        # A setting that stops every job is told in one line, before anything starts.
        scheduler.schedules(source.settings)
    return scheduler.main()
