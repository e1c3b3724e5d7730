"""Where a host name leads to, and whether we go there.

Users name the host: without this check, a mailbox on 169.254.169.254 would be a way into whatever
runs beside us. What was checked is what is connected to: the name is not resolved a second time.
"""

from __future__ import annotations

import ipaddress
import queue
import socket
import threading
import time
from typing import Any

from chalicelib.providers.imap.account import ImapAccount
from chalicelib.providers.imap.refusals import fault

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
# family, kind, protocol, canonical name, address
Resolved = tuple[Any, Any, int, str, tuple[Any, ...]]

# NAT64 (RFC 6052): what is behind it is an IPv4 address.
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
# Cloud metadata on unique local addresses.
_METADATA = frozenset({ipaddress.ip_address("fd00:ec2::254")})
_MOST_TRIED = 6


def connected(account: ImapAccount, timeout: float) -> socket.socket:
    """A connection to the host's first address that answers within `timeout` seconds in all, if
    each of its addresses may be gone to. Raises `ImapError` (`host`, `connection`)."""
    end = time.monotonic() + timeout
    found = _resolved(account.host, account.port, timeout)
    if not found or not all(_allowed(account, _address(one)) for one in found):
        raise fault("host")
    failure: OSError | None = None
    tried = found[:_MOST_TRIED]
    for position, (family, kind, protocol, _, address) in enumerate(tried):
        sock = socket.socket(family, kind, protocol)
        try:
            # One that swallows everything leaves time for the others.
            sock.settimeout(max((end - time.monotonic()) / (len(tried) - position), 0.01))
            sock.connect(address)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return sock
        except OSError as error:
            sock.close()
            failure = error
    raise fault("connection") from failure


def _allowed(account: ImapAccount, address: Address) -> bool:
    allowed = account.private_allowed
    private = allowed if isinstance(allowed, bool) else allowed(account.host, str(address))
    return may_connect(address, private_allowed=private)


def may_connect(address: Address, *, private_allowed: bool) -> bool:
    """Whether a mail server may be there. With `private_allowed` also on this machine or in a
    private network; never link-local (the metadata of clouds), multicast or unspecified."""
    real = _embedded(address)
    if real in _METADATA or real.is_link_local or real.is_multicast or real.is_unspecified:
        return False
    return private_allowed or (real.is_global and not real.is_reserved)


def _embedded(address: Address) -> Address:
    """The IPv4 address that an IPv6 address leads to, if it does."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    teredo = address.teredo
    return address.ipv4_mapped or address.sixtofour or (teredo[1] if teredo else address)


def _address(resolved: Resolved) -> Address:
    return ipaddress.ip_address(str(resolved[4][0]).partition("%")[0])


def _resolved(host: str, port: int, timeout: float) -> list[Resolved]:
    """`getaddrinfo` knows no time-out: the thread that waits for it is left behind."""
    answers: queue.SimpleQueue[list[Resolved]] = queue.SimpleQueue()

    def resolve() -> None:
        try:
            answers.put(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except (OSError, ValueError, OverflowError):  # ValueError: not a name, as IDNA or C has it
            answers.put([])

    threading.Thread(target=resolve, daemon=True).start()
    try:
        return answers.get(timeout=timeout)
    except queue.Empty:
        raise fault("host") from None
