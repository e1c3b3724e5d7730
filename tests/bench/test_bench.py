"""The benchmark's parts on tiny sizes: that they measure the same work, not how fast it is."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine, make_url, text

from bench import imports, orm, planning
from bench.__main__ import NAMES, main
from bench.machine import here
from bench.measure import Measure, table
from bench.sample import Sample, fill
from chalicelib.domain.billing import queries
from chalicelib.domain.billing.calendar import calendar_at
from tests.contract.paths import ROOT
from tests.database import Database

TINY = Sample("tiny", invoices=200, unpaid=60, due=40, history=True)
NEW = Sample("new", invoices=200, unpaid=60, due=40)


@pytest.fixture
def engine(database: Database, monkeypatch: pytest.MonkeyPatch) -> Engine:
    monkeypatch.setenv("LOG_LEVEL", "ERROR")
    with database.begin() as connection:
        fill(connection, TINY)
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


@pytest.mark.parametrize("sample", [TINY, NEW])
def test_of_a_sample_exactly_what_it_says_is_due(database: Database, sample: Sample) -> None:
    with database.begin() as connection:
        fill(connection, sample)
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
