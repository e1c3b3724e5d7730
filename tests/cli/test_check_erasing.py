"""`check`: whether an account could be erased with the rights and views that there are."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import make_url

from tests.cli.command_line import CommandLine
from tests.domain.accounts.erased import by_number, fill, lock, night
from tests.harness import Deployment

ROLE = "ponctuel_limited"


@pytest.fixture
def limited(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> Iterator[Deployment]:
    """A role that may write what the other jobs write, and nothing that only erasing does."""
    deployment.execute(f"CREATE ROLE {ROLE} LOGIN")
    deployment.execute(f"GRANT USAGE ON SCHEMA ponctuel TO {ROLE}")
    tables = "ALL TABLES IN SCHEMA ponctuel"
    deployment.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {tables} TO {ROLE}")
    for table in ("tasks", "appointments", "leads", "invoices"):
        deployment.execute(f"REVOKE UPDATE, DELETE ON ponctuel.{table} FROM {ROLE}")
    deployment.execute(
        "GRANT UPDATE (opted_out, replied_at, followups, last_followup_at)"
        f" ON ponctuel.leads TO {ROLE}"
    )
    deployment.execute(f"GRANT UPDATE (status) ON ponctuel.invoices TO {ROLE}")
    url = make_url(deployment.database.url).set(username=ROLE)
    monkeypatch.setenv("DATABASE_URL", url.render_as_string(hide_password=False))
    yield deployment
    deployment.execute(f"DROP OWNED BY {ROLE}")
    deployment.execute(f"DROP ROLE {ROLE}")


def test_the_rights_that_erasing_lacks_are_told_with_the_grants_that_give_them(
    limited: Deployment, ponctuel: CommandLine
) -> None:
    answer = ponctuel("check", "--json")
    assert answer.code == 0, answer.out  # nothing else is wrong
    user, business = [f for f in answer.data if "erasing_failed" in f["text"]]
    assert "le compte d'un utilisateur" in user["text"]
    assert user["sql"].splitlines() == [
        f"GRANT DELETE ON ponctuel.tasks TO {ROLE};",
        f"GRANT UPDATE (user_id) ON ponctuel.tasks TO {ROLE};",
        f"GRANT DELETE ON ponctuel.appointments TO {ROLE};",
        f"GRANT UPDATE (user_id) ON ponctuel.appointments TO {ROLE};",
        f"GRANT UPDATE (closer_id) ON ponctuel.leads TO {ROLE};",
    ]
    assert "du dernier utilisateur d'une entreprise" in business["text"]
    assert business["sql"].splitlines() == [
        f"GRANT DELETE ON ponctuel.leads TO {ROLE};",
        f"GRANT DELETE ON ponctuel.invoices TO {ROLE};",
    ]
    for grant in [*user["sql"].splitlines(), *business["sql"].splitlines()]:
        limited.execute(grant.rstrip(";"))
    assert "erasing_failed" not in ponctuel("check").out


def test_what_the_check_says_is_what_erasing_meets(
    limited: Deployment, ponctuel: CommandLine
) -> None:
    fill(limited, "B1")
    number = lock(limited)
    for _ in range(3):
        night(limited)
    assert by_number(limited, number)["blocked_reason"] == "erasing_failed"
    for finding in ponctuel("check", "--json").data:
        if "erasing_failed" in finding["text"]:
            for grant in finding["sql"].splitlines():
                limited.execute(grant.rstrip(";"))
    night(limited)
    assert by_number(limited, number)["state"] == "erased"


def test_a_view_that_takes_no_delete_is_told_with_the_trigger_that_it_needs(
    deployment: Deployment, ponctuel: CommandLine
) -> None:
    deployment.execute("ALTER TABLE ponctuel.tasks RENAME TO their_tasks")
    deployment.execute("ALTER TABLE ponctuel.their_tasks SET SCHEMA public")
    deployment.execute("CREATE VIEW ponctuel.tasks AS SELECT DISTINCT * FROM public.their_tasks")
    [finding] = [f for f in ponctuel("check", "--json").data if "erasing_failed" in f["text"]]
    assert finding["verdict"] == "note"
    assert "tasks (DELETE), tasks (UPDATE de user_id) ne se laissent pas écrire" in finding["text"]
    assert "INSTEAD OF DELETE ON ponctuel.tasks" in finding["sql"]
    assert "appointments" not in finding["sql"]
