"""Uncertain messages: what proves that they left, how long it is looked for, and what then."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine

from chalicelib.outbox import kinds, operator
from chalicelib.outbox.kinds import Kind
from chalicelib.outbox.proofs import Found, SentMail, WhatsAppTraces, judge, sources
from chalicelib.outbox.reconcile import PENDING, WAITS, next_search, reconcile
from chalicelib.providers.imap.sent_folder import SentFolder
from chalicelib.providers.whatsapp import open_whatsapp
from chalicelib.providers.whatsapp.port import Template, Text, WhatsAppMessage
from chalicelib.runner.deadline import Deadline
from chalicelib.settings import Settings
from sandbox.imap import ImapSandbox
from sandbox.whatsapp_meta import MetaSandbox
from sandbox.whatsapp_twilio import TwilioSandbox
from tests.harness import Deployment

PERSON = "+33612345678"
TEXT = "Bonjour, votre facture F-1042 (120 €) reste à régler."
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
LONG = Deadline.after(36_000)

LEAVES = Kind("probe.leaves", "Sonde", "operator_alert", lambda *_: {}, timedelta(days=7))
RESENDS = Kind(
    *("probe.resends", "Sonde", "operator_alert", lambda *_: {}, timedelta(days=7)),
    when_unknown="resend",
    proof_window=timedelta(hours=2),
)


@pytest.fixture(autouse=True)
def _probe_kinds(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in (LEAVES, RESENDS):
        monkeypatch.setitem(kinds._KINDS, kind.name, kind)


@pytest.fixture(scope="module")
def imap_server() -> Iterator[ImapSandbox]:
    with ImapSandbox() as server:
        yield server


@pytest.fixture
def imap(imap_server: ImapSandbox) -> ImapSandbox:
    """A server whose Sent folder holds one letter of nobody's."""
    imap_server.empty()
    imap_server.append("Sent", [b"Message-ID: <other@example.fr>\r\n\r\n."])
    return imap_server


@pytest.fixture
def twilio(deployment: Deployment, tmp_path: Path) -> Iterator[TwilioSandbox]:
    with TwilioSandbox(tmp_path / "twilio", clock=deployment.clock) as sandbox:
        yield sandbox


@pytest.fixture
def engine(deployment: Deployment) -> Engine:
    return deployment.database.engine()


def mail(imap: ImapSandbox) -> list[SentMail]:
    return [SentMail(SentFolder(imap.url("Sent")))]


def whatsapp(twilio: TwilioSandbox) -> list[WhatsAppTraces]:
    return [WhatsAppTraces(open_whatsapp(twilio.url))]


def uncertain(deployment: Deployment, subject: str = "F1", **columns: Any) -> int:
    """A message whose answer was lost just now; its id."""
    values = {
        "kind": LEAVES.name,
        "subject": subject,
        "channel": "email",
        "contact": None,
        "state": "uncertain",
        "provider": None,
        "provider_id": None,
        "message_id": f"<{subject}.0123456789abcdef@example.fr>",
        "claimed_for": timedelta(minutes=5),
        "late": timedelta(days=7),
        "text": TEXT,
        "whatsapp": None,
    } | columns
    values["whatsapp"] = json.dumps(values["whatsapp"]) if values["whatsapp"] else None
    return int(
        deployment.rows(
            """WITH m AS (
                 INSERT INTO ponctuel.messages (business_id, kind, subject, channel, contact, state,
                   provider, provider_id, message_id, claim_id, claimed_until, attempts,
                   submitting_at, proof_at, settled_at, planned_at, not_before, expires_at)
                 SELECT 'B1', :kind, :subject, :channel, :contact, :state, :provider, :provider_id,
                   :message_id, gen_random_uuid(), now + :claimed_for, 1, now,
                   CASE WHEN :state = 'uncertain' THEN now + interval '1 minute' END, now, now, now,
                   now + :late FROM (SELECT ponctuel.clock() AS now) c RETURNING id)
               INSERT INTO ponctuel.message_bodies (message_id, subject, text, whatsapp)
               SELECT id, '', :text, CAST(:whatsapp AS jsonb) FROM m RETURNING message_id AS id""",
            **values,
        )[0]["id"]
    )


def to_person(deployment: Deployment, subject: str = "F1", **columns: Any) -> int:
    """The same on WhatsApp."""
    message = {"channel": "whatsapp", "contact": PERSON, "message_id": None} | columns
    return uncertain(deployment, subject, **message)


