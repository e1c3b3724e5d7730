"""What the demo shows: tables, in French."""

from __future__ import annotations

import re
import shlex
import textwrap
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from rich.panel import Panel
from rich.table import Table
from rich.text import Text
from sqlalchemy import Engine, text

from chalicelib import jobs
from chalicelib.outbox import operator, reading
from chalicelib.outbox.formats import typographie
from chalicelib.runner.invocation import bench_for
from chalicelib.runner.request import request_dry_run, run_or_raise
from chalicelib.runner.work import rehearse
from cli.main import main as command_line
from cli.message_words import code_in_words
from sandbox.environment import ROOT
from sandbox.terminal import WIDEST, console, say, shown, title, wrapped

if TYPE_CHECKING:
    from pathlib import Path

    from cli.imports.store import ImportResult
    from sandbox.environment import Environment

STATES = {**operator.STATES, "accepted": "envoyé"}
MOST_REASONS = 8


def businesses(engine: Engine) -> None:
    table = _table("entreprise", "fuseau", "clients", "factures", "devis")
    for row in _rows(engine, _BUSINESSES):
        table.add_row(*(shown(str(value)) for value in row.values()))
    console.print(table)


def outcomes(engine: Engine) -> None:
    """Messages by business, state and reason."""
    table = _table("entreprise", "état", "messages", "pourquoi")
    for row in _rows(engine, _OUTCOMES):
        reason = _reason(row["why"])
        table.add_row(shown(row["name"]), STATES[row["state"]], str(row["n"]), reason)
    console.print(table)


def sent(engine: Engine, limit: int) -> None:
    """Some of what left, of each channel in turn: the subject of an e-mail, the beginning of a
    WhatsApp message."""
    rows = _rows(engine, _SENT, limit=limit)
    if not rows:
        return
    count = rows[0]["total"]
    title = f"Les {count} envois" if count == len(rows) else f"{len(rows)} des {count} envois"
    table = _table("canal", "envoyé à", "objet, ou début du texte", title=title)
    for row in rows:
        told = row["subject"] or row["text"].partition("\n")[2].partition("\n")[0]
        channel = reading.CHANNELS[row["channel"]]
        table.add_row(channel, *map(_one_line, (number(row["recipient"]), told)))
    console.print(table)


