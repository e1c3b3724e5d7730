"""`channels`, `limits` and `inbound`: what may leave, and what came in."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.cli.command_line import CommandLine
from tests.harness import NOW, Deployment
from tests.ledger_rows import inbound


def test_channels_say_whether_they_work_and_how_much_of_their_quota_is_used(
    deployment: Deployment, ponctuel: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAIL_QUOTA", "100")
    deployment.open_business()
    deployment.invoice()
    deployment.tick()
    deployment.execute("UPDATE ponctuel.messages SET counted_at = ponctuel.clock()")
    deployment.execute("DELETE FROM ponctuel.channel_states")
    deployment.execute(
        "INSERT INTO ponctuel.channel_states VALUES "
        "('whatsapp', '', 2.5, ponctuel.clock(), 5, ponctuel.clock(), 1, null), "
        "('whatsapp', 'B1', null, null, 2, null, 0, null)"
    )
    mail, account, own = ponctuel("channels", "--json").data
    assert (mail["circuit"], mail["used"], mail["quota"]) == ("closed", 1, 100)
    assert (account["circuit"], account["used"], account["quota"]) == ("open", 0, None)
    assert (own["business_id"], own["failures"]) == ("B1", 2)
    shown = ponctuel("channels").words
    assert "e-mail (toutes) en marche sans limite 1 100 99" in shown
    assert "WhatsApp (toutes) coupé jusqu'au 10/03/2026 11:01 après 5 échecs de suite" in shown
    assert "2,5 à 11:00" in shown
    deployment.database.advance(timedelta(hours=25))
    mail, account, _own = ponctuel("channels", "--json").data
    assert (mail["used"], account["circuit"]) == (0, "half_open")


def test_a_businesss_limit_is_what_its_quota_is_counted_against(
    deployment: Deployment, ponctuel: CommandLine
) -> None:
    deployment.open_business()
    asked = ("limits", "set", "--business", "B1", "--channel", "e-mail")
    assert ponctuel(*asked).err.startswith("Donnez au moins une limite : --per-day")
    shown = ponctuel(*asked, "--per-day", "50", "--person-per-week", "3")
    assert "B1 e-mail 50 4 (usuelle) 3" in shown.words
    ponctuel(*asked, "--person-per-week", "usuelle")
    assert "B1 e-mail 50 4 (usuelle) 12 (usuelle)" in ponctuel("limits", "list").words
    (own,) = [row for row in ponctuel("channels", "--json").data if row["business_id"] == "B1"]
    assert (own["quota"], own["used"]) == (50, 0)
    assert ponctuel("limits", "list", "--business", "B2").out.startswith("Toutes les entreprises")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--business", "B9", "--channel", "email", "--per-day", "1"), "« B9 » n'existe pas"),
        (("--business", "B1", "--channel", "sms", "--per-day", "1"), "« sms » n'existe pas"),
        (("--business", "B1", "--channel", "email", "--per-day", "-1"), "--per-day"),
        (("--business", "B1", "--channel", "email", "--per-day", "99999999999"), "un nombre"),
    ],
)
def test_a_limit_that_cannot_be_is_refused(
    deployment: Deployment, ponctuel: CommandLine, options: tuple[str, ...], told: str
) -> None:
    deployment.open_business()
    answer = ponctuel("limits", "set", *options)
    assert (answer.code, answer.out) == (1, "")
    assert told in answer.err
    assert deployment.rows("SELECT 1 FROM ponctuel.sending_limits") == []


def test_what_came_in_is_listed_with_what_was_made_of_it(
    deployment: Deployment, ponctuel: CommandLine
) -> None:
    assert ponctuel("inbound").out == "Aucun message reçu.\n"
    inbound(deployment, "ARRET", intent="opt_out", in_reply_to=12)
    inbound(deployment, "", provider_id="SM2", kind="image", media_count=2, business_id="")
    deployment.execute(
        "INSERT INTO ponctuel.inbound_offers VALUES "
        "((SELECT min(id) FROM ponctuel.inbound_messages), 'billing', 'failed', 2, :at, 'x'), "
        "((SELECT min(id) FROM ponctuel.inbound_messages), 'shop', 'not_ours', 1, :at, null)",
        at=NOW,
    )
    shown = ponctuel("inbound").words
    assert "ne veut plus rien recevoir, billing : en échec, à reprendre ARRET" in shown
    assert "(inconnue) WhatsApp +33612345678 (image) [2 fichiers]" in shown
    assert "shop" not in shown
    assert len(ponctuel("inbound", "--business", "B1", "--json").data) == 1
    assert ponctuel("inbound", "--since", "2026-03-11", "--json").data == []
