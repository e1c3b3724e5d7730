"""What a dry run answers: the messages, the changes, and what is left out with the reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from rich.console import Console

from chalicelib import jobs
from chalicelib.domain.billing.conditions import REASONS
from chalicelib.outbox.formats import montant
from chalicelib.outbox.operator import HOLDS
from cli import output
from cli.message_words import code_in_words
from cli.run_words import STATUSES

# A dry run takes that long, at most, to be begun.
MOMENT = timedelta(minutes=5)


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
        _show_messages(screen, report["messages"], run)
        _show_changes(screen, report["changes"])
        _show_left_out(screen, report["left_out"], run["zone"], everything=everything)


def _show_messages(
    screen: Console, messages: Sequence[Mapping[str, Any]], run: Mapping[str, Any]
) -> None:
    stored = run["job"] in jobs.NAMES and jobs.job(run["job"]).delivers == "all"
    words = (
        ("message partirait", "messages partiraient")
        if stored
        else ("message serait prévu", "messages seraient prévus")
    )
    if not messages:
        verb = words[0].removeprefix("message ")
        output.line(screen, f"\nAucun message ne {verb}.")
        return
    output.line(screen, f"\n{output.plural(len(messages), *words)}")
    output.table(
        screen,
        ("entreprise", "document", "niveau", "destinataire", "reste dû", "partirait", "au départ"),
        [
            (
                message["business_id"],
                message["content"].get("number") or message["subject"],
                message["content"].get("level") or message["step"],
                message["recipient"],
                _amount(message["content"]),
                _later(message, run),
                at_departure(message),
            )
            for message in messages
        ],
        long="au départ",
        shorten=("destinataire", "document", "entreprise"),
    )
    unknown = sum(message.get("letter") is None for message in messages)
    if 0 < unknown < len(messages):
        checked = len(messages) - unknown
        output.line(screen, f"Les {checked} premiers ont été composés à blanc, pas les suivants.")


def _later(message: Mapping[str, Any], run: Mapping[str, Any]) -> str:
    """When it would leave; empty for at once."""
    now = run["as_of"] or run["started_at"]
    instant = datetime.fromisoformat(message["not_before"])
    return "" if now and instant <= now + MOMENT else output.when(instant, run["zone"])


def at_departure(message: Mapping[str, Any]) -> str:
    """Why the message would not leave as it is, or "prêt"; empty when its letter was not tried."""
    letter = message.get("letter") or {"ready": None, "reason": None, "why": None}
    told = [HOLDS.get(message["hold_reason"], message["hold_reason"])]
    if letter["ready"] and not message["hold_reason"]:
        return "prêt"
    if not letter["ready"]:
        code = letter["reason"] or ""
        told.append((letter["why"] or HOLDS.get(code) or code_in_words(code) or "").rstrip("."))
    return " ; ".join(filter(None, told))


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
        shorten=("sujet", "entreprise"),
    )


_CHANGES = {
    "quotes_expired": "devis marqué expiré",
    "deletions_adopted": "suppression de compte reprise de l'application",
    "deletions_moved": "date de suppression changée",
    "deletions_cancelled": "suppression de compte annulée par l'application",
    "deletions_blocked": "suppression de compte bloquée",
    "deletions_resumed": "suppression de compte débloquée, avec un nouveau préavis",
    "deletions_locked": "compte verrouillé avant effacement",
    "deletions_erased": "compte effacé",
    "tombstones_purged": "trace d'effacement oubliée",
    "accesses_forgotten": "accès à l'archive oublié",
    "archive_purged": "pièce comptable purgée de l'archive",
    "told": "notification dans l'application",
    "resolved": "notification réglée",
    "invoices_overdue": "facture marquée en retard",
    "invoices_given_time": "facture qui n'est plus en retard",
    "followup_proposed": "relance proposée au closer",
    "closers_notified": "closer prévenu dans l'application",
    "followups_sent": "relance partie, comptée sur le lead",
    "followups_unsent": "relance qui n'est pas partie",
    "proposals_expired": "proposition expirée",
    "proposals_cancelled": "relance retirée : elle n'est plus voulue",
    "number_unusable": "numéro inutilisable, à corriger",
    "notifications_resolved": "notification close",
    "mailboxes_read": "boîte aux lettres lue",
    "expired": "message clos : trop tard",
    "uncertain": "message incertain : l'envoi s'est interrompu",
}


def _change(name: object) -> object:
    return _CHANGES.get(str(name), name)


def _show_left_out(
    screen: Console, left_out: Sequence[Mapping[str, Any]], zone: str, *, everything: bool
) -> None:
    if not left_out:
        return
    counted = _counted(left_out)
    title = output.plural(counted.total(), "laissé de côté", "laissés de côté")
    if not everything:
        output.line(screen, f"\n{title} (--all pour la liste)")
        output.table(
            screen,
            ("nombre", "raison"),
            [(n, why) for why, n in counted.most_common()],
            long="raison",
        )
        return
    cut = f", dont {len(left_out)} listés ici" if counted.total() > len(left_out) else ""
    output.line(screen, f"\n{title}{cut}")
    output.table(
        screen,
        ("entreprise", "document", "niveau", "date", "raison"),
        [
            (
                row["business_id"],
                row.get("number") or row.get("item"),
                row.get("level"),
                _day(row.get("effective_on")) or output.when(row.get("until"), zone),
                _reason(row),
            )
            for row in left_out
        ],
        long="raison",
        shorten=("document", "entreprise"),
    )


def _counted(left_out: Sequence[Mapping[str, Any]]) -> Counter[str]:
    """How many are left out, by reason: a reason that many have is listed in part, and each of its
    rows says how many there are (`total`)."""
    counted = Counter(_reason(row) for row in left_out if "total" not in row)
    totals = {_reason(row): int(row["total"]) for row in left_out if "total" in row}
    return counted + Counter(totals)


def _reason(row: Mapping[str, Any]) -> str:
    code = row.get("reason") or row.get("code") or ""
    return row.get("why") or REASONS.get(code) or str(row.get("error") or code)


def _day(iso: str | None) -> str:
    return "/".join(reversed(iso.split("-"))) if iso else ""
