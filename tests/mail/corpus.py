"""E-mails as French small businesses get them: from Orange, Gmail, Outlook, an iPhone, a bank…"""

# ruff: noqa: E501, W291 - e-mails are as they are
from __future__ import annotations

import quopri
from base64 import encodebytes

PDF = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n" + bytes(range(256)) * 20
PNG = b"\x89PNG\r\n\x1a\n" + bytes(200)
TOP = b"""Return-Path: <%(from)s>
Received: from smtp.example.fr (smtp.example.fr [192.0.2.1])
\tby mx.example.fr (Postfix) with ESMTPS id 4Q7; Mon,  2 Mar 2026 10:00:02 +0100 (CET)
Date: Mon, 2 Mar 2026 10:00:00 +0100
Message-ID: <%(id)s>
MIME-Version: 1.0
"""


def top(sender: bytes, number: bytes) -> bytes:
    return TOP % {b"from": sender, b"id": number + b"@example.fr"}


def crlf(text: bytes) -> bytes:
    return text.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def qp(text: str, charset: str = "utf-8") -> bytes:
    return quopri.encodestring(text.encode(charset))


# Orange's webmail: windows-1252 that says iso-8859-1, a From without name, text and HTML.
ORANGE = crlf(
    top(b"martine.leblanc@orange.fr", b"orange")
    + b"""From: martine.leblanc@orange.fr
To: contact@plombier.fr
Subject: =?iso-8859-1?Q?Re=3A_Devis_n=B0_12_=96_salle_d=92eau?=
In-Reply-To: <devis-12@plombier.fr>
References: <devis-12@plombier.fr>
Content-Type: multipart/alternative; boundary="----=_Part_1_22.33"

------=_Part_1_22.33
Content-Type: text/plain; charset=ISO-8859-1
Content-Transfer-Encoding: quoted-printable

"""
    + qp(
        "Bonjour,\n\nC’est d’accord pour 1 250 €.\nÀ lundi !\n\n> Message du 01/03/26 18:02\n"
        "> De : contact@plombier.fr\n> Bonjour Madame,\n",
        "cp1252",
    )
    + b"""
------=_Part_1_22.33
Content-Type: text/html; charset=ISO-8859-1
Content-Transfer-Encoding: quoted-printable

"""
    + qp(
        "<p>C’est d’accord pour <b>1 250 €</b>.</p><blockquote>Bonjour Madame</blockquote>",
        "cp1252",
    )
    + b"\n------=_Part_1_22.33--\n"
)

# Gmail: attribution folded over two lines, format=flowed, base64 HTML.
GMAIL = crlf(
    top(b"jean.petit@gmail.com", b"gmail")
    + """From: =?UTF-8?Q?Jean=2DFran=C3=A7ois_Petit?= <jean.petit@gmail.com>
To: "Leblanc, Plomberie" <contact@plombier.fr>
Cc: compta@plombier.fr
Subject: =?UTF-8?Q?Re=3A_Facture_F=2D1042_impay=C3=A9e?=
In-Reply-To: <relance-1@plombier.fr>
Content-Type: multipart/alternative; boundary="000000000000abc"

--000000000000abc
Content-Type: text/plain; charset="UTF-8"; format=flowed; delsp=yes
Content-Transfer-Encoding: 8bit

Bonjour, le virement est parti ce matin, vous devriez le  
recevoir mercredi.

Cordialement,
Jean-François

Le lun. 2 mars 2026 à 09:12, Plomberie Leblanc <contact@plombier.fr>
a écrit :

> Bonjour,
> votre facture F-1042 reste impayée.
""".encode()
    + b"""
--000000000000abc
Content-Type: text/html; charset="UTF-8"
Content-Transfer-Encoding: base64

"""
    + encodebytes(
        '<div dir="ltr">Bonjour, le virement est parti ce matin.<br></div><br><div class="gmail_quote">'
        "<div>Le lun. 2 mars 2026 à 09:12, Plomberie Leblanc a écrit :</div><blockquote>Bonjour,</blockquote>"
        "</div>".encode()
    )
    + b"\n--000000000000abc--\n"
)

