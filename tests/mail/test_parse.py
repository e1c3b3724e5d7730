"""Whole e-mails, as they come."""

# ruff: noqa: E501 - lines of e-mails are as they are
from __future__ import annotations

import pytest

from chalicelib.mail.parse import parse
from chalicelib.mail.parsed import ParsedMail
from tests.mail import corpus
from tests.mail.checks import RECEIVED, checked


def read(raw: bytes) -> ParsedMail:
    return parse(raw, received=RECEIVED)


def simple(fields: bytes, body: bytes) -> ParsedMail:
    return read(
        b"From: a@x.fr\r\nDate: Mon, 2 Mar 2026 10:00:00 +0100\r\n" + fields + b"\r\n" + body
    )


def test_oranges_webmail_is_read_as_the_windows_1252_that_it_is() -> None:
    mail = read(corpus.ORANGE)
    assert mail.subject == "Re: Devis n° 12 – salle d’eau"
    assert mail.text.startswith("Bonjour,\n\nC’est d’accord pour 1 250 €.")
    assert mail.snippet == "Bonjour, C’est d’accord pour 1 250 €. À lundi !"
    assert mail.html.startswith("<p>C’est d’accord pour <b>1 250 €</b>.</p>")
    assert (mail.in_reply_to, mail.references) == ("devis-12@plombier.fr", ["devis-12@plombier.fr"])
    assert (mail.nature, mail.faults, mail.parts) == ("mail", [], [])


def test_gmails_answer_is_without_what_it_quotes() -> None:
    mail = read(corpus.GMAIL)
    assert mail.subject == "Re: Facture F-1042 impayée"
    assert [(p.role, p.email, p.name) for p in mail.parties] == [
        ("from", "jean.petit@gmail.com", "Jean-François Petit"),
        ("to", "contact@plombier.fr", "Leblanc, Plomberie"),
        ("cc", "compta@plombier.fr", ""),
    ]
    assert mail.text.startswith("Bonjour, le virement est parti ce matin, vous devriez le recevoir")
    assert mail.snippet.endswith("vous devriez le recevoir mercredi. Cordialement, Jean-François")
    assert "reste impayée" in mail.text
    assert mail.faults == []


def test_outlooks_html_is_text_too_and_its_picture_stays_with_it() -> None:
    mail = read(corpus.OUTLOOK)
    assert mail.snippet == "Bonjour, Ci-joint le bon signé. Céline"
    assert "De : Plomberie Leblanc\nEnvoyé : lundi 2 mars 2026 08:00" in mail.text
    assert '<img src="cid:image001.png@01D">' in mail.html
    assert "pixel.example.com" not in mail.html
    assert "MsoNormal" not in mail.html + mail.text
    picture, order, tnef = mail.parts
    assert (picture.inline, picture.content_id, picture.type) == (
        True,
        "image001.png@01D",
        "image/png",
    )
    assert (order.name, order.inline, order.type) == (
        "Bon de commande signé.pdf",
        False,
        "application/pdf",
    )
    assert order.declared_type == "application/octet-stream"
    assert (order.content, order.size) == (corpus.PDF, len(corpus.PDF))
    assert (tnef.name, tnef.type) == ("winmail.dat", "application/ms-tnef")
    assert mail.faults == []


def test_the_text_around_an_iphones_photograph_is_one_text() -> None:
    mail = read(corpus.IPHONE)
    assert mail.text == "Voici la photo\u00a0:\n\nVous pouvez passer\u00a0?\n\nEnvoyé de mon iPhone"
    assert mail.snippet == "Voici la photo : Vous pouvez passer ?"
    assert [(p.name, p.type, p.inline) for p in mail.parts] == [
        ("IMG_0042.jpeg", "image/jpeg", True)
    ]
    assert mail.html == ""


def test_a_newsletter_calls_nobody_when_it_is_opened() -> None:
    mail = read(corpus.MARKETING)
    assert mail.nature == "list"
    assert mail.subject == "🔧 -20% sur l’outillage"
    assert mail.text == "Vite, plus que 2 jours\n–20 % sur l’outillage\nJ’en profite"
    assert "o.gif" not in mail.html
    assert "track" not in mail.html
    link = '<a href="https://news.example.com/c?x=1&amp;y=2" rel="noopener noreferrer nofollow">'
    assert link in mail.html


def test_a_scanners_file_is_an_attachment_although_it_is_the_whole_email() -> None:
    mail = read(corpus.SCANNER)
    assert (mail.text, mail.html, mail.snippet) == ("", "", "")
    assert [(p.name, p.content) for p in mail.parts] == [("SKM_C258.pdf", corpus.PDF)]


