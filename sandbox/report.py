"""What the demo shows: tables, in French."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text
from sqlalchemy import Engine, text

from chalicelib import jobs
from chalicelib.domain.billing.conditions import REASONS
from chalicelib.runner.invocation import bench_for
from chalicelib.runner.request import request_dry_run, run_or_raise
from chalicelib.runner.work import rehearse

if TYPE_CHECKING:
    from cli.imports.store import ImportResult
    from sandbox.environment import Environment

console = Console(highlight=False, width=None if Console().is_terminal else 120)

STATES = {
    "accepted": "envoyé",
    "held": "retenu",
    "planned": "en attente",
    "refused": "refusé",
    "uncertain": "incertain",
    "cancelled": "annulé",
    "expired": "trop tard",
}
WHY = {
    "window": "hors de la plage d'envoi",
    "review": "entreprise en revue, avant la mise en service",
    "stage": "étape pas encore en service",
    "approval": "volume inhabituel, à approuver",
    "attachment": "PDF de la facture introuvable",
    "variable": "une information manque dans le message",
}


def say(sentence: str) -> None:
    console.print(Text(sentence))


def title(sentence: str) -> None:
    console.print()
    console.rule(Text(sentence, style="bold"), align="left")


def businesses(engine: Engine) -> None:
    table = _table("entreprise", "fuseau", "clients", "factures", "devis")
    for row in _rows(engine, _BUSINESSES):
        table.add_row(*(str(value) for value in row.values()))
    console.print(table)


def outcomes(engine: Engine) -> None:
    """Messages by business, state and reason."""
    table = _table("entreprise", "état", "messages", "pourquoi")
    for row in _rows(engine, _OUTCOMES):
        reason = row["why"] or ""
        table.add_row(
            row["name"], STATES.get(row["state"], row["state"]), str(row["n"]), _reason(reason)
        )
    console.print(table)


def sent(engine: Engine, limit: int = 12) -> None:
    rows = _rows(engine, _SENT, limit=limit)
    if not rows:
        return
    console.print()
    total = _rows(engine, "SELECT count(*) AS n FROM ponctuel.messages WHERE state = 'accepted'")
    count = total[0]["n"]
    title = f"Les {len(rows)} envois" if count == len(rows) else f"{len(rows)} des {count} envois"
    table = _table("envoyé à", "objet", title=title)
    for row in rows:
        table.add_row(Text(row["recipient"]), Text(row["subject"]))
    console.print(table)
    if count > len(rows):
        say("Tous sont dans le dossier indiqué à la fin.")


def exceptions(engine: Engine) -> None:
    """What did not leave although it was planned, one line each."""
    rows = _rows(engine, _EXCEPTIONS)
    if not rows:
        return
    console.print()
    table = _table("document", "entreprise", "état", "pourquoi", title="Ce qui n'est pas parti")
    for row in rows:
        table.add_row(
            Text(row["number"] or row["subject"]),
            row["name"],
            STATES.get(row["state"], row["state"]),
            Text(row["error"] or _reason(row["why"] or "")),
        )
    console.print(table)


def left_out(engine: Engine, *, by_document: bool = False) -> None:
    """The open documents that get no relance now, from a dry run: counted by reason, or listed."""
    job = jobs.job("followups")
    with bench_for(job, holder="demo") as bench:
        run_id = request_dry_run(bench.engine, job, job.zone, door="cli")
        rehearse(job, run_id, bench)
        report: Any = run_or_raise(engine, run_id)["report"]
    rows = [row for row in report["left_out"] if "reason" in row]
    if not rows:
        return
    if by_document:
        table = _table("document", "pourquoi", title="Les documents ouverts qu'on ne relance pas")
        for row in rows[:40]:
            table.add_row(Text(row["number"]), row["why"])
    else:
        table = _table("documents", "raison", title="Les documents ouverts qu'on ne relance pas")
        for why, count in Counter(row["why"] for row in rows).most_common():
            table.add_row(str(count), why)
    console.print(table)
    console.print()


def imported(result: ImportResult, name: str) -> None:
    title(f"Import de {name}")
    say(f"{result.created} factures importées, {len(result.rejects)} lignes refusées.")
    if result.rejects:
        table = _table("ligne", "facture", "pourquoi")
        for reject in result.rejects[:20]:
            reasons = " ; ".join(reject.reasons)
            table.add_row(str(reject.line), Text(reject.number or ""), Text(reasons))
        console.print(table)


def one_mail(engine: Engine, environment: Environment) -> None:
    """One e-mail as it was written, and where all of them are."""
    rows = _rows(engine, _ONE_MAIL)
    if rows:
        title("Un des e-mails envoyés")
        say(f"À : {rows[0]['recipient']}\nObjet : {rows[0]['subject']}\n\n{rows[0]['text']}")
        html = environment.folder / "exemple.html"
        html.write_text(rows[0]["html"], encoding="utf-8")
        say(f"Le même en HTML : {html}")
    say(f"Tous les e-mails reçus par le bac à sable : {environment.mails}/*.eml")


def _reason(code: str) -> str:
    return WHY.get(code) or REASONS.get(code) or code


def _table(*columns: str, title: str | None = None) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold")
    for column in columns:
        table.add_column(column, justify="right" if column in _NUMBERS else "left")
    return table


_NUMBERS = {"clients", "factures", "devis", "messages", "documents", "ligne"}


def _rows(engine: Engine, query: str, **values: Any) -> list[dict[str, Any]]:
    with engine.begin() as connection:
        return [dict(row) for row in connection.execute(text(query), values).mappings()]


_BUSINESSES = """
SELECT b.name, b.zone, (SELECT count(*) FROM ponctuel.customers c WHERE c.business_id = b.id),
       (SELECT count(*) FROM ponctuel.invoices i WHERE i.business_id = b.id) AS invoices,
       (SELECT count(*) FROM ponctuel.quotes q WHERE q.business_id = b.id) AS quotes
  FROM ponctuel.businesses b ORDER BY b.id
"""
_OUTCOMES = """
SELECT b.name, m.state, count(*) AS n,
       CASE m.state WHEN 'held' THEN m.hold_reason
                    WHEN 'refused' THEN 'refusé par le serveur du destinataire'
                    ELSE m.error_code END AS why
  FROM ponctuel.messages m JOIN ponctuel.businesses b ON b.id = m.business_id
 GROUP BY b.id, b.name, m.state, why ORDER BY b.id, m.state, why
"""
_SENT = """
SELECT m.recipient, b.subject FROM ponctuel.messages m
  JOIN ponctuel.message_bodies b ON b.message_id = m.id
 WHERE m.state = 'accepted' ORDER BY m.id LIMIT :limit
"""
_EXCEPTIONS = """
SELECT m.subject, m.content->>'number' AS number, b.name, m.state, m.error,
       COALESCE(m.hold_reason, m.error_code) AS why
  FROM ponctuel.messages m JOIN ponctuel.businesses b ON b.id = m.business_id
 WHERE m.state IN ('refused','cancelled','uncertain','expired')
    OR (m.state = 'held' AND m.hold_reason NOT IN ('review','stage','approval'))
 ORDER BY m.state, m.id LIMIT 25
"""
_ONE_MAIL = """
SELECT m.recipient, b.subject, b.text, b.html FROM ponctuel.messages m
  JOIN ponctuel.message_bodies b ON b.message_id = m.id
 WHERE m.state = 'accepted' AND m.kind <> 'operations.run_alert'
 ORDER BY (m.content->>'tone') = 'ferme' DESC, m.id LIMIT 1
"""
