"""Header fields: charsets, encoded words, addresses, dates, identities."""

from __future__ import annotations

from codecs import getincrementaldecoder
from datetime import UTC, datetime, timedelta
from email.header import Header
from email.utils import format_datetime, formataddr

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from chalicelib.mail import structure
from chalicelib.mail.addresses import address_list
from chalicelib.mail.charsets import decode
from chalicelib.mail.dates import sent_at
from chalicelib.mail.encoded_words import header_text
from chalicelib.mail.identity import artificial_id, head, identify
from chalicelib.mail.limits import DEFAULT
from chalicelib.mail.parse import parse
from chalicelib.mail.structure import header_fields
from tests.mail.checks import RECEIVED

FRENCH = st.text(st.sampled_from("abc éèàçœ€’« »-_?=1"), min_size=1, max_size=60)


@pytest.mark.parametrize(
    ("data", "label", "text", "guessed"),
    [
        ("été".encode(), "utf-8", "été", False),
        ("été".encode(), "iso-8859-1", "été", False),
        ("été".encode(), "us-ascii", "été", False),
        ("été".encode(), "", "été", False),
        ("été".encode("latin-1"), "iso-8859-1", "été", False),
        ("été".encode("latin-1"), "utf-8", "été", True),
        ("été".encode("latin-1"), "us-ascii", "été", False),
        ("été".encode("latin-1"), "", "été", True),
        ("été".encode("latin-1"), "unknown-8bit", "été", True),
        ("l’été à 5 €".encode("cp1252"), "iso-8859-1", "l’été à 5 €", False),
        ("5 €".encode("iso8859-15"), "ISO_8859-15", "5 €", False),
        ("été".encode("utf-16"), "utf-16", "été", False),
        ("été".encode("utf-16-be"), "utf-16", "été", False),
        ("été".encode("utf-16"), "utf-8", "été", False),
        (b"plain", "utf-16", "plain", False),
        ("été".encode("utf-7"), "utf-7", "été", False),
        (b"+2AA-x", "utf-7", "x", False),
        ("привет".encode("koi8-r"), "koi8-r", "привет", False),
        ("日本".encode("iso2022_jp"), "iso-2022-jp", "日本", False),
        ("中文".encode("gbk"), "gb2312", "中文", False),
        (b"a\x00b\x1b\x07c", "utf-8", "abc", False),
        (b"\xed\xa0\x80x", "utf-8", "í\xa0€x", True),
        (b"caf\xc3\xa9 \xc3", "utf-8", "café ", True),
        (b"\xef\xbb\xbfx", "utf-8", "x", False),
        (b"xn--a", "punycode", "xn--a", False),
        ("IMPAYÉ\xa0!".encode("latin-1"), "iso-8859-1", "IMPAYÉ\xa0!", False),
        ("àœœ".encode("iso8859-15"), "iso-8859-15", "àœœ", False),
        ("l’été 🔧 5 €".encode(), "iso-8859-1", "l’été 🔧 5 €", False),
        ("привет всем".encode(), "iso-8859-1", "привет всем", False),
        (b"\\x41", "unicode_escape", "\\x41", False),
        (b"a\x81b", "windows-1252", "ab", True),
    ],
)
def test_text_is_what_its_bytes_say_whatever_its_label(
    data: bytes, label: str, text: str, guessed: bool
) -> None:
    assert decode(data, label) == (text, guessed)


