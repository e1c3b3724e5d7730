"""What a dry run answers: the messages, the changes, and what is left out with the reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console

from chalicelib.domain.billing.conditions import REASONS
from chalicelib.outbox.formats import montant
from chalicelib.outbox.operator import HOLDS
from cli import output
from cli.run_words import STATUSES


def show_reports(screen: Console, runs: Sequence[Mapping[str, Any]], *, everything: bool) -> None:
    """Dry runs, one per zone. `everything`: also lists what is left out, which is only counted
    otherwise."""
    for run in runs:
        where = f" ({run['zone']})" if len(runs) > 1 else ""
        output.line(screen, f"À blanc, rien n'est écrit ni envoyé{where}", "bold")
        if run["status"] != "succeeded":
            output.line(screen, f"Exécution {STATUSES[run['status']]} : {run['error']}", "red")
            continue
        report = run["report"]
        _show_messages(screen, report["messages"], run["zone"])
        _show_changes(screen, report["changes"])
        _show_left_out(screen, report["left_out"], everything=everything)


def _show_messages(screen: Console, messages: Sequence[Mapping[str, Any]], zone: str) -> None:
    title = output.plural(len(messages), "message serait prévu", "messages seraient prévus")
    output.line(screen, f"\n{title}")
    output.table(
        screen,
        ("entreprise", "document", "niveau", "destinataire", "reste dû", "partirait", "retenu"),
        [
            (
                message["business_id"],
                message["content"].get("number") or message["subject"],
                message["content"].get("level") or message["step"],
                message["recipient"],
                _amount(message["content"]),
                output.when(message["not_before"], zone),
                HOLDS.get(message["hold_reason"], message["hold_reason"]),
            )
            for message in messages
        ],
    )


def _amount(content: Mapping[str, Any]) -> str:
    remaining, currency = content.get("remaining"), content.get("currency")
    return montant(remaining, currency) if remaining and currency else ""


def _show_changes(screen: Console, changes: Sequence[Mapping[str, Any]]) -> None:
    if changes:
        title = output.plural(len(changes), "autre changement", "autres changements")
        output.line(screen, f"\n{title}")
    output.table(
        screen,
        ("entreprise", "sujet", "changement"),
        [
            (change.get("business_id"), change.get("subject"), _change(change.get("change")))
            for change in changes
        ],
    )


def _change(name: object) -> object:
    return "devis marqué expiré" if name == "quotes_expired" else name


def _show_left_out(
    screen: Console, left_out: Sequence[Mapping[str, Any]], *, everything: bool
) -> None:
    if not left_out:
        return
    title = output.plural(len(left_out), "laissé de côté", "laissés de côté")
    if not everything:
        counted = Counter(_reason(row) for row in left_out)
        output.line(screen, f"\n{title} (--all pour la liste)")
        output.table(screen, ("nombre", "raison"), [(n, why) for why, n in counted.most_common()])
        return
    output.line(screen, f"\n{title}")
    output.table(
        screen,
        ("entreprise", "document", "niveau", "date", "raison"),
        [
            (
                row["business_id"],
                row.get("number") or row.get("item"),
                row.get("level"),
                _day(row.get("effective_on")),
                _reason(row),
            )
            for row in left_out
        ],
    )


def _reason(row: Mapping[str, Any]) -> str:
    code = row.get("reason") or row.get("code") or ""
    return REASONS.get(code) or str(row.get("error") or code)


def _day(iso: str | None) -> str:
    return "/".join(reversed(iso.split("-"))) if iso else ""
