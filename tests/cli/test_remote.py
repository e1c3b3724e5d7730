"""`--stage` and `--url`: each command on a deployed stage gives what it gives on its database."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

import app
from chalicelib.domain.accounts import requesting
from chalicelib.domain.leads import pauses, proposals
from chalicelib.outbox.consents import grant, withdraw
from chalicelib.outbox.suppressions import Suppression, lift_entries, suppress
from cli.caller import user
from sandbox import http as gateway
from tests import factories, lead_rows
from tests.cli.command_line import CommandLine
from tests.harness import TODAY, Deployment
from tests.ledger_rows import inbound, webhook_event
from tests.routes.doors import SECRET, Door, opened

REASON = ("--reason", "vu avec le client")
COMMANDS = (
    ("jobs",),
    ("runs",),
    ("runs", "followups", "--limit", "2"),
    ("show", "1"),
    ("show", "#2"),
    ("messages",),
    ("messages", "--state", "retenu", "--business", "B2"),
    ("messages", "--hold", "review"),
    ("messages", "--channel", "e-mail", "--since", "2026-03-10", "--person", "C1"),
    ("messages", "--contact", "compta@boulangerie-martin.example"),
    ("inbound",),
    ("inbound", "--business", "B1", "--since", "2026-03-10T09:00:00+01:00"),
    ("channels",),
    ("limits", "list"),
    ("suppressions", "list"),
    ("suppressions", "list", "--business", "B1", "--contact", "06 39 98 00 77", "--all"),
    ("consents", "list"),
    ("consents", "list", "--channel", "e-mail", "--contact", "Anne@Client.Example"),
    ("messages", "show", "1"),
    ("messages", "show", "2"),
    ("messages", "show", "3"),
    ("explain", "facture", "FAC/2026/0001"),
    ("explain", "devis", "D1", "--force"),
    ("explain", "invoice", "F2", "--business", "B1"),
    ("followups", "list"),
    ("followups", "list", "--business", "B2"),
    ("accounts", "list"),
    ("accounts", "list", "--state", "bloquée"),
    ("accounts", "show", "U1"),
    ("quarantine", "list"),
    ("leads", "list"),
    ("leads", "list", "--due", "--business", "B1"),
    ("leads", "list", "--paused", "--lead-stage", "nouveau", "--closer", "U1"),
    ("leads", "show", "L1"),
    ("leads", "show", "L2", "--business", "B1"),
    ("explain", "lead", "L2"),
    ("preview", "followups", "--from", "2026-03-01", "--days", "40"),
)


@pytest.fixture
def door(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> Iterator[Door]:
    """The stage's own process is this one; nobody but its callers knows that."""
    monkeypatch.setenv("CRON_SECRET", SECRET)
    with opened(deployment) as door:
        yield door