@given(st.binary(max_size=200), st.sampled_from(["", "utf-16", "utf-7", "cp932", "hz", "big5"]))
def test_no_bytes_give_text_that_a_database_refuses(data: bytes, label: str) -> None:
    text, _ = decode(data, label)
    assert "\0" not in text
    text.encode()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (b"=?utf-8?Q?R=C3=A9ponse?= 12", "Réponse 12"),
        (b"=?UTF-8?B?w6k=?=\r\n =?UTF-8?B?w6k=?=", "éé"),
        (b"=?utf-8?Q?caf=C3?=\r\n =?utf-8?Q?=A9_noir?=", "café noir"),
        (b"=?utf-8?B?w6?= =?utf-8?B?k=?=", "é"),
        (b"=?utf-8?Q?a?= b =?utf-8?Q?c?=", "a b c"),
        (b"=?utf-8?Q?a?==?utf-8?Q?b?=", "ab"),
        (b"=?iso-8859-1*fr?Q?=E9?=", "é"),
        (b"=?iso-8859-1?Q?5_=80?=", "5 €"),
        (b"=?unknown-8bit?Q?=E9t=E9?=", "été"),
        (b"=?utf-8?Q?no end", "=?utf-8?Q?no end"),
        (b"=?utf-8?B?!!?= x", " x".strip()),
        ("Réunion demain".encode(), "Réunion demain"),
        ("Réunion demain".encode("cp1252"), "Réunion demain"),
        (b"a\r\n\tb\0c", "a bc"),
        ("a\u202efdp.exe".encode(), "afdp.exe"),
    ],
)
def test_a_subject_is_read_however_it_is_encoded(value: bytes, text: str) -> None:
    assert header_text(value)[0] == text


def _is_utf8(data: bytes) -> bool:
    """Whether it could be, even if cut in the middle of its last character."""
    try:
        return bool(getincrementaldecoder("utf-8")().decode(data)) and not data.isascii()
    except UnicodeDecodeError:
        return False


@given(FRENCH, st.sampled_from(["utf-8", "iso-8859-15", "cp1252"]))
def test_what_the_standard_library_encodes_is_read_back(text: str, charset: str) -> None:
    try:
        coded = Header(text, charset, maxlinelen=40).encode(linesep="\r\n")
        assume(charset == "utf-8" or not _is_utf8(text.encode(charset)))  # read as such: a guess
    except UnicodeEncodeError:
        return
    assert header_text(coded.encode())[0] == " ".join(text.split())


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("jean@x.fr", [("", "jean@x.fr")]),
        ("Jean Petit <Jean.Petit@X.fr>", [("Jean Petit", "jean.petit@x.fr")]),
        ('"Petit, Jean" <jean@x.fr>', [("Petit, Jean", "jean@x.fr")]),
        ('"Jean \\"JP\\" Petit" <jean@x.fr>', [('Jean "JP" Petit', "jean@x.fr")]),
        ("jean@x.fr (Jean Petit)", [("Jean Petit", "jean@x.fr")]),
        ("=?utf-8?Q?Petit=2C_Jean?= <j@x.fr>, b@y.fr", [("Petit, Jean", "j@x.fr"), ("", "b@y.fr")]),
        ("a@x.fr; b@y.fr", [("", "a@x.fr"), ("", "b@y.fr")]),
        ("undisclosed-recipients:;", []),
        ("Bureau: a@x.fr, B <b@y.fr>;, c@z.fr", [("", "a@x.fr"), ("B", "b@y.fr"), ("", "c@z.fr")]),
        ('"pdg@banque.fr" <faux@ailleurs.ru>', [("pdg@banque.fr", "faux@ailleurs.ru")]),
        ("pdg@banque.fr <faux@ailleurs.ru>", [("pdg@banque.fr", "faux@ailleurs.ru")]),
        ("Jean Petit jean@x.fr", [("Jean Petit", "jean@x.fr")]),
        ("Jean Petit", [("Jean Petit", "")]),
        ("<>", [("", "")]),
        ("", []),
        ("< jean@x.fr >", [("", "jean@x.fr")]),
        ("<jean@x.fr", [("", "jean@x.fr")]),
        ("'jean@x.fr'", [("", "jean@x.fr")]),
        ("<@relais.fr,@b.fr:jean@x.fr>", [("", "jean@x.fr")]),
        ('"jean petit"@x.fr', [("", '"jean petit"@x.fr')]),
        ("Zoé <zoé@café.fr>", [("Zoé", "zoé@café.fr")]),
        ("<mailto:jean@x.fr>", [("", "jean@x.fr")]),
        ("Jean\r\n\t<jean@x.fr>", [("Jean", "jean@x.fr")]),
        ("a@x.fr b@y.fr", [("", "a@x.fr"), ("", "b@y.fr")]),
    ],
)
def test_people_are_found_however_they_are_written(text: str, found: list[object]) -> None:
    assert address_list(text) == found


