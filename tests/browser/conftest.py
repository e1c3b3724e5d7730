"""A closer's telephone: Debian's Chromium, our routes behind a loopback port, and a server that
stands where wa.me and api.whatsapp.com are."""

from __future__ import annotations

import shutil
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import pytest

import app
from sandbox.http import serving
from tests import certificates
from tests.database import Server
from tests.harness import Deployment, deployed

PHONE = {"width": 375, "height": 812}
SECRET = "the-link-secret-of-the-browser-tests-012345"


@dataclass
class WhatsApp:
    """`asked`: each address that was opened, as host and path with its query."""

    port: int
    asked: list[tuple[str, str]] = field(default_factory=list)


@pytest.fixture(scope="session")
def whatsapp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WhatsApp]:
    """As the real ones: wa.me sends on to api.whatsapp.com, which has a page."""
    folder = tmp_path_factory.mktemp("whatsapp")
    found = WhatsApp(0)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            host = self.headers["Host"]
            if self.path == "/favicon.ico":
                self.send_error(404)
                return
            found.asked.append((host, self.path))
            if host == "wa.me":
                parts = urlsplit(self.path)
                where = f"/send/?phone={parts.path.strip('/')}&{parts.query}"
                self.send_response(302)
                self.send_header("Location", f"https://api.whatsapp.com{where}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            body = b"<!doctype html><title>WhatsApp</title><h1>WhatsApp</h1>"
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    signed = certificates.sign("WhatsApp", host="wa.me")
    chain = folder / "whatsapp.pem"
    chain.write_text(signed.pem + signed.secret)
    context.load_cert_chain(chain)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    found.port = server.server_address[1]
    yield found
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="session")
def chromium(whatsapp: WhatsApp) -> Iterator[Any]:
    """Skips where there is no browser: the reason says how to get it."""
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="no playwright: pip install -r requirements-dev.txt"
    )
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.skip("no Chromium: apt-get install chromium")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(
            executable_path=path,
            args=[
                "--no-sandbox",
                "--host-resolver-rules="
                f"MAP wa.me:443 127.0.0.1:{whatsapp.port}, "
                f"MAP api.whatsapp.com:443 127.0.0.1:{whatsapp.port}, "
                "EXCLUDE 127.0.0.1, MAP * ~NOTFOUND",
            ],
        )
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def shared(
    database_server: Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployment]:
    with (
        database_server.database() as database,
        pytest.MonkeyPatch.context() as environment,
        deployed(database, tmp_path_factory.mktemp("browser"), environment) as deployment,
        serving(app.app) as port,
    ):
        environment.setenv("PUBLIC_URL", f"http://127.0.0.1:{port}")
        environment.setenv("LINK_SECRET", SECRET)
        environment.setenv("UNSUBSCRIBE_SECRET", SECRET)
        yield deployment
