from __future__ import annotations

import subprocess
import sys
from datetime import datetime
from email import message_from_bytes, policy
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.utils import parseaddr

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.errors import ProviderError
from chalicelib.providers.mail.mime import compose, envelope, message_id
from chalicelib.providers.mail.port import Address, Attachment
from tests.providers.mails import mail

ANY_TEXT = st.text(max_size=120)
OURS = ["From", "To", "Subject", "Date", "Message-ID", "MIME-Version"]
PART = ["Content-Type", "Content-Transfer-Encoding"]


def read(raw: bytes) -> EmailMessage:
    """Read by the standard library, which shares no code with our writer."""
    message = message_from_bytes(raw, policy=policy.default)
    assert isinstance(message, EmailMessage)
    for part in message.walk():
        assert not part.defects
    return message


def lines_are_sound(raw: bytes) -> None:
    assert raw.isascii()
    assert raw.endswith(b"\r\n")
    assert raw.count(b"\r") == raw.count(b"\n") == raw.count(b"\r\n")
    assert b"\x00" not in raw
    assert max(map(len, raw.split(b"\r\n"))) <= 998


def test_a_message_reads_back_as_it_was_written() -> None:
    original = mail(
        cc=("comptable@client.example",),
        reply_to=Address("lea@atelier.example", "Léa Petit"),
        html="<p>Votre facture reste à régler.</p>",
        attachments=(Attachment("F-1042.pdf", b"%PDF-1.7\x00\xff"),),
        headers={
            "List-Unsubscribe": f"<https://atelier.example/u/{'x' * 200}>",
            "X-Kind": "rappel",
        },
    )
    raw = compose(original)
    lines_are_sound(raw)
    message = read(raw)
    assert message["From"] == "Atelier Léa <facturation@atelier.example>"
    assert message["To"] == "client@client.example"
    assert message["Cc"] == "comptable@client.example"
    assert message["Reply-To"] == "Léa Petit <lea@atelier.example>"
    assert message["Subject"] == original.subject
    assert message["Message-ID"] == original.message_id
    assert message["Date"].datetime == original.date
    assert message["X-Kind"] == "rappel"
    text, html = message.get_body(("plain",)), message.get_body(("html",))
    assert text is not None
    assert text.get_content().replace("\r\n", "\n") == original.text
    assert html is not None
    assert html.get_content() == "<p>Votre facture reste à régler.</p>\r\n"
    (attachment,) = message.iter_attachments()
    assert attachment.get_filename() == "F-1042.pdf"
    assert attachment.get_content_type() == "application/pdf"
    assert attachment.get_content() == b"%PDF-1.7\x00\xff"


def test_a_message_of_text_alone_has_one_part() -> None:
    message = read(compose(mail()))
    assert not message.is_multipart()
    assert message.get_content_type() == "text/plain"


def test_composing_twice_gives_the_same_bytes() -> None:
    twice = mail(html="<p>x</p>", attachments=(Attachment("a.pdf", b"a"),))
    assert compose(twice) == compose(twice)


def test_a_long_unsubscribe_address_stays_in_one_piece() -> None:
    url = f"<https://atelier.example/unsubscribe/{'jeton' * 60}>"
    raw = compose(mail(headers={"List-Unsubscribe": url}))
    assert f"List-Unsubscribe: {url}\r\n".encode() in raw


@pytest.mark.parametrize(
    "name",
    [
        "Petit, Léa",
        "Petit, Lea",
        'Lea "la patronne" Petit',
        "C:\\atelier",
        "chef@ailleurs.example",
        "=?utf-8?q?Banque?=",
        "Atelier de menuiserie, d'agencement et de rénovation, Léa Petit et fils, depuis 1987",
        "Atelier de menuiserie, agencement (interieur) et renovation, Lea Petit et fils, 1987",
        "工房 🪚 " * 12,
    ],
)
def test_a_sender_name_reads_back_whatever_its_punctuation(name: str) -> None:
    raw = compose(mail(sender=Address("facturation@atelier.example", name)))
    lines_are_sound(raw)
    # The older reader of the library: the newer one keeps the spaces between two encoded words.
    header = message_from_bytes(raw, policy=policy.compat32)["From"].replace("\r\n", "")
    encoded, address = parseaddr(header)
    assert str(make_header(decode_header(encoded))) == name.strip()
    assert address == "facturation@atelier.example"