@given(FRENCH, st.from_regex(r"[a-z][a-z0-9.+_-]{0,10}@[a-z]{1,8}\.fr", fullmatch=True))
def test_what_the_standard_library_writes_as_an_address_is_read_back(name: str, email: str) -> None:
    name = " ".join(name.split())
    [(read, address)] = address_list(formataddr((name, email)))
    assert address == email
    assert read == name.strip(" '\"")


@pytest.mark.parametrize(
    ("value", "instant"),
    [
        ("Mon, 2 Mar 2026 10:00:00 +0100", "2026-03-02T09:00:00"),
        ("Mon, 2 Mar 2026 10:00:00 +0100 (CET)", "2026-03-02T09:00:00"),
        ("2 Mar 2026 10:00 GMT", "2026-03-02T10:00:00"),
        ("Mon, 02 Mar 26 05:00:00 EST", "2026-03-02T10:00:00"),
        ("lun., 2 mars 2026 10:00:00 +0100", "2026-03-02T09:00:00"),
        ("2026-03-02T10:00:00+01:00", "2026-03-02T09:00:00"),
        ("Mon Mar  2 10:00:00 2026", "2026-03-02T10:00:00"),
        ("Mon, 2 Mar 2026 10:00:60 +0000", "2026-03-02T10:00:59"),
        ("Mon, 2 Mar 2026 10:00:00 +9999", "2026-03-02T10:00:00"),
        ("Tue, 3 Mar 2026 09:29:00 +0000", "2026-03-03T09:29:00"),
        ("3 févr. 2025 à 8h05", "2025-02-03T08:05:00"),
    ],
)
def test_a_date_is_read_in_every_form_that_is_met(value: str, instant: str) -> None:
    read, _ = sent_at(value.encode(), RECEIVED)
    assert read == datetime.fromisoformat(instant).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    "value",
    [
        "Thu, 1 Jan 1970 00:00:00 +0000",
        "1 Jan 2099 00:00:00 +0000",
        "31 Feb 2026 10:00 +0000",
        "",
        "hier",
        "Tue, 3 Mar 2026 09:31:00 +0000",
        "1 Jan 0001 00:00 +1400",
        "99999999999999999999",
        "31 Dec 9999 23:59:59 -1400",
        "0 0 0 0:0:0",
    ],
)
def test_a_date_that_cannot_be_true_is_none(value: str) -> None:
    assert sent_at(value.encode(), RECEIVED) == (None, True)


@given(st.datetimes(datetime(1990, 1, 2), datetime(2026, 3, 2)), st.integers(-12, 14))  # noqa: DTZ001
def test_what_the_standard_library_writes_as_a_date_is_read_back(
    when: datetime, hours: int
) -> None:
    from datetime import timezone

    written = when.replace(microsecond=0, tzinfo=timezone(timedelta(hours=hours)))
    assert sent_at(format_datetime(written).encode(), RECEIVED) == (written, False)


