"""How each channel is doing, for an operator: its circuit, how fast and how much it may send."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, text

from chalicelib.outbox import circuit
from chalicelib.outbox.allowance import BREAKER
from chalicelib.outbox.circuit import Circuit
from chalicelib.settings import Settings

_ROWS = text("""
WITH used AS (
  SELECT channel, business_id, count(*) AS n FROM ponctuel.messages
   WHERE counted_at > ponctuel.clock() - interval '24 hours' GROUP BY channel, business_id
), named AS (
  SELECT channel, '' AS business_id FROM (VALUES ('email'), ('whatsapp')) AS c(channel)
   UNION SELECT channel, business_id FROM ponctuel.channel_states
   UNION SELECT channel, business_id FROM ponctuel.sending_limits
)
SELECT channel, business_id, s.tokens, s.tokens_at, COALESCE(s.failures, 0) AS failures,
       s.opened_at, COALESCE(s.openings, 0) AS openings, s.trial_at, l.per_day,
       CAST((SELECT COALESCE(sum(u.n), 0) FROM used u
              WHERE u.channel = named.channel AND named.business_id IN ('', u.business_id))
            AS bigint) AS used,
       ponctuel.clock() AS clock
  FROM named LEFT JOIN ponctuel.channel_states s USING (channel, business_id)
  LEFT JOIN ponctuel.sending_limits l USING (channel, business_id)
 ORDER BY channel, business_id
""")


def channels(connection: Connection, settings: Settings) -> list[dict[str, Any]]:
    """Each channel of the account (`business_id` is empty), and of the businesses that have a state
    or a limit of their own. `circuit`: closed, open, half_open; `retry_at`: when an open one is
    tried; `rate`: messages a second, `tokens` as at `tokens_at`; `used` of `quota` in the last
    24 hours. Null: without a limit, or not used yet."""
    rates = {"email": settings.mail_rate, "whatsapp": settings.whatsapp_rate}
    quotas = {"email": settings.mail_quota, "whatsapp": settings.whatsapp_quota}
    found = []
    for row in connection.execute(_ROWS).mappings():
        own = row["business_id"] != ""
        found.append(
            {name: row[name] for name in ("channel", "business_id")}
            | _circuit(row)
            | {
                "rate": None if own else rates.get(row["channel"]),
                "tokens": None if row["tokens"] is None else round(row["tokens"], 1),
                "tokens_at": row["tokens_at"],
                "used": row["used"],
                "quota": row["per_day"] if own else quotas.get(row["channel"]),
            }
        )
    return found


def _circuit(row: Mapping[Any, Any]) -> dict[str, Any]:
    state = Circuit(**{name: row[name] for name in Circuit.__dataclass_fields__})
    return {
        "circuit": circuit.position(state, BREAKER, row["clock"]),
        "retry_at": circuit.retry_at(state, BREAKER),
        "failures": state.failures,
        "opened_at": state.opened_at,
    }
