from __future__ import annotations

import contextlib
import http.client
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import pytest

from chalicelib.errors import OutcomeUnknown, ProviderError, SettingsError
from chalicelib.providers.whatsapp import open_whatsapp
from chalicelib.providers.whatsapp.meta import MetaSettings
from chalicelib.providers.whatsapp.port import Template, WhatsAppProvider
from sandbox.whatsapp_http import Reply, Request
from sandbox.whatsapp_meta import PHONE_NUMBER_ID, TOKEN, MetaSandbox, _accepted
from tests.providers.whatsapps import (
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


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with staged("meta", tmp_path) as found:
        yield found


class Recording(MetaSandbox):
    """Keeps the requests as they came: path and body."""

    def answer(self, request: Request) -> Reply:
        self.kept.append((request.path, json.loads(request.body)))
        return super().answer(request)

    def __enter__(self) -> Self:
        self.kept: list[tuple[str, dict[str, Any]]] = []
        return super().__enter__()


@pytest.fixture
def recorded(tmp_path: Path) -> Iterator[tuple[WhatsAppProvider, Recording]]:
    with (
        Recording(tmp_path) as sandbox,
        contextlib.closing(open_whatsapp(sandbox.url)()) as provider,
    ):
        yield provider, sandbox


def test_a_number_goes_in_to_and_a_user_id_in_recipient(
    recorded: tuple[WhatsAppProvider, Recording],
) -> None:
    provider, sandbox = recorded
    provider.send(MESSAGE)
    provider.send(message(recipient=USER_ID))
    (path, to_number), (_, to_user) = sandbox.kept
    assert path == f"/v23.0/{PHONE_NUMBER_ID}/messages"
    assert to_number["to"] == PERSON
    assert to_user["recipient"] == USER_ID
    assert "to" not in to_user
    assert to_user["recipient_type"] == "individual"
    assert to_user["biz_opaque_callback_data"] == "3f2a91bc-42"


def test_the_sandbox_drops_a_user_id_in_to_as_the_real_api_does(stage: Stage) -> None:
    body = {"messaging_product": "whatsapp", "to": USER_ID, "type": "text", "text": {"body": "a"}}
    connection = http.client.HTTPConnection("127.0.0.1", stage.sandbox.port)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    connection.request("POST", f"/v23.0/{PHONE_NUMBER_ID}/messages", json.dumps(body), headers)
    assert connection.getresponse().status == 200
    connection.close()
    assert [entry.outcome for entry in stage.sandbox.received()] == ["dropped"]


def test_a_template_has_its_language_and_one_parameter_for_each_variable(
    recorded: tuple[WhatsAppProvider, Recording],
) -> None:
    provider, sandbox = recorded
    provider.send(message(content=template("meta", ("Léa\n\tet  Paul", "120\u202f€"))))
    provider.send(message(content=template("meta", {"prenom": "Léa"}, "fr_FR")))
    provider.send(message(content=Template("bienvenue")))
    ordered, named, without = (body["template"] for _, body in sandbox.kept)
    assert ordered["language"]["code"] == "fr"
    assert ordered["components"] == [
        {
            "type": "body",
            "parameters": [
                {"type": "text", "text": "Léa et Paul"},
                {"type": "text", "text": "120\u202f€"},
            ],
        }
    ]
    assert named["components"][0]["parameters"] == [
        {"type": "text", "parameter_name": "prenom", "text": "Léa"}
    ]
    assert "components" not in without


@pytest.mark.parametrize(
    ("name", "language"), [("Relance", "fr"), ("", "fr"), ("relance", "français"), ("relance", "")]
)
def test_a_template_that_cannot_exist_waits_for_somebody_to_name_another(
    stage: Stage, name: str, language: str
) -> None:
    error = stage.refused(message(content=Template(name, language)))
    assert (error.code, error.permanent) == ("template_missing", False)


def test_each_business_writes_from_its_own_number(stage: Stage) -> None:
    error = stage.refused(message(sender="999"))
    assert (error.code, error.permanent) == ("sender", False)
    assert stage.outcome(message(sender=PHONE_NUMBER_ID)) == "accepted"
    assert stage.outcome(message(sender="../me")) == "sender"


def test_there_is_no_search_for_what_meta_took(stage: Stage) -> None:
    assert stage.provider.find(MESSAGE, datetime.now(UTC)) is None


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        ({"messages": [{"id": "wamid.A="}]}, "accepted"),
        ({"messages": [{"id": "wamid.A=", "message_status": "paused"}]}, "paused"),
        (
            {"messages": [{"id": "wamid.A=", "message_status": "held_for_quality_assessment"}]},
            "held_for_quality_assessment",
        ),
        ({"messages": [{"id": "wamid.A=", "message_status": 5}], "more": {}}, "accepted"),
    ],
)
def test_the_state_of_an_accepted_message_is_metas_word(answer: dict[str, Any], state: str) -> None:
    with answering("meta", "200 OK", answer) as provider:
        assert provider.send(MESSAGE).state == state


def test_a_server_error_with_a_number_that_tells_nothing_is_unknown(stage: Stage) -> None:
    for number in (1, 2, 131000, 131016, 133004):
        stage.sandbox.fail("refuse", code=number, status=500, count=1)
        with pytest.raises(OutcomeUnknown):
            stage.provider.send(MESSAGE)


def test_a_refusal_with_a_number_that_nobody_knows_may_pass_later(stage: Stage) -> None:
    stage.sandbox.fail("refuse", code=199_999, status=400)
    error = stage.refused()
    assert (error.code, error.permanent) == ("199999", False)


def test_metas_own_words_are_quoted_nowhere() -> None:
    words = f"(#131009) {PERSON} is no number: token {TOKEN}"
    error = {"code": 131009, "message": words, "error_data": {"details": words}}
    with (
        answering("meta", "400 No", {"error": error}) as provider,
        pytest.raises(ProviderError) as refused,
    ):
        provider.send(MESSAGE)
    assert (refused.value.code, refused.value.permanent) == ("131009", True)
    assert PERSON not in str(refused.value)
    assert TOKEN not in str(refused.value)
    assert refused.value.__cause__ is None


@pytest.mark.parametrize(
    "changes",
    [
        {"phone_number_id": "+336"},
        {"token": ""},
        {"token": "a b"},
        {"version": "23"},
        {"base_url": "http://graph.facebook.com"},
        {"base_url": "https://x/../y"},
    ],
)
def test_settings_that_cannot_be_used_are_refused(changes: dict[str, str]) -> None:
    with pytest.raises(SettingsError):
        MetaSettings(**({"phone_number_id": "1", "token": "EAA"} | changes))


def test_the_sandboxs_answers_agree_with_metas_own_document(stage: Stage) -> None:
    contract = contract_of("meta")
    if contract is None:
        pytest.skip("the providers' OpenAPI documents are not here: set PONCTUEL_CONTRACTS")
    stage.provider.send(message(content=template("meta")))
    (entry,) = stage.sandbox.accepted()
    path = f"/v23.0/{PHONE_NUMBER_ID}/messages"
    answer = json.loads(_accepted(entry).body)
    assert contract.answer_problems("POST", path, 200, answer) == []