@pytest.mark.parametrize(
    ("field", "name"),
    [
        (b"Message-ID: <a.b@c>", "a.b@c"),
        (b"message-id:<a.b@c>", "a.b@c"),
        (b"Message-ID:\r\n <a.b@c>", "a.b@c"),
        (b"Message-ID: <a.\r\n b@c>", "a.b@c"),
        (b"Message-ID: a.b@c", "a.b@c"),
        (b"Message-ID: < a.b@c > (comment)", "a.b@c"),
        (b"Message-ID: <a.b@c", "a.b@c"),
        (b"Message-ID: <>\r\nMessage-ID: <a.b@c>\r\nMessage-ID: <d@e>", "a.b@c"),
        (b"Message-ID: \r\nMessage-ID: <@>", None),
        (b"Subject: x", None),
        ("Message-ID: <é@c>".encode(), "é@c"),
        ("Message-ID: <é@c>".encode("latin-1"), "é@c"),
        (b"Message-ID: =?utf-8?Q?=3Ca.b@c=3E?=", "a.b@c"),
        (b"Message-ID: <[a.b]@c>", "[a.b]@c"),
        (b"X-Message-ID: <z@z>\r\nMessage-ID : <a.b@c>", "a.b@c"),
    ],
)
def test_a_message_id_is_comparable_however_it_is_written(field: bytes, name: str | None) -> None:
    raw = b"From: a@x.fr\r\n" + field + b"\r\n\r\nMessage-ID: <body@x>\r\n"
    assert head(raw.partition(b"\r\n\r\n")[0] + b"\r\n\r\n").message_id == name
    assert parse(raw, received=RECEIVED).message_id == name
    assert identify(raw).has_message_id == (name is not None)


def test_a_message_id_that_is_too_long_is_cut_in_the_same_way_where_others_refer_to_it() -> None:
    long = b"<" + b"x" * 3000 + b"@y>"
    mail = parse(b"Message-ID: " + long + b"\r\n\r\nx", received=RECEIVED)
    reply = parse(b"References: <r@x> " + long + b"\r\n\r\nx", received=RECEIVED)
    assert mail.message_id is not None
    assert len(mail.message_id) < 100
    assert reply.references == ["r@x", mail.message_id]


def test_without_message_id_the_same_content_gets_the_same_one_in_every_folder() -> None:
    raw = b"From: a@x.fr\r\nSubject: s\r\nDate: x\r\n\r\nBonjour"
    first = identify(raw)
    assert not first.has_message_id
    assert first.message_id.endswith("@sans-message-id.invalid")
    moved = identify(b"X-Folder: 2\r\nReceived: y\r\n" + raw.replace(b": s", b":\r\n  s"))
    assert moved.message_id == first.message_id
    assert moved.sha256 != first.sha256
    for other in (raw + b"!", raw.replace(b": s", b": t"), raw.replace(b"a@x", b"b@x")):
        assert identify(other).message_id != first.message_id
    header, _, body = raw.partition(b"\r\n\r\n")
    from hashlib import sha256

    streamed = artificial_id(header + b"\r\n\r\n", sha256(body).digest())
    assert streamed == first.message_id


def test_references_keep_their_root_and_their_end_once_each() -> None:
    many = b" ".join(b"<%d@x>" % n for n in range(300))
    raw = b"Message-ID: <me@x>\r\nReferences: " + many + b" <1@x> <me@x>\r\nIn-Reply-To: Your mail"
    raw += b" of Monday <299@x>\r\n\r\nx"
    mail = parse(raw, received=RECEIVED)
    assert len(mail.references) == 100
    assert mail.references[0] == "0@x"
    assert mail.references[-1] == "299@x"
    assert mail.in_reply_to == "299@x"


LINES = st.lists(
    st.sampled_from(
        [b"Subject: s", b"To:",
         b" folded", b"\t x", b"X-Y: z", b"garbage", b"", b"From : a", b": x",
         "é: x".encode(), b"a b: c", b" ", b"Subject:t\r", b">From x", b"Date: \0"]
    ),
    max_size=12,
)  # fmt: skip


@given(LINES, st.sampled_from([b"\r\n", b"\n", b"\r"]))
def test_the_short_way_through_a_header_finds_what_the_long_one_finds(
    lines: list[bytes], eol: bytes
) -> None:
    block = eol.join(lines)
    faults: set[str] = set()
    found = header_fields(block, DEFAULT, faults)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(structure, "_well_formed", lambda *_: None)
        known: set[str] = set()
        assert (found, faults) == (header_fields(block, DEFAULT, known), known)