def test_an_invitation_is_of_the_calendar() -> None:
    mail = read(corpus.CALENDAR)
    assert (mail.nature, mail.text) == ("calendar", "Rendez-vous sur place.")
    assert [(p.name, p.type) for p in mail.parts] == [("piece-jointe.ics", "text/calendar")]


def test_an_old_program_is_understood_without_mime() -> None:
    mail = read(corpus.UGLY)
    assert (mail.subject, mail.text) == ("Relevé d'été n° 7", "Ci-après le relevé.\nTotal : 7 €")
    assert [(p.role, p.email, p.name) for p in mail.parties] == [
        ("from", "vieux@logiciel.fr", "société"),
        ("to", "", "Équipe"),
    ]
    assert mail.faults == ["charset"]
    assert mail.message_id is None


@pytest.mark.parametrize("name", corpus.ALL)
@pytest.mark.parametrize("eol", [b"\n", b"\r"])
def test_line_ends_make_no_difference(name: str, eol: bytes) -> None:
    raw = corpus.ALL[name]
    usual, other = checked(raw), checked(raw.replace(b"\r\n", b"\n").replace(b"\n", eol))
    assert usual is not None
    assert other is not None
    assert (usual.text, usual.html, usual.snippet) == (other.text, other.html, other.snippet)
    assert [p.sha256 for p in usual.parts] == [p.sha256 for p in other.parts] or name == "calendar"


@pytest.mark.parametrize("name", corpus.ALL)
def test_cut_anywhere_an_email_is_read_as_far_as_it_goes(name: str) -> None:
    raw = corpus.ALL[name]
    for end in range(1, len(raw), 29):
        checked(raw[:end])


def test_a_body_that_is_empty_is_an_email_all_the_same() -> None:
    for raw in (
        b"From: a@x.fr\r\nSubject: s\r\n\r\n",
        b"From: a@x.fr\r\nSubject: s\r\n",
        b"From: a@x.fr\r\nSubject: s",
    ):
        mail = read(raw)
        assert (mail.subject, mail.text, mail.parts) == ("s", "", [])


def test_a_body_without_header_is_text() -> None:
    mail = read("Bonjour,\r\nvoilà: la suite\r\n\r\nFin".encode())
    assert mail.text == "Bonjour,\nvoilà: la suite\n\nFin"
    assert mail.faults == ["date", "header"]


def test_a_missing_line_between_header_and_body_loses_no_text() -> None:
    mail = read(b"From: a@x.fr\r\nSubject: s\r\nBonjour Madame,\r\nvoici\r\n\r\nfin\r\n")
    assert (mail.subject, mail.text) == ("s", "Bonjour Madame,\nvoici\n\nfin")
    assert "header" in mail.faults


def test_a_line_that_is_no_field_hides_no_field_after_it() -> None:
    mail = read(b"From: a@x.fr\r\n>From b@y Mon Mar 2\r\ngarbage\r\nSubject: s\r\n\r\nx")
    assert (mail.subject, mail.text, mail.faults) == ("s", "x", ["date", "header"])


def test_the_line_of_an_mbox_file_is_no_part_of_the_email() -> None:
    raw = b"From a@x.fr Mon Mar  2 10:00:00 2026\r\n" + corpus.GMAIL
    assert read(raw).text == read(corpus.GMAIL).text
    assert read(raw).faults == []


def test_a_boundary_that_begins_another_is_told_apart() -> None:
    body = (
        b"--b\r\nContent-Type: multipart/alternative; boundary=bb\r\n\r\n--bb\r\n\r\nun\r\n--bb--\r\n"
        b"--b\r\nContent-Disposition: attachment; filename=a.txt\r\n\r\n--bbb\r\ndeux\r\n--b--\r\n"
    )
    mail = simple(b"Content-Type: multipart/mixed; boundary=b\r\n", body)
    assert (mail.text, mail.faults) == ("un", [])
    assert [(p.name, p.content) for p in mail.parts] == [("a.txt", b"--bbb\r\ndeux")]


@pytest.mark.parametrize(
    ("boundary", "body", "text"),
    [
        (b'"b"', b"--b\r\n\r\nun\r\n--b\r\n\r\ndeux", "un\n\ndeux"),  # never closed
        (b'"c"', b"--b\r\nContent-Type: text/plain\r\n\r\nun\r\n--b--", "un"),  # another one
        (b"", b"--b\r\nContent-Type: text/plain\r\n\r\nun\r\n--b--", "un"),  # none
        (b'"c"', b"juste du texte", "juste du texte"),
        (b'"b"', b"--b--\r\nrien", "--b--\nrien"),
    ],
)
def test_a_boundary_that_is_wrong_is_repaired(boundary: bytes, body: bytes, text: str) -> None:
    mail = simple(b"Content-Type: multipart/mixed; boundary=" + boundary + b"\r\n", body)
    assert (mail.text, mail.faults) == (text, ["boundary"])


