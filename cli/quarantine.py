"""`quarantine`: items that killed the process at each attempt, left out until they are released."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from sqlalchemy import text

from chalicelib.errors import NotFound
from cli import output
from cli.arguments import command, group
from cli.source import database, user

_LIST = text("""
SELECT q.job, q.step, q.business_id, q.item, q.at, q.reason, q.run_id, r.number AS run_number
  FROM ponctuel.quarantine q LEFT JOIN ponctuel.runs r ON r.id = q.run_id
 WHERE q.released_at IS NULL ORDER BY q.at DESC
""")
_RELEASE = text("""
UPDATE ponctuel.quarantine SET released_at = ponctuel.clock(), released_by = :by
 WHERE job = :job AND business_id = :business_id AND item = :item AND released_at IS NULL
RETURNING step
""")


def register(subparsers: Any) -> None:
    actions = group(subparsers, "quarantine", "les éléments mis de côté")
    command(actions, "list", "les éléments qui sont mis de côté", _list)
    parser = command(actions, "release", "traite de nouveau un élément", _release)
    parser.add_argument("job", metavar="JOB")
    parser.add_argument("business", metavar="ENTREPRISE")
    parser.add_argument("item", metavar="ÉLÉMENT")


def _list(arguments: Namespace) -> int:
    with database() as source, source.transaction() as connection:
        found = [dict(row) for row in connection.execute(_LIST).mappings()]
    output.answer(arguments, found, _show)
    return 0


def _release(arguments: Namespace) -> int:
    where = {"job": arguments.job, "business_id": arguments.business, "item": arguments.item}
    with database() as source, source.transaction() as connection:
        steps = list(connection.execute(_RELEASE, where | {"by": user()}).scalars())
    if not steps:
        raise NotFound("Cet élément n'est pas mis de côté (`./ponctuel quarantine list`).")
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
    )
