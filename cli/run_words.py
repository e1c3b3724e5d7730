"""A run in French: its status, its counts, its errors by subject."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console

from chalicelib import jobs
from chalicelib.outbox.operator import STATES
from cli import output

STATUSES = {
    "queued": "en attente",
    "running": "en cours",
    "continued": "à reprendre",
    "succeeded": "réussie",
    "partial": "en partie",
    "failed": "en échec",
    "skipped": "passée",
}
DOORS = {
    "schedule": "horaire",
    "http": "HTTP",
    "orchestrator": "orchestrateur",
    "cli": "terminal",
    "continuation": "suite",
    "watchdog": "surveillance",
}
# How a caller over HTTP gave the secret.
_CALLERS = {
    "bearer": "secret dans l'en-tête",
    "query": "secret dans l'adresse",
    "local": "cette machine",
}
COLOURS = {"succeeded": "green", "partial": "yellow", "failed": "red"}
EXIT_CODES = {"succeeded": 0, "skipped": 0, "partial": 2}
# In the order in which they are told: singular and plural.
_COUNTS = {
    "planned": ("prévu", "prévus"),
    "sent": ("envoyé", "envoyés"),
    "proved": ("prouvé", "prouvés"),
    "accepted": ("accepté", "acceptés"),
    "delivered": ("remis", "remis"),
    "pending": ("en attente d'envoi", "en attente d'envoi"),
    "held": ("retenu", "retenus"),
    "held_for_approval": ("à approuver", "à approuver"),
    "refused": ("refusé", "refusés"),
    "uncertain": ("incertain", "incertains"),
    "cancelled": ("annulé", "annulés"),
    "expired": ("trop tard", "trop tard"),
    "quotes_expired": ("devis expiré", "devis expirés"),
    # Of account_deletions.
    "deletions_adopted": ("suppression reprise", "suppressions reprises"),
    "deletions_moved": ("date changée", "dates changées"),
    "deletions_cancelled": ("suppression annulée", "suppressions annulées"),
    "deletions_blocked": ("suppression bloquée", "suppressions bloquées"),
    "deletions_resumed": ("suppression débloquée", "suppressions débloquées"),
    "deletions_postponed": ("suppression reportée", "suppressions reportées"),
    "deletions_changed": ("compte à revoir demain", "comptes à revoir demain"),
    "deletions_locked": ("compte verrouillé", "comptes verrouillés"),
    "deletions_erased": ("compte effacé", "comptes effacés"),
    "erasures_waiting": ("effacement à poursuivre", "effacements à poursuivre"),
    "erasures_held": ("effacement suspendu", "effacements suspendus"),
    "erasures_blocked": ("effacement bloqué", "effacements bloqués"),
    "tombstones_purged": ("trace d'effacement oubliée", "traces d'effacement oubliées"),
    "accesses_forgotten": ("accès à l'archive oublié", "accès à l'archive oubliés"),
    "archive_purged": ("pièce d'archive purgée", "pièces d'archive purgées"),
    # Of overdue_and_reminders.
    "told": ("notification", "notifications"),
    "resolved": ("notification réglée", "notifications réglées"),
    "invoices_overdue": ("facture en retard", "factures en retard"),
    "invoices_given_time": ("facture au nouveau délai", "factures au nouveau délai"),
    # Of lead_followups.
    "proposed": ("lead proposé", "leads proposés"),
    "followups_sent": ("relance comptée", "relances comptées"),
    "followups_unsent": ("relance non partie", "relances non parties"),
    "proposals_expired": ("proposition expirée", "propositions expirées"),
    "proposals_cancelled": ("relance retirée", "relances retirées"),
    "numbers_unusable": ("numéro inutilisable", "numéros inutilisables"),
    "notifications_resolved": ("notification close", "notifications closes"),
    # Of inbox_sync.
    "emails": ("e-mail lu", "e-mails lus"),
    "known": ("e-mail déjà connu", "e-mails déjà connus"),
    "partial": ("e-mail réparé", "e-mails réparés"),
    "stub": ("e-mail trop grand", "e-mails trop grands"),
    "unreadable": ("e-mail illisible", "e-mails illisibles"),
    "matched": ("e-mail d'un client ou à lui", "e-mails de clients ou à eux"),
    "replies": ("réponse", "réponses"),
    "bounces": ("envoi revenu", "envois revenus"),
    "opt_outs": ("désinscription", "désinscriptions"),
    "notices": ("avis prévu", "avis prévus"),
    "deleted": ("e-mail disparu du serveur", "e-mails disparus du serveur"),
    "flags": ("marque changée", "marques changées"),
    "folders_new": ("nouveau dossier", "nouveaux dossiers"),
    "folders_gone": ("dossier disparu", "dossiers disparus"),
    "folders_renamed": ("dossier renommé", "dossiers renommés"),
    "resets": ("dossier renuméroté", "dossiers renumérotés"),
    "given_up": ("message abandonné", "messages abandonnés"),
    "nil": ("message que le serveur ne donne pas", "messages que le serveur ne donne pas"),
    "parse_failures": ("analyse interrompue", "analyses interrompues"),
    "set_aside": ("e-mail mis de côté", "e-mails mis de côté"),
    "messages": ("message", "messages"),
    "changes": ("changement", "changements"),
    "left_out": ("laissé de côté", "laissés de côté"),
    "failed": ("en erreur", "en erreur"),
}
# What says nothing to whoever reads the answer: JSON has it.
_UNSAID = frozenset({"bytes", "headers", "parsed", "settled"})


def asked_by(run: Mapping[str, Any]) -> str:
    """As "terminal anne" or "HTTP (secret dans l'en-tête)"."""
    door, by = DOORS[run["door"]], run["requested_by"]
    if run["door"] == "http" and by:
        return f"{door} ({_CALLERS.get(by, by)})"
    return " ".join(filter(None, (door, by)))


def exit_code(status: str) -> int:
    """0 succeeded (or skipped, with its reason), 2 partial, 1 for anything else."""
    return EXIT_CODES.get(status, 1)


def counts_in_words(counts: Mapping[str, int]) -> str:
    """As "2 prévus, 2 envoyés"; counts of zero are left out, unknown ones keep their name."""
    told = [name for name in _COUNTS if counts.get(name)]
    told += [name for name in counts if counts[name] and name not in {*_COUNTS, *_UNSAID}]
    return ", ".join(output.plural(counts[name], *_COUNTS.get(name, (name, name))) for name in told)


def show_run(screen: Console, run: Mapping[str, Any]) -> None:
    """A run of the ledger, with `errors`, as `ledger.read` gives it."""
    zone, status = run["zone"], run["status"]
    kind = " à blanc" if run["dry_run"] else ""
    output.line(screen, f"{jobs.title_of(run['job'])} ({run['job']})", "bold")
    output.line(
        screen, f"Exécution{kind} n° {run['number']} {STATUSES[status]}", COLOURS.get(status, "")
    )
    output.facts(
        screen,
        {
            "identifiant": run["id"],
            "fuseau": zone,
            "créneaux": " → ".join(
                dict.fromkeys(
                    output.when(run[slot], zone) for slot in ("slot_from", "slot_to") if run[slot]
                )
            ),
            "début": output.when(run["started_at"], zone),
            "durée": output.duration(run["started_at"], run["finished_at"]),
            "demandée par": asked_by(run) if run["requested_by"] else None,
            "raison": run["reason"],
            "à la date du": output.when(run["as_of"], zone),
            "forcée": run["force"] or None,
            "résultat": counts_in_words(run["counts"]),
            "message": run["error"],
        },
    )
    output.table(
        screen,
        ("entreprise", "état", "envoyés", "erreur"),
        [
            (result["id"], STATUSES[result["status"]], result["count"], result.get("error"))
            for result in run["results"]
        ],
        long="erreur",
    )
    show_errors(screen, run)


def show_errors(screen: Console, run: Mapping[str, Any]) -> None:
    """The items that failed and the messages that did not arrive, one line each."""
    errors, messages = run["errors"], run["message_errors"]
    if errors:
        output.line(screen, f"\n{output.plural(len(errors), 'erreur', 'erreurs')}", "red")
    output.table(
        screen,
        ("entreprise", "élément", "étape", "code", "erreur"),
        [(e["business_id"], e["item"], e["step"], e["code"], e["error"]) for e in errors],
        long="erreur",
        shorten=("étape", "code", "entreprise"),
    )
    if messages:
        count = output.plural(len(messages), "message non arrivé", "messages non arrivés")
        output.line(screen, f"\n{count}", "red")
    output.table(
        screen,
        ("entreprise", "sujet", "message", "état", "erreur"),
        [
            (m["business_id"], m["subject"], m["id"], STATES[m["state"]], m["error"])
            for m in messages
        ],
        long="erreur",
        shorten=("sujet", "entreprise"),
    )