@given(name=ANY_TEXT, subject=ANY_TEXT, reply_name=ANY_TEXT, header=ANY_TEXT)
def test_no_name_subject_or_header_value_can_add_a_header(
    name: str, subject: str, reply_name: str, header: str
) -> None:
    raw = compose(
        mail(
            sender=Address("facturation@atelier.example", name),
            subject=subject,
            reply_to=Address("lea@atelier.example", reply_name),
            headers={"X-Kind": header},
        )
    )
    lines_are_sound(raw)
    message = read(raw)
    assert sorted(message.keys()) == sorted([*OURS, "Reply-To", "X-Kind", *PART])
    assert [a.addr_spec for a in message["From"].addresses] == ["facturation@atelier.example"]
    assert [a.addr_spec for a in message["Reply-To"].addresses] == ["lea@atelier.example"]


@pytest.mark.parametrize(
    "end", ["\r\n", "\n", "\r", "\x0b", "\x0c", "\x85", "\u2028", "\x00", "\r\n "]
)
def test_a_customer_name_with_a_line_break_cannot_add_a_header(end: str) -> None:
    hostile = f"Jean{end}Bcc: victime@y.example"
    message = read(compose(mail(subject=hostile, sender=Address("a@atelier.example", hostile))))
    assert message["Bcc"] is None
    assert message["Subject"] == "Jean Bcc: victime@y.example"
    assert message["From"].addresses[0].display_name == "Jean Bcc: victime@y.example"


@pytest.mark.parametrize("mark", ["\u202e", "\u2066", "\u200f", "\ufeff"])
def test_a_name_cannot_be_made_to_read_backwards(mark: str) -> None:
    message = read(compose(mail(subject=f"Facture {mark}fdp.1042")))
    assert message["Subject"] == "Facture fdp.1042"


def test_the_non_breaking_space_before_a_euro_sign_stays() -> None:
    message = read(compose(mail(subject="Reste 1\u202f204,00\u00a0€")))
    assert message["Subject"] == "Reste 1\u202f204,00\u00a0€"


@given(st.text(max_size=400))
def test_any_text_reads_back_with_its_line_breaks_normalised(text: str) -> None:
    raw = compose(mail(text=text, html=text))
    lines_are_sound(raw)
    expected = text.replace("\r\n", "\n").replace("\r", "\n").rstrip("\n") + "\n"
    expected = expected.encode("utf-8", "replace").decode()
    for kind in ("plain", "html"):
        body = read(raw).get_body((kind,))
        assert body is not None
        decoded = body.get_payload(decode=True)
        assert isinstance(decoded, bytes)
        assert decoded.decode().replace("\r\n", "\n") == expected


@given(name=st.text(max_size=150), content=st.binary(max_size=300))
def test_any_attachment_reads_back_under_a_name_that_is_safe_to_save(
    name: str, content: bytes
) -> None:
    raw = compose(mail(attachments=(Attachment(name, content),)))
    lines_are_sound(raw)
    (attachment,) = read(raw).iter_attachments()
    assert attachment.get_content() == content
    filename = attachment.get_filename()
    assert filename
    assert len(filename) <= 100
    assert not filename.startswith(".")
    assert not set(filename) & set('<>:"|?*/\\\r\n\x00')


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("Facture n° 1042 – Léa.pdf", "Facture n° 1042 – Léa.pdf"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\lea\\F-1042.pdf", "F-1042.pdf"),
        ("F-1042.pdf\r\nX-Evil: 1", "F-1042.pdf X-Evil_ 1"),
        ("", "document.pdf"),
        ("...", "document.pdf"),
        (f"{'é' * 150}.pdf", f"{'é' * 96}.pdf"),
    ],
)
def test_an_attachment_keeps_as_much_of_its_name_as_is_safe(name: str, kept: str) -> None:
    raw = compose(mail(attachments=(Attachment(name, b"x"),)))
    (attachment,) = read(raw).iter_attachments()
    assert attachment.get_filename() == kept


