"""What reaches the mail server: who it is from and for, whatever strangers typed into a name."""

from __future__ import annotations

import hashlib
from email import message_from_bytes, policy
from email.message import EmailMessage

import pytest

from chalicelib.outbox.plan import ALLOWED, allow_list
from chalicelib.providers.phones import normalised
from chalicelib.settings import settings
from sandbox.smtp_journal import Entry
from tests.harness import TODAY, Deployment

INVISIBLE = "\u202e\u2066\u200f\ufeff"
HOSTILE = f'Martin{INVISIBLE}\r\nBcc: voleur@ailleurs.example\r\n\r\n<img src=x onerror="go()">'
HEADERS = {
    "from",
    "to",
    "reply-to",
    "subject",
    "date",
    "message-id",
    "mime-version",
    "content-type",
}


def parsed(deployment: Deployment, entry: Entry) -> EmailMessage:
    content = (deployment.smtp.folder / entry.file).read_bytes()
    return message_from_bytes(content, policy=policy.default)


def only_letter(deployment: Deployment) -> EmailMessage:
    (entry,) = deployment.smtp.accepted()
    return parsed(deployment, entry)


def part(letter: EmailMessage, subtype: str) -> str:
    body = letter.get_body((subtype,))
    assert body is not None
    content: str = body.get_content()
    return content


def not_live(deployment: Deployment, monkeypatch: pytest.MonkeyPatch, allow_list: str) -> None:
    """The stage is taken back to before its go-live; the businesses stay live."""
    deployment.execute("DELETE FROM ponctuel.go_lives WHERE business_id = '*'")
    monkeypatch.setenv("ALLOW_LIST", allow_list)


def test_each_of_two_businesses_writes_in_its_own_name_and_reads_its_own_answers(
    deployment: Deployment,
) -> None:
    for id, name in (("B1", "Menuiserie Perrin"), ("B2", "Noël, père & fils")):
        deployment.open_business(
            id,
            sender_name=name,
            sender_email=f"factures@{id.lower()}.example",
            reply_to=f"contact@{id.lower()}.example",
        )
        deployment.invoice("F1", business_id=id)
    deployment.execute("UPDATE ponctuel.customers SET emails = lower(business_id) || '@x.example'")
    deployment.tick()
    letters = {
        entry.recipients: (entry.sender, parsed(deployment, entry))
        for entry in deployment.smtp.accepted()
    }
    assert letters.keys() == {("b1@x.example",), ("b2@x.example",)}
    envelope, letter = letters[("b1@x.example",)]
    assert envelope == "factures@b1.example"
    assert letter["From"] == "Menuiserie Perrin <factures@b1.example>"
    assert letter["Reply-To"] == "contact@b1.example"
    envelope, letter = letters[("b2@x.example",)]
    assert envelope == "factures@b2.example"
    (sender,) = letter["From"].addresses
    assert (sender.display_name, sender.addr_spec) == (
        "Noël, père & fils",
        "factures@b2.example",
    )
    assert letter["Reply-To"] == "contact@b2.example"
    assert "Menuiserie" not in part(letter, "plain") + part(letter, "html")


def test_a_business_without_an_address_writes_in_its_name_from_the_address_of_the_stage(
    deployment: Deployment,
) -> None:
    deployment.open_business(sender_email=None)
    deployment.invoice()
    deployment.tick()
    letter = only_letter(deployment)
    assert letter["From"] == "Menuiserie Perrin <relances@ponctuel.example>"
    assert letter["Reply-To"] == "contact@menuiserie-perrin.example"


def test_the_first_address_of_a_customer_is_written_to_and_the_others_are_in_copy(
    deployment: Deployment,
) -> None:
    deployment.open_business()
    addresses = "Compta@martin.example; gérant <lea@martin.example>, pas une adresse, x@y.example"
    deployment.execute("UPDATE ponctuel.customers SET emails = :emails", emails=addresses)
    deployment.invoice()
    deployment.tick()
    (entry,) = deployment.smtp.accepted()
    letter = parsed(deployment, entry)
    copies = [address.addr_spec for address in letter["Cc"].addresses]
    (to,) = letter["To"].addresses
    assert to.addr_spec.lower() == "compta@martin.example"
    assert "x@y.example" in copies
    assert list(entry.recipients) == [to.addr_spec, *copies]
    (message,) = deployment.messages()
    assert message["recipient"] == ", ".join(entry.recipients)


def test_the_message_id_on_the_wire_is_the_ledgers_and_the_same_on_each_attempt(
    deployment: Deployment,
) -> None:
    deployment.open_business()
    deployment.invoice()
    deployment.smtp.fail("disk_full", count=1)
    deployment.tick()
    deployment.tick("deliver_messages")
    (message,) = deployment.messages()
    assert message["state"] == "accepted"
    assert only_letter(deployment)["Message-ID"] == message["message_id"]
    assert [entry.message_id for entry in deployment.smtp.received()] == [message["message_id"]] * 2
    assert message["message_id"].endswith("@menuiserie-perrin.example>")


