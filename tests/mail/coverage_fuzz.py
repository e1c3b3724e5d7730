"""The parser under atheris (libFuzzer): `python -m tests.mail.coverage_fuzz SECONDS SEED`.

Exit code 0 when nothing was found; a finding is in the trace on the standard error, in base64.
"""

from __future__ import annotations

import random
import sys
import tempfile
from pathlib import Path

import atheris  # type: ignore[import-not-found,unused-ignore]  # installed by whoever runs it

with atheris.instrument_imports(include=["chalicelib.mail", "chalicelib.errors"]):
    import chalicelib.mail.parse

from tests.mail import corpus
from tests.mail.checks import checked
from tests.mail.generator import email, mutated

KNOWN = list(corpus.ALL.values())
# Seconds for one input, megabytes for the process, bytes of an input.
TIMEOUT, MEMORY, LONGEST = 20, 1500, 30_000


def one_input(data: bytes) -> None:
    checked(data)


def mutator(data: bytes, longest: int, number: int) -> bytes:
    """Half of the time as libFuzzer would, otherwise with an idea of what an e-mail is."""
    draw = random.Random(number)
    choice = draw.random()
    if choice < 0.5:
        return bytes(atheris.Mutate(data, longest))
    return mutated(draw, email(draw) if choice < 0.6 else data, KNOWN)[:longest]


def main() -> None:
    assert chalicelib.mail.parse.parse
    seconds, number = int(sys.argv[1]), int(sys.argv[2])
    with tempfile.TemporaryDirectory() as folder:
        for name, raw in corpus.ALL.items():
            (Path(folder) / name).write_bytes(raw)
        for n in range(200):
            (Path(folder) / f"drawn-{n}").write_bytes(email(random.Random(n)))
        options = [
            f"-max_total_time={seconds}",
            f"-seed={number}",
            f"-timeout={TIMEOUT}",
            f"-rss_limit_mb={MEMORY}",
            f"-max_len={LONGEST}",
            f"-artifact_prefix={folder}/",
            folder,
        ]
        atheris.Setup([sys.argv[0], *options], one_input, custom_mutator=mutator)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