@pytest.fixture
def stage(door: Door, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of the deployment behind an API Gateway on this machine."""
    monkeypatch.setenv("PONCTUEL_SECRET_ESSAI", SECRET)
    with gateway.server(app.app) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{server.server_address[1]}/api"
        monkeypatch.setenv("PONCTUEL_URL_ESSAI", url)
        yield url
        server.shutdown()
        thread.join()


@pytest.fixture
def lived(deployment: Deployment, stage: str) -> Deployment:
    """A stage on which something of everything has happened."""
    deployment.open_business(zone="Europe/Paris")
    deployment.open_business("B2", zone="Mars/Olympus")
    deployment.open_business("B3")
    deployment.execute("DELETE FROM ponctuel.go_lives WHERE business_id = 'B3'")
    deployment.invoice("F1", number="FAC/2026/0001")
    deployment.invoice("F2", promised_until=TODAY)
    deployment.invoice("F3", business_id="B3")
    deployment.quote(business_id="B3")
    deployment.customer("C2")
    deployment.invoice("F4", customer_id="C2")
    deployment.smtp.fail("refuse_permanent")
    deployment.tick()
    deployment.smtp.heal()
    deployment.rehearse()
    deployment.tick(hours=30)
    deployment.execute(
        "INSERT INTO ponctuel.quarantine (job, step, business_id, item, run_id, at, reason) VALUES "
        "('followups', 'plan_relances', 'B1', 'C9', gen_random_uuid(), ponctuel.clock(), 'x')"
    )
    told(deployment)
    with deployment.database.begin() as connection:
        for id, role in (("U1", "owner"), ("U2", "member"), ("U3", "member")):
            factories.user(connection, id, role=role)
        for id in ("U1", "U3"):
            requesting.request(connection, id, "B1", by="user", days=30)
    followed_up(deployment)
    listed(deployment)
    return deployment


def listed(deployment: Deployment) -> None:
    """Somebody on each list, and somebody who has left it."""
    with deployment.database.begin() as connection:
        for contact in ("+33639980077", "+33639980078"):
            entry = Suppression("B1", "whatsapp", contact, "manual", note="au téléphone")
            suppress(connection, [entry])
        lift_entries(connection, [1], by="anne", why="une erreur")
        for name in ("anne", "paul"):
            grant(
                connection,
                business_id="B1",
                channel="email",
                contact=f"{name}@client.example",
                source="formulaire",
            )
        withdraw(
            connection, business_id="B1", channel="email", contact="paul@client.example", by="anne"
        )


def followed_up(deployment: Deployment) -> None:
    """L1 of B1 is paused, L2 has been proposed and confirmed, L3 is due."""
    settings = {"business_id": "B1", "followups_enabled": True}
    lead_rows.insert(deployment, "lead_settings", settings)
    for number in (1, 2, 3):
        lead_rows.lead(deployment, f"L{number}", phone=f"06 39 98 00 0{number}")
    with deployment.database.begin() as connection:
        pauses.pause(connection, "L1", by="anne", why="en congés jusqu'à mi-avril")
    id = lead_rows.proposal(deployment, "L2")
    with deployment.database.begin() as connection:
        assert proposals.confirm(connection, "B1", "U1", id)


def told(deployment: Deployment) -> None:
    """What a provider and a customer told about message 1, and a business's own limits."""
    inbound(deployment, in_reply_to=1)
    webhook_event(deployment, 1, "delivered")
    deployment.execute(
        "INSERT INTO ponctuel.inbound_offers VALUES (1, 'billing', 'taken', 1, ponctuel.clock())"
    )
    deployment.execute(
        "INSERT INTO ponctuel.sending_limits VALUES "
        "('B1', 'whatsapp', 200, 2, null, ponctuel.clock(), 'anne')"
    )
    deployment.execute(
        "INSERT INTO ponctuel.channel_states VALUES ('whatsapp', '', 3.456, ponctuel.clock(), 5, "
        "ponctuel.clock(), 1, null)"
    )


def test_every_command_says_the_same_of_a_stage_as_of_its_database(
    lived: Deployment, ponctuel: CommandLine
) -> None:
    for command in COMMANDS:
        here = ponctuel(*command, "--json")
        there = ponctuel(*command, "--json", "--stage", "essai")
        assert (here.code, there.code) == (0, 0), (command, here.err, there.err)
        assert here.data == there.data, command
        # …and it reads the same, whichever side of the command the stage is named on.
        assert ponctuel(*command).out == ponctuel("--stage", "essai", *command).out, command


def test_a_run_over_https_waits_for_its_end_and_exits_as_a_local_one(
    lived: Deployment, ponctuel: CommandLine
) -> None:
    lived.customer("C6", emails="c6@client.example")  # the other address is dead by now
    lived.invoice("F6", customer_id="C6")
    answer = ponctuel("run", "followups", "--stage", "essai", "--reason", "clôture")
    assert answer.code == 2, "B2's zone does not exist"
    assert "1 prévu, 1 envoyé" in answer.words
    assert "Fuseau horaire inconnu" in answer.words
    run = lived.last_run()
    assert (run["door"], run["requested_by"], run["reason"]) == ("http", "bearer", "clôture")
    here = ponctuel("show", str(run["number"]), "--json").data
    again = ponctuel("run", "followups", "--json", "--stage", "essai").data[0]
    assert here.keys() == again.keys()
    assert lived.last_run()["id"].hex == again["id"].replace("-", "")


def test_a_dry_run_is_the_same_on_both_sides(lived: Deployment, ponctuel: CommandLine) -> None:
    lived.customer("C5")
    lived.invoice("F5", customer_id="C5")
    before = lived.states()
    asked = ("--as-of", "2026-03-16T10:00:00+01:00", "--force")
    for command in (("dry-run", "followups"), ("run", "followups", "--dry-run", *asked)):
        here = ponctuel(*command, "--json")
        there = ponctuel(*command, "--json", "--stage", "essai")
        assert (here.code, there.code) == (0, 0), there.err
        (one,), (other,) = here.data, there.data
        assert one["report"]["messages"]
        for message in (*one["report"]["messages"], *other["report"]["messages"]):
            # Inside the sending window that is now, and now goes on.
            del message["not_before"], message["expires_at"]
        assert one["report"] == other["report"]
        assert one["as_of"] == other["as_of"]
        assert one.keys() == other.keys()
    shown = ponctuel("dry-run", "followups", "--all", "--stage", "essai")
    assert shown.out == ponctuel("run", "--dry-run", "followups", "--all").out
    assert lived.states() == before


def test_a_quiet_job_that_has_nothing_to_do_is_a_success_there_too(
    deployment: Deployment, stage: str, ponctuel: CommandLine
) -> None:
    for where in ((), ("--stage", "essai")):
        answer = ponctuel("run", "deliver_messages", *where)
        assert (answer.code, "Rien à faire." in answer.out) == (0, True)
    (run,) = ponctuel("run", "deliver_messages", "--json", "--stage", "essai").data
    assert (run["status"], run["zone"], run["counts"]) == ("succeeded", "Europe/Paris", {})


def test_a_job_is_paused_and_resumed_from_afar(
    deployment: Deployment, stage: str, ponctuel: CommandLine
) -> None:
    assert ponctuel("pause", "followups", "--stage", "essai").code == 1
    paused = ponctuel("pause", "followups", "--reason", "inventaire", "--stage", "essai")
    assert "followups est en pause (Europe/Paris)" in paused.out
    assert deployment.tick()["status"] == ["paused"]
    assert "inventaire" in ponctuel("jobs", "--stage", "essai").out
    resumed = ponctuel("resume", "followups", "--json", "--stage", "essai").data
    assert resumed == {"job": "followups", "paused": False, "zones": ["Europe/Paris"]}
    assert deployment.tick()["status"] == ["succeeded"]


def test_messages_are_released_cancelled_and_resent_from_afar(
    lived: Deployment, ponctuel: CommandLine
) -> None:
    numbers = {state: str(lived.messages(state=state)[0]["id"]) for state in ("held", "refused")}
    left = ponctuel("messages", "release", numbers["held"], "99", "--stage", "essai")
    assert left.code == 2
    assert "1 message de nouveau prévu." in left.out
    assert "99 aucun message ne porte ce numéro" in left.words
    none = ponctuel("messages", "arrived", "1", *REASON, "--stage", "essai")
    assert (none.code, none.err) == (1, "")
    assert "0 message accepté. inchangé raison" in none.words
    assert ponctuel("messages", "resend", numbers["refused"], "--stage", "essai").code == 1
    for verb, number in (("resend", numbers["refused"]), ("cancel", numbers["held"])):
        answer = ponctuel("messages", verb, number, *REASON, "--json", "--stage", "essai")
        assert answer.data == {"changed": [int(number)], "left": []}
    shown = ponctuel("messages", "show", numbers["held"], "--stage", "essai")
    assert f"annulé {user()} {REASON[1]}" in shown.words


def test_a_business_goes_live_and_a_level_is_decided_upon_from_afar(
    lived: Deployment, ponctuel: CommandLine
) -> None:
    went = ponctuel("--stage", "essai", "go-live", "--business", "B3", *REASON, "--json").data
    assert (went["released"], went["still_held"]) == (1, 0)
    assert ["B3", "*"] in went["opened"]
    again = ponctuel("go-live", "--business", "B3", *REASON, "--stage", "essai")
    assert again.out == "C'était déjà en service.\n"
    answer = ponctuel("followups", "skip", "facture", "F4", *REASON, "--stage", "essai")
    assert answer.out == "Le niveau 1 est passé : le suivant part à sa distance habituelle.\n"
    (decision,) = lived.rows("SELECT decision, decided_by FROM ponctuel.followup_decisions")
    assert decision == {"decision": "skip", "decided_by": user()}


def test_a_businesss_limits_are_set_from_afar(lived: Deployment, ponctuel: CommandLine) -> None:
    asked = ("limits", "set", "--business", "B1", "--channel", "whatsapp", "--per-day", "usuelle")
    there = ponctuel(*asked, "--json", "--stage", "essai").data
    assert there == ponctuel("limits", "list", "--json").data
    assert [(row["per_day"], row["person_per_day"], row["set_by"]) for row in there] == [
        (None, 2, user())
    ]


def test_the_lists_of_who_may_be_written_to_are_kept_from_afar(
    deployment: Deployment, stage: str, ponctuel: CommandLine, tmp_path: Path
) -> None:
    deployment.open_business()
    whom = ("--business", "B1", "--channel", "email", "--contact", " Anne@Client.Example ")
    afar = ("--stage", "essai")
    said = ponctuel("suppressions", "add", *whom, *REASON, *afar)
    assert "Plus rien ne partira vers anne@client.example (B1" in said.out
    assert "était déjà inscrit" in ponctuel("suppressions", "add", *whom, *REASON, *afar).out
    granted = ponctuel("consents", "grant", *whom, "--source", "formulaire du site", *afar)
    assert "Rien ne partira pourtant" in granted.words
    assert ponctuel("consents", "withdraw", *whom, *afar).code == 0
    assert ponctuel("consents", "withdraw", *whom, *afar).code == 1
    some = ponctuel("suppressions", "lift", "1", "99", *REASON, *afar)
    assert (some.code, "inexistant : 99" in some.words) == (2, True)
    none = ponctuel("suppressions", "lift", "1", *REASON, *afar)
    assert (none.code, none.err) == (1, "")
    rows = deployment.rows("SELECT source, note, lifted_by FROM ponctuel.suppressions")
    assert rows == [{"source": user(), "note": "vu avec le client", "lifted_by": user()}]
    file = tmp_path / "liste.csv"
    file.write_text("contact\n" + "".join(f"c{n}@x.example\n" for n in range(1201)) + "rien\n")
    imported = ponctuel("suppressions", "import", str(file), *whom[:4], "--json", *afar)
    assert (imported.code, imported.data["added"], imported.data["rejected"]) == (2, 1201, 1)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"contacts": []}, "contacts doit être une liste"),
        ({"contacts": ["a@b.fr", "jean"]}, "adresse e-mail n'est pas valable"),
        ({"contacts": ["a@b.fr", 3]}, "contacts doit être un texte"),
        ({"contacts": "a@b.fr"}, "contacts doit être une liste"),
        ({"channel": "fax"}, "channel inconnu"),
        ({"category": "pub"}, "Genre de message inconnu"),
        ({"business": "B9"}, "« B9 » n'existe pas"),
        ({"contact": "a@b.fr"}, "Champ inconnu : contact"),
    ],
)
def test_what_cannot_be_entered_is_refused_and_nothing_is(
    deployment: Deployment, door: Door, changed: dict[str, Any], told: str
) -> None:
    deployment.open_business()
    body = {"business": "B1", "channel": "email", "contacts": ["a@b.fr"], "reason": "vu"}
    reply = door.post("/suppressions", body | changed)
    assert reply.status in (400, 404)
    assert told in reply.json()["error"]
    assert deployment.rows("SELECT 1 FROM ponctuel.suppressions") == []


