"""E-mails and the places where a mailbox shows them, in SQL: what was read, what is known already,
what has changed. Every writing statement runs in a transaction of `Desk.writing`."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from chalicelib.mailboxes.folders import KnownFolder
from chalicelib.mailboxes.parameters import FOLDER, MAILBOX, UIDVALIDITY
from chalicelib.providers.imap.port import Listed

# UIDs of one folder that a statement is about.
UIDS = "SELECT CAST(value AS bigint) FROM jsonb_array_elements_text(CAST(:uids AS jsonb))"

_KEEP = text(f"""
WITH given AS MATERIALIZED (
  SELECT * FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(
    uid bigint, email_id bigint, message_id text, has_message_id boolean, sha256 text,
    header_sha256 text, size bigint, listed_size bigint, raw_key text, state text,
    internal_date timestamptz, flags text[])
), novel AS (
  SELECT DISTINCT ON (message_id, sha256) * FROM given WHERE email_id IS NULL
   ORDER BY message_id, sha256, uid
), inserted AS (
  INSERT INTO ponctuel.emails (
    business_id, mailbox_id, message_id, has_message_id, sha256, header_sha256, size, listed_size,
    raw_key, state, attempts, direction, internal_date, sent_at, created_at)
  SELECT :business_id, :mailbox_id, message_id, has_message_id, decode(sha256, 'hex'),
         decode(header_sha256, 'hex'), size, listed_size, raw_key, state, 1, :direction,
         internal_date, internal_date, ponctuel.clock()
    FROM novel ORDER BY uid
  ON CONFLICT (mailbox_id, message_id, sha256) DO NOTHING
  RETURNING id, message_id, sha256, state
), known AS (
  SELECT id, message_id, sha256 FROM inserted
  UNION
  SELECT e.id, e.message_id, e.sha256 FROM novel n JOIN ponctuel.emails e
      ON e.mailbox_id = {MAILBOX} AND e.message_id = n.message_id
     AND e.sha256 = decode(n.sha256, 'hex')
), placed AS (
  INSERT INTO ponctuel.email_places (folder_id, uidvalidity, uid, email_id, flags)
  SELECT :folder_id, :uidvalidity, g.uid, COALESCE(g.email_id, k.id), g.flags
    FROM given g LEFT JOIN known k
      ON g.email_id IS NULL AND k.message_id = g.message_id AND k.sha256 = decode(g.sha256, 'hex')
  ON CONFLICT (folder_id, uidvalidity, uid) DO UPDATE
     SET gone_at = NULL, email_id = EXCLUDED.email_id, flags = EXCLUDED.flags
  RETURNING uid
), over AS (
  DELETE FROM ponctuel.email_troubles t USING placed
   WHERE t.folder_id = {FOLDER} AND t.uidvalidity = {UIDVALIDITY} AND t.uid = placed.uid
), advanced AS (
  UPDATE ponctuel.mailbox_folders SET last_uid = greatest(last_uid, :last_uid)
   WHERE id = :folder_id AND last_uid < :last_uid
)
SELECT id, message_id, sha256, state FROM inserted
""")

_OF_SIZES = text(f"""
SELECT e.id, e.listed_size, encode(e.header_sha256, 'hex') AS header_sha256, e.message_id,
       e.internal_date,
       (SELECT count(*) FROM ponctuel.email_places p
         WHERE p.email_id = e.id AND p.folder_id = {FOLDER} AND p.gone_at IS NULL
           AND p.uidvalidity <> {UIDVALIDITY}) AS before,
       (SELECT count(*) FROM ponctuel.email_places p
         WHERE p.email_id = e.id AND p.folder_id = {FOLDER}
           AND p.uidvalidity = {UIDVALIDITY}) AS here
  FROM jsonb_to_recordset(CAST(:asked AS jsonb)) AS a(size bigint, at timestamptz)
  JOIN ponctuel.emails e
    ON e.mailbox_id = {MAILBOX} AND e.listed_size = a.size AND e.has_message_id
   AND (a.at IS NULL OR a.at = e.internal_date)
