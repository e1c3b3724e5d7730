"""The floor of sending e-mails: a bare smtplib loop over kept connections, without a database.

`python -m bench.smtp_floor PORT CONNECTIONS FOLDER` sends the .eml files of the folder, which are
read before the clock starts: nothing is composed, recorded or asked.
"""

from __future__ import annotations

import smtplib
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench.processes import Stopwatch
from sandbox.smtp_journal import read_journal


def main(port: int, connections: int, folder: Path) -> None:
    letters = [
        (entry.sender, entry.recipients, (folder / entry.file).read_bytes())
        for entry in read_journal(folder)
    ]

    def send(mine: Sequence[tuple[str, Sequence[str], bytes]]) -> None:
        with smtplib.SMTP("127.0.0.1", port) as server:
            for sender, recipients, content in mine:
                server.sendmail(sender, recipients, content)

    with ThreadPoolExecutor(connections) as pool, Stopwatch():
        list(pool.map(send, [letters[first::connections] for first in range(connections)]))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
