"""`accounts replay`: after a restore, accounts that were erased since are erased again."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from rich.console import Console

from chalicelib.domain.accounts import replaying
from chalicelib.runner.invocation import open_store
from cli import output
from cli.arguments import command
from cli.caller import user
from cli.source import database

APPLY = "./ponctuel accounts replay --apply"


def register(actions: Any) -> None:
    parser = command(
        actions, "replay", "après une restauration : les comptes à effacer de nouveau", _replay
    )
    parser.add_argument(
        "--apply",
        action="store_true",
        help="verrouille ceux qui sont revenus ; sans cela, rien n'est écrit",
    )


def _replay(arguments: Namespace) -> int:
    """Exit code: 2 when something is left for somebody to decide or to look at."""
    with database() as source:
        current = source.settings
        storage = open_store(current)
        secrets = (current.link_secret, current.link_secret_previous)
        compared = replaying.compare(source.engine, storage, secrets)
        locked = (
            replaying.erase_again(source.engine, compared, by=user()) if arguments.apply else None
        )
    data = replaying.as_data(compared) | {"locked": locked, "store": storage is not None}
    output.answer(arguments, data, _show)
    left = any(row["verdict"] == "doubtful" for row in data["accounts"])
    return 2 if left or data["unreadable"] or data["foreign"] else 0


def _show(screen: Console, data: dict[str, Any]) -> None:
    read = output.plural(data["tombstones"], "trace d'effacement lue", "traces d'effacement lues")
    where = "" if data["store"] else ", dans cette base seulement : STORAGE_URL n'est pas renseigné"
    output.line(screen, f"{read}{where}.")
    output.table(
        screen,
        ("entreprise", "compte", "effacé le", "créé le", "constat"),
        [
            (
                row["business_id"],
                row["user_id"],
                row["erased_at"],
                row["created_at"],
                ", ".join(filter(None, (replaying.WORDS[row["verdict"]], row["why"]))),
            )
            for row in data["accounts"]
        ],
        long="constat",
        shorten=("entreprise", "compte"),
    )
    for problem in data["unreadable"]:
        output.line(screen, problem, "red")
    if data["foreign"]:
        count = output.plural(data["foreign"], "trace vient", "traces viennent")
        output.line(
            screen,
            f"{count} d'un LINK_SECRET que cette étape n'a plus : donnez-le en "
            "LINK_SECRET_PREVIOUS le temps de cette commande.",
            "red",
        )
    _conclude(screen, data)


def _conclude(screen: Console, data: dict[str, Any]) -> None:
    verdicts = [row["verdict"] for row in data["accounts"]]
    returned = verdicts.count("returned")
    if "doubtful" in verdicts:
        output.line(
            screen,
            "« À décider » : rien n'est fait ; ./ponctuel accounts delete efface comme pour tout "
            "autre compte.",
            "yellow",
        )
    if data["locked"] is not None:
        count = output.plural(data["locked"], "compte verrouillé", "comptes verrouillés")
        output.line(screen, f"{count}.")
        if data["locked"]:
            output.line(
                screen, "Pour les effacer sans attendre la nuit : ./ponctuel run account_deletions"
            )
    elif returned:
        count = output.plural(returned, "compte à effacer", "comptes à effacer")
        output.line(screen, f"{count} de nouveau, rien n'est écrit. Pour le faire : {APPLY}")
    else:
        output.line(screen, "Aucun compte à effacer de nouveau.")
