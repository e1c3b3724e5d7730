from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from chalicelib.errors import ProviderError, SettingsError
from chalicelib.providers.whatsapp.port import Text, WhatsAppMessage
from chalicelib.providers.whatsapp.twilio import PAGE_SIZE, TwilioProvider, TwilioSettings
from sandbox.whatsapp_http import Reply, Request
from sandbox.whatsapp_twilio import ACCOUNT, NUMBER, TOKEN, TwilioSandbox
from tests.providers.whatsapps import (
    CALLBACK,
    CONTENT_SID,
    MESSAGE,
    PERSON,
    USER_ID,
    Stage,
    answering,
    contract_of,
    message,
    staged,
    template,
)

SID = "SM" + "0" * 32
SERVICE = "MG" + "b" * 32
KEY = "SK" + "c" * 32


class Recording(TwilioSandbox):
    """Keeps the requests as they came."""

    def answer(self, request: Request) -> Reply:
        self.last = request
        return super().answer(request)

    @property
    def form(self) -> dict[str, str]:
        return {name: value for name, (value,) in parse_qs(self.last.body.decode()).items()}


@pytest.fixture
def twilio(tmp_path: Path) -> Iterator[Recording]:
    with Recording(tmp_path, templates={CONTENT_SID: "Bonjour {{1}}, facture {{2}}."}) as sandbox:
        yield sandbox


def provider(sandbox: TwilioSandbox, **changes: str | None) -> TwilioProvider:
    settings = {"account": ACCOUNT, "key": ACCOUNT, "secret": TOKEN, "number": NUMBER} | changes
    return TwilioProvider(TwilioSettings(**settings, base_url=sandbox.base_url))  # type: ignore[arg-type] # strings all


def sent(sandbox: TwilioSandbox, it: WhatsAppMessage, **changes: str | None) -> None:
    with contextlib.closing(provider(sandbox, **changes)) as sender:
        sender.send(it)


def test_a_text_goes_in_the_body_and_our_reference_in_the_callback(twilio: Recording) -> None:
    sent(twilio, MESSAGE)
    assert isinstance(MESSAGE.content, Text)
    assert twilio.form == {
        "To": f"whatsapp:{PERSON}",
        "From": f"whatsapp:{NUMBER}",
        "Body": MESSAGE.content.body,
        "StatusCallback": f"{CALLBACK}?message=3f2a91bc-42",
    }


def test_a_template_goes_by_content_sid_and_never_in_the_body(twilio: Recording) -> None:
    sent(twilio, message(content=template("twilio"), callback_url=f"{CALLBACK}?stage=prod"))
    assert twilio.form["ContentSid"] == CONTENT_SID
    assert json.loads(twilio.form["ContentVariables"]) == {"1": "Léa", "2": "F-1042"}
    assert twilio.form["StatusCallback"] == f"{CALLBACK}?stage=prod&message=3f2a91bc-42"
    assert "Body" not in twilio.form
    assert twilio.accepted()[0].text == "Bonjour Léa, facture F-1042."


def test_without_a_public_address_there_is_no_callback(twilio: Recording) -> None:
    sent(twilio, message(callback_url=None))
    assert "StatusCallback" not in twilio.form


@pytest.mark.parametrize("url", ["relances.example", "https://x.example/a b", "https://x/#a"])
def test_a_callback_address_that_cannot_be_called_is_a_matter_of_settings(
    twilio: Recording, url: str
) -> None:
    with pytest.raises(ProviderError) as refused:
        sent(twilio, message(callback_url=url))
    assert (refused.value.code, refused.value.permanent) == ("configuration", False)


def test_the_sender_is_the_businesss_own_number_or_service(twilio: Recording) -> None:
    sent(twilio, message(sender=SERVICE))
    assert twilio.form["MessagingServiceSid"] == SERVICE
    assert "From" not in twilio.form
    sent(twilio, MESSAGE, service=SERVICE)
    assert (twilio.form["MessagingServiceSid"], twilio.form["From"]) == (
        SERVICE,
        f"whatsapp:{NUMBER}",
    )
    sent(twilio, message(sender=NUMBER), number=None, service=SERVICE)
    assert "MessagingServiceSid" not in twilio.form