def exceptions(engine: Engine) -> None:
    """What did not leave although it was planned, by reason."""
    rows = _rows(engine, _EXCEPTIONS)
    if not rows:
        return
    table = _table("documents", "entreprise", "état", "pourquoi", title="Ce qui n'est pas parti")
    room = max(20, min(console.width, 120) - 62)
    for row in rows:
        rest = row["n"] - len(row["numbers"])
        table.add_row(
            shown("\n".join([*row["numbers"], *([f"et {rest} autres"] if rest else [])])),
            shown(wrapped(row["name"], 24)),
            STATES[row["state"]],
            shown(wrapped(row["error"] or _reason(row["why"]), room)),
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
    title = "Les documents ouverts qu'on ne relance pas"
    if by_document:
        table = _table("document", "pourquoi", title=title)
        for row in rows[:40]:
            table.add_row(shown(row["number"]), typographie(row["why"]))
    else:
        table = _table("nombre", "pourquoi", title=title)
        counts = Counter(row["why"] for row in rows).most_common()
        for why, count in counts[:MOST_REASONS]:
            table.add_row(str(count), typographie(why))
        if rest := counts[MOST_REASONS:]:
            many = sum(count for _, count in rest)
            table.add_row(str(many), f"… et {len(rest)} autres raisons")
    console.print(table)


def imported(result: ImportResult, name: str) -> None:
    title(f"Import de {name}")
    say(f"{result.created} factures importées, {len(result.rejects)} lignes refusées.")
    if result.rejects:
        table = _table("ligne", "facture", "pourquoi")
        for reject in result.rejects[:20]:
            reasons = " ; ".join(reject.reasons)
            table.add_row(str(reject.line), shown(reject.number or ""), shown(reasons))
        console.print(table)


def one_mail(engine: Engine, environment: Environment, *, lines: int | None = None) -> None:
    """One e-mail as it was written, or its first lines."""
    rows = _rows(engine, _ONE_MAIL)
    if not rows:
        return
    row = rows[0]
    html = environment.folder / "exemple.html"
    html.write_text(row["html"], encoding="utf-8")
    written = row["text"].strip().split("\n")
    beginning = "\n".join([*written[:lines], "[…]"] if lines and len(written) > lines else written)
    letter = f"À : {row['recipient']}\nObjet : {row['subject']}\n\n{beginning}"
    console.print(_framed(letter, "E-mail", 80))
    say(f"Entier, et en HTML : {_short(html)}")


def phone(engine: Engine, message: int) -> None:
    """A WhatsApp message as the customer's telephone shows it."""
    row = _message(engine, message)
    console.print(_framed(row["text"], f"WhatsApp, {number(row['contact'])}", 64))


def verdict(engine: Engine, message: int) -> None:
    """What `messages show` says first."""
    _prompt("messages", "show", str(message))
    told = f"Est-il parti ? {_message(engine, message)['verdict']}"
    console.print(Text(wrapped(told, min(console.width, WIDEST)), style="cyan"))


def command(*words: str) -> None:
    """A command of `./ponctuel` and what it prints, here and now."""
    _prompt(*words)
    if command_line(words) != 0:
        raise RuntimeError(f"{words[0]} failed")


def listed(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table of texts, one line for each row."""
    table = _table(*columns, title=title)
    for row in rows:
        table.add_row(*(_one_line(textwrap.shorten(cell, 44, placeholder="…")) for cell in row))
    console.print(table)


def letter(engine: Engine, message: int) -> None:
    """An e-mail as it left."""
    row = _message(engine, message)
    content = f"À : {row['recipient']}\nObjet : {row['title']}\n\n{row['text'].strip()}"
    console.print(_framed(content, "E-mail", 80))


def number(contact: str) -> str:
    """A French number as it is written; anything else as it is."""
    found = re.fullmatch(r"(\+33)(\d)(\d\d)(\d\d)(\d\d)(\d\d)", contact)
    return "\N{NO-BREAK SPACE}".join(found.groups()) if found else contact


def farther(environment: Environment) -> None:
    """Where to look, and what to try."""
    found = {
        "les e-mails reçus": f"{_short(environment.mails)}/*.eml",
        "les WhatsApp reçus": f"{_short(environment.whatsapp.folder)}/journal.jsonl",
        "avec vos factures": "make demo INVOICES=export.csv",
        "pour essayer vous-même": "make serve",
        "toutes les commandes": "./ponctuel --help",
    }
    if not environment.whatsapp.received():
        del found["les WhatsApp reçus"]
    console.print()
    for what, where in found.items():
        console.print(Text(f"  {what:<24}{where}"))


def _short(path: Path) -> Path:
    return path.relative_to(ROOT) if path.is_relative_to(ROOT) else path


def _prompt(*words: str) -> None:
    console.print(Text(f"$ ./ponctuel {shlex.join(words)}", style="bold"))


def _one_line(content: str) -> Text:
    return shown(content, no_wrap=True, overflow="ellipsis")


def _framed(content: str, title: str, width: int) -> Panel:
    inside = shown(wrapped(content, width - 4))
    return Panel(inside, title=title, title_align="left", width=width)


def _message(engine: Engine, message: int) -> dict[str, Any]:
    with engine.begin() as connection:
        return reading.message(connection, message)


def _reason(code: str | None) -> str:
    return typographie(operator.HOLDS.get(code or "") or code_in_words(code) or "")


def _table(*columns: str, title: str | None = None) -> Table:
    named = typographie(title) if title else None
    table = Table(title=named, title_justify="left", title_style="bold")
    for column in columns:
        table.add_column(column, justify="right" if column in _NUMBERS else "left")
    return table


_NUMBERS = {"clients", "factures", "devis", "messages", "nombre", "ligne"}


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
                    WHEN 'refused' THEN 'par le serveur du destinataire'
                    ELSE m.error_code END AS why
  FROM ponctuel.messages m JOIN ponctuel.businesses b ON b.id = m.business_id
 GROUP BY b.id, b.name, m.state, why ORDER BY b.id, m.state, why
"""
_SENT = """
SELECT m.channel, m.recipient, b.subject, b.text, count(*) OVER () AS total
  FROM ponctuel.messages m JOIN ponctuel.message_bodies b ON b.message_id = m.id
 WHERE m.state = 'accepted' AND m.business_id <> ''
 ORDER BY row_number() OVER (PARTITION BY m.channel ORDER BY m.id), m.id LIMIT :limit
"""
_EXCEPTIONS = """
SELECT (array_agg(COALESCE(m.content->>'number', m.subject) ORDER BY m.id))[1\\:3] AS numbers,
       count(*) AS n, b.name, m.state, m.error, COALESCE(m.hold_reason, m.error_code) AS why
  FROM ponctuel.messages m JOIN ponctuel.businesses b ON b.id = m.business_id
 WHERE m.state IN ('refused','failed','cancelled','uncertain','expired')
    OR (m.state = 'held' AND m.hold_reason NOT IN ('review','stage','approval'))
 GROUP BY b.id, b.name, m.state, m.error, why ORDER BY m.state, min(m.id) LIMIT 25
"""
_ONE_MAIL = """
SELECT m.recipient, b.subject, b.text, b.html FROM ponctuel.messages m
  JOIN ponctuel.message_bodies b ON b.message_id = m.id
 WHERE m.state = 'accepted' AND m.channel = 'email' AND m.business_id <> ''
 ORDER BY m.kind = 'billing.invoice_followup' DESC, (m.content->>'tone') = 'ferme' DESC, m.id
 LIMIT 1
"""
