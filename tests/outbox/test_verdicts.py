"""Was it sent? The sentence claims what the ledger knows, and no more."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from chalicelib.outbox.operator import STATES
from chalicelib.outbox.verdicts import was_it_sent

NOW = datetime(2026, 3, 10, 21, 40, tzinfo=UTC)
LATER = NOW + timedelta(hours=9, minutes=20)
EARLIER = NOW - timedelta(minutes=5)
FIRST_WORDS = ("Oui", "Non", "Pas encore", "Personne ne le sait")


def event(name: str, at: datetime = NOW, actor: str = "twilio", reason: str = "") -> dict[str, Any]:
    return {"at": at, "event": name, "actor": actor, "reason": reason}


def message(state: str, *events: dict[str, Any], **columns: Any) -> dict[str, Any]:
    return {
        "state": state,
        "events": list(events),
        "clock": NOW,
        "hold_reason": None,
        "not_before": EARLIER,
        "expires_at": LATER,
        "submitting_at": EARLIER,
        "settled_at": NOW,
        "attempts": 0,
        "resends": 0,
        "proofs": 0,
        "proof_at": None,
        "provider": "twilio",
        "error_code": None,
        "error": None,
    } | columns


@pytest.mark.parametrize(
    ("row", "told"),
    [
        (message("planned"), "Pas encore : prévu, il part à l'un des prochains passages."),
        (
            message("planned", not_before=LATER, attempts=2, error="Le serveur est occupé."),
            "Pas encore : prochain essai le 11 mars 2026 à 8 h 00, après un échec passager "
            "(le serveur est occupé).",
        ),
        (
            message("planned", event("uncertain"), event("resent", actor="anne")),
            "Pas encore renvoyé (personne ne sait si le premier envoi est arrivé) : prévu, il part "
            "à l'un des prochains passages.",
        ),
        (
            message("planned", event("refused"), event("resent", actor="anne")),
            "Pas encore renvoyé : prévu, il part à l'un des prochains passages.",
        ),
        (message("planned", resends=1), "Pas encore renvoyé (personne ne sait si le premier"),
        (
            message(
                "held",
                hold_reason="quiet",
                not_before=LATER,
                error="Il était 22 h 40 chez le destinataire.",
            ),
            "Pas encore : retenu jusqu'au 11 mars 2026 à 8 h 00 : il était 22 h 40 chez le "
            "destinataire.",
        ),
        (
            message("held", hold_reason="cap", not_before=LATER),
            "Pas encore : retenu jusqu'au 11 mars 2026 à 8 h 00 : le destinataire a reçu assez de "
            "messages.",
        ),
        (
            message("held", hold_reason="restored"),
            "Pas encore : retenu jusqu'à ce que quelqu'un le libère (base restaurée : à vérifier "
            "avant de partir).",
        ),
        (
            message("submitting"),
            "Personne ne le sait encore : l'appel au fournisseur a commencé le 10 mars 2026 à "
            "22 h 35, sa réponse est attendue.",
        ),
        (
            message("accepted"),
            "Oui : Twilio l'a accepté le 10 mars 2026 à 22 h 35 ; rien ne dit encore s'il a été "
            "remis.",
        ),
        (
            message("accepted", provider="smtp", error_code="some_refused"),
            "Oui : le serveur de messagerie l'a accepté le 10 mars 2026 à 22 h 35 pour une partie "
            "des destinataires ;",
        ),
        (
            message("accepted", event("arrived", actor="anne", reason="Le client a répondu.")),
            "Oui, d'après anne, qui l'a déclaré arrivé le 10 mars 2026 à 22 h 40 : le client a "
            "répondu.",
        ),
        (
            message("delivered", event("sent"), event("delivered", LATER)),
            "Oui : Twilio l'a accepté le 10 mars 2026 à 22 h 40 et remis le 11 mars 2026 à 8 h 00.",
        ),
        (
            message("delivered", event("delivered"), event("read", LATER), provider="meta"),
            "Oui : Meta l'a accepté le 10 mars 2026 à 22 h 35, remis le 10 mars 2026 à 22 h 40 et "
            "lu le 11 mars 2026 à 8 h 00.",
        ),
        (
            message("failed", error_code="63016"),
            "Non : Twilio l'a accepté le 10 mars 2026 à 22 h 35, mais il n'a pas été remis "
            "(code 63016).",
        ),
        (
            message("refused", error="Twilio refuse le numéro."),
            "Non : Twilio l'a refusé le 10 mars 2026 à 22 h 40 (Twilio refuse le numéro).",
        ),
        (
            message("uncertain", error_code="answer_lost", proof_at=LATER, proofs=2),
            "Personne ne le sait (la réponse du fournisseur s'est perdue) ; une preuve est "
            "cherchée le 11 mars 2026 à 8 h 00, déjà cherchée 2 fois sans succès.",
        ),
        (
            message("uncertain", error_code="answer_lost", proof_at=EARLIER),
            "Personne ne le sait (la réponse du fournisseur s'est perdue) ; une preuve est "
            "cherchée maintenant.",
        ),
        (
            message("uncertain", error_code="answer_lost", proofs=3),
            "Personne ne le sait (la réponse du fournisseur s'est perdue) ; une preuve a été "
            "cherchée 3 fois sans succès : à vous de dire s'il est arrivé ou de le renvoyer.",
        ),
        (
            message("cancelled", event("cancelled", actor="anne", reason="Payé ce matin.")),
            "Non : annulé par anne le 10 mars 2026 à 22 h 40 : Payé ce matin.",
        ),
        (
            message("cancelled", error_code="opted_out"),
            "Non : annulé le 10 mars 2026 à 22 h 40, juste avant de partir (le destinataire a "
            "demandé de ne plus rien recevoir).",
        ),
        (
            message("expired"),
            "Non : trop tard, il n'était utile que jusqu'au 11 mars 2026 à 8 h 00.",
        ),
    ],
)
def test_the_answer_is_one_sentence_that_says_what_is_known(row: dict[str, Any], told: str) -> None:
    assert was_it_sent(row).replace("\xa0", " ").startswith(told)


@pytest.mark.parametrize("state", STATES)
def test_every_state_has_an_answer_that_begins_with_what_was_asked(state: str) -> None:
    found = was_it_sent(message(state, hold_reason="review"))
    assert found.startswith(FIRST_WORDS)
    assert found.endswith(".")


def test_what_was_told_of_an_attempt_that_was_given_up_is_not_told_of_the_next() -> None:
    events = (event("sent", EARLIER), event("failed", EARLIER), event("resent"))
    assert "22 h 36" in was_it_sent(
        message("accepted", *events, submitting_at=EARLIER + timedelta(minutes=1))
    ).replace("\xa0", " ")
