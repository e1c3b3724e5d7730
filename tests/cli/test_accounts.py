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


@pytest.mark.parametrize("where", [HERE, THERE])
def test_a_hold_is_placed_listed_lifted_and_stays_in_the_history(
    accounts: Deployment, ponctuel: CommandLine, where: tuple[str, ...]
) -> None:
    assert "Aucune conservation" in ponctuel("holds", "list", *where).out
    of_one = ("--business", "B1", "--user", "U1")
    placed = ponctuel("holds", "place", *of_one, "--reason", "dossier 7", *where)
    assert placed.code == 0
    assert "Conservation n° 1 imposée : B1, le compte U1." in placed.out
    whole = ponctuel("holds", "place", "--business", "B2", "--reason", "contrôle", *where)
    assert "toute l'entreprise" in whole.out
    asked = ponctuel("accounts", "delete", "U1", "--business", "B1", *where)
    assert "conservation imposée" in asked.words
    listed = ponctuel("holds", "list", "--business", "B1", *where)
    assert "1 B1 U1 10/03/2026 10:0" in listed.words
    assert "dossier 7" in listed.words
    assert "B2" not in listed.words
    lifted = ponctuel("holds", "lift", "1", "--reason", "classé", *where)
    assert (lifted.code, "Conservation n° 1 levée" in lifted.out) == (0, True)
    assert "B1" not in ponctuel("holds", "list", *where).words
    history = ponctuel("holds", "list", "--all", *where).words
    assert "classé" in history
    [kept] = accounts.rows("SELECT * FROM ponctuel.legal_holds WHERE business_id = 'B1'")
    assert kept["placed_by"] == kept["lifted_by"] != ""


@pytest.mark.parametrize("where", [HERE, THERE])
def test_a_hold_that_cannot_be_is_refused_in_french(
    accounts: Deployment, ponctuel: CommandLine, where: tuple[str, ...]
) -> None:
    without = ponctuel("holds", "place", "--business", "B1", *where)
    assert (without.code, "--reason" in without.err) == (1, True)
    blank = ponctuel("holds", "place", "--business", "B1", "--reason", " ", *where)
    assert blank.code == 1
    nobody = ponctuel("holds", "place", "--business", "B9", "--reason", "x", *where)
    assert (nobody.code, "n'existe pas" in nobody.err) == (1, True)
    unknown = ponctuel("holds", "lift", "4", "--reason", "x", *where)
    assert (unknown.code, "Aucune conservation" in unknown.err) == (1, True)
