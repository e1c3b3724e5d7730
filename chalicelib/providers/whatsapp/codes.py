"""What the numbers of Twilio and Meta mean, in the codes of `port`.

For answers to a call and for status webhooks alike: most refusals come by webhook, after the
message was accepted. What is in no table here is transient under its own number; unless its answer
is a server error, in which case nobody knows (see the adapters).

Sources, read in 2026: developers.facebook.com/documentation/business-messaging/whatsapp/support/
error-codes (15 May 2026; Meta asks to go by `code`, not by title), twilio.com/docs/api/errors and
twilio.com/docs/whatsapp/api/error-code-mapping.
"""

from __future__ import annotations

from dataclasses import dataclass

from chalicelib.providers.whatsapp.port import PERSON_CODES

PERMANENT_CODES = PERSON_CODES | {"experiment", "invalid_content", "too_large"}
DAY_S = 86_400.0

_TWILIO: dict[int, str] = {
    14107: "throttled",
    20003: "credentials",
    20005: "paused",
    20008: "credentials",  # test credentials
    20404: "configuration",  # no such account
    20429: "throttled",
    21211: "invalid_recipient",
    21212: "sender",
    21408: "configuration",  # this country is not enabled for the account
    21601: "invalid_content",
    21602: "invalid_content",
    21603: "sender",
    21604: "invalid_recipient",
    21606: "sender",
    21608: "configuration",  # a trial account writes to verified numbers only
    21609: "configuration",  # StatusCallback is not a public address
    21610: "opt_out",
    21611: "throttled",
    21614: "invalid_recipient",
    21617: "too_large",
    21619: "invalid_content",
    21655: "template_missing",
    21656: "template_parameters",
    21701: "sender",
    21703: "sender",  # the messaging service has no sender
    21705: "sender",
    30001: "throttled",
    30002: "paused",
    63001: "sender",
    63002: "sender",
    63003: "invalid_recipient",
    63005: "invalid_content",
    63007: "sender",
    63015: "configuration",  # Twilio's sandbox: the person has not joined it
    63016: "window_closed",  # since 1 April 2025 also for a template sent as text
    63018: "throttled",
    63020: "configuration",
    63021: "invalid_content",
    63022: "sender",
    63024: "invalid_recipient",
    63027: "template_missing",
    63028: "template_parameters",
    63031: "invalid_recipient",  # the sender itself
    63032: "experiment",
    63038: "quota",
    63040: "template_rejected",
    63041: "template_paused",
    63042: "template_disabled",
    63049: "marketing_limit",
    63051: "paused",
    63112: "paused",
}
# 21612 no route; 63013 against WhatsApp's policy; 63030 parameter not supported; 63033 blocked.
_TWILIO_PERMANENT = frozenset({21612, 63013, 63030, 63033})

_META: dict[int, str] = {
    0: "credentials",
    3: "credentials",
    4: "throttled",
    10: "credentials",
    33: "sender",  # the number was deleted
    190: "credentials",
    368: "paused",
    80007: "throttled",
    80008: "throttled",
    130429: "throttled",
    130472: "experiment",
    131005: "credentials",
    131021: "invalid_recipient",  # the sender itself
    131026: "invalid_recipient",
    131030: "configuration",  # a test number writes to listed numbers only
    131031: "paused",
    131037: "sender",  # display name not approved
    131042: "paused",  # payment
    131045: "sender",
    131047: "window_closed",
    131048: "quota",
    131049: "marketing_limit",
    131050: "opt_out",
    131056: "pair_rate",
    131057: "paused",  # maintenance
    132000: "template_parameters",
    132001: "template_missing",
    132005: "too_large",
    132007: "template_rejected",
    132012: "template_parameters",
    132015: "template_paused",
    132016: "template_disabled",
    132018: "template_parameters",
    133010: "sender",
}
# 100 invalid parameter; 130497 country not allowed to this business; 131008 and 131009 parameter
# missing or wrong; 131051 type not supported; 131062 not for a business-scoped user id.
_META_PERMANENT = frozenset({100, 130497, 131008, 131009, 131051, 131062})
_META_PERMISSIONS = range(200, 300)


@dataclass(frozen=True)
class Meaning:
    """`code` is one of ours, or the provider's number where we have none for it. `known` tells
    whether the number is in our tables. `retry_after` is in seconds."""

    code: str
    permanent: bool
    known: bool
    retry_after: float | None = None


def meaning(provider: str, number: int | str) -> Meaning:
    """What a provider's error number means; `provider` is `twilio` or `meta`. Never raises for a
    number that is no number: it is then unknown, under its first 60 characters."""
    table, permanent = (
        (_TWILIO, _TWILIO_PERMANENT) if provider == "twilio" else (_META, _META_PERMANENT)
    )
    key = _integer(number)
    code = table.get(key)
    if code is None and provider == "meta" and key in _META_PERMISSIONS:
        code = "credentials"
    if code is None:
        return Meaning(str(number)[:60], permanent=key in permanent, known=key in permanent)
    retry_after = DAY_S if code == "marketing_limit" else None
    return Meaning(code, permanent=code in PERMANENT_CODES, known=True, retry_after=retry_after)


def numbers_of(provider: str, code: str) -> list[str]:
    """The numbers by which a provider says what our code does."""
    table = _TWILIO if provider == "twilio" else _META
    return [str(number) for number, meant in table.items() if meant == code]


def _integer(number: int | str) -> int:
    if isinstance(number, int):
        return number
    return int(number) if number.isascii() and number.isdigit() and len(number) < 10 else -1
