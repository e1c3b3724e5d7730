"""What IMAP servers say, read token by token, and all at once where it is plain."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from imapclient.response_parser import parse_response

from chalicelib.providers.imap.conversation import Response
from chalicelib.providers.imap.fetch import _told
from chalicelib.providers.imap.tokens import (
    MOST_DEPTH,
    Literal,
    Unreadable,
    Value,
    moment,
    number,
    numbers,
    uid_sets,
    values,
)

ATOM = st.from_regex(rb"[A-Za-z0-9$.\\-]{1,12}", fullmatch=True).filter(
    lambda atom: atom.upper() != b"NIL"
)
STRING = st.binary(max_size=20).map(lambda raw: raw.replace(b"\r", b"").replace(b"\n", b""))
TREE = st.recursive(ATOM | STRING.map(lambda s: (s,)) | st.none(), st.lists, max_leaves=20)


def written(value: object) -> bytes:
    """As a server would: a tuple stands for a quoted string."""
    if value is None:
        return b"NIL"
    if isinstance(value, tuple):
        return b'"' + value[0].replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'
    if isinstance(value, list):
        return b"(" + b" ".join(map(written, value)) + b")"
    assert isinstance(value, bytes)
    return value


def plain(value: object) -> object:
    if isinstance(value, list):
        return [plain(one) for one in value]
    return value[0] if isinstance(value, tuple) else value


@given(st.lists(TREE, max_size=5))
def test_what_is_written_is_read(tree: list[object]) -> None:
    text = b" ".join(map(written, tree))
    assert values([text]) == [plain(one) for one in tree]


@given(st.lists(ATOM.filter(lambda a: not a.isdigit()) | st.lists(ATOM), min_size=1, max_size=5))
def test_imapclient_reads_the_same(tree: list[object]) -> None:
    def listed(value: object) -> object:
        if isinstance(value, tuple):
            return [listed(one) for one in value]
        return str(value).encode() if isinstance(value, int) else value

    text = b" ".join(map(written, tree))
    assert values([text]) == [listed(one) for one in parse_response([text])]


@given(st.lists(st.binary(max_size=60) | st.binary(max_size=9).map(lambda b: Literal(b, len(b)))))
def test_any_bytes_are_read_or_refused(parts: list[bytes | Literal]) -> None:
    try:
        values(parts)
    except Unreadable:
        return


@given(st.text(alphabet='()[]{}<>"\\ \tBODY1~*+.', max_size=80).map(str.encode))
def test_any_punctuation_is_read_or_refused(text: bytes) -> None:
    try:
        values([text])
    except Unreadable:
        return


@pytest.mark.parametrize(
    "text",
    [
        b"(" * 1_000_000,
        b"(" * MOST_DEPTH + b"(" + b")" * MOST_DEPTH + b")",
        b"a[" * 400_000,
        b"a[ " * 300_000,
        b'"' + b"\\" * 999_999,
        b'" ' * 400_001,
        b"[" * 1_000_000,
        b"a" * 1_000_000,
        b"a " * 500_000,
        b" " * 1_000_000,
        b")",
    ],
    ids=lambda text: f"{text[:4]!r} {len(text)}",
)
def test_nothing_takes_long(text: bytes) -> None:
    begin = time.process_time()
    try:
        values([text])
    except Unreadable:
        assert text.strip()
    assert time.process_time() - begin < 3


FLAGS = st.lists(st.sampled_from([b"\\Seen", b"$Label1", b"a-b", b"\\*"]), max_size=3)
ITEM = st.one_of(
    st.integers(0, 2**40).map(lambda n: (b"UID", b"%d" % n)),
    st.integers(0, 2**70).map(lambda n: (b"RFC822.SIZE", b"%d" % n)),
    st.binary(max_size=9).map(lambda s: (b"INTERNALDATE", written((s.replace(b"\n", b""),)))),
    FLAGS.map(lambda flags: (b"FLAGS", b"(" + b" ".join(flags) + b")")),
    st.just((b"MODSEQ", b"(12)")),
    st.just((b"X-GM-MSGID", b"NIL")),
    st.just((b"BODY[HEADER.FIELDS (A B)]", b'"x"')),
)


@given(st.lists(ITEM, max_size=6), st.none() | st.binary(max_size=5))
def test_a_plain_response_reads_the_same_at_once_as_token_by_token(
    items: list[tuple[bytes, bytes]], body: bytes | None
) -> None:
    text = b"(" + b" ".join(b"%s %s" % item for item in items)
    parts: list[bytes | Literal] = [text + b")"]
    if body is not None:
        parts = [text + (b" " if items else b"") + b"BODY[] ", Literal(body, len(body)), b")"]
    tree = values(parts)[0]
    assert isinstance(tree, list)
    expected: dict[Value, Value] = dict(zip(map(bytes, tree[::2]), tree[1::2], strict=True))  # type: ignore[arg-type]
    assert _told(Response(b"FETCH", 1, parts)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"17-Jul-1996 02:44:25 -0700", datetime(1996, 7, 17, 9, 44, 25, tzinfo=UTC)),
        (b" 1-jan-2026 00:30:00 +0100", datetime(2025, 12, 31, 23, 30, tzinfo=UTC)),
        (b"01-Jan-2026 00:00:00 -0030", datetime(2026, 1, 1, 0, 30, tzinfo=UTC)),
        (b"31-Feb-2026 00:00:00 +0000", None),
        (b"01-Jan-0001 00:00:00 +2300", None),
        (b"01-Xxx-2026 00:00:00 +0000", None),
        (b"yesterday", None),
        (None, None),
    ],
)
def test_a_date_is_read_in_utc_or_not_at_all(text: bytes | None, expected: datetime | None) -> None:
    assert moment(text) == expected


@given(st.lists(st.integers(1, 2**32 - 1), unique=True).map(sorted), st.integers(1, 50))
def test_uids_make_sets_and_sets_make_uids(uids: list[int], most: int) -> None:
    sets = list(uid_sets(uids, most=most, longest=200))
    assert [uid for one in sets for uid in numbers(one)] == uids
    assert all(len(one) <= 200 and len(numbers(one)) <= most for one in sets)


@given(st.sets(st.integers(1, 300)).map(sorted))
def test_uids_that_follow_each_other_are_written_as_ranges(uids: list[int]) -> None:
    (one,) = list(uid_sets(uids, most=1000)) or [b""]
    runs = sum(uid - 1 not in uids for uid in uids)
    assert one.count(b",") == max(runs - 1, 0)


@pytest.mark.parametrize(
    "text", [b"", b"*", b"1:*", b"1:4294967295", b"0", b"-1", b"1,,2", b"99999999999", b"1:2:3"]
)
def test_a_set_that_cannot_be_written_out_is_refused(text: bytes) -> None:
    with pytest.raises(Unreadable):
        numbers(text)


def test_a_number_is_a_number_of_its_size() -> None:
    assert number(b"12") == 12
    assert number(b"4294967296", 2**32 - 1) is None
    assert number("²".encode()) is None
    assert number([b"1"]) is None
    assert number(b"9" * 5000) is None
