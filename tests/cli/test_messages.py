"""What an operator sees of messages and does with them: review, uncertain ones, going live."""

from __future__ import annotations

from uuid import UUID

import pytest

from chalicelib.outbox import settle
from chalicelib.outbox.go_live import all_kinds
from chalicelib.outbox.settle import News
from tests.cli.command_line import CommandLine
from tests.harness import KINDS, OPERATOR, Deployment

REASON = ("--reason", "vu")


@pytest.fixture
def in_review(deployment: Deployment) -> Deployment:
    """The stage is live and B1 is not: F1's relance is held in review."""
    deployment.open_business()
    deployment.execute("DELETE FROM ponctuel.go_lives WHERE business_id = 'B1'")
    deployment.invoice()
    deployment.tick()
    return deployment


def uncertain(deployment: Deployment) -> str:
    """The id of a message whose answer was lost."""
    deployment.open_business()
    deployment.invoice()
    deployment.smtp.fail("accept_then_close")
    deployment.tick()
    deployment.smtp.heal()
    (message,) = deployment.messages()
    assert message["state"] == "uncertain"
    return str(message["id"])


def holds(deployment: Deployment) -> list[tuple[str, str | None]]:
    return [(m["state"], m["hold_reason"]) for m in deployment.messages()]


def test_a_message_in_review_is_listed_and_can_be_read_as_it_would_leave(
    in_review: Deployment, ponctuel: CommandLine
) -> None:
    listed = ponctuel("messages", "--state", "held", "--business", "B1")
    assert "1 message : 1 retenu (en revue avant la mise en service)" in listed.words
    assert (
        "1 B1 Relance de facture F1 1 e-mail compta@boulangerie-martin.example retenu"
        in listed.words
    )
    assert ponctuel("messages", "--hold", "approval").out == "Aucun message.\n"
    letter = ponctuel("messages", "show", "1")
    assert "Tel qu'il partirait maintenant" in letter.out
    assert "Objet : " in letter.out
    assert "Boulangerie Martin" in letter.out
    assert "1 234,56" in letter.words.replace("\u202f", " ").replace("\xa0", " ")


def test_messages_are_asked_for_in_the_words_that_tables_print(
    in_review: Deployment, ponctuel: CommandLine
) -> None:
    for asked in (
        ("--state", "retenu"),
        ("--state", "held"),
        ("--hold", "En revue avant la mise en service"),
        ("--hold", "review"),
    ):
        assert len(ponctuel("messages", "--json", *asked).data["messages"]) == 1
    assert ponctuel("messages", "--state", "sent").out == "Aucun message.\n"
    wrong = ponctuel("messages", "--state", "parti")
    assert wrong.code == 1
    assert "« parti » n'existe pas (au choix : prévu, retenu" in wrong.err


def test_an_operators_cancellation_is_told_in_french(
    in_review: Deployment, ponctuel: CommandLine
) -> None:
    ponctuel("messages", "cancel", "1", *REASON)
    for answer in (
        ponctuel("messages"),
        ponctuel("messages", "show", "1"),
        ponctuel("followups", "list"),
    ):
        assert "annulé par l'exploitant" in answer.words
        assert "cancelled" not in answer.out


def test_a_message_that_would_not_leave_says_why_and_reading_it_changes_nothing(
    in_review: Deployment, ponctuel: CommandLine
) -> None:
    in_review.execute("UPDATE ponctuel.invoices SET disputed = true")
    assert (
        "Il ne partirait pas maintenant : litige en cours." in ponctuel("messages", "show", "1").out
    )
    assert holds(in_review) == [("held", "review")]


def test_reading_a_letter_does_not_drop_the_lines_that_were_paid(
    in_review: Deployment, ponctuel: CommandLine
) -> None:
    in_review.execute("UPDATE ponctuel.billing_settings SET group_by_customer = true")
    for number in ("F2", "F3"):
        in_review.customer(f"C-{number}")
        in_review.invoice(f"{number}a", customer_id=f"C-{number}")
        in_review.invoice(f"{number}b", customer_id=f"C-{number}")
    in_review.tick()
    in_review.execute("UPDATE ponctuel.invoices SET status = 'paid', balance = 0 WHERE id = 'F2a'")
    letter = ponctuel("messages", "show", "2").out
    assert "F2b" in letter
    assert len(in_review.rows("SELECT 1 FROM ponctuel.message_lines WHERE message_id = 2")) == 2


