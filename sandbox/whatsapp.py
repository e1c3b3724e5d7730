"""A WhatsApp sandbox on its own, until it is stopped:

`python -m sandbox.whatsapp twilio --folder DIR [--port 0] [--url-file FILE] [--control FILE]`.
"""

from __future__ import annotations

import argparse
import signal
import threading
from pathlib import Path

from sandbox import contracts
from sandbox.whatsapp_meta import MetaSandbox
from sandbox.whatsapp_twilio import TwilioSandbox


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m sandbox.whatsapp", description=__doc__)
    parser.add_argument("provider", choices=("twilio", "meta"))
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--url-file", type=Path, help="what open_whatsapp takes, once it answers")
    parser.add_argument("--control", type=Path, help="JSON list of faults, read at each request")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--contract", action="store_true", help="refuse what the document refuses")
    options = parser.parse_args()
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    folder = contracts.folder() if options.contract else None
    if options.contract and folder is None:
        parser.error("the providers' documents are not here: set PONCTUEL_CONTRACTS")
    name, kind = (
        (contracts.TWILIO, TwilioSandbox)
        if options.provider == "twilio"
        else (contracts.META, MetaSandbox)
    )
    with kind(
        options.folder,
        port=options.port,
        seed=options.seed,
        control=options.control,
        contract=contracts.contract(folder / name) if folder else None,
    ) as server:
        print(f"{options.provider} sandbox on {server.base_url}, journal in {options.folder}")
        if options.url_file is not None:
            part = options.url_file.with_suffix(".part")
            part.write_text(server.url)
            part.replace(options.url_file)
        stopped.wait()


if __name__ == "__main__":
    main()
