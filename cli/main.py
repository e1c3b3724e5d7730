"""The command line: who registers which commands, and how errors end.

Exit codes: 0 done, 2 done in part (a run that ended *partial*, an import with rejects), 1 failed or
refused, 130 interrupted.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from functools import cache
from importlib import import_module

from chalicelib import __version__
from cli.arguments import Parser, add_stage

# In the order of the help. Each module has `register(subparsers)`.
COMMANDS = (
    "cli.jobs",
    "cli.run",
    "cli.preview",
    "cli.pause",
    "cli.explain",
    "cli.followups",
    "cli.accounts",
    "cli.holds",
    "cli.archive",
    "cli.lead_commands",
    "cli.messages",
    "cli.operate",
    "cli.suppressions",
    "cli.consents",
    "cli.inbound",
    "cli.mailboxes",
    "cli.channels",
    "cli.limits",
    "cli.quarantine",
    "cli.ledger",
    "cli.import_file",
    "cli.whatsapp",
    "cli.maintenance",
    "cli.check",
    "cli.secrets",
)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code; prints the help when there is none. A refused
    command line raises `SystemExit`."""
    from sqlalchemy.exc import DBAPIError

    from chalicelib.db.sqlstate import sqlstate
    from chalicelib.errors import BadRequest, PonctuelError
    from cli.source import is_remote

    given = sys.argv[1:] if argv is None else argv
    try:
        if not given:
            parser().print_help()
            return 0
        arguments = parser().parse_args(given)
        if is_remote(arguments) and not arguments.takes_stage:
            raise BadRequest(
                f"« {arguments.command} » n'existe pas à distance : sans --stage, cette commande "
                "travaille sur la base de DATABASE_URL."
            )
        status: int = arguments.run(arguments)
        sys.stdout.flush()
    except PonctuelError as error:
        return _failed(str(error))
    except DBAPIError as error:
        code = sqlstate(error) or "sans code"
        return _failed(f"La base de données refuse cette opération (SQLSTATE {code}).")
    except KeyboardInterrupt:
        print("Interrompu.", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # Whoever read the answer (`| head`) has enough; Python must not complain while it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return status


@cache
def parser() -> Parser:
    """Of every command, which takes longer to put together than most take to run."""
    found = Parser(
        prog="ponctuel",
        description="Les jobs, relances et messages de Ponctuel, sur la base de DATABASE_URL, ou "
        "sur une étape déployée avec --stage.",
        epilog="Codes de sortie : 0 réussi, 2 en partie, 1 échec, 130 interrompu.",
    )
    found.add_argument(
        "--version", action="version", version=__version__, help="affiche la version"
    )
    add_stage(found)
    found.set_defaults(takes_stage=False)
    subparsers = found.add_subparsers(metavar="COMMANDE", required=True, dest="command")
    for name in COMMANDS:
        import_module(name).register(subparsers)
    return found


def _failed(message: str) -> int:
    print(" ".join(message.split()), file=sys.stderr)
    return 1
