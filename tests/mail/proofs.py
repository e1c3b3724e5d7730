"""The parser fuzzed at length, for `make prove`: by drawing e-mails with mistakes, by Hypothesis,
and by atheris, which looks for bytes that reach code that no bytes have reached."""

from __future__ import annotations

import importlib.util
import random
import re
import subprocess
import sys
import time
import tracemalloc
from collections import Counter

from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from chalicelib.errors import Unreadable
from chalicelib.mail.parse import parse
from tests.harness import Deployment
from tests.mail import corpus
from tests.mail.checks import RECEIVED, checked
from tests.mail.generator import email, mutated
from tests.reliability.trial import Finding

SECONDS = 30
# Bytes that reading may take, whatever comes, and for each byte of the e-mail.
MOST_MEMORY, MEMORY_PER_BYTE = 30_000_000, 40
KNOWN = list(corpus.ALL.values())


def drawn_trial(
    deployment: Deployment | None,
    job: str,
    case: str,
    draw: random.Random,
    *,
    seconds: float = SECONDS,
) -> Finding:
    """E-mails of the generator and of the corpus, whole and with bytes changed; what one in twenty
    needs of memory is measured."""
    done, end = Counter[str](), time.monotonic() + seconds
    while time.monotonic() < end:
        raw = email(draw) if draw.random() < 0.7 else draw.choice(KNOWN)
        if draw.random() < 0.6:
            raw = mutated(draw, raw, KNOWN)
        checked(raw)
        done["emails"] += 1
        if done["emails"] % 20 == 0:
            _memory_is_bounded(raw)
            done["measured"] += 1
    done["seconds"] = round(seconds)
    return Finding(Counter(), done=done)


def hypothesis_trial(
    deployment: Deployment | None,
    job: str,
    case: str,
    draw: random.Random,
    *,
    seconds: float = SECONDS,
    examples: int = 300,
) -> Finding:
    """What Hypothesis comes up with, and shrinks when it finds something."""
    done, end = Counter[str](), time.monotonic() + seconds
    raws = st.one_of(
        st.binary(max_size=4000),
        st.text(max_size=2000).map(lambda text: text.encode("utf-8", "surrogatepass")),
        st.lists(st.sampled_from(_tokens()), max_size=80).map(b"".join),
        st.builds(
            lambda one, other, at, to: one[: at % len(one)] + other[to % len(other) :],
            st.sampled_from(KNOWN),
            st.sampled_from(KNOWN),
            st.integers(0, 10**5),
            st.integers(0, 10**5),
        ),
        st.randoms(use_true_random=False).map(lambda r: mutated(r, email(r), KNOWN)),
    )

    @settings(
        max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(raws)
    def holds(raw: bytes) -> None:
        assert checked(raw) == checked(raw)
        done["emails"] += 1

    while time.monotonic() < end:
        seed(draw.getrandbits(64))(holds)()
    done["seconds"] = round(seconds)
    return Finding(Counter(), done=done)


def coverage_trial(
    deployment: Deployment | None,
    job: str,
    case: str,
    draw: random.Random,
    *,
    seconds: int = SECONDS,
) -> Finding:
    """atheris in a process of its own, where it is installed (`pip install atheris`): it is no
    requirement, for it has wheels for few systems."""
    if importlib.util.find_spec("atheris") is None:
        return Finding(Counter(), done=Counter(skipped_because_atheris_is_not_installed=1))
    command = [sys.executable, "-m", "tests.mail.coverage_fuzz", str(seconds)]
    done = subprocess.run(
        [*command, str(draw.randrange(1, 2**31))],
        capture_output=True,
        text=True,
        timeout=seconds + 60,
        check=False,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    runs = re.search(r"Done (\d+) runs", done.stderr)
    assert runs is not None, done.stderr[-2000:]
    return Finding(Counter(), done=Counter(emails=int(runs[1]), seconds=seconds))


def _memory_is_bounded(raw: bytes) -> None:
    tracemalloc.start()
    try:
        parse(raw, received=RECEIVED)
    except Unreadable:
        return
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < MOST_MEMORY + MEMORY_PER_BYTE * len(raw), f"{peak} bytes for {len(raw)}"


def _tokens() -> list[bytes]:
    """Lines of the corpus, and what means something to a parser."""
    lines = {line for raw in KNOWN for line in raw.splitlines(keepends=True)}
    special = [
        b"\r\n",
        b"\n",
        b"\r",
        b"\0",
        b"--",
        b"=?utf-8?Q?",
        b"?=",
        b'"',
        b"<",
        b">",
        b"=\r\n",
        b"\r\n\r\n",
        b"\xff\xfe",
        b"\xc3",
        b"Content-Type: multipart/mixed; boundary=b\r\n",
        b"--b\r\n",
        b"--b--",
        b"<blockquote>",
        b"<table>",
        b"&#0;",
        b"Subject: ",
        b";",
        b"*0*=",
    ]
    return [*sorted(lines), *special]