def taken(twilio: TwilioSandbox, text: str = TEXT, **fields: Any) -> str:
    """Twilio takes a message; its SID, which the ledger is not told."""
    provider = open_whatsapp(twilio.url)()
    content = fields.pop("content", Text(text))
    try:
        return provider.send(WhatsAppMessage("3f2a91bc-1", PERSON, content, **fields)).provider_id
    finally:
        provider.close()


def row(deployment: Deployment, message: int) -> Mapping[str, Any]:
    return deployment.rows("SELECT * FROM ponctuel.messages WHERE id = :id", id=message)[0]


def events(deployment: Deployment, message: int) -> list[tuple[str, str]]:
    found = deployment.rows(
        "SELECT event, actor FROM ponctuel.message_events WHERE message_id = :id ORDER BY id",
        id=message,
    )
    return [(event["event"], event["actor"]) for event in found]


def letter(deployment: Deployment, message: int) -> bytes:
    return f"Message-ID: {row(deployment, message)['message_id']}\r\n\r\nBonjour".encode()


def until_closed(
    deployment: Deployment, engine: Engine, searched: Sequence[Any], message: int
) -> list[datetime]:
    """Lets time pass until the message is not looked for any more; when it was."""
    instants = []
    while (at := row(deployment, message)["proof_at"]) is not None:
        deployment.database.set_clock(at)
        reconcile(engine, searched, LONG)
        instants.append(at)
        assert len(instants) < 100
    return instants


# Proof


def test_a_letter_in_the_sent_folder_was_accepted(
    deployment: Deployment, engine: Engine, imap: ImapSandbox
) -> None:
    message = uncertain(deployment)
    deployment.database.advance(MINUTE)
    imap.append("Sent", [letter(deployment, message)])
    assert reconcile(engine, mail(imap), LONG) == {"proved": 1}
    found = row(deployment, message)
    assert (found["state"], found["provider"]) == ("accepted", "smtp")
    assert (found["proof_at"], found["error_code"]) == (None, None)
    assert events(deployment, message) == [("proved", "reconcile")]


def test_a_message_that_twilio_remembers_was_accepted(
    deployment: Deployment, engine: Engine, twilio: TwilioSandbox
) -> None:
    message = to_person(deployment)
    sid = taken(twilio)
    deployment.database.advance(MINUTE)
    assert reconcile(engine, whatsapp(twilio), LONG) == {"proved": 1}
    found = row(deployment, message)
    assert (found["state"], found["provider"]) == ("accepted", "twilio")
    assert found["provider_id"] == sid


def test_a_template_is_recognised_by_its_variables(
    deployment: Deployment, engine: Engine, twilio: TwilioSandbox
) -> None:
    name = "HX" + "a" * 32
    sent = {"sender": None, "template": name, "language": "fr"}
    mine = to_person(deployment, whatsapp=sent | {"variables": ["Léa", "F-1042"]})
    other = to_person(deployment, "F2", whatsapp=sent | {"variables": ["Léa", "F-1043"]})
    sid = taken(twilio, content=Template(name, "fr", ("Léa", "F-1042")))
    deployment.database.advance(MINUTE)
    assert reconcile(engine, whatsapp(twilio), LONG) == {"proved": 1, "later": 1}
    assert row(deployment, mine)["provider_id"] == sid
    assert row(deployment, other)["state"] == "uncertain"


def test_what_twilio_could_not_deliver_has_failed(
    deployment: Deployment, engine: Engine, twilio: TwilioSandbox
) -> None:
    message = to_person(deployment)
    sid = taken(twilio)
    twilio.status(twilio.accepted()[0], "undelivered", 63003)
    deployment.database.advance(MINUTE)
    assert reconcile(engine, whatsapp(twilio), LONG) == {"failed": 1}
    found = row(deployment, message)
    assert (found["state"], found["provider_id"]) == ("failed", sid)
    assert found["error_code"] == "invalid_recipient"
    assert "Twilio" in found["error"]


def test_nothing_found_soon_after_proves_nothing_and_it_is_found_later(
    deployment: Deployment, engine: Engine, imap: ImapSandbox
) -> None:
    message = uncertain(deployment)
    deployment.database.advance(MINUTE)
    assert reconcile(engine, mail(imap), LONG) == {"later": 1}
    found = row(deployment, message)
    assert (found["state"], found["proofs"]) == ("uncertain", 1)
    assert found["proof_at"] > deployment.clock()
    imap.append("Sent", [letter(deployment, message)])
    assert reconcile(engine, mail(imap), LONG) == {}
    deployment.database.advance(2 * MINUTE)
    assert reconcile(engine, mail(imap), LONG) == {"proved": 1}