""")

_KNOWN = text(f"""
SELECT p.uid, e.listed_size, encode(e.header_sha256, 'hex') AS header_sha256
  FROM ponctuel.email_places p JOIN ponctuel.emails e ON e.id = p.email_id
 WHERE p.folder_id = {FOLDER} AND p.uidvalidity = {UIDVALIDITY}
""")

_FLAGS = text(f"""
UPDATE ponctuel.email_places p SET flags = s.flags
  FROM jsonb_to_recordset(CAST(:flags AS jsonb)) AS s(uid bigint, flags text[])
 WHERE p.folder_id = {FOLDER} AND p.uidvalidity = {UIDVALIDITY} AND p.uid = s.uid
   AND p.flags IS DISTINCT FROM s.flags
""")
_VANISHED = text(f"""
UPDATE ponctuel.email_places SET gone_at = ponctuel.clock()
 WHERE folder_id = {FOLDER} AND uidvalidity = {UIDVALIDITY} AND gone_at IS NULL
   AND uid IN ({UIDS})
""")

# `flags` is null where the server's flags are followed otherwise.
_COMPARE = text(f"""
WITH server AS MATERIALIZED (
  SELECT * FROM jsonb_to_recordset(CAST(:server AS jsonb)) AS s(uid bigint, flags text[])
), differs AS (
  SELECT p.uid, s.uid IS NULL AS missing, s.flags, p.gone_at IS NULL AS here
    FROM ponctuel.email_places p LEFT JOIN server s ON s.uid = p.uid
   WHERE p.folder_id = {FOLDER} AND p.uidvalidity = {UIDVALIDITY}
     AND ((s.uid IS NULL) = (p.gone_at IS NULL)
          OR (s.flags IS NOT NULL AND s.flags IS DISTINCT FROM p.flags))
), changed AS (
  UPDATE ponctuel.email_places p
     SET gone_at = CASE WHEN d.missing THEN ponctuel.clock() END,
         flags = COALESCE(d.flags, p.flags)
    FROM differs d
   WHERE p.folder_id = {FOLDER} AND p.uidvalidity = {UIDVALIDITY} AND p.uid = d.uid
  RETURNING d.missing, d.here
), over AS (
  DELETE FROM ponctuel.email_troubles t
   WHERE t.folder_id = {FOLDER} AND t.uidvalidity = {UIDVALIDITY}
     AND t.uid NOT IN (SELECT uid FROM server)
)
SELECT (SELECT count(*) FROM changed WHERE missing) AS gone,
       (SELECT count(*) FROM changed WHERE NOT missing AND here) AS flagged,
       (SELECT COALESCE(jsonb_agg(s.uid ORDER BY s.uid), '[]') FROM server s
         WHERE s.uid <= :last_uid
           AND NOT EXISTS (SELECT 1 FROM ponctuel.email_places p
                            WHERE p.folder_id = {FOLDER} AND p.uidvalidity = {UIDVALIDITY}
                              AND p.uid = s.uid)
           AND NOT EXISTS (SELECT 1 FROM ponctuel.email_troubles t
                            WHERE t.folder_id = {FOLDER} AND t.uidvalidity = {UIDVALIDITY}
                              AND t.uid = s.uid)) AS unknown
