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
            },
        )
        for note in _notes(row):
            output.line(screen, f"Attention : {note}.", "yellow")
        output.table(
            screen,
            ("numéro", "étape", "état", "le", "par", "raison"),
            [
                (
                    done["number"],
                    _stage(done["cycle"]),
                    STATES[done["state"]],
                    done["settled_at"] or done["opened_at"] or done["proposed_at"],
                    done["settled_by"],
                    _reason(done),
                )
                for done in row["followups"]
            ],
            long="raison",
            shorten=("étape", "par"),
        )


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
