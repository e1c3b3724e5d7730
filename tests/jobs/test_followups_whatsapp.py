"""Levels that go by WhatsApp: what is planned for whom, what the guard makes of it, why not.

Each relance waits for the sending window here: how it then leaves is the outbox's affair.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from chalicelib.domain.billing.kinds import still_wanted
from chalicelib.outbox import whatsapp_texts
from chalicelib.outbox.kinds import Cancel, Claimed, Hold, Send, Verdict, load
from tests import factories
from tests.cli.command_line import CommandLine
from tests.harness import NOW, TODAY, Deployment

LATER = {"window_start": "11:30"}  # the relance of 11:00 is planned, and waits half an hour
BY_WHATSAPP = "UPDATE ponctuel.followup_levels SET channel = 'whatsapp'"


@pytest.fixture
def ponctuel(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    monkeypatch.setenv("LOG_LEVEL", "ERROR")
    return CommandLine(capsys)


def opened(deployment: Deployment, where: str = "true", **settings: Any) -> None:
    """Business B1, whose levels `where` says go by WhatsApp."""
    deployment.open_business(settings=LATER | settings)
    deployment.execute(f"{BY_WHATSAPP} WHERE {where}")


def planned(deployment: Deployment) -> list[tuple[str, str, str]]:
    """(subject, channel, recipient) of what is in the outbox."""
    return [(m["subject"], m["channel"], m["recipient"]) for m in deployment.messages()]


def verdicts(deployment: Deployment) -> dict[str, Verdict]:
    """What the guard says of each message in the outbox when the window has opened, by subject."""
    fields = [name for name in Claimed.__dataclass_fields__ if name != "lines"]
    messages = [
        Claimed(**{name: row[name] for name in fields}) for row in deployment.messages(state="held")
    ]
    now = NOW + timedelta(hours=2)
    deployment.database.set_clock(now)
    with deployment.database.begin() as connection:
        found = still_wanted(connection, messages, now)
    return {message.subject: found[message.id] for message in messages}


def read(message: Mapping[str, Any], send: Send) -> str:
    """The text of a message, as the person would read it."""
    folder = load(message["kind"]).whatsapp
    assert folder is not None
    return whatsapp_texts.render(folder, send.variant, send.content).text


def test_a_level_by_whatsapp_is_planned_for_the_customers_number_and_says_what_is_due(
    deployment: Deployment,
) -> None:
    opened(deployment)
    deployment.phone()
    deployment.invoice()
    deployment.tick()
    assert planned(deployment) == [("F1", "whatsapp", "06 39 98 00 01")]
    (message,) = deployment.messages()
    assert (message["state"], message["hold_reason"], message["step"]) == ("held", "window", "1")
    send = verdicts(deployment)["F1"]
    assert isinstance(send, Send)
    assert (send.recipients, send.variant, send.attachments) == ("06 39 98 00 01", "rappel", {})
    assert send.business_zone == "Europe/Paris"
    text = read(message, send)
    assert "Bonjour Boulangerie Martin," in text
    assert "il reste 1\u202f234,56\u00a0€ à régler sur la facture F1" in text
    assert "Cordialement, Menuiserie Perrin" in text


def test_a_quote_goes_by_whatsapp_too_and_a_formal_tone_is_the_firm_one(
    deployment: Deployment,
) -> None:
    opened(deployment)
    deployment.execute("UPDATE ponctuel.followup_levels SET tone = 'mise_en_demeure'")
    deployment.phone()
    deployment.quote()
    deployment.tick()
    send = verdicts(deployment)["D1"]
    assert isinstance(send, Send)
    assert send.variant == "ferme"
    assert "notre devis D1" in read(deployment.messages()[0], send)


def test_the_formal_notice_names_its_day_and_carries_no_file(deployment: Deployment) -> None:
    opened(deployment)
    deployment.execute(
        "UPDATE ponctuel.followup_levels SET tone = 'mise_en_demeure', attach_pdf = true"
    )
    deployment.phone()
    deployment.invoice()
    deployment.tick()
    send = verdicts(deployment)["F1"]
    assert isinstance(send, Send)
    assert (send.variant, send.attachments) == ("mise_en_demeure", {})
    assert "au plus tard le mercredi 18 mars 2026" in read(deployment.messages()[0], send)


def test_before_the_due_date_every_tone_is_the_reminder(deployment: Deployment) -> None:
    opened(deployment)
    deployment.execute(
        "UPDATE ponctuel.followup_levels SET tone = 'ferme', delay_days = -3 WHERE level = 1"
    )
    deployment.phone()
    deployment.invoice(due_on=TODAY + timedelta(days=2))
    deployment.tick()
    send = verdicts(deployment)["F1"]
    assert isinstance(send, Send)
    assert send.variant == "rappel"


@pytest.mark.parametrize(
    ("phone", "user_id"),
    [("0692 12 34 56", None), ("+262 692 12 34 56", None), ("04 78 00 00 00", None),
     (None, "FR.13491208655302741918"), ("néant", "FR.13491208655302741918")],
)  # fmt: skip
def test_overseas_numbers_landlines_and_metas_ids_are_planned_as_they_are(
    deployment: Deployment, phone: str | None, user_id: str | None
) -> None:
    """Whether a number can be called is told when it is written to, not in SQL."""
    opened(deployment)
    deployment.phone(phone=phone, whatsapp_user_id=user_id)
    deployment.invoice()
    deployment.tick()
    assert planned(deployment) == [("F1", "whatsapp", user_id or phone)]
    send = verdicts(deployment)["F1"]
    assert isinstance(send, Send)
    assert (send.recipients, send.user_id) == ("" if user_id else phone, user_id)


@pytest.mark.parametrize("phone", [None, "", "à demander", "12 34 5"])
def test_a_customer_without_a_number_is_left_out_and_explain_says_why(
    deployment: Deployment, ponctuel: CommandLine, phone: str | None
) -> None:
    opened(deployment)
    deployment.phone(phone=phone, whatsapp_user_id=" ")
    deployment.invoice()
    deployment.tick()
    assert planned(deployment) == []
    told = ponctuel("explain", "facture", "F1")
    assert "Pas de relance maintenant : client sans numéro WhatsApp." in told.out
    assert "prochain niveau 1, par WhatsApp" in told.words
    left_out = deployment.rehearse()["left_out"]
    assert [row["reason"] for row in left_out] == ["no_phone"]


def test_an_address_is_only_needed_by_e_mail_and_a_number_only_by_whatsapp(
    deployment: Deployment,
) -> None:
    opened(deployment, "document = 'quote'")
    deployment.execute("UPDATE ponctuel.customers SET emails = NULL")
    deployment.phone()
    deployment.quote()
    deployment.customer("C2")
    deployment.invoice(customer_id="C2")
    deployment.tick()
    assert sorted(planned(deployment)) == [
        ("D1", "whatsapp", "06 39 98 00 01"),
        ("F1", "email", "compta@boulangerie-martin.example"),
    ]
    assert all(isinstance(verdict, Send) for verdict in verdicts(deployment).values())


def test_two_customers_with_one_number_each_get_their_own_message(deployment: Deployment) -> None:
    opened(deployment)
    deployment.customer("C2", name="Club de Martin")
    deployment.phone("C1")
    deployment.phone("C2", phone="+33639980001")
    deployment.invoice("F1", customer_id="C1")
    deployment.invoice("F2", customer_id="C2")
    deployment.tick()
    assert [(s, c) for s, c, _ in planned(deployment)] == [("F1", "whatsapp"), ("F2", "whatsapp")]


def test_twin_businesses_do_not_write_to_each_others_numbers(deployment: Deployment) -> None:
    for business, phone in (("B1", "06 39 98 00 01"), ("B2", None)):
        deployment.open_business(business, settings=LATER)
        deployment.phone(business_id=business, phone=phone)
        deployment.invoice(business_id=business)
    deployment.execute(BY_WHATSAPP)
    deployment.tick()
    (message,) = deployment.messages()
    assert (message["business_id"], message["recipient"]) == ("B1", "06 39 98 00 01")


def test_letters_group_e_mails_only_and_a_customer_is_written_to_once(
    deployment: Deployment,
) -> None:
    """Two invoices are due by e-mail, one by WhatsApp: the letter leaves, the other one waits."""
    opened(deployment, "policy = 'ferme'", group_by_customer=True)
    with deployment.database.begin() as connection:
        factories.levels(connection, policy="ferme", channel="whatsapp")
    deployment.phone()
    deployment.invoice("F1", policy="ferme", due_on=TODAY - timedelta(days=12))
    deployment.invoice("F2")
    deployment.invoice("F3")
    deployment.tick()
    (letter,) = deployment.messages()
    assert (letter["kind"], letter["channel"]) == ("billing.invoice_letter", "email")
    assert letter["content"]["number"] == "F2, F3"
    deployment.execute("UPDATE ponctuel.messages SET state = 'accepted', hold_reason = NULL")
    reasons = {row["subject"]: row["reason"] for row in deployment.rehearse()["left_out"]}
    assert reasons["F1"] == "too_soon"


def test_the_interval_between_two_relances_counts_over_both_channels(
    deployment: Deployment,
) -> None:
    opened(deployment, "document = 'quote'")
    deployment.phone()
    deployment.invoice()
    deployment.quote()
    deployment.tick()
    assert [(s, c) for s, c, _ in planned(deployment)] == [("F1", "email")]
    reasons = {row["subject"]: row["reason"] for row in deployment.rehearse()["left_out"]}
    assert reasons["D1"] == "too_soon"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("UPDATE ponctuel.invoices SET status = 'paid', balance = 0", "not_open"),
        ("UPDATE ponctuel.customer_phones SET phone = 'plus de téléphone'", "no_phone"),
        ("DELETE FROM ponctuel.customer_phones", "no_phone"),
        ("UPDATE ponctuel.followup_levels SET channel = 'email'", "channel_changed"),
    ],
)
def test_what_changes_after_planning_cancels_the_relance(
    deployment: Deployment, change: str, reason: str
) -> None:
    opened(deployment)
    deployment.phone()
    deployment.invoice()
    deployment.tick()
    deployment.execute(change)
    assert verdicts(deployment) == {"F1": Cancel(reason)}


def test_a_level_that_moves_to_whatsapp_cancels_its_e_mail_and_is_planned_anew(
    deployment: Deployment,
) -> None:
    deployment.open_business(settings=LATER)
    deployment.phone()
    deployment.invoice()
    deployment.tick()
    deployment.execute(BY_WHATSAPP)
    deployment.tick("deliver_messages")
    (message,) = deployment.messages()
    assert (message["state"], message["error_code"]) == ("cancelled", "channel_changed")
    deployment.execute("UPDATE ponctuel.billing_settings SET window_start = '17:00'")
    deployment.tick()
    assert planned(deployment)[1:] == [("F1", "whatsapp", "06 39 98 00 01")]


def test_a_number_that_was_corrected_after_planning_is_the_one_that_is_written_to(
    deployment: Deployment,
) -> None:
    opened(deployment)
    deployment.phone()
    deployment.invoice()
    deployment.tick()
    deployment.execute("UPDATE ponctuel.customer_phones SET phone = '06 39 98 77 77'")
    send = verdicts(deployment)["F1"]
    assert isinstance(send, Send)
    assert send.recipients == "06 39 98 77 77"


def test_a_relance_waits_for_the_window_of_its_business(deployment: Deployment) -> None:
    opened(deployment)
    deployment.phone()
    deployment.invoice()
    deployment.tick()
    deployment.execute("UPDATE ponctuel.billing_settings SET window_start = '16:00'")
    verdict = verdicts(deployment)["F1"]
    assert isinstance(verdict, Hold)
    assert verdict.reason == "window"


@pytest.mark.parametrize(
    ("ending", "words"),
    [
        ("state = 'failed', error = 'Ce numéro n''a pas WhatsApp.'", "Ce numéro n'a pas WhatsApp."),
        ("state = 'cancelled', error_code = 'opted_out'", "ne plus rien recevoir"),
        ("state = 'cancelled', error_code = 'unreachable'", "le destinataire n'est pas joignable"),
        ("state = 'expired', key_free = true, hold_reason = 'number'", ""),
    ],
)
def test_a_level_that_did_not_arrive_waits_for_the_owners_decision(
    deployment: Deployment, ponctuel: CommandLine, ending: str, words: str
) -> None:
    opened(deployment)
    deployment.phone()
    deployment.invoice()
    deployment.tick()
    deployment.execute(
        f"UPDATE ponctuel.messages SET hold_reason = NULL, settled_at = ponctuel.clock(), {ending}"
        if "hold_reason" not in ending
        else f"UPDATE ponctuel.messages SET settled_at = ponctuel.clock(), {ending}"
    )
    deployment.tick(hours=4 * 24)
    assert len(deployment.messages()) == 1
    listed = ponctuel("followups", "list").words
    assert "facture F1" in listed
    assert words in listed
    assert "la relance précédente n'est pas partie" in ponctuel("explain", "facture", "F1").words
    assert ponctuel("followups", "retry", "facture", "F1", "--reason", "vu").code == 0
    deployment.tick()
    assert [m["step"] for m in deployment.messages()] == ["1", "1"]


@pytest.mark.parametrize("hold", ["quiet", "cap", "quota", "restored"])
def test_a_level_that_only_waited_too_long_is_planned_again(
    deployment: Deployment, hold: str
) -> None:
    opened(deployment)
    deployment.phone()
    deployment.invoice()
    deployment.tick()
    deployment.execute(
        "UPDATE ponctuel.messages SET state = 'expired', key_free = true, hold_reason = :hold, "
        "settled_at = ponctuel.clock()", hold=hold
    )  # fmt: skip
    deployment.tick()
    assert [m["step"] for m in deployment.messages()] == ["1", "1"]


def test_a_customer_whom_a_guard_found_unwilling_is_not_to_be_handled(
    deployment: Deployment, ponctuel: CommandLine
) -> None:
    """Billing's own word for it is the same as a STOP's; its messages give their key back."""
    deployment.open_business(settings=LATER)
    deployment.invoice()
    deployment.tick()
    deployment.execute("UPDATE ponctuel.customers SET auto_enabled = false")
    deployment.tick("deliver_messages")
    assert deployment.messages()[0]["error_code"] == "opted_out"
    assert "Rien à traiter." in ponctuel("followups", "list").out


def test_phones_may_be_a_view_in_which_somebody_is_there_twice(deployment: Deployment) -> None:
    opened(deployment)
    deployment.phone()
    deployment.invoice()
    deployment.execute("ALTER TABLE ponctuel.customer_phones RENAME TO telephones")
    deployment.execute(
        "CREATE VIEW ponctuel.customer_phones AS SELECT * FROM ponctuel.telephones UNION ALL "
        "SELECT business_id, customer_id, '06 39 98 99 99', NULL FROM ponctuel.telephones"
    )
    deployment.tick()
    assert planned(deployment) == [("F1", "whatsapp", "06 39 98 00 01")]
    assert isinstance(verdicts(deployment)["F1"], Send)


def test_e_mails_leave_with_an_empty_table_of_phones(deployment: Deployment) -> None:
    deployment.open_business()
    deployment.invoice()
    deployment.tick()
    assert deployment.states() == [("F1", "1", "accepted")]