def test_two_hundred_letters_are_looked_for_over_one_connection(
    deployment: Deployment, engine: Engine, imap: ImapSandbox
) -> None:
    messages = [uncertain(deployment, f"F{number}") for number in range(200)]
    imap.append("Sent", [letter(deployment, message) for message in messages[:100]])
    deployment.database.advance(MINUTE)
    assert reconcile(engine, mail(imap), LONG) == {"proved": 100, "later": 100}
    assert imap.connections == 1
    assert {m["state"] for m in deployment.messages() if m["id"] in messages[:100]} == {"accepted"}


# What is no proof


def test_two_candidates_are_no_proof(
    deployment: Deployment, engine: Engine, twilio: TwilioSandbox
) -> None:
    message = to_person(deployment)
    taken(twilio)
    taken(twilio)
    deployment.database.advance(MINUTE)
    assert reconcile(engine, whatsapp(twilio), LONG) == {"later": 1}
    assert row(deployment, message)["provider_id"] is None


def test_one_of_two_is_proof_when_the_other_is_known_to_be_another_messages(
    deployment: Deployment, engine: Engine, twilio: TwilioSandbox
) -> None:
    known, mine = taken(twilio), taken(twilio)
    message = to_person(deployment)
    to_person(deployment, "F2", state="accepted", provider="twilio", provider_id=known)
    deployment.database.advance(MINUTE)
    assert reconcile(engine, whatsapp(twilio), LONG) == {"proved": 1}
    assert row(deployment, message)["provider_id"] == mine


def test_one_trace_that_could_be_either_of_two_messages_is_nobodys(
    deployment: Deployment, engine: Engine, twilio: TwilioSandbox
) -> None:
    to_person(deployment, "F1")
    later = to_person(deployment, "F2")
    # It is not due, and could be the one that was accepted all the same.
    deployment.execute("UPDATE ponctuel.messages SET proof_at = NULL WHERE id = :id", id=later)
    taken(twilio)
    deployment.database.advance(MINUTE)
    assert reconcile(engine, whatsapp(twilio), LONG) == {"later": 1}
    assert {m["state"] for m in deployment.messages()} == {"uncertain"}
    assert row(deployment, later)["proofs"] == 0


def test_a_call_that_is_under_way_may_own_what_is_found(
    deployment: Deployment, engine: Engine, twilio: TwilioSandbox
) -> None:
    message = to_person(deployment)
    calling = to_person(deployment, "F2", state="submitting")
    sid = taken(twilio)
    deployment.database.advance(MINUTE)
    assert reconcile(engine, whatsapp(twilio), LONG) == {"later": 1}
    deployment.execute("UPDATE ponctuel.messages SET state = 'refused' WHERE id = :id", id=calling)
    deployment.database.advance(2 * MINUTE)
    assert reconcile(engine, whatsapp(twilio), LONG) == {"proved": 1}
    assert row(deployment, message)["provider_id"] == sid


def test_a_first_copy_of_what_was_sent_again_may_be_what_is_found(
    deployment: Deployment, engine: Engine, twilio: TwilioSandbox
) -> None:
    message, other = to_person(deployment), to_person(deployment, "F2")
    taken(twilio)  # it is F2's
    with deployment.database.begin() as connection:
        operator.resend(connection, [other], by="test", reason="le client ne l'a pas")
    deployment.execute(
        "UPDATE ponctuel.messages SET state = 'delivered', provider = 'twilio',"
        " provider_id = 'SMsecond', submitting_at = ponctuel.clock() + interval '1 hour'"
        " WHERE id = :id",
        id=other,
    )
    deployment.database.advance(MINUTE)
    assert reconcile(engine, whatsapp(twilio), LONG) == {"later": 1}
    assert row(deployment, message)["state"] == "uncertain"


def test_what_was_sent_at_another_time_is_no_proof(
    deployment: Deployment, engine: Engine, twilio: TwilioSandbox
) -> None:
    taken(twilio)
    deployment.database.advance(HOUR)
    message = to_person(deployment)
    deployment.database.advance(10 * MINUTE)
    taken(twilio)
    assert reconcile(engine, whatsapp(twilio), LONG) == {"later": 1}
    assert row(deployment, message)["state"] == "uncertain"


