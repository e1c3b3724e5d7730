"""Bounces, automatic answers, lists: what no person wrote to us."""

# ruff: noqa: E501 - lines of e-mails are as they are
from __future__ import annotations

import pytest

from chalicelib.mail.delivery_status import failed_recipients
from chalicelib.mail.parse import parse
from chalicelib.mail.parsed import Failed, ParsedMail
from tests.mail import corpus
from tests.mail.checks import RECEIVED, checked

ORIGINAL = b"""Message-ID: <relance-7@plombier.fr>
From: contact@plombier.fr
To: parti@client.fr
Subject: Facture F-7

Bonjour
"""


def read(fields: str, body: str = "x") -> ParsedMail:
    raw = (fields + "\n\n" + body).replace("\n", "\r\n").encode()
    assert checked(raw) is not None
    return parse(raw, received=RECEIVED)


def report(
    status: bytes, original: bytes = ORIGINAL, kind: bytes = b"message/rfc822"
) -> ParsedMail:
    """A delivery status report as Postfix makes it, for Orange, Free and OVH."""
    raw = corpus.crlf(
        b"""Return-Path: <>
From: MAILER-DAEMON@smtp.orange.fr (Mail Delivery System)
To: contact@plombier.fr
Subject: Undelivered Mail Returned to Sender
Auto-Submitted: auto-replied
Content-Type: multipart/report; report-type=delivery-status; boundary="r"

--r
Content-Description: Notification

This is the mail system at host smtp.orange.fr.

--r
Content-Type: message/delivery-status

Reporting-MTA: dns; smtp.orange.fr
Arrival-Date: Mon,  2 Mar 2026 10:00:00 +0100

"""
        + status
        + b"\n--r\nContent-Type: "
        + kind
        + b"\n\n"
        + original
        + b"\n--r--\n"
    )
    assert checked(raw) is not None
    return parse(raw, received=RECEIVED)


def test_a_report_of_failure_names_whom_it_did_not_reach_and_the_message() -> None:
    mail = report(
        b"Final-Recipient: rfc822; Parti@client.fr\nOriginal-Recipient: rfc822;parti@Client.fr\n"
        b"Action: failed\nStatus: 5.1.1\nDiagnostic-Code: smtp; 550 5.1.1 unknown\n"
    )
    assert mail.nature == "bounce"
    assert mail.bounce is not None
    assert mail.bounce.recipients == [Failed("parti@client.fr", "5.1.1", True, gave_up=True)]
    assert mail.bounce.message_ids == ["relance-7@plombier.fr"]
    assert [part.type for part in mail.parts] == ["message/rfc822"]


@pytest.mark.parametrize("kind", [b"text/rfc822-headers", b"message/rfc822-headers"])
def test_a_report_may_quote_the_header_only(kind: bytes) -> None:
    mail = report(b"Final-Recipient: rfc822; a@b.fr\nAction: failed\nStatus: 5.0.0\n", kind=kind)
    assert mail.bounce is not None
    assert mail.bounce.message_ids == ["relance-7@plombier.fr"]


@pytest.mark.parametrize(
    ("group", "failed"),
    [
        (
            b"Final-Recipient: rfc822;a@b.fr\nAction: delayed\nStatus: 4.4.1",
            Failed("a@b.fr", "4.4.1", False),
        ),
        (
            b"Final-Recipient: rfc822;a@b.fr\nAction: failed\nStatus: 4.4.7",
            Failed("a@b.fr", "4.4.7", False, gave_up=True),
        ),
        (
            b"Final-Recipient: rfc822;<a@b.fr>\nAction: Failed (x)\nStatus: 5.2.2 (full)",
            Failed("a@b.fr", "5.2.2", True, gave_up=True),
        ),
        (
            b"final-recipient:RFC822;a@b.fr\naction:failed\nDiagnostic-Code: smtp;\n 550 No",
            Failed("a@b.fr", "5.0.0", True, gave_up=True),
        ),
        (b"Final-Recipient: a@b.fr\nAction: failed", Failed("a@b.fr", "5.0.0", True, gave_up=True)),
        (
            b"Original-Recipient: x400;C=FR\nFinal-Recipient: rfc822;a@b.fr\nAction: failed\nStatus: 5.1.1",
            Failed("a@b.fr", "5.1.1", True, gave_up=True),
        ),
    ],
)
def test_a_recipient_is_failed_for_good_or_for_now(group: bytes, failed: Failed) -> None:
    assert failed_recipients(b"Reporting-MTA: dns; x\n\n" + group + b"\n") == ([failed], True)


