"""What a closer is told in the application: one notification for what is due, until it is done."""

from __future__ import annotations

from sqlalchemy import Connection, text

DUE = "leads.due"

# One UPDATE, as `notifications` may be somebody's view. A proposal is somebody's as long as it may
# be sent: its closer's, or the owners'.
_RESOLVE = text(f"""
UPDATE ponctuel.notifications SET resolved_at = ponctuel.clock()
 WHERE business_id = :business_id AND kind = '{DUE}' AND resolved_at IS NULL
   AND NOT EXISTS (SELECT 1 FROM ponctuel.lead_followups f
                    WHERE f.business_id = notifications.business_id
                      AND f.state IN ('proposed','opened') AND f.expires_at > ponctuel.clock()
                      AND CASE WHEN f.closer_id IS NOT NULL
                               THEN f.closer_id = notifications.user_id
                               ELSE EXISTS (SELECT 1 FROM ponctuel.users u
                                             WHERE u.business_id = f.business_id AND u.active
                                               AND u.id = notifications.user_id
                                               AND u.role = 'owner') END)
""")


def resolve(connection: Connection, business_id: str) -> int:
    """Resolves the notifications of those who have nothing to send any more. Returns how many."""
    found: int = connection.execute(_RESOLVE, {"business_id": business_id}).rowcount
    return max(found, 0)