several = st.lists(st.sampled_from("ABCD"), max_size=3, unique=True)


@given(
    st.dictionaries(st.integers(1, 5), several, max_size=5),
    st.dictionaries(st.sampled_from("ABCD"), st.lists(st.integers(6, 8), max_size=2)),
)
def test_no_trace_ever_proves_two_messages(
    found: dict[int, list[str]], owners: dict[str, list[int]]
) -> None:
    traces = {m: [Found("twilio", "", sid) for sid in sids] for m, sids in found.items()}
    proofs = judge(traces, owners)
    given_out = [proof.provider_id for proof in proofs.values()]
    assert len(given_out) == len(set(given_out))
    for message, proof in proofs.items():
        assert not owners.get(str(proof.provider_id))
        others = [sids for m, sids in found.items() if m != message]
        assert not any(proof.provider_id in sids for sids in others)


# Those who cannot be asked


def test_a_provider_that_is_down_is_asked_again_later_and_once_per_batch(
    deployment: Deployment, engine: Engine, twilio: TwilioSandbox
) -> None:
    messages = [to_person(deployment, f"F{number}") for number in range(3)]
    deployment.database.advance(MINUTE)
    url = twilio.url
    twilio.__exit__(None, None, None)
    assert reconcile(engine, [WhatsAppTraces(open_whatsapp(url))], LONG) == {"later": 3}
    assert {row(deployment, message)["proofs"] for message in messages} == {1}


def test_a_silent_mail_server_does_not_hold_the_others_back(
    deployment: Deployment, engine: Engine, imap: ImapSandbox, twilio: TwilioSandbox
) -> None:
    letter_, message = uncertain(deployment), to_person(deployment, "F2")
    taken(twilio)
    imap.silent = True
    deployment.database.advance(MINUTE)
    slow = SentMail(SentFolder(imap.url("Sent"), connect_timeout=0.2, call_timeout=0.2))
    assert reconcile(engine, [slow, *whatsapp(twilio)], LONG) == {"proved": 1, "later": 1}
    assert row(deployment, letter_)["state"] == "uncertain"
    assert row(deployment, message)["state"] == "accepted"


def test_a_source_with_a_bug_leaves_its_messages_for_later(
    deployment: Deployment, engine: Engine
) -> None:
    def broken() -> Any:
        raise RuntimeError("bug")

    to_person(deployment)
    deployment.database.advance(MINUTE)
    assert reconcile(engine, [WhatsAppTraces(broken)], LONG) == {"later": 1}


def test_near_the_deadline_nobody_is_asked_and_nothing_is_counted(
    deployment: Deployment, engine: Engine, imap: ImapSandbox, twilio: TwilioSandbox
) -> None:
    messages = [uncertain(deployment), to_person(deployment, "F2")]
    deployment.database.advance(MINUTE)
    both = [*mail(imap), *whatsapp(twilio)]
    assert reconcile(engine, both, Deadline.after(40)) == {"not_asked": 2}
    assert imap.connections == twilio.requests == 0
    assert {row(deployment, message)["proofs"] for message in messages} == {0}
    assert reconcile(engine, both, LONG) == {"later": 2}


def test_without_a_search_the_schedule_goes_on(
    deployment: Deployment, engine: Engine, tmp_path: Path
) -> None:
    by_ses = uncertain(deployment, provider="ses")
    by_meta = to_person(deployment, "F2")
    deployment.database.advance(MINUTE)
    assert reconcile(engine, (), LONG) == {"later": 2}
    with MetaSandbox(tmp_path / "meta") as meta:
        deployment.database.advance(2 * MINUTE)
        searched = [WhatsAppTraces(open_whatsapp(meta.url))]
        assert reconcile(engine, searched, LONG) == {"later": 2}
        assert meta.requests == 0
    assert row(deployment, by_ses)["proofs"] == row(deployment, by_meta)["proofs"] == 2


def test_a_letter_that_went_through_ses_is_not_looked_for_in_the_sent_folder(
    deployment: Deployment, engine: Engine, imap: ImapSandbox
) -> None:
    uncertain(deployment, provider="ses")
    deployment.database.advance(MINUTE)
    assert reconcile(engine, mail(imap), LONG) == {"later": 1}
    assert imap.connections == 0


