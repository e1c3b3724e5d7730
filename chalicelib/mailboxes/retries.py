"""Messages that a server has and does not give: when each is asked for again."""

from __future__ import annotations

import json
from collections.abc import Collection

from sqlalchemy import Connection, text

from chalicelib.mailboxes.folders import KnownFolder
from chalicelib.mailboxes.places import UIDS, place

# A message that the server lists and does not give is asked for again after 15 minutes, an hour,
# 4 hours, 16, and then every 2 days: after eight times it is given up. One at which the connection
# breaks may not be to blame: that takes longer.
TRIES = {"empty": 8, "cut": 20}

_TROUBLE = text(f"""
INSERT INTO ponctuel.email_troubles AS t (folder_id, uidvalidity, uid, next_at, error_code, at)
SELECT :folder_id, :uidvalidity, asked.uid, ponctuel.clock() + interval '15 minutes', :code,
       ponctuel.clock()
  FROM ({UIDS}) AS asked(uid)
ON CONFLICT (folder_id, uidvalidity, uid) DO UPDATE
   SET attempts = t.attempts + 1, at = EXCLUDED.at, error_code = EXCLUDED.error_code,
       next_at = CASE WHEN t.attempts + 1 < :tries
                      THEN EXCLUDED.at + least(interval '15 minutes' * power(4, t.attempts),
                                               interval '2 days') END
RETURNING attempts
""")
_NO_TROUBLE = text(f"""
DELETE FROM ponctuel.email_troubles
 WHERE folder_id = :folder_id AND uidvalidity = :uidvalidity AND uid IN ({UIDS})
""")


def trouble(connection: Connection, folder: KnownFolder, uids: Collection[int], code: str) -> int:
    """These are there and could not be read; they are tried again later. Returns how many of them
    are given up with this."""
    values = {**place(folder), "uids": json.dumps(list(uids)), "code": code}
    found = connection.execute(_TROUBLE, {**values, "tries": TRIES[code]})
    return sum(attempts >= TRIES[code] for (attempts,) in found)


def no_trouble(connection: Connection, folder: KnownFolder, uids: Collection[int]) -> None:
    """These are not there any more."""
    connection.execute(_NO_TROUBLE, {**place(folder), "uids": json.dumps(list(uids))})
