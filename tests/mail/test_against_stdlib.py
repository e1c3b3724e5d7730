"""What the standard library's own parser says of the same bytes."""

from __future__ import annotations

import importlib.util
import random
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.mail.parse import parse
from tests.mail import corpus
from tests.mail.checks import RECEIVED, checked
from tests.mail.generator import mutated

WORDS = st.text(st.sampled_from("abcdef éèà€’n.,:-"), min_size=1, max_size=300).map(
    lambda text: " ".join(text.split()) or "x"
)
NAMES = st.from_regex(r"[a-zé0-9]{1,40}( [a-zé]{1,20})?\.(pdf|png)", fullmatch=True)


def folder() -> Path | None:
    """The e-mails that Python tests its parser with; distributions often leave them out."""
    try:
        found = importlib.util.find_spec("test.test_email")
    except ModuleNotFoundError:
        return None
    if found is None or found.origin is None:
        return None
    data = Path(found.origin).parent / "data"
    return data if data.is_dir() else None


DATA = folder()
FILES = sorted(DATA.glob("msg_*.txt")) if DATA is not None else []


@pytest.mark.skipif(not FILES, reason="this Python comes without its tests (test.test_email)")
def test_the_emails_of_pythons_own_tests_are_read() -> None:
    assert len(FILES) > 40
    for path in FILES:
        raw = path.read_bytes()
        assert checked(raw) is not None
        for number in range(3):
            draw = random.Random(f"{path.name}{number}")
            checked(mutated(draw, raw, [raw]))


@pytest.mark.parametrize("name", [name for name in corpus.ALL if name != "ugly"])
def test_a_well_formed_email_says_what_the_standard_library_reads(name: str) -> None:
    raw = corpus.ALL[name]
    mail, other = parse(raw, received=RECEIVED), message_from_bytes(raw, policy=policy.default)
    assert isinstance(other, EmailMessage)
    said = other["subject"].replace("\x96", "–").replace("\x92", "’")
    assert mail.subject == said
    assert f"<{mail.message_id}>" == other["message-id"]
    assert mail.sent_at == other["date"].datetime
    addresses = [a for f in ("from", "to", "cc") if other[f] for a in other[f].addresses]
    assert [(p.name, p.email) for p in mail.parties] == [
        (a.display_name, a.addr_spec) for a in addresses
    ]
    files = [part for part in other.walk() if part.get_filename()]
    assert [(p.name, p.content) for p in mail.parts if p.name != "piece-jointe.ics"] == [
        (part.get_filename(), part.get_payload(decode=True)) for part in files
    ]


@given(
    subject=WORDS,
    text=WORDS,
    html=st.booleans(),
    files=st.lists(st.tuples(NAMES, st.binary()), max_size=3),
    charset=st.sampled_from(["utf-8", "iso-8859-15"]),
    cte=st.sampled_from(["base64", "quoted-printable"]),
)
def test_what_the_standard_library_writes_is_read_back(
    subject: str, text: str, html: bool, files: list[tuple[str, bytes]], charset: str, cte: str
) -> None:
    text = text.replace("’", "'")
    message = EmailMessage(policy.SMTP)
    message["Subject"], message["From"], message["To"] = subject, "Jean <jean@x.fr>", "b@y.fr"
    message.set_content(text, charset=charset, cte=cte)
    if html:
        message.add_alternative(f"<p>{text}</p>", subtype="html")
    for name, content in files:
        message.add_attachment(
            content, maintype="application", subtype="octet-stream", filename=name
        )
    mail = parse(message.as_bytes(), received=RECEIVED)
    assert mail.subject == subject
    assert mail.text == text
    assert mail.html == (f"<p>{text}</p>" if html else "")
    assert [part.content for part in mail.parts] == [content for _, content in files]
    if len({name.casefold() for name, _ in files}) == len(files):
        assert [part.name for part in mail.parts] == [name for name, _ in files]
    assert mail.faults == ["date"]