def test_the_stages_settings_say_what_can_be_searched(imap: ImapSandbox) -> None:
    assert sources(Settings.from_mapping({})) == ()
    both = {"SENT_FOLDER_URL": imap.url("Sent"), "WHATSAPP_URL": f"meta://:{'t' * 40}@1065403522"}
    found = sources(Settings.from_mapping(both))
    assert [source.channel for source in found] == ["email", "whatsapp"]


# Others who settle it meanwhile


class Meanwhile(SentMail):
    """Something happens while the mail server is asked."""

    def __init__(self, imap: ImapSandbox, happens: Any) -> None:
        super().__init__(SentFolder(imap.url("Sent")))
        self._happens = happens

    def search(self, doubts: Any, deadline: Deadline) -> Any:
        self._happens()
        return super().search(doubts, deadline)


@pytest.mark.parametrize("found", [True, False], ids=["found", "not found"])
def test_a_webhook_that_comes_between_has_the_last_word(
    deployment: Deployment, engine: Engine, imap: ImapSandbox, found: bool
) -> None:
    message = uncertain(deployment)
    deployment.database.advance(MINUTE)
    if found:
        imap.append("Sent", [letter(deployment, message)])

    def delivered() -> None:
        deployment.execute(
            "UPDATE ponctuel.messages SET state = 'delivered' WHERE id = :id", id=message
        )

    assert reconcile(engine, [Meanwhile(imap, delivered)], LONG) == {}
    assert row(deployment, message)["state"] == "delivered"
    assert events(deployment, message) == []


@pytest.mark.parametrize("found", [True, False], ids=["found", "not found"])
def test_an_operators_decision_between_has_the_last_word(
    deployment: Deployment, engine: Engine, imap: ImapSandbox, found: bool
) -> None:
    message = uncertain(deployment)
    deployment.database.advance(MINUTE)
    if found:
        imap.append("Sent", [letter(deployment, message)])

    def resent() -> None:
        with deployment.database.begin() as connection:
            operator.resend(connection, [message], by="Léa", reason="le client n'a rien reçu")
        # It is sent anew, and uncertain again, about another call.
        deployment.execute(
            "UPDATE ponctuel.messages SET state = 'uncertain', submitting_at = ponctuel.clock(), "
            "proof_at = ponctuel.clock() + interval '1 minute' WHERE id = :id",
            id=message,
        )

    assert reconcile(engine, [Meanwhile(imap, resent)], LONG) == {}
    left = row(deployment, message)
    assert (left["state"], left["proofs"]) == ("uncertain", 0)
    # The attempt that was given up, then the decision.
    assert events(deployment, message) == [("uncertain", ""), ("resent", "Léa")]


def test_two_processes_do_not_search_for_the_same_message(
    deployment: Deployment, engine: Engine, imap: ImapSandbox
) -> None:
    uncertain(deployment)
    deployment.database.advance(MINUTE)
    second: list[Any] = []

    def another() -> None:
        second.append(reconcile(deployment.database.engine(), mail(imap), LONG))

    assert reconcile(engine, [Meanwhile(imap, another)], LONG) == {"later": 1}
    assert second == [{}]
    assert imap.connections == 1


def test_a_process_that_dies_while_it_searches_is_followed_by_another(
    deployment: Deployment, engine: Engine, imap: ImapSandbox
) -> None:
    message = uncertain(deployment)
    imap.append("Sent", [letter(deployment, message)])
    deployment.database.advance(MINUTE)

    def dies() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        reconcile(engine, [Meanwhile(imap, dies)], LONG)
    assert reconcile(engine, mail(imap), LONG) == {}
    deployment.database.advance(5 * MINUTE)
    assert reconcile(engine, mail(imap), LONG) == {"proved": 1}


# The end of the window, and policies


def test_it_is_looked_for_less_and_less_often_for_a_day_then_left_to_an_operator(
    deployment: Deployment, engine: Engine
) -> None:
    message = uncertain(deployment)
    called = row(deployment, message)["submitting_at"]
    instants = until_closed(deployment, engine, (), message)
    waits = [round((b - a) / MINUTE) for a, b in zip([called, *instants], instants, strict=False)]
    assert waits[:8] == [1, 2, 4, 8, 15, 30, 60, 120]
    assert set(waits[8:-1]) == {120}
    assert instants[-1] == called + timedelta(hours=24)
    left = row(deployment, message)
    assert (left["state"], left["proof_at"]) == ("uncertain", None)
    assert events(deployment, message) == [("unproved", "reconcile")]
    assert [state for _, _, state in deployment.states()] == ["uncertain"]