def test_several_recipients_are_told_apart_and_who_was_reached_is_none() -> None:
    mail = report(
        b"Final-Recipient: rfc822; a@b.fr\nAction: failed\nStatus: 5.1.1\n\n"
        b"Final-Recipient: rfc822; c@d.fr\nAction: delivered\nStatus: 2.0.0\n\n"
        b"Final-Recipient: rfc822; e@f.fr\nAction: delayed\nStatus: 4.2.2\n"
    )
    assert mail.bounce is not None
    assert [(r.email, r.permanent) for r in mail.bounce.recipients] == [
        ("a@b.fr", True),
        ("e@f.fr", False),
    ]


def test_a_report_that_everybody_was_reached_is_no_bounce() -> None:
    mail = report(b"Final-Recipient: rfc822; a@b.fr\nAction: delivered\nStatus: 2.0.0\n")
    assert (mail.nature, mail.bounce) == ("auto_reply", None)


QMAIL = """Hi. This is the qmail-send program at mail.example.fr.
I'm afraid I wasn't able to deliver your message to the following addresses.
This is a permanent error; I've given up. Sorry it didn't work out.

<parti@client.fr>:
192.0.2.1 does not like recipient.
Remote host said: 550 5.1.1 User unknown

--- Below this line is a copy of the message.

Return-Path: <contact@plombier.fr>
Message-ID: <relance-7@plombier.fr>
To: parti@client.fr, autre@client.fr
"""
EXIM = """This message was created automatically by mail delivery software.

A message that you sent could not be delivered to one or more of its
recipients. This is a permanent error. The following address(es) failed:

  parti@client.fr
    host mx.client.fr [192.0.2.1]
    SMTP error from remote mail server after RCPT TO:<parti@client.fr>:
    550 5.1.1 no such user

------ This is a copy of the message, including all the headers. ------

Message-ID: <relance-7@plombier.fr>
"""
EXCHANGE = """Échec de la remise à ces destinataires ou groupes :

parti@client.fr<mailto:parti@client.fr>
L’adresse que vous avez entrée est introuvable.

Informations de diagnostic pour les administrateurs :
Serveur de génération : client.fr
parti@client.fr
mx.client.fr #550 5.1.10 RESOLVER.ADR.RecipientNotFound ##

En-têtes du message d’origine :

From: <contact@plombier.fr>
Message-ID: <relance-7@plombier.fr>
"""
GMAIL = """** Adresse introuvable **

Votre message n'est pas parvenu à parti@client.fr, car l'adresse est introuvable.

The response from the remote server was:
550 5.1.1 The email account that you tried to reach does not exist.
"""