def test_hostile_names_add_no_header_no_recipient_and_no_markup(deployment: Deployment) -> None:
    deployment.open_business(sender_name=HOSTILE, name=HOSTILE, address=HOSTILE)
    deployment.execute("UPDATE ponctuel.customers SET name = :name", name=HOSTILE)
    deployment.invoice(number=f"F1{INVISIBLE}\r\nBcc: voleur@ailleurs.example")
    deployment.tick()
    (entry,) = deployment.smtp.accepted()
    assert entry.recipients == ("compta@boulangerie-martin.example",)
    letter = parsed(deployment, entry)
    assert {name.lower() for name in letter.keys()} == HEADERS  # noqa: SIM118 - repeated headers
    assert len(letter.keys()) == len(HEADERS)
    (sender,) = letter["From"].addresses
    assert sender.addr_spec == "factures@menuiserie-perrin.example"
    written = "".join((str(letter["From"]), letter["Subject"], *bodies(letter)))
    assert not set(INVISIBLE) & set(written)
    assert "<img" not in part(letter, "html")
    assert "&lt;img src=x onerror=" in part(letter, "html")


def bodies(letter: EmailMessage) -> tuple[str, str]:
    return part(letter, "plain"), part(letter, "html")


def test_the_ledger_knows_the_size_and_the_digest_of_the_pdf_that_was_received(
    deployment: Deployment,
) -> None:
    deployment.open_business()
    deployment.execute("UPDATE ponctuel.followup_levels SET attach_pdf = true")
    document = b"%PDF-1.7\r\n" + bytes(range(256)) * 40 + b"\n%%EOF\n"
    (deployment.documents / "Facture été 1.pdf").write_bytes(document)
    deployment.invoice(pdf_key="Facture été 1.pdf")
    deployment.tick()
    (attachment,) = only_letter(deployment).iter_attachments()
    content = attachment.get_content()
    assert content == document
    (recorded,) = deployment.rows("SELECT attachments FROM ponctuel.message_bodies")
    assert recorded["attachments"] == [
        {
            "name": attachment.get_filename(),
            "size": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
        }
    ]


def test_the_letter_in_the_ledger_is_the_one_that_was_received(deployment: Deployment) -> None:
    deployment.open_business()
    deployment.invoice()
    deployment.tick()
    letter = only_letter(deployment)
    (kept,) = deployment.rows("SELECT subject, text, html FROM ponctuel.message_bodies")
    assert letter["Subject"] == kept["subject"]
    assert part(letter, "plain").splitlines() == kept["text"].splitlines()
    assert part(letter, "html").splitlines() == kept["html"].splitlines()


@pytest.mark.parametrize("own_comes_first", [True, False])
@pytest.mark.parametrize("allow_list", ["essai@nous.example", "*@nous.example"])
def test_before_go_live_only_the_allowed_one_of_two_addresses_is_written_to(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch, allow_list: str, own_comes_first: bool
) -> None:
    deployment.open_business(settings={"window_start": "11:30"})
    deployment.execute("UPDATE ponctuel.customers SET emails = 'essai@nous.example'")
    not_live(deployment, monkeypatch, allow_list)
    deployment.invoice()
    deployment.tick()
    assert deployment.messages()[0]["hold_reason"] == "window"
    both = ["Essai@nous.example", "client@ailleurs.example"]
    emails = "; ".join(both if own_comes_first else reversed(both))
    deployment.execute("UPDATE ponctuel.customers SET emails = :emails", emails=emails)
    deployment.tick("deliver_messages")
    (entry,) = deployment.smtp.accepted()
    assert entry.recipients == ("Essai@nous.example",)
    letter = parsed(deployment, entry)
    assert (letter["To"], letter["Cc"]) == ("Essai@nous.example", None)
    assert deployment.messages()[0]["recipient"] == "Essai@nous.example"


def test_before_go_live_an_address_that_is_no_longer_an_allowed_one_holds_the_message(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployment.open_business(settings={"window_start": "11:30"})
    deployment.execute("UPDATE ponctuel.customers SET emails = 'essai@nous.example'")
    not_live(deployment, monkeypatch, "essai@nous.example")
    deployment.invoice()
    deployment.tick()
    assert deployment.messages()[0]["hold_reason"] == "window"
    deployment.execute("UPDATE ponctuel.customers SET emails = 'client@ailleurs.example'")
    deployment.tick("deliver_messages")
    (message,) = deployment.messages()
    assert (message["state"], message["hold_reason"]) == ("held", "stage")
    assert deployment.smtp.received() == []


def test_before_go_live_nothing_leaves_without_an_allow_list(deployment: Deployment) -> None:
    deployment.open_business()
    deployment.execute("DELETE FROM ponctuel.go_lives WHERE business_id = '*'")
    deployment.invoice("F1")
    deployment.customer("C2")
    deployment.quote("D1", customer_id="C2", valid_until=TODAY.replace(day=30))
    deployment.tick()
    deployment.deliver()
    assert [(m["state"], m["hold_reason"]) for m in deployment.messages()] == [
        ("held", "stage")
    ] * 2
    assert deployment.smtp.received() == []


@pytest.mark.parametrize(
    ("listed", "number"),
    [("+33639980001", "06 39 98 00 01"), ("+262692123456", "0692 12 34 56")],
)
def test_before_go_live_a_number_on_the_allow_list_is_written_to_however_it_is_written(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch, listed: str, number: str
) -> None:
    not_live(deployment, monkeypatch, listed)
    allowed = deployment.rows(
        f"SELECT {ALLOWED.format(recipient='r')} AS yes FROM (VALUES (:one), (:other)) AS v(r)",
        allow_list=allow_list(),
        one=number,
        other="06 39 98 00 02",
    )
    assert [row["yes"] for row in allowed] == [True, False]
    assert settings().allow_list.allows(normalised(number).number)
    assert not settings().allow_list.allows("+33639980002")