def test_a_kind_may_have_its_message_resent_once_and_only_after_its_own_window(
    deployment: Deployment, engine: Engine
) -> None:
    message = uncertain(deployment, kind=RESENDS.name)
    called = row(deployment, message)["submitting_at"]
    instants = until_closed(deployment, engine, (), message)
    assert instants[-1] == called + timedelta(hours=2)
    again = row(deployment, message)
    assert (again["state"], again["resends"], again["claim_id"]) == ("planned", 1, None)
    assert not again["key_free"]
    assert events(deployment, message) == [("resent_by_policy", "reconcile")]
    # Its second answer is lost as well.
    deployment.execute(
        "UPDATE ponctuel.messages SET state = 'uncertain', submitting_at = ponctuel.clock(), "
        "proof_at = ponctuel.clock(), claimed_until = ponctuel.clock() WHERE id = :id",
        id=message,
    )
    until_closed(deployment, engine, (), message)
    left = row(deployment, message)
    assert (left["state"], left["resends"]) == ("uncertain", 1)
    assert events(deployment, message)[1:] == [("unproved", "reconcile")]


def test_nothing_is_resent_before_its_claimer_is_surely_dead(
    deployment: Deployment, engine: Engine
) -> None:
    message = uncertain(deployment, kind=RESENDS.name, claimed_for=timedelta(hours=3))
    until = row(deployment, message)["claimed_until"]
    deployment.database.advance(2 * HOUR + MINUTE)
    assert reconcile(engine, (), LONG) == {"waiting": 1}
    waiting = row(deployment, message)
    assert waiting["state"] == "uncertain"
    assert waiting["proof_at"] == until + 2 * MINUTE
    deployment.database.set_clock(until + 2 * MINUTE - timedelta(seconds=5))
    assert reconcile(engine, (), LONG) == {}
    deployment.database.set_clock(until + 2 * MINUTE)
    assert reconcile(engine, (), LONG) == {"resent": 1}


def test_what_is_too_late_is_not_resent(deployment: Deployment, engine: Engine) -> None:
    message = uncertain(deployment, kind=RESENDS.name, late=HOUR)
    until_closed(deployment, engine, (), message)
    assert row(deployment, message)["state"] == "uncertain"


def test_proof_that_comes_at_the_last_moment_prevents_the_second_copy(
    deployment: Deployment, engine: Engine, imap: ImapSandbox
) -> None:
    message = uncertain(deployment, kind=RESENDS.name)
    imap.append("Sent", [letter(deployment, message)])
    deployment.database.advance(3 * HOUR)
    assert reconcile(engine, mail(imap), LONG) == {"proved": 1}
    assert row(deployment, message)["resends"] == 0


def test_a_kind_that_this_code_does_not_know_is_left_to_an_operator(
    deployment: Deployment, engine: Engine
) -> None:
    message = uncertain(deployment, kind="probe.of_a_newer_version")
    deployment.database.advance(25 * HOUR)
    assert reconcile(engine, (), LONG) == {"unproved": 1}
    assert row(deployment, message)["state"] == "uncertain"


def test_the_schedule_has_no_end_of_its_own() -> None:
    assert [next_search(number) for number in range(8)] == list(WAITS)
    assert next_search(1000) == WAITS[-1]


def test_one_condition_says_whether_there_is_anything_to_do(
    deployment: Deployment, engine: Engine
) -> None:
    def pending() -> bool:
        return bool(deployment.rows(f"SELECT {PENDING} AS pending")[0]["pending"])

    assert not pending()
    uncertain(deployment)
    assert not pending()
    deployment.database.advance(MINUTE)
    assert pending()
    reconcile(engine, (), LONG)
    assert not pending()


def test_a_provider_that_refuses_one_question_answers_the_others(
    deployment: Deployment, engine: Engine, twilio: TwilioSandbox
) -> None:
    odd = to_person(deployment, "F1", contact="0612345678")
    message = to_person(deployment, "F2")
    sid = taken(twilio)
    deployment.database.advance(MINUTE)
    assert reconcile(engine, whatsapp(twilio), LONG) == {"proved": 1, "later": 1}
    assert row(deployment, message)["provider_id"] == sid
    assert row(deployment, odd)["state"] == "uncertain"
