"""Who asks: the person at the keyboard, and this process."""

from __future__ import annotations

import getpass
import os
import socket


def user() -> str:
    """Who is at the keyboard, for the ledger."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # until Python 3.12 a KeyError: a uid without a name
        return f"uid {os.getuid()}"


def holder() -> str:
    """This process, as the holder of a lease."""
    return f"{socket.gethostname()}:{os.getpid()}"