# Outlook: HTML of Word, its picture beside it, a PDF whose name is in RFC 2231 and in RFC 2047.
OUTLOOK = crlf(
    top(b"c.durand@durand-sarl.fr", b"outlook")
    + b"""From: =?iso-8859-1?Q?C=E9line_DURAND?= <c.durand@durand-sarl.fr>
To: Plomberie Leblanc <contact@plombier.fr>
Subject: TR: Bon de commande
X-MS-Has-Attach: yes
Content-Type: multipart/mixed; boundary="_005_AM0"

--_005_AM0
Content-Type: multipart/related; boundary="_004_AM0"; type="text/html"

--_004_AM0
Content-Type: text/html; charset="iso-8859-1"
Content-Transfer-Encoding: quoted-printable

"""
    + qp(
        """<html xmlns:o="urn:schemas-microsoft-com:office:office"><head><style>p.MsoNormal{margin:0}
</style></head><body lang=FR><p class=MsoNormal>Bonjour,<o:p></o:p></p><p>Ci-joint le bon signé.</p>
<p><img src="cid:image001.png@01D"> <img src="https://pixel.example.com/o.gif" alt="" width=1></p>
<p>Céline</p><div style='border-top:solid #E1E1E1'><p><b>De&nbsp;:</b> Plomberie Leblanc<br>
<b>Envoyé&nbsp;:</b> lundi 2 mars 2026 08:00<br><b>À&nbsp;:</b> Céline DURAND<br>
<b>Objet&nbsp;:</b> Bon de commande</p></div><p>Bonjour Madame</p></body></html>""",
        "cp1252",
    )
    + b"""
--_004_AM0
Content-Type: image/png; name="image001.png"
Content-Disposition: inline; filename="image001.png"; size=208
Content-ID: <image001.png@01D>
Content-Transfer-Encoding: base64

"""
    + encodebytes(PNG)
    + b"""
--_004_AM0--

--_005_AM0
Content-Type: application/octet-stream;
 name="=?iso-8859-1?Q?Bon_de_commande_sign=E9.pdf?="
Content-Disposition: attachment;
 filename*0*=iso-8859-1''Bon%20de%20commande;
 filename*1*=%20sign%E9.pdf
Content-Transfer-Encoding: base64

"""
    + encodebytes(PDF)
    + b"""
--_005_AM0
Content-Type: application/ms-tnef; name="winmail.dat"
Content-Disposition: attachment; filename="winmail.dat"
Content-Transfer-Encoding: base64

"""
    + encodebytes(b"\x78\x9f\x3e\x22" + bytes(50))
    + b"\n--_005_AM0--\n"
)

# An iPhone: text, photograph, text.
IPHONE = crlf(
    top(b"luc@icloud.com", b"iphone")
    + b"""From: Luc <luc@icloud.com>
To: contact@plombier.fr
Subject: Fuite
X-Mailer: iPhone Mail (22G86)
Content-Type: multipart/mixed; boundary=Apple-Mail-1

--Apple-Mail-1
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: quoted-printable

Voici la photo=C2=A0:

--Apple-Mail-1
Content-Type: image/jpeg; name=IMG_0042.jpeg
Content-Disposition: inline; filename=IMG_0042.jpeg
Content-Transfer-Encoding: base64

"""
    + encodebytes(b"\xff\xd8\xff\xe0" + bytes(100))
    + b"""
--Apple-Mail-1
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: quoted-printable


Vous pouvez passer=C2=A0?

Envoy=C3=A9 de mon iPhone

--Apple-Mail-1--
"""
)

# A newsletter: HTML only, pixel, list headers.
MARKETING = crlf(
    top(b"bounce-1@news.example.com", b"news")
    + """From: "Bricolage & Cie" <news@news.example.com>
To: contact@plombier.fr
Subject: =?utf-8?B?8J+UpyAtMjAlIHN1ciBs4oCZb3V0aWxsYWdl?=
List-Unsubscribe: <https://news.example.com/u/1>, <mailto:u@news.example.com>
List-Id: <news.example.com>
Precedence: bulk
Content-Type: text/html; charset=utf-8
Content-Transfer-Encoding: 8bit

<html><body><div style="display:none">Vite, plus que 2 jours</div>
<table><tr><td><h1>–20 % sur l’outillage</h1></td></tr>
<tr><td><a href="https://news.example.com/c?x=1&y=2">J’en profite</a></td></tr></table>
<script>track()</script><img src="https://news.example.com/o.gif?u=1"></body></html>
""".encode()
)

# A bank: an invoice's PDF alone, without any text, and no MIME multipart at all.
SCANNER = crlf(
    top(b"scan@copieur.local", b"scan")
    + b"""From: scan@copieur.local
To: contact@plombier.fr
Subject: Message from KM_C258
Content-Type: application/pdf; name="SKM_C258.pdf"
Content-Transfer-Encoding: base64

"""
    + encodebytes(PDF)
)

# An invitation to a meeting.
CALENDAR = crlf(
    top(b"c.durand@durand-sarl.fr", b"calendar")
    + b"""From: c.durand@durand-sarl.fr
To: contact@plombier.fr
Subject: Chantier
Content-Type: multipart/alternative; boundary=c

--c
Content-Type: text/plain

Rendez-vous sur place.
--c
Content-Type: text/calendar; charset=utf-8; method=REQUEST

BEGIN:VCALENDAR
METHOD:REQUEST
BEGIN:VEVENT
END:VEVENT
END:VCALENDAR
--c--
"""
)

# A program of 2003: no MIME, 8-bit everywhere, no Message-ID, no zone.
UGLY = (
    "From: société <vieux@logiciel.fr>\nTo: Équipe\nSubject: Relevé d'été n° 7\n"
    "Date: Mon, 2 Mar 2026 10:00:00\n\nCi-après le relevé.\nTotal : 7 €\n"
).encode("cp1252")

ALL = {
    "orange": ORANGE,
    "gmail": GMAIL,
    "outlook": OUTLOOK,
    "iphone": IPHONE,
    "marketing": MARKETING,
    "scanner": SCANNER,
    "calendar": CALENDAR,
    "ugly": UGLY,
}
