"""The guide's example works as it is printed: right letters once, one write, nothing else."""

from __future__ import annotations

import pytest
from sqlalchemy.exc import DBAPIError

from chalicelib.domain.relation import Relation
from chalicelib.domain.relations import RELATIONS
from tests.bring_your_own.guide import PAGE, Followed
from tests.cli.command_line import CommandLine
from tests.harness import Deployment

PERRIN = "6f1c2b9e-0000-4000-8000-000000000001"
LACROIX = "6f1c2b9e-0000-4000-8000-000000000002"
BOTH = (PERRIN, LACROIX)
TABLES = ("client", "facture", "reglement", "devis")


def accepted(deployment: Deployment) -> set[tuple[str, str, str, str]]:
    """(business, kind without its prefix, subject, step) of each letter, none of them twice."""
    found = [
        (m["business_id"], m["kind"].removeprefix("billing."), m["subject"], m["step"])
        for m in deployment.messages(state="accepted", cycle="0")
        + deployment.messages(state="accepted", cycle="1")
    ]
    assert len(found) == len(set(found))
    return set(found)


def test_the_guide_works_from_the_first_line_to_the_last(
    guide: Followed, ponctuel: CommandLine
) -> None:
    deployment = guide.deployment
    checked = guide.answers["./ponctuel check"].out
    assert "✗" not in checked
    assert "en vue : businesses, customers, customer_phones, invoices, quotes" in checked
    assert "en table : billing_settings, followup_levels, followup_decisions" in checked
    assert "6 messages" in guide.answers["./ponctuel run followups --dry-run --all"].words
    first = {(b, "invoice_followup", n, "1") for b in BOTH for n in ("1", "2", "3")}
    assert accepted(deployment) == first
    assert deployment.last_run()["counts"]["quotes_expired"] == 2
    assert [(d["id"], d["etat"]) for d in guide.theirs("devis")] == [
        (1, "perime"), (2, "envoye"), (1, "perime"), (2, "envoye")
    ]  # fmt: skip
    recipients = {(m["business_id"], m["recipient"]) for m in deployment.messages(subject="1")}
    assert recipients == {
        (PERRIN, "client1@menuiserie-perrin.example"),
        (LACROIX, "client1@garage-lacroix.example"),
    }
    partly = deployment.rows(
        "SELECT b.text FROM ponctuel.message_bodies b JOIN ponctuel.messages m "
        "ON m.id = b.message_id WHERE m.subject = '2' AND m.business_id = :b", b=PERRIN
    )  # fmt: skip
    assert "700,02" in partly[0]["text"]


def test_two_runs_write_the_expired_quotes_of_their_tables_and_nothing_else(
    guide_before_its_run: Followed,
) -> None:
    guide = guide_before_its_run
    before = {table: guide.theirs(table) for table in TABLES}
    guide.deployment.tick()
    sent = accepted(guide.deployment)
    after = {table: guide.theirs(table) for table in TABLES}
    for old, new in zip(before["devis"], after["devis"], strict=True):
        if old["id"] == 1:
            assert new.pop("modifie_le") != old.pop("modifie_le")
            assert (old.pop("etat"), new.pop("etat")) == ("envoye", "perime")
    assert after == before
    after = {table: guide.theirs(table) for table in TABLES}
    guide.deployment.tick()
    assert accepted(guide.deployment) == sent
    assert {table: guide.theirs(table) for table in TABLES} == after
    assert "quotes_expired" not in guide.deployment.last_run()["counts"]


def test_a_payment_in_their_table_stops_the_relances_and_its_bouncing_starts_them_over(
    guide: Followed,
) -> None:
    deployment = guide.deployment
    guide.as_owner(
        f"INSERT INTO gestion.reglement VALUES ('{PERRIN}', 9, 1, 120001, '2026-03-12', NULL)"
    )
    deployment.tick(hours=10 * 24)
    second = {(b, s) for b, kind, s, step in accepted(deployment) if step == "2"}
    assert second == {(b, n) for b in BOTH for n in ("1", "2", "3")} - {(PERRIN, "1")}
    guide.as_owner("UPDATE gestion.reglement SET rejete_le = '2026-03-23' WHERE id = 9")
    deployment.tick(hours=4 * 24)
    again = deployment.messages(business_id=PERRIN, subject="1", cycle="1")
    assert [(m["step"], m["state"]) for m in again] == [("1", "accepted")]


def test_a_quote_accepted_between_the_selection_and_the_write_stays_accepted(
    guide: Followed,
) -> None:
    guide.as_owner("UPDATE gestion.devis SET etat = 'gagne' WHERE id = 1")
    guide.deployment.execute("UPDATE ponctuel.quotes SET status = 'expired' WHERE id = '1'")
    assert {d["etat"] for d in guide.theirs("devis") if d["id"] == 1} == {"gagne"}


def test_the_role_of_the_guide_reads_their_tables_through_the_views_alone(guide: Followed) -> None:
    for forbidden in (
        "SELECT 1 FROM gestion.facture",
        "UPDATE ponctuel.customers SET name = 'x'",
        "UPDATE ponctuel.quotes SET number = 'x'",
        "DELETE FROM ponctuel.quotes",
    ):
        with pytest.raises(DBAPIError) as refused:
            guide.deployment.execute(forbidden)
        assert "42501" in str(refused.value.orig)


def test_migrating_again_leaves_the_views_as_they_are(
    guide: Followed, ponctuel: CommandLine
) -> None:
    assert ponctuel("migrate").code == 0
    assert "✗" not in ponctuel("check").out


@pytest.mark.parametrize("relation", RELATIONS, ids=lambda relation: relation.name)
def test_the_guide_lists_the_columns_of_a_relation(relation: Relation) -> None:
    listed = []
    for column in (column for column in relation.columns if column.read):
        said = [column.type] if column.type != "text" else []
        said += [", ".join(column.values)] if column.values else []
        if column.default is not None:
            said.append(f"else {column.default}")
        elif column.nullable:
            said.append("null")
        listed.append(f"`{column.name}`" + (f" ({'; '.join(said)})" if said else ""))
    line = f"| `{relation.name}` | {', '.join(listed)} |"
    assert line in PAGE.read_text(encoding="utf-8").splitlines()
