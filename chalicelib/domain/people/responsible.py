"""Who of a business's users is told of something, as SQL."""

from __future__ import annotations


def responsible(user: str, among: str) -> str:
    """Whether the row `user` of the active users `among` is one of those to tell of what is the
    business's, or nobody's: its owners; its administrators where it has none."""
    return f"""({user}.role = 'owner' OR ({user}.role = 'admin' AND NOT EXISTS (
  SELECT 1 FROM {among} o WHERE o.business_id = {user}.business_id AND o.role = 'owner')))"""


_ACTIVE = "(SELECT business_id, role FROM ponctuel.users WHERE active)"
# Of an active user, a row `u` of `users`.
RESPONSIBLE = responsible("u", _ACTIVE)


def tells(user_id: str) -> str:
    """Whether a row `u` of `users` is told of what is for the user `user_id` (SQL); null: for those
    who are responsible."""
    return (
        f"(u.active AND CASE WHEN {user_id} IS NULL THEN {RESPONSIBLE} ELSE u.id = {user_id} END)"
    )


# What `u` prefers. Null, nothing was said: then e-mails are welcome. A view may have several rows.
BY_EMAIL = """(SELECT p.email FROM ponctuel.user_preferences p
  WHERE p.business_id = u.business_id AND p.user_id = u.id LIMIT 1)"""
