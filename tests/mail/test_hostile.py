"""What is built to wear a reader out: bounded time, bounded memory, and the rest still read."""

from __future__ import annotations

import tracemalloc

import pytest

from chalicelib.errors import Unreadable
from chalicelib.mail.limits import Limits
from chalicelib.mail.parse import parse
from tests.mail.checks import RECEIVED, checked

TOP = b"From: a@x.fr\r\nMessage-ID: <a@x>\r\nDate: Mon, 2 Mar 2026 10:00:00 +0100\r\n"


def nested(levels: int) -> bytes:
    """An e-mail in an e-mail in an e-mail."""
    inner = TOP + b"Subject: le fond\r\n\r\nle fond"
    for _ in range(levels):
        inner = TOP + b"Content-Type: message/rfc822\r\n\r\n" + inner
    return inner


def multiparts(levels: int) -> bytes:
    begin = b"".join(
        b'Content-Type: multipart/mixed; boundary="b%d"\r\n\r\n--b%d\r\n' % (n, n)
        for n in range(levels)
    )
    end = b"".join(b"\r\n--b%d--" % n for n in reversed(range(levels)))
    return TOP + begin + b"Content-Type: text/plain\r\n\r\nle fond" + end


def boundary(body: bytes) -> bytes:
    return TOP + b'Content-Type: multipart/mixed; boundary="b"\r\n\r\n' + body


@pytest.mark.parametrize("levels", [50, 2000])
def test_an_email_inside_fifty_others_is_one_file(levels: int) -> None:
    mail = checked(nested(levels))
    assert mail is not None
    [part] = mail.parts
    assert (part.type, part.inline, mail.faults) == ("message/rfc822", False, [])
    assert part.content == nested(levels - 1)


def test_multiparts_inside_each_other_are_taken_apart_up_to_a_limit() -> None:
    shallow = parse(multiparts(20), received=RECEIVED)
    assert (shallow.text, shallow.faults) == ("le fond", [])
    for levels in (50, 5000):
        deep = checked(multiparts(levels))
        assert deep is not None
        assert deep.faults == ["depth"]
        assert "le fond" in deep.text


def test_of_a_hundred_thousand_parts_the_first_are_read() -> None:
    part = b"--b\r\nContent-Disposition: attachment; filename=x.txt\r\n\r\nx\r\n"
    mail = checked(boundary(b"--b\r\n\r\nBonjour\r\n" + part * 100_000 + b"--b--"))
    assert mail is not None
    assert (mail.text, len(mail.parts), mail.faults) == ("Bonjour", 499, ["parts"])


def test_many_multiparts_of_many_parts_are_no_way_round_the_limit() -> None:
    inner = b"--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n" + b"--c\r\n\r\nx\r\n" * 400
    mail = checked(boundary((inner + b"--c--\r\n") * 400 + b"--b--"))
    assert mail is not None
    assert "parts" in mail.faults


def test_a_megabyte_in_one_line_of_header_does_not_hide_the_others() -> None:
    long = b"X-Long: " + b"y" * 1_000_000 + b"\r\nSubject: " + b"z" * 500_000 + b"\r\n"
    mail = checked(TOP + long + b"To: b@x.fr\r\n\r\nBonjour")
    assert mail is not None
    assert (mail.text, mail.faults, len(mail.subject)) == ("Bonjour", ["header"], 1000)
    assert [party.email for party in mail.parties] == ["a@x.fr", "b@x.fr"]


def test_fifty_thousand_header_fields_are_passed_over() -> None:
    many = b"".join(b"X-%d: y\r\n" % n for n in range(50_000))
    mail = checked(many + TOP + b"Received: z\r\n" * 50_000 + b"Subject: s\r\n\r\nBonjour")
    assert mail is not None
    assert (mail.subject, mail.text, mail.message_id) == ("s", "Bonjour", "a@x")


def test_an_endless_header_is_cut_and_the_body_is_found() -> None:
    mail = checked(TOP + b"X-Y: z\r\n" * 300_000 + b"\r\nBonjour")
    assert mail is not None
    assert (mail.text, mail.faults) == ("Bonjour", ["header"])


