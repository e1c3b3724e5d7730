"""The mail of a small business: an answer, an absence notice, a letter that came back, and badly
made messages as every mailbox has them. Pure: bytes as a server holds them."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime

from sandbox import pdf


@dataclass(frozen=True)
class Relance:
    """A relance that left: whom it was for, and the Message-ID (with brackets) that it has."""

    number: str
    address: str
    name: str
    message_id: str


def own_quote(box: str, at: datetime) -> bytes:
    """What the business itself wrote, in its folder of sent mail."""
    text = "Bonjour,\n\nVoici notre devis pour l'escalier.\n\nL. Perrin"
    fields = {"From": f"Menuiserie Perrin <{box}>", "To": "mairie@saint-romain.example"}
    return _mail(fields | {"Subject": "Devis escalier"}, text, at, id="devis-escalier@perrin")


def old_question(box: str, customer: Relance, at: datetime) -> bytes:
    """Received weeks before anybody read the mailbox for the business."""
    fields = {"From": f"{_word(customer.name)} <{customer.address}>", "To": box}
    return _mail(fields | {"Subject": "Vos horaires"}, "Êtes-vous ouverts samedi ?", at, id="q1@x")


def answer(box: str, relance: Relance, at: datetime, text: str, again: int | str = 1) -> bytes:
    """The customer's own words above the relance, quoted as mail programs quote it."""
    quoted = f"{text}\n\nLe 10 mars 2026 à 09:00, Menuiserie Perrin & Fils a écrit :\n"
    quoted += f"> Bonjour,\n> La facture {relance.number} reste impayée à ce jour.\n"
    return _mail(
        {
            "From": f"{_word(relance.name)} <{relance.address}>",
            "To": box,
            "Subject": _word(f"Re: Facture {relance.number} impayée"),
            "In-Reply-To": relance.message_id,
            "References": relance.message_id,
        },
        quoted,
        at,
        id=f"reponse-{again}.{relance.number}@courrier.example",
    )


def absence(box: str, relance: Relance, at: datetime) -> bytes:
    """Outlook's answer of somebody who is on holiday, in Windows' own characters."""
    return _mail(
        {
            "From": f"{_word(relance.name)} <{relance.address}>",
            "To": box,
            "Subject": _word(f"Réponse automatique : Facture {relance.number}"),
            "In-Reply-To": relance.message_id,
            "Auto-Submitted": "auto-replied",
            "X-Auto-Response-Suppress": "All",
        },
        "Bonjour,\n\nJe suis absent du bureau jusqu’au 23 mars.",
        at,
        id=f"oof.{relance.number}@outlook.example",
        charset="windows-1252",
    )


def bounce(box: str, relance: Relance, at: datetime) -> bytes:
    """A delivery report (RFC 3464): there is nobody at the relance's address."""
    host = relance.address.rpartition("@")[2]
    parts = (
        ("text/plain; charset=utf-8", "Votre message n'a pas pu être remis."),
        (
            "message/delivery-status",
            f"Reporting-MTA: dns; mx.{host}\n\nFinal-Recipient: rfc822; {relance.address}\n"
            "Action: failed\nStatus: 5.1.1\nDiagnostic-Code: smtp; 550 5.1.1 User unknown\n",
        ),
        (
            "text/rfc822-headers",
            f"Message-ID: {relance.message_id}\nTo: {relance.address}\nSubject: Facture\n",
        ),
    )
    fields = {
        "From": f"Mail Delivery System <MAILER-DAEMON@mx.{host}>",
        "To": box,
        "Subject": "Undelivered Mail Returned to Sender",
        "Auto-Submitted": "auto-replied",
        "Content-Type": 'multipart/report; report-type=delivery-status; boundary="rapport"',
    }
    return _parts(fields, parts, at, "rapport", id=f"dsn.{relance.number}@mx")