def test_what_was_sent_is_shown_as_it_was_sent(
    deployment: Deployment, ponctuel: CommandLine
) -> None:
    deployment.open_business()
    deployment.invoice()
    deployment.tick()
    deployment.execute("UPDATE ponctuel.customers SET name = 'Autre nom'")
    answer = ponctuel("messages", "show", "1")
    assert "état accepté" in answer.words
    assert "Boulangerie Martin" in answer.out
    assert "Autre nom" not in answer.out
    missing = ponctuel("messages", "show", "99")
    assert (missing.code, missing.err) == (1, "Aucun message ne porte ce numéro.\n")


def test_a_name_with_escape_codes_cannot_command_the_terminal(
    deployment: Deployment, ponctuel: CommandLine
) -> None:
    deployment.open_business()
    deployment.invoice(number="F1\x1b[2J[red]")
    assert "\x1b" not in ponctuel("run", "followups", "--dry-run").out
    deployment.tick()
    listed = ponctuel("messages").out
    assert "\x1b" not in listed
    assert "[red]" in listed


def test_release_sends_what_was_in_review_and_records_who_and_why(
    in_review: Deployment, ponctuel: CommandLine
) -> None:
    answer = ponctuel("messages", "release", "1", "77", "--reason", "relu")
    assert answer.code == 2
    assert "1 message de nouveau prévu." in answer.out
    assert "77 aucun message ne porte ce numéro" in answer.words
    in_review.deliver()
    assert holds(in_review) == [("accepted", None)]
    (event,) = in_review.rows("SELECT event, actor, reason FROM ponctuel.message_events")
    assert (event["event"], event["reason"]) == ("released", "relu")
    assert event["actor"]
    assert "libéré" in ponctuel("messages", "show", "1").out
    again = ponctuel("messages", "release", "1")
    assert again.code == 1
    assert "il est accepté" in again.out


def test_release_of_a_kind_takes_one_business_only(
    in_review: Deployment, ponctuel: CommandLine
) -> None:
    in_review.open_business("B2")
    in_review.execute("DELETE FROM ponctuel.go_lives WHERE business_id = 'B2'")
    in_review.invoice(business_id="B2")
    in_review.tick()
    assert ponctuel("messages", "release", "--business", "B2", "--kind", KINDS[0]).code == 0
    assert holds(in_review) == [("held", "review"), ("planned", None)]
    for wrong in (("--business", "B1"), ("--kind", KINDS[0]), ("1", "--business", "B1"), ()):
        assert ponctuel("messages", "release", *wrong).code == 1
    unknown = ponctuel("messages", "release", "--business", "B1", "--kind", "billing.unknown")
    assert "Genre de message inconnu" in unknown.err