@pytest.mark.parametrize(
    ("fields", "body", "status"),
    [
        (
            "Return-Path: <>\nFrom: MAILER-DAEMON@mail.example.fr\nSubject: failure notice",
            QMAIL,
            "5.1.1",
        ),
        (
            "From: Mail Delivery System <Mailer-Daemon@x.fr>\nX-Failed-Recipients: parti@client.fr\n"
            "Subject: Mail delivery failed: returning message to sender",
            EXIM,
            "5.1.1",
        ),
        (
            "From: Microsoft Outlook <MicrosoftExchange329e@client.fr>\nSubject: Non remis : Facture F-7",
            EXCHANGE,
            "5.1.10",
        ),
        (
            "From: Mail Delivery Subsystem <mailer-daemon@googlemail.com>\nIn-Reply-To: <relance-7@plombier.fr>\n"
            "X-Failed-Recipients: parti@client.fr\nSubject: Delivery Status Notification (Failure)",
            GMAIL,
            "5.1.1",
        ),
        (
            "Return-Path: <>\nFrom: Postmaster <postmaster@free.fr>\nSubject: Message non distribué",
            "Votre message n'a pas pu être distribué à <parti@client.fr> : boîte inconnue.\n"
            "Message-ID: <relance-7@plombier.fr>",
            "5.0.0",
        ),
    ],
)
def test_what_servers_write_without_a_report_is_understood(
    fields: str, body: str, status: str
) -> None:
    mail = read(fields + "\nContent-Type: text/plain; charset=utf-8", body)
    assert mail.nature == "bounce"
    assert mail.bounce is not None
    assert mail.bounce.recipients == [Failed("parti@client.fr", status, True, gave_up=True)]
    assert mail.bounce.message_ids == ["relance-7@plombier.fr"]


def test_a_warning_of_delay_is_not_for_good() -> None:
    mail = read(
        "Return-Path: <>\nFrom: MAILER-DAEMON@x.fr\nSubject: Delayed Mail (still being retried)",
        "This is the mail system at host x.fr.\nYour message has not yet been delivered to "
        "<a@b.fr>: connect timed out",
    )
    assert mail.bounce is not None
    assert mail.bounce.recipients == [Failed("a@b.fr", "4.0.0", False)]


@pytest.mark.parametrize(
    ("fields", "body"),
    [
        (
            "From: jean@client.fr\nSubject: Re: Undelivered Mail Returned to Sender",
            "Vous avez vu cela ?",
        ),
        ("From: jean@client.fr\nSubject: colis", "Address not found, dit le livreur. a@b.fr"),
        ("Return-Path: <>\nFrom: jean@client.fr\nSubject: bonjour", "Ça va ? a@b.fr"),
        ("From: postmaster@client.fr\nSubject: Nouvelle adresse", "Écrivez à a@b.fr"),
    ],
)
def test_a_person_who_speaks_of_bounces_makes_none(fields: str, body: str) -> None:
    assert read(fields, body).nature == "mail"


@pytest.mark.parametrize(
    ("fields", "nature"),
    [
        ("Auto-Submitted: auto-replied", "auto_reply"),
        ("Auto-Submitted: auto-replied (vacation)\nPrecedence: bulk\nList-Id: <x>", "auto_reply"),
        ("Auto-Submitted: auto-generated", "auto_reply"),
        ("Auto-Submitted: no", "mail"),
        ("X-Autoreply: yes", "auto_reply"),
        ("Precedence: auto_reply", "auto_reply"),
        ("Subject: Réponse automatique : Devis\nX-Auto-Response-Suppress: All", "auto_reply"),
        ("Subject: Automatic reply: x\nReturn-Path: <>", "auto_reply"),
        ("Subject: Absence du bureau\nPrecedence: bulk", "auto_reply"),
        ("Subject: Absence de chauffage", "mail"),
        ("Subject: Réponse automatique : Devis", "mail"),
        ("X-Auto-Response-Suppress: All", "mail"),
        ("Return-Path: <>", "mail"),
        ("List-Unsubscribe: <https://x.fr>", "list"),
        ("List-Id: <x>\nAuto-Submitted: auto-generated", "list"),
        ("Precedence: list", "list"),
        (
            "Content-Type: multipart/report; report-type=disposition-notification; boundary=b",
            "auto_reply",
        ),
    ],
)
def test_what_a_machine_wrote_is_told_by_what_only_machines_say(fields: str, nature: str) -> None:
    assert read("From: a@x.fr\n" + fields, "--b\n\nx\n--b--").nature == nature