def others(box: str, at: datetime) -> Mapping[str, bytes]:
    """Mail of all kinds that is no customer's, by what it is."""
    to = {"To": box}
    return {
        "newsletter": _mail(
            {
                "From": _word("Le Bois Magazine") + " <lettre@bois-magazine.example>",
                **to,
                "Subject": _word("Essences : le chêne à prix cassé"),
                "List-Id": "<lettre.bois-magazine.example>",
                "List-Unsubscribe": "<https://bois-magazine.example/stop>",
                "Content-Type": "text/html; charset=utf-8",
            },
            "<p>Le chêne</p><script>alert(1)</script>"
            '<img src="https://pisteur.example/1.gif" width=1>',
            at,
            id="n-2026-11@bois-magazine",
        ),
        "without Message-ID": _mail(
            {"From": "scanner@atelier.example", **to, "Subject": _word("Numérisation du copieur")},
            "Page 1.",
            at,
        ),
        # Says UTF-8, and is Windows-1252.
        "wrong charset": _mail(
            {"From": "scierie.moreau@example.org", **to, "Subject": "Livraison lundi",
             "Content-Type": "text/plain; charset=utf-8"},
            "Le chêne est coupé, livré lundi à l’atelier : 1 240 € tout compris.",
            at,
            id="livraison@scierie",
            charset="windows-1252",
        ),
        "invoice": _parts(
            {"From": "compta@quincaillerie-vasseur.example", **to, "Subject": "Facture FA-7731",
             "Content-Type": 'multipart/mixed; boundary="facture"'},
            (
                ("text/plain", "Ci-joint notre facture."),
                (
                    "application/octet-stream\nContent-Transfer-Encoding: base64\n"
                    "Content-Disposition: attachment; filename*=UTF-8''..%2F..%2F"
                    "Facture%20n%C2%B0%207731.pdf",
                    _base64(pdf.page(["Quincaillerie Vasseur", "Facture FA-7731 : 318,40 €"])),
                ),
            ),
            at,
            "facture",
            id="fa-7731@vasseur",
        ),
        "winmail.dat": _parts(
            {"From": "direction@bati-ouest.example", **to, "Subject": "Plans du chantier",
             "Content-Type": 'multipart/mixed; boundary="plans"'},
            (
                ("text/plain", "Les plans."),
                (
                    "application/ms-tnef; name=winmail.dat\nContent-Transfer-Encoding: base64\n"
                    "Content-Disposition: attachment; filename=winmail.dat",
                    _base64(b"\x78\x9f\x3e\x22\x01\x00" + bytes(range(64))),
                ),
            ),
            at,
            "plans",
            id="plans@bati-ouest",
        ),
        # Cut off: the last boundary never comes, as after a broken transfer.
        "broken boundary": _parts(
            {"From": "chantier@bati-ouest.example", **to, "Subject": "Photos",
             "Content-Type": 'multipart/mixed; boundary="photos"'},
            (("text/plain", "Photos de la terrasse."), ("image/png", "iVBORw0KGgo")),
            at,
            "photos",
            id="photos@bati-ouest",
        ).partition(b"--photos--")[0],
        "one Message-ID, first": _mail(
            {"From": "alarme@telesurveillance.example", **to, "Subject": "Alarme : porte nord"},
            "Ouverture 02:14", at, id="alarme@boitier",
        ),
        "one Message-ID, second": _mail(
            {"From": "alarme@telesurveillance.example", **to, "Subject": "Alarme : porte sud"},
            "Ouverture 02:15", at, id="alarme@boitier",
        ),
    }  # fmt: skip


def _mail(
    fields: Mapping[str, str], text: str, at: datetime, *, id: str = "", charset: str = "utf-8"
) -> bytes:
    head = {"Content-Type": f"text/plain; charset={charset}", **fields}
    return _head(head, at, id) + text.replace("\n", "\r\n").encode(charset)


def _parts(
    fields: Mapping[str, str],
    parts: tuple[tuple[str, str], ...],
    at: datetime,
    boundary: str,
    *,
    id: str,
) -> bytes:
    written = "".join(f"--{boundary}\nContent-Type: {head}\n\n{body}\n" for head, body in parts)
    body = f"{written}--{boundary}--\n"
    return _head(fields, at, id) + body.replace("\n", "\r\n").encode()


def _head(fields: Mapping[str, str], at: datetime, id: str) -> bytes:
    every = {"Date": format_datetime(at), "MIME-Version": "1.0", **fields}
    if id:
        every["Message-ID"] = f"<{id}>"
    return "".join(f"{name}: {value}\r\n" for name, value in every.items()).encode() + b"\r\n"


def _word(text: str) -> str:
    """As an encoded word (RFC 2047) where it is not ASCII, or has what a display name may not."""
    if text.isascii() and all(c.isalnum() or c in " -" for c in text):
        return text
    return f"=?utf-8?B?{_base64(text.encode())}?="


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()
