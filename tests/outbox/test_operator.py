"""What an operator does races with delivery, with itself, and with what providers tell late."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import pytest

from chalicelib.outbox import operator
from chalicelib.outbox.operator import Acted
from chalicelib.outbox.settle import News, settle
from tests.harness import KINDS, Deployment
from tests.outbox import ledger

CLAIM = UUID(int=7)
ATTEMPT = (
    "provider = 'twilio', provider_id = 'SM1', error = 'La réponse s''est perdue.', "
    "error_code = 'answer_lost', proof_at = ponctuel.clock(), proofs = 2, "
    "counted_at = ponctuel.clock(), submitting_at = ponctuel.clock(), "
    "settled_at = ponctuel.clock()"
)


def message_in(deployment: Deployment, state: str, changes: str = "attempts = attempts") -> None:
    """Message 1, in that state."""
    deployment.open_business()
    deployment.execute("DELETE FROM ponctuel.go_lives WHERE business_id = 'B1'")
    deployment.invoice()
    deployment.tick()
    deployment.execute(
        f"UPDATE ponctuel.messages SET state = :state, claim_id = :claim, {changes}, "
        "claimed_until = ponctuel.clock() + interval '5 minutes'",
        state=state,
        claim=CLAIM,
    )


def act(deployment: Deployment, verb: str) -> Acted:
    with deployment.database.begin() as connection:
        return operator.ACTS[verb](connection, [1], by="anne", reason="vu")


def act_elsewhere(deployment: Deployment, verb: str) -> Acted:
    """In a process of its own, as far as the database can tell."""
    with deployment.database.engine().begin() as connection:
        return operator.ACTS[verb](connection, [1], by="luc", reason="vu aussi")


def row(deployment: Deployment) -> dict[str, Any]:
    (found,) = deployment.messages()
    return dict(found)


ALLOWED = {
    "release": {"held"},
    "cancel": {"planned", "held", "claimed"},
    "resend": {"uncertain", "refused", "failed"},
    "arrived": {"uncertain", "held"},
}


def test_each_action_takes_the_states_that_it_is_for_and_no_other(deployment: Deployment) -> None:
    message_in(deployment, "held", "hold_reason = 'review'")
    for verb, allowed in ALLOWED.items():
        for state in operator.STATES:
            deployment.execute("DELETE FROM ponctuel.message_events")
            deployment.execute(
                "UPDATE ponctuel.messages SET state = :state, hold_reason = 'review'", state=state
            )
            acted = act(deployment, verb)
            assert bool(acted.changed) == (state in allowed), (verb, state)
            assert bool(acted.left) == (state not in allowed), (verb, state)
            events = deployment.rows("SELECT 1 FROM ponctuel.message_events")
            assert bool(events) == (state in allowed), "what is left has no event"


@pytest.mark.parametrize("hold", operator.HOLDS)
def test_only_what_no_hour_ends_can_be_released(deployment: Deployment, hold: str) -> None:
    message_in(deployment, "held", f"hold_reason = '{hold}'")
    assert bool(act(deployment, "release").changed) == (hold in operator.RELEASABLE)
    assert not {"quiet", "cap", "quota"} & set(operator.RELEASABLE)


@pytest.mark.parametrize("hold", ["quarantine", "quiet", "cap", "restored", "review"])
def test_a_whole_kind_is_released_without_what_killed_a_process(
    deployment: Deployment, hold: str
) -> None:
    message_in(deployment, "held", f"hold_reason = '{hold}'")
    with deployment.database.begin() as connection:
        acted = operator.release_kind(connection, "B1", KINDS[0], by="anne")
    assert bool(acted.changed) == (hold in ("restored", "review"))


def test_what_waits_for_its_hour_did_not_arrive(deployment: Deployment) -> None:
    message_in(deployment, "held", "hold_reason = 'quiet'")
    assert act(deployment, "arrived").changed == ()


def test_a_message_that_is_resent_forgets_its_first_attempt_but_its_history_does_not(
    deployment: Deployment,
) -> None:
    message_in(deployment, "uncertain", ATTEMPT)
    before = row(deployment)
    assert act(deployment, "resend").changed == (1,)
    after = row(deployment)
    assert after["state"] == "planned"
    for name in ("provider_id", "proof_at", "counted_at", "claim_id", "error", "error_code"):
        assert after[name] is None, name
    assert (after["proofs"], after["attempts"], after["claims"]) == (0, 0, 0)
    assert after["message_id"] == before["message_id"]
    events = deployment.rows(
        "SELECT at, event, actor, reason FROM ponctuel.message_events ORDER BY id"
    )
    assert [(e["event"], e["actor"], e["reason"]) for e in events] == [
        ("uncertain", "twilio", "La réponse s'est perdue. (SM1)"),
        ("resent", "anne", "vu"),
    ]
    assert events[0]["at"] == before["settled_at"]


def test_a_message_that_arrived_is_no_longer_looked_for(deployment: Deployment) -> None:
    message_in(deployment, "uncertain", ATTEMPT)
    assert act(deployment, "arrived").changed == (1,)
    after = row(deployment)
    assert (after["state"], after["proof_at"], after["error"]) == ("accepted", None, None)
    assert (after["provider_id"], after["proofs"]) == ("SM1", 2), "it is still that attempt"
    assert after["counted_at"] is not None


def test_a_message_cancelled_while_it_is_claimed_gives_back_its_place(
    deployment: Deployment,
) -> None:
    message_in(deployment, "claimed", "counted_at = ponctuel.clock()")
    assert act(deployment, "cancel").changed == (1,)
    assert row(deployment)["counted_at"] is None
    with deployment.database.begin() as connection:
        assert settle(connection, CLAIM, [News(1, "claimed", "submitting")]) == set()
    assert row(deployment)["state"] == "cancelled"


def test_an_answer_that_comes_after_a_resend_does_not_settle_the_second_attempt(
    deployment: Deployment,
) -> None:
    message_in(deployment, "uncertain", ATTEMPT)
    act(deployment, "resend")
    with deployment.database.begin() as connection:
        for was in ("submitting", "uncertain", "planned"):
            assert settle(connection, CLAIM, [News(1, was, "accepted")]) == set()
    assert row(deployment)["state"] == "planned"


# Nobody knows by which id the provider took it, if it did.
LOST = ATTEMPT.replace("'SM1'", "null")
FIRST, SECOND = "wamid.first", "wamid.second"


@pytest.mark.parametrize(
    ("told", "becomes"), [("sent", "accepted"), ("delivered", "delivered"), ("failed", "failed")]
)
def test_what_is_told_late_of_the_first_attempt_spares_the_second(
    deployment: Deployment, told: str, becomes: str
) -> None:
    message_in(deployment, "uncertain", f"{LOST}, channel = 'whatsapp'")
    act(deployment, "resend")
    named = ledger.named(deployment.database, 1)
    event = ledger.status(told, "131026", provider_id=FIRST, reference=named, at=deployment.clock())
    ledger.tell(deployment.database, event, at=deployment.clock())
    assert row(deployment)["state"] == becomes
    deployment.deliver()
    assert row(deployment)["attempts"] == 0, "nobody called again"


@pytest.mark.parametrize(
    ("told", "becomes", "of"),
    [("failed", "accepted", SECOND), ("sent", "accepted", SECOND), ("read", "delivered", FIRST)],
)
def test_what_is_told_late_of_the_first_attempt_only_betters_the_second(
    deployment: Deployment, told: str, becomes: str, of: str
) -> None:
    message_in(deployment, "uncertain", f"{LOST}, channel = 'whatsapp'")
    act(deployment, "resend")
    deployment.execute(
        "UPDATE ponctuel.messages SET state = 'accepted', provider = 'meta', provider_id = :id",
        id=SECOND,
    )
    named = ledger.named(deployment.database, 1)
    event = ledger.status(told, "131026", provider_id=FIRST, reference=named, at=deployment.clock())
    ledger.tell(deployment.database, event, at=deployment.clock())
    assert (row(deployment)["state"], row(deployment)["provider_id"]) == (becomes, of)


@pytest.mark.parametrize("verb", ["cancel", "resend", "arrived", "release"])
def test_two_operators_at_once_do_it_once(deployment: Deployment, verb: str) -> None:
    state = sorted(ALLOWED[verb])[-1]
    message_in(deployment, state, f"hold_reason = 'review', {ATTEMPT}")
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda _: act_elsewhere(deployment, verb), range(4)))
    assert sum(len(acted.changed) for acted in found) == 1
    assert sum(len(acted.left) for acted in found) == 3


@pytest.mark.parametrize(
    ("verb", "state", "becomes"),
    [("cancel", "claimed", "submitting"), ("resend", "uncertain", "accepted")],
)
def test_who_comes_second_finds_the_message_gone(
    deployment: Deployment, verb: str, state: str, becomes: str
) -> None:
    """Delivery, or a provider's proof, holds the row while the operator acts: the action waits, and
    judges the state that it finds then."""
    message_in(deployment, state, ATTEMPT)
    with ThreadPoolExecutor(1) as thread:
        with deployment.database.begin() as connection:
            assert settle(connection, CLAIM, [News(1, state, becomes)]) == {1}
            waiting = thread.submit(act_elsewhere, deployment, verb)
            with pytest.raises(TimeoutError):
                waiting.result(timeout=0.2)
        acted = waiting.result(timeout=10)
    assert acted.changed == ()
    assert acted.left[0].state == becomes
    assert row(deployment)["state"] == becomes
    assert deployment.rows("SELECT 1 FROM ponctuel.message_events") == []