@pytest.mark.parametrize("mime_type", ["", "pdf", "a/b\r\nX-Evil: 1", "message/rfc822"])
def test_an_attachment_of_doubtful_type_is_plain_bytes(mime_type: str) -> None:
    raw = compose(mail(attachments=(Attachment("a.bin", b"x", mime_type),)))
    (attachment,) = read(raw).iter_attachments()
    assert attachment.get_content_type() == "application/octet-stream"


def test_an_international_domain_is_sent_in_ascii() -> None:
    raw = compose(mail(to=("léa".replace("é", "e") + "@café.example",)))
    assert read(raw)["To"] == "lea@xn--caf-dma.example"


@pytest.mark.parametrize(
    "address", ["", "x", "a@b", "a@x.fr\r\nBcc: b@y.fr", "a@x.fr, b@y.fr", "é@x.fr", "a b@x.fr"]
)
def test_a_wrong_recipient_is_refused_for_good_before_anything_is_sent(address: str) -> None:
    for changes in ({"to": (address,)}, {"cc": (address,)}):
        with pytest.raises(ProviderError) as refused:
            compose(mail(**changes))
        assert refused.value.permanent
        assert refused.value.code == "invalid_address"
        assert not address or address not in str(refused.value)


@pytest.mark.parametrize("changes", [{"sender": Address("x")}, {"reply_to": Address("a@x.fr\n")}])
def test_a_wrong_sender_does_not_condemn_the_message(changes: dict[str, Address]) -> None:
    with pytest.raises(ProviderError) as refused:
        compose(mail(**changes))
    assert not refused.value.permanent
    assert refused.value.code == "sender"


@pytest.mark.parametrize(
    "name", ["Bcc", "to", "Content-Type", "X-A\r\nBcc", "X:A", "X A", "", "Éa", "-", "X" * 80]
)
def test_an_extra_header_cannot_take_the_place_of_ours(name: str) -> None:
    with pytest.raises(ProviderError) as refused:
        compose(mail(headers={name: "b@y.fr"}))
    assert refused.value.code == "invalid_header"


def test_a_message_without_recipient_time_zone_or_proper_id_is_refused() -> None:
    naive = datetime(2026, 3, 5, 9, 30)  # noqa: DTZ001 - a naive date is the subject of the test
    for changes in ({"to": ()}, {"date": naive}, {"message_id": "<a b@c.fr>\r\nBcc: x@y.fr"}):
        with pytest.raises(ProviderError) as refused:
            compose(mail(**changes))
        assert refused.value.permanent


def test_a_recipient_named_twice_is_one_recipient() -> None:
    people = envelope(mail(to=("a@x.fr", "a@X.fr"), cc=("a@x.fr", "b@y.fr")))
    assert (people.to, people.cc) == (("a@x.fr",), ("b@y.fr",))


def test_the_message_id_depends_on_the_message_alone() -> None:
    digest = "0123456789abcdef" * 4
    assert message_id(42, digest, "Café.example") == f"<42.{digest[:32]}@xn--caf-dma.example>"
    for wrong in ((-1, digest, "x.fr"), (1, "not hex>", "x.fr"), (1, digest, "x>y.fr")):
        with pytest.raises(ValueError, match="Message-ID"):
            message_id(*wrong)


def test_composing_does_not_load_the_email_package() -> None:
    script = (
        "import sys; import chalicelib.providers.mail.mime;"
        "sys.exit(bool({'email', 'ssl', 'socket', 'boto3'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
