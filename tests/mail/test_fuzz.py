"""Whatever the bytes: no exception, nothing unbounded, the same result each time."""

from __future__ import annotations

import importlib.util
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.mail.limits import Limits
from tests.mail import proofs
from tests.mail.checks import checked
from tests.mail.generator import email, mutated

SMALL = Limits(header=400, field=60, depth=2, parts=3, text=50, html=80, snippet=20,
               attachment=30, parties=2, references=2, message=1500)  # fmt: skip


@given(st.binary(max_size=2000))
def test_random_bytes_are_read_or_refused(raw: bytes) -> None:
    assert checked(raw) == checked(raw)


@given(st.text(st.sampled_from('\r\n\0 \t:;=?-_"<>()@,.\\/bQe8éFrom'), max_size=400))
def test_what_looks_like_a_header_is_read(text: str) -> None:
    for coded in (text.encode(), text.encode("latin-1")):
        checked(b"Subject: " + coded)
        checked(b"From: a\r\nTo: " + coded + b"\r\n\r\n" + coded)
        checked(b"Content-Type: " + coded + b"\r\n\r\n" + coded)


@pytest.mark.parametrize("share", range(4))
def test_emails_with_mistakes_are_read_the_same_each_time(share: int) -> None:
    for number in range(share * 25, share * 25 + 25):
        raw = email(random.Random(number))
        assert checked(raw) == checked(raw), number


@given(st.integers(0, 2**32))
def test_emails_with_bytes_changed_are_read(number: int) -> None:
    draw = random.Random(number)
    checked(mutated(draw, email(draw), [email(draw)]))


@given(st.integers(0, 2**32))
def test_the_limits_hold_however_small_they_are(number: int) -> None:
    checked(email(random.Random(number)), SMALL)


def test_the_long_fuzzing_goes_through_emails_and_measures_some() -> None:
    drawn = proofs.drawn_trial(None, "engine", "", random.Random(1), seconds=0.7)
    assert drawn.passed
    assert drawn.done["measured"] > 0
    found = proofs.hypothesis_trial(None, "engine", "", random.Random(1), seconds=0.1, examples=20)
    assert found.passed
    assert found.done["emails"] >= 20


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("atheris") is None, reason="atheris is not installed: pip install it"
)
def test_the_fuzzing_by_coverage_runs() -> None:
    finding = proofs.coverage_trial(None, "engine", "", random.Random(1), seconds=5)
    assert finding.done["emails"] > 10