def test_nothing_is_released_to_strangers_while_the_stage_is_not_live(
    in_review: Deployment, ponctuel: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_review.execute("DELETE FROM ponctuel.go_lives")
    answer = ponctuel("messages", "release", "1")
    assert answer.code == 1
    assert "l'étape n'est pas en service" in answer.out
    monkeypatch.setenv("ALLOW_LIST", "*@boulangerie-martin.example")
    assert ponctuel("messages", "release", "1").code == 0


def test_an_operators_cancellation_keeps_the_key(
    in_review: Deployment, ponctuel: CommandLine
) -> None:
    assert ponctuel("messages", "cancel", "1", "--reason", " ").err.startswith("Donnez la raison")
    assert ponctuel("messages", "cancel", "1", *REASON).code == 0
    in_review.tick()
    assert holds(in_review) == [("cancelled", None)]
    assert in_review.messages()[0]["key_free"] is False
    assert ponctuel("messages", "release", "1").code == 1


def test_what_is_cancelled_while_a_delivery_has_claimed_it_does_not_leave(
    in_review: Deployment, ponctuel: CommandLine
) -> None:
    claim_id = UUID(int=1)
    in_review.execute(
        "UPDATE ponctuel.messages SET state = 'claimed', hold_reason = NULL, claim_id = :claim_id, "
        "claimed_until = ponctuel.clock() + interval '5 minutes'",
        claim_id=claim_id,
    )
    assert ponctuel("messages", "cancel", "1", *REASON).code == 0
    with in_review.database.begin() as connection:
        assert settle.settle(connection, claim_id, [News(1, "claimed", "submitting")]) == set()
    assert holds(in_review) == [("cancelled", None)]


def test_an_uncertain_message_that_arrived_lets_the_next_level_follow(
    deployment: Deployment, ponctuel: CommandLine
) -> None:
    number = uncertain(deployment)
    assert ponctuel("messages", "release", number).code == 1
    assert ponctuel("messages", "arrived", number, "--reason", "le client a répondu").code == 0
    deployment.tick(hours=24 * 10)
    assert deployment.states() == [("F1", "1", "accepted"), ("F1", "2", "accepted")]
    assert ponctuel("messages", "arrived", number, *REASON).code == 1


def test_an_uncertain_message_is_sent_again_only_when_the_operator_says_so(
    deployment: Deployment, ponctuel: CommandLine
) -> None:
    number = uncertain(deployment)
    deployment.deliver()
    assert len(deployment.smtp.accepted()) == 1
    assert ponctuel("messages", "resend", number, *REASON).code == 0
    deployment.deliver()
    assert deployment.states() == [("F1", "1", "accepted")]
    first, second = deployment.smtp.accepted()
    assert first.message_id == second.message_id, "so that a mailbox can drop the second"


def test_a_message_that_is_resent_late_has_its_limit_counted_anew_and_its_guard_asked(
    deployment: Deployment, ponctuel: CommandLine
) -> None:
    number = uncertain(deployment)
    deployment.tick("deliver_messages", hours=24 * 30)
    assert ponctuel("messages", "resend", number, *REASON).code == 0
    deployment.execute("UPDATE ponctuel.invoices SET status = 'paid', balance = 0")
    deployment.deliver()
    assert deployment.states() == [("F1", "1", "cancelled")]
    (first,) = [e for e in deployment.smtp.accepted() if OPERATOR not in e.recipients]
    assert first.fault


def test_a_refused_message_that_a_retry_has_replaced_is_not_resent(
    deployment: Deployment, ponctuel: CommandLine
) -> None:
    deployment.open_business()
    deployment.invoice()
    deployment.smtp.fail("refuse_permanent")
    deployment.tick()
    deployment.smtp.heal()
    ponctuel("followups", "retry", "invoice", "F1", *REASON)
    answer = ponctuel("messages", "resend", "1", *REASON)
    assert answer.code == 1
    assert "un autre message la remplace" in answer.out


def test_going_live_with_a_business_opens_every_kind_and_lets_its_messages_go(
    in_review: Deployment, ponctuel: CommandLine
) -> None:
    answer = ponctuel("go-live", "--business", "B1", *REASON, "--json")
    assert answer.data["released"] == 1
    assert ["B1", "*"] in answer.data["opened"]
    assert {kind.name for kind in all_kinds()} >= set(KINDS)
    in_review.deliver()
    assert holds(in_review) == [("accepted", None)]
    again = ponctuel("go-live", "--business", "B1", *REASON)
    assert (again.code, again.out) == (0, "C'était déjà en service.\n")


def test_going_live_with_the_stage_leaves_new_businesses_in_review(
    in_review: Deployment, ponctuel: CommandLine
) -> None:
    in_review.execute("DELETE FROM ponctuel.messages")
    in_review.execute("DELETE FROM ponctuel.go_lives")
    in_review.open_business("B2")
    in_review.execute("DELETE FROM ponctuel.go_lives WHERE business_id = '*'")
    in_review.invoice(business_id="B2")
    in_review.tick()
    assert holds(in_review) == [("held", "stage"), ("held", "stage")]
    answer = ponctuel("go-live", *REASON)
    assert "En service : l'étape." in answer.out
    assert "1 message : partiront" not in answer.out
    assert sorted(holds(in_review), key=str) == [("held", "review"), ("planned", None)]
    assert [(m["business_id"], m["state"]) for m in in_review.messages(state="planned")] == [
        ("B2", "planned")
    ]


def test_going_live_with_one_kind_leaves_the_others_in_review(
    in_review: Deployment, ponctuel: CommandLine
) -> None:
    in_review.quote()
    in_review.customer("C2")
    in_review.quote("D2", customer_id="C2")
    in_review.tick()
    ponctuel("go-live", "--business", "B1", "--kind", "billing.quote_followup", *REASON)
    assert holds(in_review) == [("held", "review"), ("planned", None)]


def test_what_was_planned_in_review_can_be_discarded_at_go_live(
    in_review: Deployment, ponctuel: CommandLine
) -> None:
    answer = ponctuel("go-live", "--business", "B1", "--discard", *REASON)
    assert "1 message est annulé." in answer.out
    in_review.tick()
    assert holds(in_review) == [("cancelled", None)]
    assert in_review.smtp.accepted() == []


@pytest.mark.parametrize(
    "options", [("--kind", KINDS[0]), ("--business", "B9"), ("--business", "B1", "--kind", "x.y")]
)
def test_a_scope_that_does_not_exist_does_not_go_live(
    in_review: Deployment, ponctuel: CommandLine, options: tuple[str, ...]
) -> None:
    answer = ponctuel("go-live", *options, *REASON)
    assert (answer.code, answer.out) == (1, "")
    assert len(in_review.rows("SELECT 1 FROM ponctuel.go_lives")) == 1
