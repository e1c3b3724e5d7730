"""Names and types of files that strangers send."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chalicelib.mail.filenames import safe_name, unique
from chalicelib.mail.parameters import parameters
from chalicelib.mail.sniff import sniffed


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (b'attachment; filename="facture.pdf"', "facture.pdf"),
        (b"attachment; filename=facture 12 (2).pdf", "facture 12 (2).pdf"),
        (b'attachment; filename="a;b.pdf"', "a;b.pdf"),
        (b'attachment; filename="a\\"b.pdf"', 'a"b.pdf'),
        (b"attachment; filename*=utf-8''relev%C3%A9.pdf; filename=releve.pdf", "relevé.pdf"),
        (b"attachment; filename=releve.pdf; filename*=iso-8859-1'fr'relev%E9.pdf", "relevé.pdf"),
        (b"attachment; filename*0=un; filename*1=deux; filename*2=.pdf", "undeux.pdf"),
        (b"attachment; filename*1=deux.pdf; filename*0=un", "undeux.pdf"),
        (b"attachment; filename*0*=utf-8''%C3; filename*1*=%A9t%C3%A9.pdf", "été.pdf"),
        (b"attachment; filename*0*=utf-8''a%20; filename*1=b%20.pdf", "a b%20.pdf"),
        (b'attachment; filename="=?utf-8?Q?relev=C3=A9.pdf?="', "relevé.pdf"),
        (b'attachment; filename="=?utf-8?Q?rel?=\r\n =?utf-8?Q?ev=C3=A9.pdf?="', "relevé.pdf"),
        ('attachment; filename="relevé.pdf"'.encode(), "relevé.pdf"),
        ('attachment; filename="relevé.pdf"'.encode("latin-1"), "relevé.pdf"),
        (b"attachment;filename=a.pdf;filename=b.pdf", "a.pdf"),
        (b"attachment; FileName = a.pdf ; size=12", "a.pdf"),
        (b'attachment; filename="a.pdf', "a.pdf"),
        (b'attachment; filename="C:\\Users\\Jean\\a.pdf"', "C:\\Users\\Jean\\a.pdf"),
    ],
)
def test_a_name_is_read_however_it_is_encoded(value: bytes, name: str) -> None:
    kind, found = parameters(value)
    assert (kind, found["filename"]) == ("attachment", name)


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("facture n° 12.pdf", "facture n° 12.pdf"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\Jean\\a.pdf", "a.pdf"),
        ("..", "piece-jointe.pdf"),
        ("", "piece-jointe.pdf"),
        (" . ", "piece-jointe.pdf"),
        ("a/b/", "b"),
        ("CON", "_CON"),
        ("nul.txt", "_nul.txt"),
        ("lpt1.tar.gz", "_lpt1.tar.gz"),
        ("COM²", "_COM²"),
        ("console.txt", "console.txt"),
        ("facture\u202efdp.exe", "facturefdp.exe"),
        ("a\u200bb\ufeff.pdf", "ab.pdf"),
        ("a\nb\tc\0d.pdf", "a b c d.pdf"),
        ('a<b>:"|?*.pdf', "a_b______.pdf"),
        ("rapport.pdf. . ", "rapport.pdf"),
        (".htaccess", "htaccess"),
        ("e\u0301te\u0301.pdf", "été.pdf"),
        ("\ud800x.pdf", "x.pdf"),
    ],
)
def test_a_name_is_made_safe(name: str, safe: str) -> None:
    assert safe_name(name, "application/pdf") == safe


def test_a_name_that_is_too_long_keeps_its_extension() -> None:
    for letter in "aé漢🔧":
        name = safe_name(letter * 500 + ".pdf", "")
        assert name.endswith(letter + ".pdf")
        assert len(name.encode()) <= 200


@given(
    st.lists(st.text(max_size=150) | st.sampled_from(["A.pdf", "a.pdf", "x" * 200]), max_size=12)
)
@example(["0 .0", "0 .0"])
def test_names_in_an_email_differ_by_more_than_case(names: list[str]) -> None:
    taken: set[str] = set()
    found = [unique(safe_name(name, "text/plain"), taken) for name in names]
    assert len({name.casefold() for name in found}) == len(names)
    assert all(safe_name(name, "") == name for name in found)


@pytest.mark.parametrize(
    ("content", "declared", "kind"),
    [
        (b"%PDF-1.4", "application/octet-stream", "application/pdf"),
        (b"\x89PNG\r\n\x1a\n", "image/jpeg", "image/png"),
        (b"MZ\x90\0", "application/pdf", "application/vnd.microsoft.portable-executable"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"WordDocument".decode().encode("utf-16-le"), "",
         "application/msword"),
        (b"PK\x03\x04" + bytes(26) + b"[Content_Types].xml" + b"xl/workbook.xml", "",
         "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
        (b"PK\x03\x04" + bytes(26) + b"mimetypeapplication/vnd.oasis.opendocument.textPK", "",
         "application/vnd.oasis.opendocument.text"),
        (b"PK\x03\x04" + bytes(26) + b"a.txt", "application/pdf", "application/zip"),
        (b"\x78\x9f\x3e\x22\0", "application/octet-stream", "application/ms-tnef"),
        (b"\xef\xbb\xbf  <!DOCTYPE HTML><p>", "text/plain", "text/html"),
        (b"<?xml version='1.0'?><svg xmlns=x>", "image/png", "image/svg+xml"),
        (b"BEGIN:VCALENDAR\r\n", "text/plain", "text/calendar"),
        (b"Received: x\r\n\ty\r\nFrom: a\r\n", "text/plain", "message/rfc822"),
        (b"a;b\r\n", "text/csv", "text/csv"),
        (b"a;b\r\n", "application/pdf", "text/plain"),
        (b"alert(1)", "text/html", "text/plain"),
        (b"\0\1\2", "image/png", "application/octet-stream"),
        (b"", "image/png", "application/octet-stream"),
    ],
)  # fmt: skip
def test_a_type_is_what_the_first_bytes_say(content: bytes, declared: str, kind: str) -> None:
    assert sniffed(content, declared) == kind
