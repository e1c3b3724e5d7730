"""`./ponctuel whatsapp`: texts to copy, templates and numbers to record, and what is refused."""

from __future__ import annotations

import pytest

from chalicelib.outbox import whatsapp_texts
from tests.cli.command_line import CommandLine
from tests.harness import Deployment

INVOICE, QUOTE = "billing.invoice_followup", "billing.quote_followup"
CONTENT_SID = "HX" + "0a" * 16


def test_the_text_to_submit_is_printed_as_it_is_to_be_copied(ponctuel: CommandLine) -> None:
    answer = ponctuel("whatsapp", "text", INVOICE)
    assert answer.code == 0
    for variant in whatsapp_texts.variants("invoice_followup"):
        assert whatsapp_texts.body("invoice_followup", variant) in answer.out
    assert "{{3}} number" in ponctuel("whatsapp", "text", INVOICE, "rappel").words
    (text,) = ponctuel("whatsapp", "text", QUOTE, "ferme", "--json").data
    assert next(iter(text["variables"])) == "customer_name"
    assert text["body"].count("{{") == len(text["variables"])


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("billing.invoice_letter",), "ne part que par e-mail"),
        (("billing.unknown",), "Genre de message inconnu"),
        ((INVOICE, "poli"), "n’existe pas"),
        ((INVOICE, "../../mail"), "n’existe pas"),
    ],
)
def test_a_text_that_does_not_exist_is_told(
    ponctuel: CommandLine, arguments: tuple[str, ...], told: str
) -> None:
    answer = ponctuel("whatsapp", "text", *arguments)
    assert (answer.code, answer.out) == (1, "")
    assert told in answer.err


def test_templates_are_recorded_replaced_and_forgotten(
    deployment: Deployment, ponctuel: CommandLine
) -> None:
    deployment.open_business()
    assert "Aucun modèle" in ponctuel("whatsapp", "template", "list").out
    put = ("whatsapp", "template", "set")
    assert ponctuel(*put, "meta", INVOICE, "rappel", "relance_rappel").code == 0
    assert ponctuel(*put, "meta", INVOICE, "rappel", "relance_rappel_2", "--language", "fr_FR")
    own = ponctuel(*put, "twilio", QUOTE, "ferme", CONTENT_SID, "--business", "B1", "--json")
    recorded = [
        tuple(row[n] for n in ("business_id", "provider", "kind", "variant", "name", "language"))
        for row in own.data
    ]
    assert recorded == [
        ("*", "meta", INVOICE, "rappel", "relance_rappel_2", "fr_FR"),
        ("B1", "twilio", QUOTE, "ferme", CONTENT_SID, "fr"),
    ]
    remove = ("whatsapp", "template", "remove")
    assert ponctuel(*remove, "twilio", QUOTE, "ferme").code == 1, "everybody has none"
    assert ponctuel(*remove, "twilio", QUOTE, "ferme", "--business", "B1").code == 0
    assert "toutes" in ponctuel("whatsapp", "template", "list").out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("meta", INVOICE, "rappel", "Relance rappel"), "minuscules"),
        (("twilio", INVOICE, "rappel", "relance_rappel"), "Content SID"),
        (("meta", QUOTE, "mise_en_demeure", "x"), "Il a : ferme, rappel."),
        (("meta", "billing.invoice_letter", "rappel", "x"), "ne part que par e-mail"),
        (("meta", INVOICE, "rappel", "x", "--language", "français"), "pas une langue"),
        (("meta", INVOICE, "rappel", "x", "--business", "B9"), "n'existe pas"),
        (("sms", INVOICE, "rappel", "x"), "n'existe pas"),
    ],
)
def test_a_template_that_could_never_be_sent_is_refused(
    deployment: Deployment, ponctuel: CommandLine, arguments: tuple[str, ...], told: str
) -> None:
    answer = ponctuel("whatsapp", "template", "set", *arguments)
    assert answer.code == 1
    assert told in answer.err
    assert deployment.rows("SELECT * FROM ponctuel.whatsapp_templates") == []


def test_a_number_is_one_businesss_at_a_time(deployment: Deployment, ponctuel: CommandLine) -> None:
    deployment.open_business("B1")
    deployment.open_business("B2")
    put, number = ("whatsapp", "sender", "set", "twilio"), "+33639980001"
    assert "Aucun" in ponctuel("whatsapp", "sender", "list").out
    assert ponctuel(*put, number, "--business", "B1").code == 0
    taken = ponctuel(*put, number, "--business", "B2")
    assert (taken.code, "celui de « B1 »" in taken.err) == (1, True)
    (row,) = ponctuel(*put, "+33639980002", "--business", "B1", "--json").data
    assert (row["business_id"], row["sender"]) == ("B1", "+33639980002")
    assert ponctuel(*put, number, "--business", "B2").code == 0
    assert ponctuel("whatsapp", "sender", "remove", "twilio", "--business", "B1").code == 0
    assert ponctuel("whatsapp", "sender", "remove", "twilio", "--business", "B1").code == 1
    assert "B2" in ponctuel("whatsapp", "sender", "list").out


@pytest.mark.parametrize(
    ("provider", "sender", "business"),
    [("twilio", "0639980001", "B1"), ("meta", "+33639980001", "B1"), ("meta", "123456789", "B9")],
)
def test_a_sender_that_no_provider_knows_is_refused(
    deployment: Deployment, ponctuel: CommandLine, provider: str, sender: str, business: str
) -> None:
    deployment.open_business("B1")
    answer = ponctuel("whatsapp", "sender", "set", provider, sender, "--business", business)
    assert answer.code == 1
    assert deployment.rows("SELECT * FROM ponctuel.whatsapp_senders") == []
