"""The description of the domain's relations is the schema's own, column by column."""

from __future__ import annotations

import re

import pytest
from sqlalchemy import text

from chalicelib.db.migrate import FOLDER
from chalicelib.domain.relation import ACCEPTED, Relation
from chalicelib.domain.relations import RELATIONS
from tests.database import Database

CODE = FOLDER.parent.parent

COLUMNS = text("""
SELECT column_name, data_type, is_nullable = 'YES' AS nullable, column_default
  FROM information_schema.columns
 WHERE table_schema = 'ponctuel' AND table_name = :relation ORDER BY ordinal_position
""")
CODES = text("""
SELECT a.attname, pg_get_constraintdef(k.oid)
  FROM pg_constraint k JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = k.conkey[1]
 WHERE k.conrelid = CAST(:relation AS regclass) AND k.contype = 'c'
""")
KEYS = text("""
SELECT i.indisprimary, array_agg(a.attname ORDER BY array_position(i.indkey::int2[], a.attnum))
  FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
 WHERE i.indrelid = CAST(:relation AS regclass) AND i.indisunique GROUP BY i.indexrelid, 1
""")


def own(relation: Relation) -> dict[str, str]:
    return {"relation": f"ponctuel.{relation.name}"}


def as_written(default: str | None) -> str | None:
    """A default without the cast and the seconds that PostgreSQL adds."""
    if default is None:
        return None
    return re.sub(r"(\d\d:\d\d):00'", r"\1'", re.sub(r"::[a-z ]+$", "", default))


def test_every_relation_that_a_domain_migration_creates_is_described() -> None:
    created = {
        name
        for file in (FOLDER / "domain").glob("[0-9]*.py")
        for name in re.findall(r"CREATE TABLE ponctuel\.(\w+)", file.read_text(encoding="utf-8"))
    }
    assert created == {relation.name for relation in RELATIONS}


@pytest.mark.parametrize("relation", RELATIONS, ids=lambda relation: relation.name)
def test_a_description_says_what_the_table_is(relation: Relation, database: Database) -> None:
    with database.begin() as connection:
        columns = connection.execute(COLUMNS, {"relation": relation.name}).all()
        codes = {row[0]: row[1] for row in connection.execute(CODES, own(relation))}
        keys = {primary: tuple(key) for primary, key in connection.execute(KEYS, own(relation))}
    found = [(name, kind, nullable) for name, kind, nullable, _ in columns]
    described = [(c.name, ACCEPTED[c.type][0], c.nullable) for c in relation.columns]
    assert found == described
    for name, _kind, _nullable, default in columns:
        assert relation.column(name).default == as_written(default)
    for column in relation.columns:
        listed = re.findall(r"'(\w+)'::text", codes.get(column.name, ""))
        assert sorted(listed) == sorted(column.values)
    assert keys[True] == relation.key
    assert keys.get(False, ()) == relation.unique


@pytest.mark.parametrize("relation", RELATIONS, ids=lambda relation: relation.name)
def test_what_is_said_not_to_be_read_is_read_nowhere(relation: Relation) -> None:
    unread = [column.name for column in relation.columns if not column.read]
    reads = re.compile(rf"ponctuel\.{relation.name}\b")
    sources = [path for path in CODE.rglob("*.py") if "migrations" not in path.parts]
    readers = [s for path in sources if reads.search(s := path.read_text(encoding="utf-8"))]
    assert readers or not unread
    assert [name for name in unread if any(name in source for source in readers)] == []
