"""`leads`: the leads that are followed up, pauses, and the links of their closers."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from rich.console import Console

from cli import closer_links, leads, output
from cli.arguments import add_business, add_reason, command, day, group, positive
from cli.source import opened

LISTED = 50


def register(subparsers: Any) -> None:
    actions = group(subparsers, "leads", "les leads relancés, et la page de leurs closers")
    parser = command(
        actions, "list", "les leads ouverts, celui dont la relance est due d'abord", _list,
        remote=True,
    )  # fmt: skip
    add_business(parser)
    parser.add_argument("--lead-stage", metavar="ÉTAPE_DU_LEAD", dest="lead_stage",
                        help="ceux de cette étape de vente")  # fmt: skip
    parser.add_argument("--closer", metavar="CLOSER", help="ceux de ce closer (son identifiant)")
    parser.add_argument("--due", action="store_true", help="ceux que le prochain passage examine")
    parser.add_argument("--paused", action="store_true", help="ceux qui sont en pause")
    parser.add_argument("--limit", metavar="N", type=positive, default=LISTED,
                        help=f"{LISTED} par défaut")  # fmt: skip

    parser = command(actions, "show", "un lead, ses relances et ses pauses", _show, remote=True)
    _add_lead(parser)

    parser = command(actions, "pause", "laisse un lead en paix", _pause, remote=True)
    _add_lead(parser)
    add_reason(parser, required=True)
    parser.add_argument("--until", metavar="JOUR", type=day,
                        help="jusqu'à ce jour inclus (sinon jusqu'à nouvel ordre)")  # fmt: skip

    parser = command(actions, "resume", "reprend les relances d'un lead", _resume, remote=True)
    _add_lead(parser)
    add_reason(parser, required=False)
    closer_links.add(actions)


def _add_lead(parser: Any) -> None:
    parser.add_argument("lead", metavar="LEAD", help="son identifiant")
    add_business(parser)


def _list(arguments: Namespace) -> int:
    where = {
        "business_id": arguments.business,
        "stage": arguments.lead_stage,
        "closer": arguments.closer,
    }
    with opened(arguments) as source:
        found = source.leads(
            where, due=arguments.due, paused=arguments.paused, limit=arguments.limit
        )
    output.answer(arguments, found, leads.show_list)
    return 0


def _show(arguments: Namespace) -> int:
    with opened(arguments) as source:
        found = source.explain_lead(arguments.lead, arguments.business, force=False)
    output.answer(arguments, found, leads.show)
    return 0


def _pause(arguments: Namespace) -> int:
    with opened(arguments) as source:
        data = source.pause_lead(
            arguments.lead, arguments.business, arguments.until, arguments.reason
        )
    output.answer(arguments, data, _show_paused)
    return 0


def _resume(arguments: Namespace) -> int:
    with opened(arguments) as source:
        data = source.resume_lead(arguments.lead, arguments.business, arguments.reason)
    output.answer(arguments, data, _show_paused)
    return 0


def _show_paused(screen: Console, data: dict[str, Any]) -> None:
    name = f"Le lead {data['id']} de {data['business_id']}"
    if data["paused"]:
        output.line(screen, f"{name} est en pause {leads.until(data['ends_at'])}.")
        output.line(screen, "Ce qui lui était proposé est retiré, ce qui était prévu ne part pas.")
    else:
        output.line(screen, f"{name} n'est plus en pause : le prochain passage l'examine.")
