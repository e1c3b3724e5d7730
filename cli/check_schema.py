"""The schema's version against this code's, the clock, and what is live."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sqlalchemy import Connection, text

from chalicelib.db.migrate import BRANCHES, revisions, shipped, unknown
from chalicelib.settings import Settings
from cli.check_finding import Finding

TOPIC = "schéma"

_CLOCK = text("""
SELECT btrim(prosrc) = 'SELECT pg_catalog.statement_timestamp()' FROM pg_proc
 WHERE oid = 'ponctuel.clock()'::regprocedure
""")
# What is in the schema and not of the domain is the engine's.
_RIGHTS = text("""
SELECT quote_ident(current_user) AS role, x.wanted,
       string_agg('ponctuel.' || x.name, ', ' ORDER BY x.name) AS names
  FROM (SELECT c.oid, c.relname AS name,
               CASE WHEN c.relkind = 'v' OR c.relname IN ('schema_versions', 'sandbox_clock')
                    THEN 'SELECT' ELSE 'SELECT, INSERT, UPDATE, DELETE' END AS wanted
          FROM pg_catalog.pg_class c
         WHERE c.relnamespace = to_regnamespace('ponctuel') AND c.relkind IN ('r', 'v')
           AND c.relname <> ALL (CAST(:domain AS text[]))) x
 WHERE EXISTS (SELECT 1 FROM unnest(string_to_array(x.wanted, ', ')) AS needed(privilege)
                WHERE NOT has_table_privilege(x.oid, needed.privilege))
 GROUP BY x.wanted ORDER BY x.wanted
""")
_LIVE = text("""
SELECT EXISTS (SELECT 1 FROM ponctuel.go_lives WHERE business_id = '*'),
       (SELECT count(DISTINCT business_id) FROM ponctuel.go_lives WHERE business_id <> '*')
""")


def unreadable(code: str, _why: str) -> Finding:
    """The engine's own tables cannot be read."""
    return Finding(
        TOPIC, "problem", f"le moteur n'est pas installé ({code}) : `./ponctuel migrate`"
    )


def rights(connection: Connection, domain: Sequence[str]) -> Iterator[Finding]:
    """Whether this role may use the engine's relations, should another one have created them.
    `domain`: the relations that are not the engine's."""
    for role, wanted, names in connection.execute(_RIGHTS, {"domain": [*domain]}):
        yield Finding(
            TOPIC,
            "problem",
            f"le rôle {role} n'a pas les droits {wanted} sur {names}",
            f"GRANT {wanted} ON {names} TO {role};",
        )


def versions(connection: Connection) -> Iterator[Finding]:
    """One finding per branch."""
    present = revisions(connection)
    newer = unknown(present)
    for branch in BRANCHES:
        newest = shipped(branch)[-1]
        have = next((name for name in present if name.startswith(f"{branch}_")), None)
        if have in newer:
            yield Finding(
                TOPIC,
                "note",
                f"{have} est plus récent que ce code ({newest}), qui peut travailler avec : "
                "déployez la version qui a migré la base, ou restez-en là après un retour arrière",
            )
        elif have == newest:
            yield Finding(TOPIC, "ok", newest)
        elif have is None and branch == "domain":
            yield Finding(
                TOPIC,
                "note",
                "la branche domain n'est pas installée : `./ponctuel migrate` crée les tables "
                "que vous n'avez pas en vues",
            )
        else:
            said = f"{have or 'rien'} au lieu de {newest} : lancez `./ponctuel migrate`"
            yield Finding(TOPIC, "problem", said)


def clock(connection: Connection, current: Settings) -> Finding:
    """Whether the only clock is the server's own."""
    if connection.execute(_CLOCK).scalar_one():
        return Finding("horloge", "ok", "celle du serveur")
    if current.is_local:
        return Finding("horloge", "note", "celle du bac à sable, qui se règle")
    return Finding(
        "horloge",
        "problem",
        "ponctuel.clock() a été remplacée : rétablissez la fonction de la migration",
        "CREATE OR REPLACE FUNCTION ponctuel.clock() RETURNS timestamptz LANGUAGE sql STABLE\n"
        "AS 'SELECT pg_catalog.statement_timestamp()';",
    )


def live(connection: Connection, current: Settings) -> Finding:
    """Who may be written to now."""
    stage, businesses = connection.execute(_LIVE).one()
    if not stage:
        allowed = current.allow_list
        count = len(allowed.addresses) + len(allowed.domains)
        return Finding(
            "mise en service",
            "note",
            f"l'étape {current.stage} n'est pas en service : seules les {count} entrées de "
            "ALLOW_LIST reçoivent (`./ponctuel go-live`)",
        )
    return Finding("mise en service", "ok", f"étape en service, {businesses} entreprise(s)")