@pytest.mark.parametrize("sender", ["0612345678", "Atelier", "", "+33939010299"])
def test_a_sender_that_is_not_ours_is_never_the_messages_fault(
    twilio: Recording, sender: str
) -> None:
    with pytest.raises(ProviderError) as refused:
        sent(twilio, message(sender=sender))
    assert (refused.value.code, refused.value.permanent) == ("sender", False)


def test_an_api_key_stands_for_the_account(twilio: Recording) -> None:
    sent(twilio, MESSAGE, key=KEY)
    assert len(twilio.accepted()) == 1


def test_an_account_that_does_not_exist_is_a_matter_of_settings(twilio: Recording) -> None:
    with pytest.raises(ProviderError) as refused:
        sent(twilio, MESSAGE, account="AC" + "9" * 32)
    assert (refused.value.code, refused.value.permanent) == ("configuration", False)


@pytest.mark.parametrize(
    "changes",
    [
        {"account": "AC1"},
        {"key": "x"},
        {"secret": ""},
        {"secret": "a\r\nb"},
        {"number": "06"},
        {"service": "MG"},
    ],
)
def test_settings_that_cannot_be_used_are_refused_without_quoting_them(
    twilio: Recording, changes: dict[str, str]
) -> None:
    with pytest.raises(SettingsError) as error:
        provider(twilio, **changes)
    assert TOKEN not in str(error.value)


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ({"sid": SID, "status": "failed", "error_code": 63016}, "window_closed"),
        (
            {"sid": SID, "status": "undelivered", "error_code": 63024},
            "invalid_recipient",
        ),
        ({"sid": SID, "status": "queued", "error_code": 21610}, "opt_out"),
        ({"sid": SID, "status": "failed", "error_code": None}, "failed"),
        ({"sid": SID, "status": "canceled"}, "canceled"),
        ({"sid": None, "code": 63016, "status": 400}, "window_closed"),
    ],
)
def test_a_success_with_an_error_inside_is_an_error(answer: dict[str, object], code: str) -> None:
    with answering("twilio", "200 OK", answer) as sender, pytest.raises(ProviderError) as refused:
        sender.send(MESSAGE)
    assert refused.value.code == code


# The proof for a call whose answer was lost.


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with staged("twilio", tmp_path) as found:
        yield found


SINCE = timedelta(seconds=-5)


def found(stage: Stage, it: WhatsAppMessage, since: timedelta = SINCE) -> list[str]:
    traces = stage.provider.find(it, datetime.now(UTC) + since)
    assert traces is not None
    return [trace.provider_id for trace in traces]


@pytest.mark.parametrize("fault", ["accept_then_close", "accept_then_server_error"])
@pytest.mark.parametrize("recipient", [PERSON, USER_ID])
def test_an_accepted_message_whose_answer_was_lost_is_found(
    stage: Stage, fault: str, recipient: str
) -> None:
    stage.sandbox.fail(fault, count=1)  # type: ignore[arg-type] # a FaultKind
    lost = message(recipient=recipient, content=template("twilio"))
    assert stage.outcome(lost) == "unknown"
    (entry,) = stage.sandbox.accepted()
    assert found(stage, lost) == [entry.provider_id]


def test_a_message_that_was_not_accepted_is_not_found(stage: Stage) -> None:
    stage.sandbox.fail("server_error", count=1)
    assert stage.outcome() == "unknown"
    assert found(stage, MESSAGE) == []


def test_other_texts_recipients_senders_and_times_are_not_this_message(stage: Stage) -> None:
    for other in (
        message(content=Text("Autre chose")),
        message(recipient="+33700000001"),
        message(sender=SERVICE),
        message(content=template("twilio", ("Paul", "F-7"))),
    ):
        assert stage.outcome(other) == "accepted"
    assert found(stage, MESSAGE) == []
    assert stage.outcome() == "accepted"
    assert len(found(stage, MESSAGE)) == 1
    assert found(stage, MESSAGE, timedelta(hours=1)) == []
    assert len(found(stage, message(sender=SERVICE))) == 1  # the one that it did send


def test_two_alike_are_both_told_so_that_neither_is_taken_for_proof(stage: Stage) -> None:
    stage.outcome()
    stage.outcome(message(reference="3f2a91bc-43"))
    assert len(found(stage, MESSAGE)) == 2