""")


@dataclass(frozen=True)
class Row:
    """A message that was read, or (`email_id`) one that the mailbox has already. Hashes are in
    hexadecimal; `state` is pending or stub."""

    uid: int
    flags: Sequence[str]
    email_id: int | None = None
    message_id: str = ""
    has_message_id: bool = False
    sha256: str = ""
    header_sha256: str = ""
    size: int = 0
    listed_size: int | None = None
    raw_key: str | None = None
    state: str = "pending"
    internal_date: datetime | None = None


@dataclass(frozen=True)
class Inserted:
    id: int
    message_id: str
    sha256: bytes
    state: str


@dataclass
class Alike:
    """An e-mail of the mailbox with a size that was asked for. `before`: how often this folder
    showed it under another UIDVALIDITY; `here`: how often it does now."""

    id: int
    listed_size: int
    header_sha256: str
    message_id: str
    internal_date: datetime | None
    before: int
    here: int


@dataclass(frozen=True)
class Compared:
    """Places that were found to be gone, those whose flags had changed, and UIDs of the server's
    that should be known and are not."""

    gone: int
    flagged: int
    unknown: Sequence[int]


def keep(
    connection: Connection,
    folder: KnownFolder,
    rows: Iterable[Row],
    *,
    business_id: str,
    mailbox_id: int,
    last_uid: int,
) -> list[Inserted]:
    """E-mails, their places and the cursor, in one statement. Returns the e-mails that are new.
    `last_uid` 0 leaves the cursor."""
    found = connection.execute(
        _KEEP,
        {
            **place(folder),
            "business_id": business_id,
            "mailbox_id": mailbox_id,
            "rows": json.dumps([vars(row) for row in rows], default=_json),
            "direction": "out" if folder.special == "sent" else "in",
            "last_uid": last_uid,
        },
    )
    folder.last_uid = max(folder.last_uid, last_uid)
    return [Inserted(*row) for row in found]


def alike(
    connection: Connection,
    folder: KnownFolder,
    mailbox_id: int,
    listed: Iterable[Listed],
    *,
    dated: bool,
) -> list[Alike]:
    """The mailbox's e-mails with a Message-ID that have the size of one of these messages, and
    (`dated`) the server's date."""
    asked = {
        (one.size, one.internal_date.isoformat() if dated and one.internal_date else None)
        for one in listed
        if one.size is not None and not (dated and one.internal_date is None)
    }
    rows = [{"size": size, "at": at} for size, at in asked]
    values = {**place(folder), "mailbox_id": mailbox_id, "asked": json.dumps(rows)}
    return [Alike(**row) for row in connection.execute(_OF_SIZES, values).mappings()]


def known(connection: Connection, folder: KnownFolder) -> dict[int, tuple[int | None, str]]:
    """By UID the listed size and the hash of the header, of all that the folder has ever shown
    under its UIDVALIDITY."""
    rows = connection.execute(_KNOWN, place(folder))
    return {uid: (size, header) for uid, size, header in rows}


def flag(connection: Connection, folder: KnownFolder, flags: Mapping[int, Sequence[str]]) -> int:
    """How many places have other flags now."""
    rows = [{"uid": uid, "flags": kept_flags(these)} for uid, these in flags.items()]
    values = {**place(folder), "flags": json.dumps(rows)}
    return connection.execute(_FLAGS, values).rowcount


def vanish(connection: Connection, folder: KnownFolder, uids: Collection[int]) -> int:
    """How many places are gone now that were there."""
    values = {**place(folder), "uids": json.dumps(list(uids))}
    return connection.execute(_VANISHED, values).rowcount


def compare(
    connection: Connection,
    folder: KnownFolder,
    server: Iterable[int],
    flags: Mapping[int, Sequence[str]] | None,
) -> Compared:
    """The folder's places with all UIDs of the server's. What is not there is marked gone, what is
    there again no longer is."""
    rows: list[dict[str, Any]] = [
        {"uid": uid, "flags": kept_flags(flags[uid]) if flags and uid in flags else None}
        for uid in server
    ]
    values = {**place(folder), "server": json.dumps(rows), "last_uid": folder.last_uid}
    return Compared(*connection.execute(_COMPARE, values).one())


def kept_flags(flags: Sequence[str] | None) -> list[str]:
    """As they are kept: sorted, without what is true of one session only."""
    return sorted({flag.replace("\0", "") for flag in flags or ()} - {"\\Recent"})


def place(folder: KnownFolder) -> dict[str, Any]:
    return {"folder_id": folder.id, "uidvalidity": folder.uidvalidity}


def _json(value: object) -> str:
    assert isinstance(value, datetime), type(value)
    return value.isoformat()
