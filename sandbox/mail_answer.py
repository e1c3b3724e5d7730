"""Somebody answers an e-mail of ours in the mailbox of `make serve`, with its settings at hand:

`python -m sandbox.mail_answer 12 "Bonjour, le virement part lundi."`. 12 is the message's number.
"""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime

from sqlalchemy import text

from chalicelib.db.engine import make_engine, transaction
from chalicelib.errors import PonctuelError
from chalicelib.settings import settings
from sandbox.imap import deliver_to
from sandbox.sample_mailbox import Relance, answer

_MESSAGE = text("""
SELECT COALESCE(m.content->>'number', m.subject) AS number, m.contact, m.message_id,
       COALESCE(c.name, m.contact) AS name
  FROM ponctuel.messages m
  LEFT JOIN ponctuel.customers c ON c.business_id = m.business_id AND c.id = m.person
 WHERE m.id = :id AND m.channel = 'email' AND m.message_id IS NOT NULL
""")
_MAILBOX = text("""
SELECT b.address, b.port FROM ponctuel.mailboxes b
  JOIN ponctuel.messages m ON m.business_id = b.business_id
 WHERE m.id = :id AND b.host = '127.0.0.1'
""")


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m sandbox.mail_answer", description=__doc__)
    parser.add_argument("message", metavar="NUMÉRO", type=int, help="voyez ./ponctuel messages")
    parser.add_argument("text", metavar="TEXTE", nargs="+")
    options = parser.parse_args(argv)
    try:
        engine = make_engine(settings().database_url.url, application="sandbox")
        with transaction(engine) as connection:
            sent = connection.execute(_MESSAGE, {"id": options.message}).first()
            box = connection.execute(_MAILBOX, {"id": options.message}).first()
        engine.dispose()
        if sent is None or box is None:
            print("Ce message n'est pas un e-mail parti d'une entreprise qui a une boîte ici (B1).")
            return 1
        relance = Relance(sent.number, sent.contact, sent.name, sent.message_id)
        now = datetime.now(UTC)
        content = answer(box.address, relance, now, " ".join(options.text), now.strftime("%s"))
        deliver_to(box.port, box.address, [("INBOX", content, now)])
    except PonctuelError as error:
        print(f"Erreur : {error} (`source var/serve/env` d'abord)", file=sys.stderr)
        return 1
    except OSError:
        print("Le serveur IMAP ne répond pas : lancez `make serve`.", file=sys.stderr)
        return 1
    print("Reçu. Pour le lire tout de suite : ./ponctuel run inbox_sync")
    return 0


if __name__ == "__main__":
    sys.exit(main())
