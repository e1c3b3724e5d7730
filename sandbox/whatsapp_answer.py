"""Somebody answers on WhatsApp, at Twilio's sandbox of `make serve`, with its settings at hand:

`python -m sandbox.whatsapp_answer +33639980001 STOP`.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from chalicelib.errors import PonctuelError
from chalicelib.settings import settings
from sandbox.whatsapp_twilio import TwilioSandbox

INBOUND = "/webhooks/twilio/inbound"


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m sandbox.whatsapp_answer", description=__doc__)
    parser.add_argument("number", metavar="NUMÉRO", help="de qui répond, en +33…")
    parser.add_argument("text", metavar="TEXTE", nargs="+")
    options = parser.parse_args(argv)
    try:
        public_url = settings().public_url
        if public_url is None:
            print("PUBLIC_URL manque : `source var/serve/env` d'abord.", file=sys.stderr)
            return 1
        status = answer(public_url, options.number, " ".join(options.text))
    except PonctuelError as error:
        print(f"Erreur : {error}", file=sys.stderr)
        return 1
    except OSError:
        print(f"Personne ne répond sur {public_url} : lancez `make serve`.", file=sys.stderr)
        return 1
    print("Reçu." if status == 200 else f"Refusé : HTTP {status}.")
    return 0 if status == 200 else 1


def answer(public_url: str, number: str, text: str) -> int:
    """Posts what Twilio posts when `number` (E.164) writes, signed; returns the HTTP status."""
    with TemporaryDirectory() as folder:
        status, _ = (
            TwilioSandbox(Path(folder)).inbound(f"{public_url}{INBOUND}", number, text).send()
        )
    return status


if __name__ == "__main__":
    sys.exit(main())
