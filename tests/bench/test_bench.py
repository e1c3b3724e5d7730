"""The benchmark's parts on tiny sizes: that they measure the same work, not how fast it is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import pytest
from sqlalchemy import Engine, make_url, text

from bench import (
    agenda,
    draining,
    erasing,
    http_floor,
    imports,
    inbox,
    mailbox,
    orm,
    planning,
    round_trips,
    whatsapp_draining,
)
from bench.__main__ import NAMES, main
from bench.agenda_sample import AgendaSample
from bench.database import Server
from bench.machine import here
from bench.measure import Measure, table
from bench.processes import Running, processor_seconds, running
from bench.sample import Sample
from chalicelib.domain.billing import queries
from chalicelib.domain.billing.calendar import calendar_at
from chalicelib.mail.parse import parse
from sandbox import dovecot, mbsync
from sandbox.smtp_journal import read_journal
from sandbox.whatsapp_journal import Entry as WhatsAppEntry
from tests.contract.paths import ROOT
from tests.database import Database

TINY = Sample("tiny", invoices=200, unpaid=60, due=40, history=True)
FEW = Sample("few", invoices=40, unpaid=20, due=20)
NEW = Sample("new", invoices=200, unpaid=60, due=40)


@pytest.fixture
def engine(database: Database, monkeypatch: pytest.MonkeyPatch) -> Engine:
    monkeypatch.setenv("LOG_LEVEL", "ERROR")
    with database.begin() as connection:
        TINY.fill(connection)
        connection.exec_driver_sql("ANALYZE")
    return database.engine()


def planned(engine: Engine) -> list[tuple[str, ...]]:
    with engine.begin() as connection:
        rows = connection.execute(
            text(
                "SELECT business_id, kind, subject, step FROM ponctuel.messages "
                "WHERE run_id IS NOT NULL ORDER BY 1, 2, 3"
            )
        )
        return [tuple(row) for row in rows]


def test_the_job_the_floor_and_the_orm_loop_plan_the_same_messages(
    engine: Engine, database: Database
) -> None:
    if "unix_sock" not in make_url(database.url).query:
        pytest.skip("the floor is typed into the embedded server's psql")
    assert planning.typed(engine, TINY) > 0
    by_hand = planned(engine)
    assert planning.run(engine, TINY) > 0
    by_the_job = planned(engine)
    assert orm.loop(engine, TINY.due) > 0
    assert by_hand == by_the_job == planned(engine)
    assert {step for *_, step in by_hand} == {"2"}
    assert len(by_hand) == TINY.due


def test_the_agenda_s_run_and_its_floor_write_the_same_rows(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "unix_sock" not in make_url(database.url).query:
        pytest.skip("the floor is typed into the embedded server's psql")
    monkeypatch.setenv("LOG_LEVEL", "ERROR")
    sample = AgendaSample("agenda_tiny", 2_000, 2_000, 400)
    with database.begin() as connection:
        sample.fill(connection)
    engine = database.engine()
    took, by_hand = agenda.typed(engine)
    elapsed, by_the_job = agenda.run(engine)
    assert took > 0
    assert elapsed > 0
    assert by_hand == by_the_job
    told = [by_hand[f"told agenda.{kind}"] for kind in ("invoice_overdue", "task_overdue")]
    assert (*told, by_hand["told agenda.appointment"]) == sample.newly_due


@pytest.fixture
def server(database: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    if "unix_sock" not in make_url(database.url).query:
        pytest.skip("django-post-office and the proxy reach the embedded server by its socket")
    monkeypatch.setenv("LOG_LEVEL", "ERROR")
    monkeypatch.setenv("PONCTUEL_STAGE", "local")
    server = Server(make_url(database.url))
    yield server
    server.close()
    for name in (f"bench_{FEW.name}", draining.POST_OFFICE, erasing.DATABASE):
        server.drop(name)


def test_erasing_and_its_floor_leave_none_of_the_same_rows(server: Server) -> None:
    """Which each of them looks after itself."""
    [measured] = erasing.measure(server, quick=True)
    assert all(ratio > 0 for ratio in measured.values)


@pytest.mark.slow
def test_the_delivery_the_floor_and_post_office_send_as_many_letters(
    server: Server, tmp_path: Path
) -> None:
    server.create(draining.POST_OFFICE)

    def sandbox(name: str) -> AbstractContextManager[Running]:
        return running("sandbox.smtp", folder=tmp_path / name)

    ours = draining.drain(server, FEW, sandbox("ours"))
    floor = draining.bare(server, FEW, tmp_path / "ours", sandbox("floor"))
    theirs = draining.post_office(server, FEW, sandbox("theirs"))
    assert all(took.wall > 0 and took.client > 0 for took in (ours, floor, theirs))
    sent = [read_journal(tmp_path / name) for name in ("ours", "floor", "theirs")]
    by_us, again, by_them = ({entry.message_id: entry.bytes for entry in found} for found in sent)
    assert by_us == again
    # The same letter, near enough: neither's time goes into a longer one.
    assert 0.8 < median(by_them.values()) / median(by_us.values()) < 1.25


@pytest.mark.slow
def test_whatsapp_messages_are_asked_for_alike_by_the_delivery_and_by_its_floor(
    server: Server,
) -> None:
    for provider in whatsapp_draining.PROVIDERS:
        floors, ours = whatsapp_draining.rounds_of(server, FEW, provider, 0.0, 1)
        assert floors[0].wall > 0
        assert ours[0].wall > 0


@pytest.mark.slow
def test_the_job_and_mbsync_read_the_same_mailboxes(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    if reason := dovecot.absent() or mbsync.absent():
        pytest.skip(reason)
    monkeypatch.setattr(inbox, "QUICK", replace(inbox.QUICK, mails=30, polled=2))
    measures = list(inbox.measure(server, quick=True))
    server.drop(f"bench_{inbox.BUSINESSES.name}")
    assert len(measures) == 5
    assert all(measure.median > 0 and measure.goal is None for measure in measures)


def test_the_mails_of_the_benchmark_are_all_different_and_none_needs_repair() -> None:
    mails = list(mailbox.mails(60))
    read = [parse(mail, received=None) for mail in mails]
    assert len({mail.message_id for mail in read}) == len(set(mails)) == 60
    assert {fault for mail in read for fault in mail.faults} == set()
    files = [part.sha256 for mail in read for part in mail.parts]
    assert files
    assert len(files) == len(set(files))


def test_the_http_floor_makes_the_requests_of_the_journal() -> None:
    entry = WhatsAppEntry(
        "accepted", "x", "3f2a91bc-7", "", "+33612000001", "", "HX" + "0" * 32, {"1": "F12"}, ""
    )
    twilio = "twilio://AC" + "0" * 32 + ":token@?from=%2B33939010203"
    (request,) = http_floor.requests(twilio, [entry])
    assert request.path.endswith("/Messages.json")
    assert b"To=whatsapp%3A%2B33612000001" in request.body
    (request,) = http_floor.requests("meta://:token@106540352242922", [entry_for_meta(entry)])
    assert json.loads(request.body)["template"]["name"] == "relance"
    assert request.headers["Authorization"] == "Bearer token"


def entry_for_meta(entry: WhatsAppEntry) -> WhatsAppEntry:
    return replace(entry, template="relance")


def test_round_trips_are_counted_by_window(server: Server) -> None:
    measure = round_trips.sending(server, FEW)
    assert measure.values[0] >= 1
    assert f"for {FEW.due} e-mails" in measure.detail


def test_a_process_is_charged_with_what_it_started() -> None:
    if not Path("/proc/self/stat").exists():
        pytest.skip("processor time is read from /proc, which only Linux has")
    before = processor_seconds(os.getpid())
    subprocess.run([sys.executable, "-c", "sum(range(10**7))"], check=True)
    assert processor_seconds(os.getpid()) - before > 0.05
    assert processor_seconds(2**22 + 1) == 0.0


@pytest.mark.parametrize("sample", [TINY, NEW])
def test_of_a_sample_exactly_what_it_says_is_due(database: Database, sample: Sample) -> None:
    with database.begin() as connection:
        sample.fill(connection)
        calendar = dict(calendar_at(connection, datetime.now(UTC)).parameters)
        due = connection.execute(text(queries.CUSTOMERS_DUE), calendar | {"force": False})
        assert len(due.all()) == sample.due


def test_a_sample_that_cannot_be_made_is_refused() -> None:
    with pytest.raises(ValueError, match="no such sample"):
        Sample("wrong", invoices=10, unpaid=5, due=6)


def test_a_ratio_is_judged_by_its_median_and_a_missed_goal_shows() -> None:
    kept = Measure("a", [1.0, 1.4, 9.0], "×", 1.5, "…")
    missed = Measure("b", [10.0], "×", 20.0, "…", bound="at least")
    shown = Measure("c", [3.0], "MB", None, "…")
    assert [measure.kept for measure in (kept, missed, shown)] == [True, False, True]
    lines = table([kept, missed, shown]).splitlines()
    assert "1.40 ×" in lines[2]
    assert "1.00 to 9.00" in lines[2]
    assert "**KO**" in lines[3]


def test_an_import_is_timed_in_an_interpreter_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text("import time\ntime.sleep(0.05)\n")
    assert 0.05 <= imports.seconds_to_import("slow", [tmp_path]) < 5


def test_the_machine_is_named() -> None:
    machine = str(here("18.4"))
    assert "cores" in machine
    assert "PostgreSQL 18.4" in machine
    assert json.dumps(here(None).as_json())


def test_a_name_that_measures_nothing_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["nonsense"])
    assert ended.value.code == 2
    assert "nonsense" in capsys.readouterr().err


def test_the_documentation_names_every_measurement() -> None:
    page = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    assert [name for name in NAMES if f"`{name}`" not in page] == []