def test_what_became_of_it_is_told_too(stage: Stage) -> None:
    stage.outcome()
    (entry,) = stage.sandbox.accepted()
    assert isinstance(stage.sandbox, TwilioSandbox)
    stage.sandbox.status(entry, "undelivered", 63016)
    traces = stage.provider.find(MESSAGE, datetime.now(UTC))
    assert traces is not None
    assert (traces[0].state, traces[0].error_code) == ("undelivered", "63016")
    assert abs(traces[0].created_at - datetime.now(UTC)) < timedelta(seconds=30)


def test_a_long_list_is_read_page_by_page_until_it_is_too_old(stage: Stage) -> None:
    first = message(content=Text("La première"))
    stage.outcome(first)
    isolated = stage.sandbox
    assert isinstance(isolated, TwilioSandbox)
    (original,) = isolated._messages.values()
    for number in range(PAGE_SIZE + 10):
        sid = f"SM{number:032}"
        isolated._messages[sid] = original | {"sid": sid, "body": "x"}
    assert found(stage, first) == [original["sid"]]
    assert isolated.requests == 3
    found(stage, first, timedelta(hours=1))
    assert isolated.requests == 4


def test_a_list_without_end_is_no_proof_of_anything(stage: Stage) -> None:
    stage.outcome()
    assert isinstance(stage.sandbox, TwilioSandbox)
    (original,) = stage.sandbox._messages.values()
    for number in range(5 * PAGE_SIZE + 1):
        stage.sandbox._messages[f"SM{number:032}"] = original
    with pytest.raises(ProviderError) as error:
        found(stage, MESSAGE)
    assert (error.value.code, error.value.permanent) == ("connection", False)


@pytest.mark.parametrize(
    ("status", "body", "headers"),
    [
        ("500 No", b"", ""),
        ("200 OK", b"<html>", ""),
        ("200 OK", {"messages": None}, ""),
        ("200 OK", b'{"messages": [], "x": ', ""),
        ("401 No", b"", ""),
        ("429 Slow", b"", "Retry-After: 5\r\n"),
    ],
)
def test_a_search_that_fails_can_be_done_again(status: str, body: object, headers: str) -> None:
    with (
        answering("twilio", status, body, headers) as sender,
        pytest.raises(ProviderError) as error,
    ):
        sender.find(MESSAGE, datetime.now(UTC))
    assert not error.value.permanent


def test_absurd_rows_and_pages_are_passed_over() -> None:
    now = datetime.now(UTC).strftime("%a, %d %b %Y %H:%M:%S +0000")
    row: dict[str, object] = {
        "to": f"whatsapp:{PERSON}",
        "from": f"whatsapp:{NUMBER}",
        "date_created": now,
    }
    rows: list[object] = [
        None,
        1,
        {},
        row,
        row | {"sid": 5},
        row | {"sid": "SM1"},
        row | {"date_created": "?"},
    ]
    rows.append(row | {"sid": "SM" + "d" * 32, "body": None, "status": None})
    path = f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json"
    for following in (
        "https://elsewhere.invalid/",
        f"{path}?Page=1\r\nX: y",
        f"{path}?é",
        ["?"],
    ):
        page = {"messages": rows, "next_page_uri": following}
        with answering("twilio", "200 OK", page) as sender:
            traces = sender.find(MESSAGE, datetime.now(UTC))
        assert traces is not None
        assert [trace.provider_id for trace in traces] == ["SM" + "d" * 32]


def test_the_search_and_the_sandboxs_answers_agree_with_twilios_own_document(
    tmp_path: Path,
) -> None:
    with staged("twilio", tmp_path, checked=True) as stage:
        stage.outcome()
        assert len(found(stage, MESSAGE)) == 1
        assert stage.sandbox.problems == []
        assert isinstance(stage.sandbox, TwilioSandbox)
        contract = contract_of("twilio")
        assert contract is not None
        (resource,) = stage.sandbox._messages.values()
        assert contract.answer_problems("POST", stage.sandbox.path, 201, resource) == []
        assert contract.answer_problems("POST", stage.sandbox.path, 201, {"sid": "x"})
