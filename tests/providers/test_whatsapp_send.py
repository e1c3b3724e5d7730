"""What both WhatsApp providers promise: one call, three possible answers."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chalicelib.errors import OutcomeUnknown, ProviderError
from chalicelib.providers.whatsapp.codes import PERMANENT_CODES, meaning
from chalicelib.providers.whatsapp.port import (
    PERSON_CODES,
    SENDER_WIDE_CODES,
    TEMPLATE_WIDE_CODES,
    Template,
    Text,
)
from chalicelib.providers.whatsapp.refusals import _ADVICE
from tests.providers.whatsapps import (
    MESSAGE,
    PERSON,
    USER_ID,
    Stage,
    http,
    message,
    provider_at,
    saying,
    staged,
    template,
)
from tests.providers.wire import Conversation, serving, until_closed

PROVIDERS = ("twilio", "meta")


@pytest.fixture(params=PROVIDERS)
def stage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stage]:
    with staged(request.param, tmp_path) as found:
        yield found


@pytest.fixture(params=PROVIDERS, scope="module")
def checked(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stage]:
    with staged(request.param, tmp_path_factory.mktemp("checked"), checked=True) as found:
        yield found


def test_a_text_is_accepted_once_and_carries_our_reference(stage: Stage) -> None:
    accepted = stage.provider.send(MESSAGE)
    (entry,) = stage.sandbox.accepted()
    assert accepted.provider_id == entry.provider_id
    assert accepted.state in {"queued", "accepted"}
    assert (entry.reference, entry.recipient) == ("3f2a91bc-42", PERSON)
    assert isinstance(MESSAGE.content, Text)
    assert entry.text == MESSAGE.content.body


def test_a_template_takes_its_variables_in_order_or_by_name(stage: Stage) -> None:
    stage.provider.send(message(content=template(stage.name)))
    named = {"prenom": "Léa", "facture": "F-1042"}
    stage.provider.send(message(content=template(stage.name, named)))
    first, second = stage.sandbox.accepted()
    assert first.variables == {"1": "Léa", "2": "F-1042"}
    assert second.variables == named
    assert first.template


def test_somebody_who_hides_the_number_is_written_to_by_user_id(stage: Stage) -> None:
    stage.provider.send(message(recipient=USER_ID))
    (entry,) = stage.sandbox.received()
    assert (entry.outcome, entry.recipient) == ("accepted", USER_ID)


def test_the_connection_is_kept_from_one_message_to_the_next(stage: Stage) -> None:
    for number in range(5):
        stage.provider.send(message(reference=f"3f2a91bc-{number}"))
    assert stage.sandbox.connections == 1
    stage.provider.close()
    stage.provider.send(MESSAGE)
    assert stage.sandbox.connections == 2


def test_a_kept_connection_that_the_provider_has_closed_costs_nothing(stage: Stage) -> None:
    stage.provider.send(message(reference="3f2a91bc-1"))
    stage.sandbox.drop_connections()
    while stage.sandbox.open_sockets:
        pass
    assert stage.outcome(message(reference="3f2a91bc-2")) == "accepted"
    assert [entry.reference for entry in stage.sandbox.accepted()] == ["3f2a91bc-1", "3f2a91bc-2"]


@pytest.mark.parametrize(
    ("recipient", "code"),
    [("0612345678", "invalid_recipient"), ("+0612", "invalid_recipient")]
    + [(bad, "invalid_recipient") for bad in ("", "fr.123", "FR.", "+33612345678\n", "x@y.fr")],
)
def test_a_recipient_that_is_none_never_reaches_the_provider(
    stage: Stage, recipient: str, code: str
) -> None:
    assert stage.outcome(message(recipient=recipient)) == code
    assert stage.sandbox.requests == 0


@pytest.mark.parametrize(
    ("text", "code"),
    [("", "invalid_content"), (" \x00\n ", "invalid_content"), ("a" * 5000, "too_large")],
)
def test_a_text_without_content_or_without_end_is_refused_for_good(
    stage: Stage, text: str, code: str
) -> None:
    error = stage.refused(message(content=Text(text)))
    assert (error.code, error.permanent) == (code, True)
    assert stage.sandbox.requests == 0


@pytest.mark.parametrize(
    ("variables", "code"),
    [
        (("Léa", ""), "invalid_content"),
        (("Léa", " \n "), "invalid_content"),
        (("a" * 5000,), "too_large"),
        (("a",) * 101, "invalid_content"),
        ({"a b": "Léa"}, "template_parameters"),
        ({"\ud800": "Léa"}, "template_parameters"),
    ],
)
def test_a_template_is_never_sent_with_a_hole(stage: Stage, variables: object, code: str) -> None:
    assert stage.refused(message(content=template(stage.name, variables))).code == code
    assert stage.sandbox.requests == 0


def test_a_template_that_has_no_possible_name_waits_for_its_settings(stage: Stage) -> None:
    error = stage.refused(message(content=Template("Relance facture !")))
    assert (error.code, error.permanent) == ("template_missing", False)


@given(text=st.text(max_size=300), first=st.text(max_size=60), second=st.text(max_size=60))
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_text_arrives_in_the_form_that_the_providers_own_document_asks_for(
    checked: Stage, text: str, first: str, second: str
) -> None:
    for content in (Text(text), template(checked.name, (first, second))):
        assert checked.outcome(message(content=content)) in {"accepted", "invalid_content"}
    assert checked.sandbox.problems == []


def test_each_form_of_a_message_agrees_with_the_providers_own_document(checked: Stage) -> None:
    for recipient in (PERSON, USER_ID):
        for content in (
            Text("Merci 🙏🏽 & à bientôt # 100 % שלום مرحبا\u200f\nLéa"),
            template(checked.name, ("50 % & plus", "#1 🙂")),
            template(checked.name, {"prenom": "שלום"}),
            template(checked.name, ()),
        ):
            assert checked.outcome(message(recipient=recipient, content=content)) == "accepted"
    assert checked.sandbox.problems == []
    last = checked.sandbox.accepted()[-8].text
    assert last == "Merci 🙏🏽 & à bientôt # 100 % שלום مرحبا\u200f\nLéa"


def test_the_document_does_refuse_what_is_wrong(checked: Stage) -> None:
    contract = checked.sandbox.contract
    assert contract is not None
    json_headers = {"content-type": "application/json", "authorization": "Bearer x"}
    text = {"messaging_product": "whatsapp", "to": PERSON, "type": "text", "text": {"body": "a"}}
    path = "/v23.0/1/messages"
    form = {"to": PERSON}
    form_headers = {"content-type": "application/x-www-form-urlencoded"}
    if checked.name == "meta":
        assert contract.request_problems("POST", path, json_headers, text)
        text |= {"recipient_type": "individual"}
        assert contract.request_problems("POST", path, json_headers, text) == []
        assert contract.request_problems("POST", path, {}, text)
    else:
        path = f"/2010-04-01/Accounts/AC{'0' * 32}/Messages.json"
        assert contract.request_problems("POST", path, form_headers, form)
        assert contract.request_problems("POST", "/elsewhere", form_headers, {"To": PERSON})
        assert contract.request_problems("POST", path, form_headers, {"To": PERSON}) == []
        assert contract.request_problems("POST", path, form_headers, {"To": "a", "ContentSid": "x"})


@pytest.mark.parametrize(
    ("fault", "outcome", "taken"),
    [
        ("cut_before", "unknown", 0),
        ("cut_in", "unknown", 0),
        ("server_error", "unknown", 0),
        ("redirect", "http_302", 0),
        ("error_inside", "unknown", 0),
        ("accept_then_server_error", "unknown", 1),
        ("accept_then_close", "unknown", 1),
        ("accept_then_cut", "unknown", 1),
        ("accept_then_html", "unknown", 1),
        ("accept_then_empty", "unknown", 1),
        ("slow", "accepted", 1),
    ],
)
def test_a_lost_or_unreadable_answer_is_unknown_and_a_sure_refusal_is_not(
    stage: Stage, fault: str, outcome: str, taken: int
) -> None:
    stage.sandbox.fail(fault, count=1, seconds=0.05, code=999)  # type: ignore[arg-type] # a kind
    assert stage.outcome() == outcome
    assert len(stage.sandbox.accepted()) == taken
    assert stage.sandbox.requests == 1  # never a second time by itself
    assert stage.outcome(message(reference="3f2a91bc-43")) == "accepted"


@pytest.mark.parametrize("fault", ["accept_then_silence", "accept_then_drip"])
@pytest.mark.parametrize("name", PROVIDERS)
def test_silence_and_an_answer_that_drips_end_with_the_calls_time(
    name: str, fault: str, tmp_path: Path
) -> None:
    with staged(name, tmp_path) as stage:
        stage.sandbox.fail(fault, seconds=0.05)  # type: ignore[arg-type] # a FaultKind
        hasty = provider_at(name, stage.sandbox.base_url, call_timeout=0.3)
        with contextlib.closing(hasty), pytest.raises(OutcomeUnknown):
            hasty.send(MESSAGE)
    assert len(stage.sandbox.accepted()) == 1


def test_too_many_requests_say_when_to_come_back(stage: Stage) -> None:
    stage.sandbox.fail("throttle", seconds=17, code={"twilio": 20429, "meta": 130429}[stage.name])
    error = stage.refused()
    assert (error.code, error.permanent, error.retry_after) == ("throttled", False, 17.0)


def test_a_revoked_token_is_told_without_quoting_it(stage: Stage) -> None:
    stage.sandbox.token = "another"  # type: ignore[attr-defined] # both have one
    error = stage.refused()
    assert (error.code, error.permanent) == ("credentials", False)


def known_numbers(name: str) -> list[int]:
    from chalicelib.providers.whatsapp import codes

    return sorted(codes._TWILIO if name == "twilio" else codes._META)


@pytest.mark.parametrize(
    ("name", "number"), [(name, n) for name in PROVIDERS for n in known_numbers(name)]
)
def test_each_error_number_has_one_meaning_in_an_answer_whatever_the_status(
    name: str, number: int, shared: dict[str, Stage]
) -> None:
    stage = shared[name]
    for status in (0, 400, 500):
        stage.sandbox.fail("refuse", code=number, status=status, count=1)
    stage.sandbox.fail("error_inside", code=number, count=1)
    errors = [stage.refused() for _ in range(4)]
    expected = meaning(name, number)
    assert {(error.code, error.permanent) for error in errors} == {
        (expected.code, expected.permanent)
    }
    assert all(str(number) in str(error) for error in errors)
    assert all(PERSON not in str(error) for error in errors)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Stage]]:
    with contextlib.ExitStack() as stack:
        yield {
            name: stack.enter_context(staged(name, tmp_path_factory.mktemp(name)))
            for name in PROVIDERS
        }


@pytest.mark.parametrize(
    ("name", "number", "code"),
    [
        ("meta", 131047, "window_closed"),
        ("meta", 131026, "invalid_recipient"),
        ("meta", 131049, "marketing_limit"),
        ("meta", 131050, "opt_out"),
        ("meta", 131048, "quota"),
        ("meta", 130429, "throttled"),
        ("meta", 131056, "pair_rate"),
        ("meta", 130472, "experiment"),
        ("meta", 131042, "paused"),
        ("meta", 131031, "paused"),
        ("meta", 132001, "template_missing"),
        ("meta", 132015, "template_paused"),
        ("meta", 190, "credentials"),
        ("twilio", 63016, "window_closed"),
        ("twilio", 63018, "throttled"),
        ("twilio", 63024, "invalid_recipient"),
        ("twilio", 63032, "experiment"),
        ("twilio", 63003, "invalid_recipient"),
        ("twilio", 21610, "opt_out"),
        ("twilio", 20003, "credentials"),
    ],
)
def test_the_numbers_that_matter_mean_what_the_providers_say(
    name: str, number: int, code: str
) -> None:
    assert meaning(name, number).code == code
    assert meaning(name, str(number)) == meaning(name, number)


def test_codes_about_the_sender_or_a_template_are_never_permanent() -> None:
    ours = PERMANENT_CODES | SENDER_WIDE_CODES | TEMPLATE_WIDE_CODES
    ours |= {"window_closed", "marketing_limit", "pair_rate"}
    assert set(_ADVICE) == ours
    assert PERSON_CODES <= PERMANENT_CODES
    assert PERMANENT_CODES.isdisjoint(SENDER_WIDE_CODES | TEMPLATE_WIDE_CODES)
    for name in PROVIDERS:
        assert {meaning(name, number).code for number in known_numbers(name)} <= ours


def test_marketing_that_whatsapp_withholds_waits_a_day() -> None:
    assert meaning("meta", 131049).retry_after == 86_400


@given(st.one_of(st.integers(), st.text()), st.sampled_from(PROVIDERS))
def test_any_number_has_a_meaning(number: int | str, name: str) -> None:
    found = meaning(name, number)
    assert found.known or (found.code == str(number)[:60] and not found.permanent)


# From here on, servers that say exactly what the test wants.


def outcome_of(name: str, conversation: Conversation) -> str:
    with serving(conversation) as port:
        provider = provider_at(name, f"http://127.0.0.1:{port}", call_timeout=1)
        with contextlib.closing(provider):
            try:
                provider.send(MESSAGE)
            except ProviderError as error:
                return error.code
            except OutcomeUnknown:
                return "unknown"
    return "accepted"


@pytest.mark.parametrize("name", PROVIDERS)
@pytest.mark.parametrize(
    ("conversation", "outcome"),
    [
        (http("401 No", b"<html>"), "credentials"),
        (http("403 No", b"<html>blocked by the firewall</html>"), "credentials"),
        (http("404 No", b"<html>"), "http_404"),
        (http("408 Slow", b""), "unknown"),
        (http("413 Large", b""), "too_large"),
        (http("429 Slow", b""), "throttled"),
        (http("301 Elsewhere", b"", "Location: https://x.invalid\r\n"), "http_301"),
        (http("500 Oops", b'{"code": "x", "error": {"code": [1]}}'), "unknown"),
        (http("503 Busy", b""), "unknown"),
        (http("200 OK", b"null"), "unknown"),
        (http("200 OK", b"[]"), "unknown"),
        (http("200 OK", b"{}"), "unknown"),
        (http("200 OK", b"[" * 100_000), "unknown"),
        (http("200 OK", b'{"sid": 1, "messages": 1}'), "unknown"),
        (http("200 OK", b'{"sid": null, "messages": [null]}'), "unknown"),
        (http("200 OK", b'{"sid": "x", "messages": [{"id": ""}]}'), "unknown"),
        (http("200 OK", b'{"sid": ["x"], "messages": [{"id": "\\u00e9"}]}'), "unknown"),
        (http("200 OK", b'{"error": null, "code": true, "status": {}}'), "unknown"),
        (http("200 OK", b"\xff\xfe"), "unknown"),
        (saying(b""), "unknown"),
        (saying(b"banana\r\n\r\n"), "unknown"),
        (saying(b"HTTP/1.1 2xx OK\r\n\r\n"), "unknown"),
        (saying(b"HTTP/1.1 200 OK\r\nContent-Le"), "unknown"),
        (saying(b"HTTP/1.1 200 OK\r\nContent-Length: 9000000\r\n\r\n{}"), "unknown"),
        (saying(b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n{}"), "unknown"),
        (saying(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}"), "unknown"),
        (saying(b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 200 + b"\r\n{}"), "unknown"),
        (saying(b"HTTP/1.1 200 OK\r\n" + b"a" * 70_000), "unknown"),
    ],
)
def test_whatever_is_on_the_wire_only_the_three_answers_come_out(
    name: str, conversation: Conversation, outcome: str
) -> None:
    assert outcome_of(name, conversation) == outcome


@pytest.mark.parametrize("name", PROVIDERS)
def test_an_answer_of_many_megabytes_is_not_read_to_its_end(name: str) -> None:
    body = json.dumps({"sid": "SM" + "0" * 32, "pad": "x" * 5_000_000}).encode()
    assert outcome_of(name, http("201 Created", body)) == "unknown"


@pytest.mark.parametrize("name", PROVIDERS)
def test_a_provider_that_cannot_be_reached_is_no_fault_of_the_message(name: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    for url in (f"http://127.0.0.1:{port}", "https://nowhere.invalid"):
        with pytest.raises(ProviderError) as refused:
            provider_at(name, url).send(MESSAGE)
        assert (refused.value.code, refused.value.permanent) == ("connection", False)


@pytest.mark.parametrize("name", PROVIDERS)
def test_a_proxy_of_the_environment_is_not_used(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    with staged(name, tmp_path) as stage:
        assert stage.outcome() == "accepted"


def test_numbers_texts_and_tokens_are_in_no_description() -> None:
    assert PERSON not in repr(MESSAGE)
    assert "F-1042" not in repr(message(content=template("twilio")))
    assert "F-1042" not in repr(MESSAGE)


def test_the_adapters_load_what_they_need_on_first_use_only() -> None:
    script = (
        "import sys; import chalicelib.providers.whatsapp.twilio;"
        "import chalicelib.providers.whatsapp.meta;"
        "heavy = {'http.client', 'ssl', 'socket', 'urllib3', 'email.utils', 'boto3'};"
        "sys.exit(bool(heavy & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_a_silent_server_is_not_waited_for_longer_than_a_call_may_last() -> None:
    assert outcome_of("meta", until_closed) == "unknown"
    assert provider_at("twilio", "http://127.0.0.1:1").call_timeout < 60
