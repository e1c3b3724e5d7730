"""`./ponctuel leads`: which leads there are, where they stand, and pauses."""

from __future__ import annotations

import pytest

from tests import lead_rows as rows
from tests.cli.command_line import CommandLine
from tests.harness import NOW, Deployment
from tests.jobs import test_lead_followups_api as api

JOB = "lead_followups"
REASON = ("--reason", "vu avec lui")


@pytest.fixture
def deployment(deployment: Deployment) -> Deployment:
    """B1 has L1, due and Sophie's; L2, new and nobody's, in another stage; L3, won. B2 has L1."""
    for business in ("B1", "B2"):
        rows.open_business(deployment, business)
        rows.lead(deployment, business_id=business)
    rows.lead(deployment, "L2", phone="06 39 98 00 02", closer_id=None, stage="devis",
              stage_since=NOW, name="Jean [red]Petit[/red]")  # fmt: skip
    rows.lead(deployment, "L3", phone="06 39 98 00 03", status="won")
    return deployment


def ids(ponctuel: CommandLine, *filters: str) -> list[str]:
    answer = ponctuel("leads", "list", "--json", *filters)
    assert answer.code == 0, answer.err
    return [f"{row['business_id']}/{row['id']}" for row in answer.data]


def test_open_leads_are_listed_the_one_due_first_on_top(
    deployment: Deployment, ponctuel: CommandLine
) -> None:
    assert ids(ponctuel) == ["B1/L1", "B2/L1", "B1/L2"]
    assert ids(ponctuel, "--business", "B1", "--due") == ["B1/L1"]
    assert ids(ponctuel, "--lead-stage", "devis") == ["B1/L2"]
    assert ids(ponctuel, "--closer", "U1", "--business", "B2") == ["B2/L1"]
    assert ids(ponctuel, "--limit", "1") == ["B1/L1"]
    assert ids(ponctuel, "--paused") == []
    words = ponctuel("leads", "list", "--business", "B1").words
    assert "Jean [red]Petit[/red]" in words, "a name commands nothing"
    assert "les responsables" in words
    assert ponctuel("leads", "list", "--business", "B9").out == (
        "Aucun lead ouvert ne répond à ces critères.\n"
    )


def test_what_is_under_way_is_no_longer_due(deployment: Deployment, ponctuel: CommandLine) -> None:
    deployment.tick(JOB, hours=6)
    assert ids(ponctuel, "--due") == []
    (row,) = ponctuel("leads", "list", "--json", "--business", "B2").data
    assert (row["state"], row["state_number"], row["reason"]) == ("proposed", 1, "in_flight")
    assert "relance 1 : proposée" in ponctuel("leads", "list", "--business", "B2").words


def test_a_lead_is_paused_listed_and_resumed(deployment: Deployment, ponctuel: CommandLine) -> None:
    answer = ponctuel("leads", "pause", "L1", "--business", "B1", "--until", "2026-03-20", *REASON)
    assert "Le lead L1 de B1 est en pause jusqu'au 21/03/2026 00:00." in answer.words
    assert ids(ponctuel, "--paused") == ["B1/L1"]
    assert ids(ponctuel, "--due") == ["B2/L1"]
    shown = ponctuel("leads", "show", "L1", "--business", "B1").words
    assert "Pas de relance maintenant : les relances de ce lead sont en pause." in shown
    assert "En pause jusqu'au 21/03/2026 00:00, le 10/03/2026 10:00 par" in shown
    assert "vu avec lui" in shown
    answer = ponctuel("leads", "resume", "L1", "--business", "B1")
    assert answer.out == "Le lead L1 de B1 n'est plus en pause : le prochain passage l'examine.\n"
    assert ids(ponctuel, "--due") == ["B1/L1", "B2/L1"]
    assert ponctuel("leads", "resume", "L1", "--business", "B1").code == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("pause", "L1", *REASON), "Plusieurs entreprises ont ce lead (B1, B2)"),
        (("pause", "L9", *REASON), "L9"),
        (("pause", "L2", "--reason", " "), "raison"),
        (("pause", "L2", "--until", "2026-03-01", *REASON), "est passé"),
        (("pause", "L2"), "--reason"),
        (("pause", "L2", "--until", "demain", *REASON), "attendu une date"),
    ],
)
def test_what_cannot_be_done_is_said_in_french_and_changes_nothing(
    deployment: Deployment, ponctuel: CommandLine, arguments: tuple[str, ...], words: str
) -> None:
    answer = ponctuel("leads", *arguments)
    assert answer.code == 1
    assert words in answer.err
    assert ids(ponctuel, "--paused") == []


def test_a_message_that_was_accepted_is_counted_at_once_and_once(
    deployment: Deployment, ponctuel: CommandLine
) -> None:
    assert deployment.twilio
    deployment.execute("UPDATE ponctuel.lead_settings SET mode = 'api'")
    api.agrees(deployment)
    rows.templates(deployment)
    told = []
    for _ in range(2):  # after the run that sends it, and after the run that counts it
        deployment.tick(JOB, hours=6)
        row = ponctuel("leads", "list", "--json", "--business", "B1", "--closer", "U1").data[0]
        (shown,) = ponctuel("leads", "show", "L1", "--business", "B1", "--json").data
        assert shown["sent"] == {
            "followups": row["followups"], "last_followup_at": row["last_followup_at"],
        }  # fmt: skip
        told.append((row["followups"], row["last_followup_at"]))
        if len(told) == 1:
            assert "relance 1 envoyée" in ponctuel("leads", "list", "--business", "B1").words
            assert "envoyée, pas encore comptée" in ponctuel("leads", "show", "L1").words
    assert told[0][0] == 1
    assert told[0] == told[1]
