"""What `explain` says of a lead: why it is not followed up now, and what was done so far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.console import Console

from chalicelib.domain.leads.explain import JOB
from chalicelib.domain.leads.reasons import LEFT_OUT, SKIPPED
from cli import output

MODES = {"assisted": "assisté", "api": "API"}
STATES = {
    "planned": "message prévu",
    "accepted": "envoyée, pas encore comptée par un passage",
    "proposed": "proposée",
    "opened": "ouverte dans WhatsApp",
    "confirmed": "envoyée",
    "skipped": "passée",
    "expired": "expirée",
    "cancelled": "retirée",
}


def show(screen: Console, data: Sequence[Mapping[str, Any]]) -> None:
    """Rows of `domain.leads.explain.explain`."""
    for row in data:
        output.line(screen, f"Lead {row['id']}, entreprise {row['business_id']}", "bold")
        if row["reason"]:
            output.line(screen, f"Pas de relance maintenant : {row['reason_text']}.", "yellow")
        else:
            output.line(screen, "Rien ne s'y oppose : le prochain passage le relance.", "green")
        output.facts(
            screen,
            {
                "nom": row["name"],
                "étape": row["stage"],
                "mode": MODES.get(row["mode"] or "", row["mode"]),
                "closer": row["closer_id"] or "les responsables",
                "prochaine relance": row["next_number"],
                "à partir du": row["due_at"] if row["next_number"] else None,
                "joignable à partir du": row["opens_at"],
                "relances faites": row["sent"]["followups"],
                "dernière le": row["sent"]["last_followup_at"],
            },
        )
        _pauses(screen, row)
        for note in _notes(row):
            output.line(screen, f"Attention : {note}.", "yellow")
        output.table(
            screen,
            ("numéro", "étape", "état", "le", "par", "raison"),
            [
                (
                    done["number"],
                    _stage(done["cycle"]),
                    STATES["accepted" if done["accepted_at"] else done["state"]],
                    done["settled_at"]
                    or done["accepted_at"]
                    or done["opened_at"]
                    or done["proposed_at"],
                    done["settled_by"],
                    _reason(done),
                )
                for done in row["followups"]
            ],
            long="raison",
            shorten=("étape", "par"),
        )


def show_list(screen: Console, data: Sequence[Mapping[str, Any]]) -> None:
    """Rows of `domain.leads.listing.listed`."""
    if not data:
        output.line(screen, "Aucun lead ouvert ne répond à ces critères.")
    output.table(
        screen,
        ("entreprise", "lead", "nom", "étape", "closer", "faites", "dernière le", "prochaine",
         "due le", "état"),
        [
            (
                row["business_id"],
                row["id"],
                row["name"],
                row["stage"],
                row["closer_id"] or "les responsables",
                row["followups"],
                row["last_followup_at"],
                row["next_number"],
                row["due_at"] if row["next_number"] else None,
                _standing(row),
            )
            for row in data
        ],
        long="état",
        shorten=("nom", "étape", "closer", "entreprise"),
        drop=("dernière le", "entreprise"),
    )  # fmt: skip


def until(ends_at: datetime | None) -> str:
    """As "jusqu'au 12/03/2026 00:00"."""
    return f"jusqu'au {output.when(ends_at)}" if ends_at else "jusqu'à nouvel ordre"


def _standing(row: Mapping[str, Any]) -> str:
    if row["accepted_at"]:
        return f"relance {row['state_number']} envoyée"
    if row["state"]:
        return f"relance {row['state_number']} : {STATES[row['state']]}"
    if row["paused"]:
        return f"en pause {until(row['pause_ends_at'])} : {row['pause_why']}"
    return row["reason_text"] or "au prochain passage"


def _pauses(screen: Console, row: Mapping[str, Any]) -> None:
    for said in row["pauses"]:
        when = f"le {output.when(said['at'])} par {said['by']}"
        why = f" : {said['why']}" if said["why"] else ""
        if said["reason"] == "resumed":
            output.line(screen, f"Repris {when}{why}.")
        elif said["in_force"]:
            output.line(screen, f"En pause {until(said['ends_at'])}, {when}{why}.", "yellow")
        else:
            output.line(screen, f"Mis en pause {when}{why}.")


def _stage(cycle: str) -> str:
    """As "devis, depuis le 12/03/2026 09:00"."""
    stage, _, since = cycle.rpartition("@")
    return f"{stage}, depuis le {output.when(datetime.fromisoformat(f'{since}+00:00'))}"


def _reason(done: Mapping[str, Any]) -> str | None:
    code: str | None = done["reason"]
    if code is None:
        return None
    words = SKIPPED if done["state"] == "skipped" and code in SKIPPED else LEFT_OUT
    return words.get(code, code)


def _notes(row: Mapping[str, Any]) -> list[str]:
    found = row["obstacles"]
    notes = []
    if found["pause_reason"] is not None:
        notes.append(f"le job {JOB} est en pause ({found['pause_reason']})")
    if found["quarantined"]:
        notes.append("ce lead est mis de côté (`./ponctuel quarantine list`)")
    if row["mode"] == "api" and not found["stage_is_live"]:
        notes.append("l'étape n'est pas en service, seule ALLOW_LIST reçoit (`./ponctuel go-live`)")
    if row["mode"] == "api" and not found["business_is_live"]:
        notes.append("cette entreprise est en revue : ses messages sont retenus")
    return notes