@pytest.mark.parametrize(
    "value",
    [
        b"<" * 10_000,
        b"(" * 10_000,
        b'"' * 10_000,
        b'"\\' * 5000,
        b"a@" * 5000,
        b"," * 10_000,
        b"<a@b>," * 5000,
        b"a@b.fr " * 4000,
        b"=?" * 5000,
        b"=?a?q?" * 5000,
        b"=?utf-8?q?=C3?= " * 2000,
        b"=?utf-8?b?w?=" * 2000,
        b":;" * 5000,
        b"g:" * 5000,
        b" " * 30_000 + b"x",
        b";a=" * 10_000,
        b";a*1=b" * 5000,
        b"; " * 5000,
        b"x" * 10_000,
        b"\xff" * 10_000,
        b"1" * 10_000,
        b"\r\n " * 10_000,
        b"a\r\n" * 10_000,
    ],
)
def test_a_value_that_repeats_itself_is_read_in_time_everywhere(value: bytes) -> None:
    names = (
        b"From",
        b"To",
        b"Subject",
        b"Date",
        b"Message-ID",
        b"References",
        b"Content-Type",
        b"Content-Disposition",
        b"Content-Transfer-Encoding",
        b"X-Failed-Recipients",
    )
    for name in names:
        checked(TOP + name + b": " + value + b"\r\n\r\nx")
    checked(TOP + b"Content-Type: text/plain; format=flowed\r\n\r\n" + value)
    checked(TOP + b"Content-Type: text/html\r\n\r\n" + value)
    checked(boundary(b"--b" + value + b"\r\n\r\nx\r\n--b\r\n" + value + b"\r\n\r\n--b--"))


@pytest.mark.parametrize(
    "html",
    [
        "<div>",
        "<ul><li>",
        "<p><b>",
        "&amp;",
        "&#x41",
        "<",
        "<a b=",
        "<!--",
        "</p>",
        "<font>x",
        "<table><td>",
        "<a><div></a>",
        "<b><p></b>",
        "&nbsp;",
        "<svg>",
        '<img src="data:',
        "<p>x",
    ],
)
def test_html_that_repeats_itself_is_read_in_time(html: str) -> None:
    body = html.encode() * (200_000 // len(html)) + b"<p>Bonjour"
    checked(TOP + b"Content-Type: text/html\r\n\r\n" + body)


def test_html_too_deep_for_the_sanitiser_is_still_text() -> None:
    body = b"Content-Type: text/html\r\n\r\n" + b"<div>" * 5000 + b"Bonjour&#13;&eacute;t&eacute;"
    mail = parse(TOP + body, received=RECEIVED)
    assert (mail.text, mail.html, mail.faults) == ("Bonjour\nété", "", ["html"])


@pytest.mark.parametrize("encoding", [b"base64", b"quoted-printable", b"x-uuencode", b"7bit"])
@pytest.mark.parametrize("line", [b"=", b"A=", b"M\r\n", b"=\r\n", b"=3D", b"AAAA", b"\r", b"!"])
def test_content_that_repeats_itself_is_decoded_in_time(encoding: bytes, line: bytes) -> None:
    head = b"Content-Type: application/x\r\nContent-Transfer-Encoding: " + encoding + b"\r\n\r\n"
    checked(TOP + head + line * (1_000_000 // len(line)))


def test_sixty_megabytes_are_read_up_to_the_limit_within_a_bound_of_memory() -> None:
    line = b"QUFB" * 19 + b"\r\n"
    body = (
        b"--b\r\n\r\nVoici le film.\r\n--b\r\nContent-Type: video/mp4; name=film.mp4\r\n"
        b"Content-Transfer-Encoding: base64\r\n\r\n" + line * (60_000_000 // len(line)) + b"--b--"
    )
    raw = boundary(body)
    del body
    tracemalloc.start()
    try:
        mail = parse(raw, received=RECEIVED)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (mail.text, mail.parts[0].name) == ("Voici le film.", "film.mp4")
    assert mail.faults == ["boundary", "size"]
    assert peak < 100_000_000


def test_an_attachment_over_the_limit_is_known_and_not_kept() -> None:
    limits = Limits(attachment=1000)
    head = b"Content-Type: application/pdf; name=a.pdf\r\n\r\n"
    mail = parse(TOP + head + b"%PDF-" + b"x" * 2000, received=RECEIVED, limits=limits)
    [part] = mail.parts
    assert (part.content, part.size, part.type, mail.faults) == (
        None,
        2005,
        "application/pdf",
        ["size"],
    )


def test_text_over_the_limit_is_cut() -> None:
    limits = Limits(text=1000)
    mail = parse(TOP + b"\r\n" + b"mot " * 1000, received=RECEIVED, limits=limits)
    assert (len(mail.text), mail.faults) == (999, ["size"])


@pytest.mark.parametrize("raw", [b"", b"\0" * 100, b"\r\n\r\n", b" \t\r\n" * 1000])
def test_what_has_no_content_at_all_is_unreadable(raw: bytes) -> None:
    with pytest.raises(Unreadable, match="vide"):
        parse(raw, received=RECEIVED)
    assert checked(raw) is None
