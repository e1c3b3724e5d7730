"""Nothing private in any log line, however a run goes: canary values, searched for afterwards."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from sqlalchemy import Connection, make_url

from chalicelib.errors import DatabaseUnavailable
from chalicelib.outbox import kinds
from chalicelib.outbox.kinds import Claimed, Verdict
from tests.harness import TODAY, Deployment

SECRET = "canary-Secret-7f3a9c"
PRIVATE = ("canary-person", "canary.person@", "0612345678", "FR7630006000011234567890189")
RAISE = """
CREATE FUNCTION ponctuel.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'refused: %', NEW USING DETAIL = NEW.customer_id; END $$;
CREATE TRIGGER refuse BEFORE UPDATE ON ponctuel.quotes FOR EACH ROW
  EXECUTE FUNCTION ponctuel.refuse();
"""


@pytest.fixture
def private(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> Deployment:
    """Customers and secrets that must not be read anywhere, and logs that say everything."""
    monkeypatch.setenv("LOG_LEVEL", "DEBUG")
    monkeypatch.setenv("LOG_FORMAT", "json")
    monkeypatch.setenv("CRON_SECRET", SECRET * 2)
    deployment.smtp.credentials = ("relances", SECRET)
    login = f"relances:{SECRET}@127.0.0.1:{deployment.smtp.port}"
    monkeypatch.setenv("MAIL_URL", f"smtp://{login}?tls=none")
    url = make_url(deployment.database.url).set(password=SECRET)
    monkeypatch.setenv("DATABASE_URL", url.render_as_string(hide_password=False))
    person, address, phone, iban = PRIVATE
    deployment.open_business(phone=phone, iban=iban, name=person, address=person)
    for n in range(3):
        deployment.customer(f"K{n}", name=f"{person} {n}", emails=f"{address}k{n}.example")
        deployment.invoice(f"F{n}", customer_id=f"K{n}")
    deployment.quote(customer_id="K0", valid_until=TODAY + timedelta(days=9))
    return deployment


def lines_of(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    """The log lines since the last call, which hold no canary and have English names."""
    captured = capsys.readouterr()
    assert captured.out == ""
    for canary in (SECRET, *PRIVATE):
        assert canary not in captured.err
    lines = [json.loads(line) for line in captured.err.splitlines()]
    assert all(re.fullmatch("[a-z_]+", line["message"]) for line in lines)
    return lines


def test_a_run_that_goes_well_logs_nothing_private(
    private: Deployment, capsys: pytest.CaptureFixture[str]
) -> None:
    private.tick()
    private.deliver()
    assert len(private.messages(state="accepted")) == 4 - 1, "one a day for K0"
    assert {"run_started", "run_finished"} <= {line["message"] for line in lines_of(capsys)}


def test_nothing_that_goes_wrong_brings_private_data_into_the_log(
    private: Deployment, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for trouble in TROUBLES:
        expected = trouble(private, monkeypatch)
        found = {line["message"] for line in lines_of(capsys)}
        assert expected in found, found
    for table in ("runs", "run_errors", "messages"):
        told = private.rows(f"SELECT error FROM ponctuel.{table} WHERE error IS NOT NULL")
        assert told
        assert not [c for c in (SECRET, *PRIVATE) for row in told if c in row["error"]]


Trouble = Callable[[Deployment, pytest.MonkeyPatch], str]


def refused_by_the_server(deployment: Deployment, _patch: pytest.MonkeyPatch) -> str:
    deployment.smtp.fail("refuse_permanent", recipient="k1.")
    deployment.smtp.fail("accept_then_close", recipient="k2.")
    deployment.tick()
    return "message_not_accepted"


def password_refused(deployment: Deployment, patch: pytest.MonkeyPatch) -> str:
    deployment.customer("K7", emails=f"{PRIVATE[1]}k7.example")
    deployment.invoice("F7", customer_id="K7")
    deployment.smtp.fail("refuse_auth")
    deployment.tick(hours=24)
    deployment.smtp.heal()
    return "message_not_accepted"


def row_refused_by_a_trigger(deployment: Deployment, _patch: pytest.MonkeyPatch) -> str:
    deployment.quote("D5", customer_id=PRIVATE[0], valid_until=TODAY - timedelta(days=1))
    deployment.execute(RAISE)
    deployment.tick()
    return "item_failed"


def guard_that_crashes(deployment: Deployment, patch: pytest.MonkeyPatch) -> str:
    def crash(
        _connection: Connection, messages: Sequence[Claimed], _now: datetime
    ) -> Mapping[int, Verdict]:
        raise RuntimeError(f"{messages[0].recipient} {messages[0].content} {PRIVATE}")

    kind = kinds.load("billing.invoice_followup")
    patch.setitem(kinds._KINDS, kind.name, replace(kind, guard=crash))
    deployment.customer("K8", emails=f"{PRIVATE[1]}k8.example")
    deployment.invoice("F8", customer_id="K8")
    deployment.tick()
    patch.setitem(kinds._KINDS, kind.name, kind)
    return "guard_failed"


def letter_with_a_hole(deployment: Deployment, _patch: pytest.MonkeyPatch) -> str:
    deployment.customer("K9", name="  ", emails=f"{PRIVATE[1]}k9.example")
    deployment.invoice("F9", customer_id="K9")
    deployment.tick()
    assert deployment.messages(subject="F9")[0]["hold_reason"] == "variable"
    return "run_finished"


def database_that_refuses(deployment: Deployment, patch: pytest.MonkeyPatch) -> str:
    with patch.context() as elsewhere:
        url = f"postgresql+pg8000://{PRIVATE[0]}:{SECRET}@127.0.0.1:9/ponctuel"
        elsewhere.setenv("DATABASE_URL", url)
        with pytest.raises(DatabaseUnavailable):
            deployment.tick()
    return "ledger_not_reached"


TROUBLES: Sequence[Trouble] = (
    refused_by_the_server,
    password_refused,
    row_refused_by_a_trigger,
    guard_that_crashes,
    letter_with_a_hole,
    database_that_refuses,
)
