"""What is kept of each folder, in SQL. Every statement runs in a transaction of `Desk.writing`."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence

from sqlalchemy import Connection, text

from chalicelib.mailboxes.folders import (
    STORM,
    STORM_REST,
    KnownFolder,
    failures_with,
    parked_for,
)
from chalicelib.mailboxes.parameters import FOLDER, UIDVALIDITY
from chalicelib.providers.imap.port import Folder, Opened

_ADD = text("""
INSERT INTO ponctuel.mailbox_folders (mailbox_id, path, special)
SELECT :mailbox_id, n.path, n.special
  FROM jsonb_to_recordset(CAST(:new AS jsonb)) AS n(path text, special text)
ON CONFLICT (mailbox_id, path) DO NOTHING
RETURNING to_jsonb(mailbox_folders) AS row
""")

# What it held is gone with it. Should it come back, comparing finds out what is there.
_GONE = text("""
WITH gone AS (
  UPDATE ponctuel.mailbox_folders
     SET state = 'gone', seen_exists = NULL,
         error_code = CASE WHEN :listed THEN error_code END,
         error = CASE WHEN :listed THEN error END,
         parked_until = CASE WHEN :listed THEN parked_until END
   WHERE id IN (SELECT CAST(value AS bigint) FROM jsonb_array_elements_text(CAST(:ids AS jsonb)))
  RETURNING id, uidvalidity
)
UPDATE ponctuel.email_places p SET gone_at = ponctuel.clock()
  FROM gone WHERE p.folder_id = gone.id AND p.gone_at IS NULL
""")

_BACK = text("""
UPDATE ponctuel.mailbox_folders SET state = 'active', seen_exists = NULL
 WHERE id IN (SELECT CAST(value AS bigint) FROM jsonb_array_elements_text(CAST(:ids AS jsonb)))
""")

_RENAMED = text("""
UPDATE ponctuel.mailbox_folders
   SET path = :path, special = :special, state = 'active', seen_exists = NULL
 WHERE id = :folder_id
""")

_RESET = text(f"""
UPDATE ponctuel.mailbox_folders
   SET uidvalidity = :uidvalidity, seen_exists = NULL, highestmodseq = NULL,
       last_uid = CASE WHEN :same THEN last_uid ELSE 0 END,
       resets = :resets, reset_at = CASE WHEN :resets > 0 THEN ponctuel.clock() ELSE reset_at END,
       state = CASE WHEN :resets >= {STORM} THEN 'parked' ELSE 'active' END,
       parked_until = CASE WHEN :resets >= {STORM} THEN ponctuel.clock() + :rest END
 WHERE id = :folder_id
""")
_REBASE = text("""
UPDATE ponctuel.email_places SET uidvalidity = :uidvalidity
 WHERE folder_id = :folder_id AND uidvalidity = :before
""")
_REBASE_TROUBLES = text("""
UPDATE ponctuel.email_troubles SET uidvalidity = :uidvalidity
 WHERE folder_id = :folder_id AND uidvalidity = :before
""")

# Places under another UIDVALIDITY have served their turn: what is still there has a new one. They
# are looked at one by one (`+ 0` keeps the planner to the index of e-mails), and changed by where
# they are: joined with all places of the folder, they take seconds where there is not one of them.
_SETTLED = text(f"""
WITH settled AS (
  UPDATE ponctuel.mailbox_folders
     SET seen_exists = :exists, seen_uidnext = :uidnext, highestmodseq = :modseq, failures = 0,
         checked_at = CASE WHEN :checked THEN ponctuel.clock() ELSE checked_at END,
         error_code = CASE WHEN state = 'parked' THEN error_code END,
         error = CASE WHEN state = 'parked' THEN error END
   WHERE id = :folder_id
), others AS MATERIALIZED (
  SELECT p.ctid AS row, p.gone_at IS NULL AS here,
         EXISTS (SELECT 1 FROM ponctuel.email_places n
                  WHERE n.email_id = p.email_id AND n.folder_id + 0 = :folder_id
                    AND n.uidvalidity + 0 = :uidvalidity) AS replaced
    FROM ponctuel.email_places p
   WHERE :reset AND p.folder_id = {FOLDER} AND p.uidvalidity <> {UIDVALIDITY}
), replaced AS (
  DELETE FROM ponctuel.email_places p
   WHERE p.ctid = ANY (ARRAY(SELECT o.row FROM others o WHERE o.replaced))
), forgotten AS (
  DELETE FROM ponctuel.email_troubles
   WHERE :reset AND folder_id = :folder_id AND uidvalidity <> :uidvalidity
), lost AS (
  UPDATE ponctuel.email_places p SET gone_at = ponctuel.clock()
   WHERE p.ctid = ANY (ARRAY(SELECT o.row FROM others o WHERE o.here AND NOT o.replaced))
  RETURNING 1
)
SELECT count(*) FROM lost
""")

_PARKED = text("""
UPDATE ponctuel.mailbox_folders
   SET state = 'parked', failures = :failures, parked_until = ponctuel.clock() + :rest,
       error_code = :code, error = :message
 WHERE id = :folder_id
