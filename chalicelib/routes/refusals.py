"""Refused calls: remembered without their address, and answered more slowly when they repeat."""

from __future__ import annotations

import hmac
import re
import threading
import time
from typing import TYPE_CHECKING

from chalicelib import logs
from chalicelib.errors import NotConfigured, PonctuelError, SettingsError
from chalicelib.redaction import scrub_text

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from chalicelib.routes.call import Call

FREE_FAILURES = 5
LONGEST_DELAY_S = 3.0
# Past this, more rows of one caller would only fill the table.
ROWS_PER_WINDOW = 50
WORKER = "refused-call"

RECORD = """
WITH recent AS (
  SELECT count(*) AS failures
    FROM ponctuel.refused_calls
   WHERE caller = :caller
     AND at > ponctuel.clock() - interval '5 minutes'
), recorded AS (
  INSERT INTO ponctuel.refused_calls (at, path, caller, code)
  SELECT ponctuel.clock(), :path, :caller, :code FROM recent WHERE failures < :rows
)
SELECT failures FROM recent
"""


def delay_for(failures_recent: int) -> float:
    """Seconds to wait before refusing an address that was refused `failures_recent` times in the
    last five minutes: none up to five, then half a second more each time, three at most."""
    return min(LONGEST_DELAY_S, max(0, failures_recent - FREE_FAILURES) * 0.5)


def caller_of(address: str | None, secret: str | None) -> str:
    """What stands for a source address in the ledger: 16 hexadecimal digits that cannot be turned
    back without the secret, or nothing when there is no secret or no address. An IPv6 client owns a
    /64 and can change the rest as it likes, so only that part counts.

    Give `requestContext.identity.sourceIp`: X-Forwarded-For is whatever the caller wrote."""
    if not address or not secret:
        return ""
    from ipaddress import IPv6Address, ip_address

    try:
        parsed = ip_address(address.strip())
    except ValueError:
        return ""
    if isinstance(parsed, IPv6Address):
        parsed = parsed.ipv4_mapped or IPv6Address(int(parsed) >> 64 << 64)
    key = hmac.digest(secret.encode("utf-8", "surrogatepass"), b"ponctuel refused_calls", "sha256")
    return hmac.digest(key, str(parsed).encode(), "sha256").hex()[:16]


def slow_down(call: Call, error: PonctuelError) -> None:
    """Remembers that the call is refused for `error`, and makes one who insists wait."""
    logs.warning("http_refused", path=call.path, code=error.code)
    try:
        secret = None if isinstance(error, NotConfigured) else call.settings.cron_secret
        caller = caller_of(call.address, secret)
        time.sleep(record(call.engine, caller=caller, path=call.path, code=error.code))
    except SettingsError as unusable:
        logs.warning("refused_call_not_recorded", error=unusable)


def record(engine: Engine, *, caller: str, path: str, code: str) -> float:
    """Writes one row and returns how many seconds the answer still has to wait.

    `path` is the route's pattern or the request's path; what follows a `?` is dropped. Never raises
    for a database that cannot be used, and returns after three seconds at most, waiting included:
    the statement is given up then, and there is no delay.
    """
    started = time.monotonic()
    counted: list[int] = []
    values = {"caller": caller, "path": clean_path(path), "code": code, "rows": ROWS_PER_WINDOW}
    # A connection attempt cannot be interrupted; a thread can be left behind.
    worker = threading.Thread(
        target=_write, args=(engine, values, counted), name=WORKER, daemon=True
    )
    worker.start()
    worker.join(LONGEST_DELAY_S)
    if not counted or not caller:  # without an address, nobody in particular repeats anything
        return 0.0
    return max(0.0, delay_for(counted[0]) - (time.monotonic() - started))


def clean_path(path: str) -> str:
    """The path alone, also when a caller wrote `&secret=` where `?` belongs; 200 characters."""
    return scrub_text(re.split(r"[?&;#]|%3F", path, maxsplit=1, flags=re.IGNORECASE)[0])[:200]


def _write(engine: Engine, values: dict[str, object], counted: list[int]) -> None:
    from sqlalchemy import text
    from sqlalchemy.exc import DBAPIError

    from chalicelib.db.engine import transaction

    try:
        with transaction(engine) as connection:
            counted.append(connection.execute(text(RECORD), values).scalar_one())
    except (PonctuelError, DBAPIError) as error:
        logs.warning("refused_call_not_recorded", error=error)
