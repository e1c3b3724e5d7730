"""`./ponctuel accounts`: here and on a deployed stage."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

import app
from sandbox import http as gateway
from tests.cli.command_line import CommandLine
from tests.domain.accounts.people import add_user, deletions, open_accounts, set_date
from tests.harness import NOW, Deployment
from tests.routes.doors import SECRET

HERE: tuple[str, ...] = ()
THERE = ("--stage", "essai")


@pytest.fixture
def accounts(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> Iterator[Deployment]:
    """Two businesses with a user U1 each, here and behind an API Gateway on this machine."""
    open_accounts(deployment, "B1", "B2")
    for business in ("B1", "B2"):
        add_user(deployment, business=business)
    monkeypatch.setenv("CRON_SECRET", SECRET)
    monkeypatch.setenv("PONCTUEL_SECRET_ESSAI", SECRET)
    with gateway.server(app.app) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{server.server_address[1]}/api"
        monkeypatch.setenv("PONCTUEL_URL_ESSAI", url)
        yield deployment
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("where", [HERE, THERE])
def test_an_account_is_deleted_shown_listed_and_kept(
    accounts: Deployment, ponctuel: CommandLine, where: tuple[str, ...]
) -> None:
    of_one = ("U1", "--business", "B1")
    asked = ponctuel("accounts", "delete", *of_one, *where)
    assert asked.code == 0
    assert "Suppression de compte n° 1 : prévue" in asked.out
    assert "demandée par un opérateur" in asked.words
    shown = ponctuel("accounts", "show", "U1", *where)
    assert "dans 30 jours" in shown.words
    assert "09/04/2026 10:0" in shown.words
    assert "1 B1 U1 prévue" in ponctuel("accounts", "list", *where).words
    assert ponctuel("accounts", "cancel", *of_one, *where).code == 0
    again = ponctuel("accounts", "cancel", *of_one, *where)
    assert "annulée par un opérateur" in again.words
    assert deletions(accounts) == [("B1", "U1", "cancelled")]
    assert "Aucune suppression" in ponctuel("accounts", "list", "--business", "B2", *where).out


@pytest.mark.parametrize("where", [HERE, THERE])
def test_what_cannot_be_done_is_one_french_line(
    accounts: Deployment, ponctuel: CommandLine, where: tuple[str, ...]
) -> None:
    twice = ponctuel("accounts", "delete", "U1", *where)
    assert (twice.code, "précisez laquelle" in twice.err) == (1, True)
    nobody = ponctuel("accounts", "delete", "U9", *where)
    assert (nobody.code, "Aucun compte" in nobody.err) == (1, True)
    unasked = ponctuel("accounts", "cancel", "U1", *where)
    assert (unasked.code, "n'a pas été demandée" in unasked.err) == (1, True)
    set_date(accounts, NOW)
    accounts.execute(
        "INSERT INTO ponctuel.account_deletions (business_id, user_id, state, requested_at,"
        " requested_by, scheduled_at, zone, locked_at)"
        " VALUES ('B1', 'U1', 'locked', now(), 'user', now(), 'Europe/Paris', now())"
    )
    late = ponctuel("accounts", "cancel", "U1", *where)
    assert (late.code, "ne peut plus être annulée" in late.err) == (1, True)


@pytest.mark.parametrize("where", [HERE, THERE])
def test_what_waits_for_an_operator_is_approved_and_the_rest_is_left(
    accounts: Deployment, ponctuel: CommandLine, where: tuple[str, ...]
) -> None:
    for business in ("B1", "B2"):
        ponctuel("accounts", "delete", "U1", "--business", business)
    accounts.execute(
        "UPDATE ponctuel.account_deletions SET state = 'blocked', blocked_reason = 'surge',"
        " blocked_at = now() WHERE business_id = 'B1'"
    )
    listed = ponctuel("accounts", "list", "--state", "bloquée", *where)
    assert "beaucoup plus de comptes que d'habitude" in listed.words
    done = ponctuel("accounts", "approve", "1", "2", *where)
    assert done.code == 2
    assert "1 suppression approuvée, pour le prochain passage." in done.out
    assert "N'attendent pas d'accord : 2." in done.out
    assert deletions(accounts) == [("B1", "U1", "scheduled"), ("B2", "U1", "scheduled")]
    assert ponctuel("accounts", "approve", "1", *where).code == 1