""")
_TOLD = text("""
UPDATE ponctuel.mailbox_folders SET error_code = :code, error = :message WHERE id = :folder_id
""")
_UNPARKED = text("""
UPDATE ponctuel.mailbox_folders
   SET state = 'active', parked_until = NULL, error_code = NULL, error = NULL, failures = 0,
       resets = 0
 WHERE id = :folder_id
""")


def add(connection: Connection, mailbox_id: int, new: Sequence[Folder]) -> list[KnownFolder]:
    """Their rows, in the order given."""
    rows = [{"path": folder.path, "special": folder.special} for folder in new]
    values = {"mailbox_id": mailbox_id, "new": json.dumps(rows)}
    added = {row["path"]: row for (row,) in connection.execute(_ADD, values)}
    return [KnownFolder.of(added[folder.path]) for folder in new if folder.path in added]


def mark_gone(
    connection: Connection, folders: Collection[KnownFolder], *, listed: bool = False
) -> int:
    """How many messages are gone from there. `listed`: the server still lists these, and they are
    parked: they are tried again after that."""
    ids = json.dumps([folder.id for folder in folders])
    return connection.execute(_GONE, {"ids": ids, "listed": listed}).rowcount


def mark_back(connection: Connection, folders: Collection[KnownFolder]) -> None:
    connection.execute(_BACK, {"ids": json.dumps([folder.id for folder in folders])})
    for folder in folders:
        folder.state, folder.seen_exists = "active", None


def rename(connection: Connection, known: KnownFolder, folder: Folder) -> None:
    """It is the same folder, under another path."""
    values = {"folder_id": known.id, "path": folder.path, "special": folder.special}
    connection.execute(_RENAMED, values)
    known.path, known.special = folder.path, folder.special
    known.state, known.seen_exists = "active", None


def reset(
    connection: Connection,
    known: KnownFolder,
    uidvalidity: int,
    *,
    same: bool,
    resets: int,
) -> None:
    """The folder's UIDs are others from now on (`same`: they are not, only UIDVALIDITY is)."""
    values = {"folder_id": known.id, "uidvalidity": uidvalidity}
    if same:
        connection.execute(_REBASE, {**values, "before": known.uidvalidity})
        connection.execute(_REBASE_TROUBLES, {**values, "before": known.uidvalidity})
    else:
        known.last_uid = 0
    connection.execute(_RESET, {**values, "same": same, "resets": resets, "rest": STORM_REST})
    known.uidvalidity, known.resets = uidvalidity, resets
    known.seen_exists = known.highestmodseq = None
    known.state = "parked" if resets >= STORM else "active"


def settle(
    connection: Connection, known: KnownFolder, seen: Opened, *, checked: bool, reset: bool
) -> int:
    """All that `seen` tells of is known. `reset`: places under other UIDVALIDITYs may be left.
    Returns how many messages were found to be gone with them."""
    gone: int = connection.execute(
        _SETTLED,
        {
            "folder_id": known.id,
            "uidvalidity": known.uidvalidity,
            "exists": seen.exists,
            "uidnext": seen.uidnext,
            "modseq": seen.highestmodseq,
            "checked": checked,
            "reset": reset,
        },
    ).scalar_one()
    return gone


def park(connection: Connection, known: KnownFolder, code: str, message: str) -> None:
    """It cannot be opened: it is left alone for a while."""
    known.failures = failures_with(known, code)
    values = {"folder_id": known.id, "code": code, "message": message, "failures": known.failures}
    connection.execute(_PARKED, values | {"rest": parked_for(known.failures)})
    known.state, known.error_code = "parked", code


def tell(connection: Connection, known: KnownFolder, code: str, message: str) -> None:
    connection.execute(_TOLD, {"folder_id": known.id, "code": code, "message": message})


def unpark(connection: Connection, known: KnownFolder) -> None:
    connection.execute(_UNPARKED, {"folder_id": known.id})
    known.state, known.resets, known.failures = "active", 0, 0