def test_a_lead_is_paused_and_resumed_from_afar(lived: Deployment, ponctuel: CommandLine) -> None:
    asked = ("leads", "pause", "L3", "--until", "2026-12-24", *REASON, "--stage", "essai")
    assert "Le lead L3 de B1 est en pause jusqu'au 25/12/2026 00:00." in ponctuel(*asked).words
    (row,) = ponctuel("leads", "show", "L3", "--json").data
    assert [(said["by"], said["why"], said["in_force"]) for said in row["pauses"]] == [
        (user(), "vu avec le client", True)
    ]
    there = ponctuel("leads", "resume", "L3", "--json", "--stage", "essai").data
    assert (there["business_id"], there["paused"], there["ends_at"]) == ("B1", False, None)
    again = ponctuel("leads", "resume", "L3", "--stage", "essai")
    assert (again.code, "n'est pas en pause" in again.err) == (1, True)


def test_a_closer_s_link_is_given_and_taken_back_from_afar(
    lived: Deployment, ponctuel: CommandLine, door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ("leads", "link", "U2", "--stage", "essai")
    refused = ponctuel(*asked)
    assert (refused.code, "LINK_SECRET" in refused.err) == (1, True)
    monkeypatch.setenv("PUBLIC_URL", "https://ponctuel.example")
    monkeypatch.setenv("LINK_SECRET", "the-link-secret-of-these-tests-0123456789")
    said = ponctuel(*asked)
    (link,) = [line for line in said.out.splitlines() if line.startswith("https://")]
    path = link.removeprefix("https://ponctuel.example")
    assert door.outside("GET", path).status == 200
    taken = ponctuel("leads", "revoke", "U2", "--stage", "essai", "--json").data
    assert (taken["business_id"], taken["user_id"]) == ("B1", "U2")
    assert door.outside("GET", path).status == 404
    (row,) = lived.rows("SELECT revoked_by FROM ponctuel.closer_link_revocations")
    assert row["revoked_by"] == user()


def test_ctrl_c_leaves_the_run_going_and_says_how_to_see_it(
    deployment: Deployment,
    door: Door,
    stage: str,
    ponctuel: CommandLine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    door.nobody_works()

    def interrupted(_seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("cli.remote.run.time.sleep", interrupted)
    answer = ponctuel("run", "followups", "--stage", "essai")
    run = deployment.last_run()
    assert answer.code == 130
    assert f"./ponctuel show {run['id']} --stage essai" in answer.err
    assert run["status"] == "queued"


def test_the_waiting_outlives_a_stage_that_stumbles_but_not_one_that_is_gone(
    deployment: Deployment,
    door: Door,
    stage: str,
    ponctuel: CommandLine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    door.nobody_works()
    pauses: list[float] = []

    def stumble(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 1:
            monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
        if len(pauses) == 3:
            monkeypatch.setenv("DATABASE_URL", deployment.database.url)
            deployment.execute("UPDATE ponctuel.runs SET status = 'succeeded'")

    monkeypatch.setattr("cli.remote.run.time.sleep", stumble)
    assert ponctuel("run", "followups", "--stage", "essai").code == 0
    assert pauses == sorted(pauses)
    pauses.clear()
    monkeypatch.setattr("cli.remote.run.PATIENCE", 1)
    deployment.execute("UPDATE ponctuel.job_state SET run_id = NULL")
    answer = ponctuel("run", "followups", "--stage", "essai")
    assert answer.code == 1
    assert "./ponctuel show" in answer.err
    assert "base de données" in answer.err


@pytest.mark.parametrize(
    "command", [("migrate",), ("quarantine", "release", "followups", "B1", "C1")]
)
def test_what_only_works_on_the_database_says_so_and_does_nothing(
    ponctuel: CommandLine, command: tuple[str, ...]
) -> None:
    answer = ponctuel("--stage", "essai", *command)
    assert (answer.code, answer.out) == (1, "")
    assert "n'existe pas à distance" in answer.err


def test_what_does_not_exist_there_is_told_in_one_line(
    deployment: Deployment, stage: str, ponctuel: CommandLine
) -> None:
    for command, told in (
        (("show", "99"), "Aucune exécution ne porte ce numéro ou cet identifiant."),
        (("show", "../jobs"), "Aucune exécution ne porte ce numéro ou cet identifiant."),
        (("messages", "show", "99"), "Aucun message ne porte ce numéro."),
        (("go-live", "--business", "B9", *REASON), "L'entreprise « B9 » n'existe pas."),
        (("go-live", *REASON[:1], " "), "Donnez la raison"),
        (("messages", "--since", "hier"), "attendu un jour, 2026-03-10"),
        (("explain", "devis", "D9"), "Aucun devis ne porte le numéro « D9 »."),
        (("runs", "nope"), "Aucun job ne s'appelle « nope »"),
        (("run", "nope"), "Aucun job ne s'appelle « nope »"),
        (("preview", "nope"), "L'étape n'a pas de job « nope »"),
        (("runs", "--limit", "9999"), "limit doit être un nombre de 1 à 100."),
        (("run", "followups", "--zone", "UTC"), "--zone n'existe pas à distance"),
    ):
        answer = ponctuel("--stage", "essai", *command)
        assert (answer.code, answer.out) == (1, ""), command
        assert told in answer.err, (command, answer.err)
        assert answer.err.count("\n") == 1


def test_a_server_on_this_machine_without_a_secret_needs_none(
    deployment: Deployment, stage: str, ponctuel: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CRON_SECRET")
    monkeypatch.delenv("PONCTUEL_SECRET_ESSAI")
    assert ponctuel("jobs", "--url", stage).code == 0
    assert ponctuel("jobs", "--url", f"{stage}/").code == 0


def test_a_database_is_not_needed_to_ask_a_stage(
    deployment: Deployment, stage: str, ponctuel: CommandLine
) -> None:
    data: Any = ponctuel("preview", "followups", "--json", "--stage", "essai").data
    assert data["schedule"] == "0 * * * *"
    assert urlsplit(stage).path == "/api"


def test_the_waiting_is_shown_on_standard_error_of_a_terminal(
    deployment: Deployment,
    door: Door,
    stage: str,
    ponctuel: CommandLine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    door.nobody_works()

    def ended(_seconds: float) -> None:
        deployment.execute("UPDATE ponctuel.runs SET status = 'succeeded'")

    monkeypatch.setattr("cli.remote.run.time.sleep", ended)
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich then takes the stream for a terminal
    monkeypatch.setenv("TERM", "xterm")
    answer = ponctuel("run", "followups", "--json", "--stage", "essai")
    assert answer.code == 0, answer.err
    assert "pas encore commencée" in answer.err
    assert answer.data[0]["status"] == "succeeded"
