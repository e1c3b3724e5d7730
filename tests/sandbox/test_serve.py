"""What `make serve` tells whoever started it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from sandbox import serve
from sandbox.environment import VAR, Environment
from sandbox.imap import ImapSandbox
from sandbox.whatsapp_twilio import TwilioSandbox


@pytest.mark.parametrize(
    ("secret", "told"),
    [
        (None, "Aucun secret n'est demandé"),
        ("canari-9731", "Attention, tous les appels seront refusés : "),
        ("a-secret-that-is-long-enough-0123456789", "les appels doivent le porter"),
    ],
)
def test_serve_says_at_its_start_what_a_call_has_to_carry(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, secret: str | None, told: str
) -> None:
    monkeypatch.setenv("PONCTUEL_STAGE", "local")
    monkeypatch.delenv("CRON_SECRET", raising=False)
    if secret is not None:
        monkeypatch.setenv("CRON_SECRET", secret)
    settings = {"PUBLIC_URL": "http://127.0.0.1:8001"}
    welcome = serve._welcome(
        Environment(VAR / "serve", settings, TwilioSandbox(tmp_path), ImapSandbox()), 0
    )
    assert told in welcome
    assert secret is None or secret not in welcome
    assert "Le port 8000 est pris" in welcome
    assert "http://127.0.0.1:8001/jobs" in welcome
    assert "source var/serve/env" in welcome


def test_a_shell_reads_the_settings_of_serve_while_it_runs(tmp_path: Path) -> None:
    settings = {"PUBLIC_URL": "<une adresse> d'essai", "MAIL_URL": "smtp://127.0.0.1?tls=none"}
    with serve._told(
        Environment(tmp_path, settings, TwilioSandbox(tmp_path / "whatsapp"), ImapSandbox())
    ):
        shell = subprocess.run(
            ["env", "-i", "bash", "-c", 'source "$0/env"; env', tmp_path],
            capture_output=True,
            text=True,
            check=True,
        )
    for name, value in settings.items():
        assert f"{name}={value}" in shell.stdout.splitlines()
    assert not (tmp_path / "env").exists()
