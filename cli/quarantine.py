"""`quarantine`: items that killed the process at each attempt, left out until they are released."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from typing import Any

from rich.console import Console

from chalicelib.runner import quarantine
from cli import output
from cli.arguments import command, group
from cli.caller import user
from cli.source import database, opened

# All that anybody would read.
MOST = 200


def register(subparsers: Any) -> None:
    actions = group(subparsers, "quarantine", "les éléments mis de côté")
    command(actions, "list", "les éléments qui sont mis de côté", _list, remote=True)
    parser = command(actions, "release", "traite de nouveau un élément", _release)
    parser.add_argument("job", metavar="JOB")
    parser.add_argument("business", metavar="ENTREPRISE")
    parser.add_argument("item", metavar="ÉLÉMENT")


def _list(arguments: Namespace) -> int:
    with opened(arguments) as source:
        found = source.quarantine(MOST)
    output.answer(arguments, found, _show)
    return 0


def _release(arguments: Namespace) -> int:
    where = {"job": arguments.job, "business_id": arguments.business, "item": arguments.item}
    with database() as source, source.transaction() as connection:
        steps = quarantine.release(connection, **where, by=user())
    output.answer(
        arguments,
        where | {"steps": steps},
        lambda screen, data: output.line(
            screen, f"{data['item']} sera traité au prochain passage de {data['job']}."
        ),
    )
    return 0


def _show(screen: Console, data: Sequence[dict[str, Any]]) -> None:
    if not data:
        output.line(screen, "Rien n'est mis de côté.")
    output.table(
        screen,
        ("job", "étape", "entreprise", "élément", "depuis", "exécution"),
        [
            (row["job"], row["step"], row["business_id"], row["item"], row["at"], row["run_number"])
            for row in data
        ],
        shorten=("étape", "élément", "entreprise"),
    )
