"""Where a mailbox's host may be: nowhere that only we can reach."""

from __future__ import annotations

import socket
import time
from ipaddress import ip_address

import pytest

from chalicelib.providers.imap import addresses
from chalicelib.providers.imap.account import ImapAccount
from chalicelib.providers.imap.port import ImapError
from chalicelib.providers.imap.session import open_session
from tests.providers.imap_scripts import imap
from tests.providers.wire import serving

PUBLIC = ["142.250.179.109", "2a00:1450:4007:80c::200d"]
PRIVATE = [
    *("127.0.0.1", "127.8.8.8", "10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1", "::1"),
    *("fd12::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a00:1"),
    *("2002:7f00:1::", "2002:a00:1::", "192.0.2.1", "198.18.0.1", "240.0.0.1", "255.255.255.255"),
    "2001:db8::1",
]
NEVER = [
    *("169.254.169.254", "fe80::1", "0.0.0.0", "::", "224.0.0.1", "ff02::1", "fd00:ec2::254"),
    *("::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::"),
]


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_may_be_gone_to(address: str) -> None:
    assert addresses.may_connect(ip_address(address), private_allowed=False)


@pytest.mark.parametrize("address", PRIVATE)
def test_one_that_is_not_public_only_where_that_is_allowed(address: str) -> None:
    assert not addresses.may_connect(ip_address(address), private_allowed=False)


@pytest.mark.parametrize("address", NEVER)
def test_the_metadata_of_clouds_and_what_is_nobodys_never(address: str) -> None:
    assert not addresses.may_connect(ip_address(address), private_allowed=True)
    assert not addresses.may_connect(ip_address(address), private_allowed=False)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "2130706433",
        "0x7f.1",
        "::1",
        "",
        "a..b",
        "a\0b",
        "x" * 300,
        "é" * 70,
    ],
)
def test_a_host_that_leads_to_us_or_nowhere_is_never_connected_to(host: str) -> None:
    met: list[object] = []
    with serving(met.append) as port, pytest.raises(ImapError) as caught:
        open_session(ImapAccount(host, port, "u", "p", "none"), seconds=5)
    assert caught.value.code == "host"
    assert met == []


def resolving_to(*found: str) -> object:
    def getaddrinfo(host: str, port: int, **_: object) -> list[object]:
        kind = socket.SOCK_STREAM
        return [
            (socket.AF_INET6 if ":" in one else socket.AF_INET, kind, 6, "", (one, port))
            for one in found
        ]

    return getaddrinfo


def test_one_private_address_among_public_ones_is_enough_to_refuse(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", resolving_to(PUBLIC[0], "10.0.0.1"))
    with pytest.raises(ImapError) as caught:
        open_session(ImapAccount("imap.example.fr", 993, "u", "p"), seconds=5)
    assert caught.value.code == "host"


def test_the_name_is_resolved_once_so_that_no_second_answer_can_differ(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []
    answers = iter([["127.0.0.1"], ["10.0.0.1"]])

    def rebinding(host: str, port: int, **_: object) -> object:
        asked.append(host)
        return resolving_to(*next(answers))(host, port)  # type: ignore[operator]

    with serving(imap()) as port:
        monkeypatch.setattr(socket, "getaddrinfo", rebinding)
        account = ImapAccount("imap.example.fr", port, "u", "p", "none", private_allowed=True)
        open_session(account, seconds=5).close()
    assert asked == ["imap.example.fr"]


def test_an_address_that_refuses_leaves_time_for_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(imap()) as port:
        monkeypatch.setattr(socket, "getaddrinfo", resolving_to("127.0.0.9", "127.0.0.1"))
        account = ImapAccount("imap.example.fr", port, "u", "p", "none", private_allowed=True)
        open_session(account, seconds=5).close()


def test_a_resolver_that_never_answers_does_not_hold_us(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object, **__: object) -> None:
        time.sleep(1)

    monkeypatch.setattr(socket, "getaddrinfo", never)
    begin = time.monotonic()
    with pytest.raises(ImapError) as caught:
        open_session(ImapAccount("imap.example.fr", 993, "u", "p"), seconds=5, connect_timeout=0.1)
    assert caught.value.code == "host"
    assert time.monotonic() - begin < 0.9