@pytest.mark.parametrize(
    ("fields", "body", "text", "faults"),
    [
        (b"base64", b"Qm9u!!am91\xffcg==", "Bonjour", ["encoding"]),
        (b"base64", b"Qm9uam91cg", "Bonjour", []),
        (b"base64", b"Qm9u\r\n  am91\r\ncg==\r\n", "Bonjour", []),
        (b"base64", b"Qg==b25qb3Vy", "Bonjour", ["encoding"]),
        (b"BASE64 ", b"Qm9uam91cg==", "Bonjour", []),
        (b"quoted-printable", b"Bon=\r\njour =ZZ =E9t=C3=A9=", "Bonjour =ZZ Ã©tÃ©", None),
        (b"quoted-printable", b"d=C3=A9j=C3=A0 vu=20=20\r\nl=3D1", "déjà vu  \nl=1", []),
        (b"x-rubbish", b"Bonjour", "Bonjour", ["encoding"]),
        (b"x-uuencode", b"begin 644 x\r\n'0F]N:F]U<@``\r\n`\r\nend\r\n", "Bonjour", []),
    ],
)
def test_an_encoding_with_rubbish_in_it_is_decoded(
    fields: bytes, body: bytes, text: str, faults: list[str] | None
) -> None:
    mail = simple(b"Content-Transfer-Encoding: " + fields + b"\r\n", body)
    if faults is not None:
        assert (mail.text, mail.faults) == (text, faults)
    assert mail.text.startswith(("Bonjour", "déjà"))


def test_text_of_a_mailing_list_below_html_does_not_take_its_place() -> None:
    body = (
        b"--b\r\nContent-Type: text/html\r\n\r\n<p>Bonjour</p>\r\n"
        b"--b\r\nContent-Type: text/plain\r\n\r\nListe <x>\r\n--b--"
    )
    mail = simple(b"Content-Type: multipart/mixed; boundary=b\r\n", body)
    assert mail.text == "Bonjour\n\nListe <x>"
    assert mail.html == "<p>Bonjour</p><hr><div>Liste &lt;x&gt;</div>"


def test_an_empty_text_beside_html_says_nothing() -> None:
    body = b"--b\r\n\r\n \r\n--b\r\nContent-Type: text/html\r\n\r\n<p>Bonjour</p>\r\n--b--"
    mail = simple(b"Content-Type: multipart/alternative; boundary=b\r\n", body)
    assert (mail.text, mail.parts) == ("Bonjour", [])


def test_a_forwarded_email_is_a_file_named_after_its_subject() -> None:
    body = (
        b"--b\r\n\r\nVoir\r\n--b\r\nContent-Type: message/rfc822\r\n\r\n"
        + corpus.GMAIL
        + b"\r\n--b--"
    )
    mail = simple(b"Content-Type: multipart/mixed; boundary=b\r\n", body)
    [part] = mail.parts
    assert (part.name, part.type) == ("Re_ Facture F-1042 impayée.eml", "message/rfc822")
    assert part.content == corpus.GMAIL
    assert mail.text == "Voir"


def test_a_text_file_is_a_file_and_not_what_was_written() -> None:
    body = (
        b"--b\r\n\r\nVoir\r\n--b\r\nContent-Type: text/csv; name=a.csv\r\n\r\na;b\r\n"
        b"--b\r\nContent-Type: text/plain\r\nContent-Disposition: attachment; filename=a.csv\r\n\r\nx\r\n--b--"
    )
    mail = simple(b"Content-Type: multipart/mixed; boundary=b\r\n", body)
    assert mail.text == "Voir"
    assert [(p.name, p.type) for p in mail.parts] == [
        ("a.csv", "text/csv"),
        ("a (2).csv", "text/plain"),
    ]


def test_a_zip_bomb_is_a_file_like_any_other() -> None:
    import io
    import zipfile
    from base64 import encodebytes

    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(20_000_000))
    head = b"Content-Type: application/zip; name=z.zip\r\nContent-Transfer-Encoding: base64\r\n"
    mail = simple(head, encodebytes(packed.getvalue()))
    assert [(p.type, p.content) for p in mail.parts] == [("application/zip", packed.getvalue())]


def test_nothing_of_an_email_is_in_its_repr() -> None:
    told = repr(read(corpus.OUTLOOK))
    for secret in ("Durand", "DURAND", "durand", "Bonjour", "commande"):
        assert secret not in told
