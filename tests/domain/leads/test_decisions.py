"""The decision itself, whatever the zones, the clock changes and the order of the leads."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from chalicelib.domain.leads.decisions import Known, Reached, decide, expiry, reach
from chalicelib.domain.leads.hours import zone_of
from chalicelib.outbox.windows import is_business_day

ZONES = (
    "Europe/Paris",
    "Indian/Reunion",
    "America/Guadeloupe",
    "America/Miquelon",
    "Pacific/Tahiti",
    "Pacific/Auckland",
    "Africa/Casablanca",
)
# Around the changes of clocks of 2026 in Europe and at Saint-Pierre, and any other time.
PERIODS = (
    ("2026-03-28T12:00", "2026-03-30T12:00"),
    ("2026-10-24T12:00", "2026-10-26T12:00"),
    ("2026-03-07T12:00", "2026-03-09T12:00"),
    ("2026-01-01", "2027-12-31"),
)
INSTANTS = st.one_of(
    *(st.datetimes(*map(datetime.fromisoformat, period)) for period in PERIODS)
).map(lambda instant: instant.replace(tzinfo=UTC, microsecond=0))


def row(lead: str = "L1", **changes: Any) -> dict[str, Any]:
    return {
        "business_id": "B1",
        "id": lead,
        "phone": "06 39 98 00 01",
        "whatsapp_user_id": None,
        "zone": None,
        "business_zone": "Europe/Paris",
        "subdivision": None,
        "mode": "assisted",
        "has_reader": True,
        "used": 0,
        "daily_cap": 50,
        "window_start": "09:00:00",
        "window_end": "19:00:00",
        "business_days_only": True,
        "expire_hours": 72,
    } | changes


@given(INSTANTS, st.sampled_from(ZONES), st.booleans(), st.integers(0, 22), st.integers(1, 4))
def test_a_follow_up_opens_in_the_hours_of_its_lead_and_at_once_when_they_are_now(
    now: datetime, zone: str, business_days: bool, start: int, length: int
) -> None:
    end = min(start + length, 23)
    hours = {"window_start": f"{start:02}:00", "window_end": f"{end:02}:30"}
    lead = row(zone=zone, business_days_only=business_days, **hours)
    reached, unusable = reach([lead])
    assert not unusable
    (followup,) = decide(reached, {}, now).followups
    here = followup.opens_at.astimezone(ZoneInfo(zone))
    assert followup.opens_at >= now
    assert time(start) <= here.time() < time(end, 30)
    assert not business_days or is_business_day(here.date(), None)
    then = now.astimezone(ZoneInfo(zone))
    is_open = time(start) <= then.time() < time(end, 30)
    if is_open and (not business_days or is_business_day(then.date(), None)):
        assert followup.opens_at == now
    assert expiry(lead, followup.opens_at) == followup.opens_at + timedelta(hours=72)


LEADS = st.lists(
    st.tuples(
        st.sampled_from(("B1", "B2", "B3")),
        st.integers(0, 5),  # the number
        st.sampled_from(("assisted", "api")),
        st.tuples(st.booleans(), st.booleans(), st.booleans()),
    ),
    max_size=25,
)


@given(LEADS, st.integers(0, 6), st.integers(0, 6))
def test_no_cap_is_exceeded_no_number_written_to_twice_and_the_oldest_promise_goes_first(
    drawn: list[tuple[str, int, str, tuple[bool, bool, bool]]], cap: int, used: int
) -> None:
    now = datetime(2026, 3, 10, 9, tzinfo=UTC)
    rows, known = [], {}
    for place, (business, number, mode, facts) in enumerate(drawn):
        lead = f"L{place:02}"
        phone = f"06 39 98 00 0{number}"
        names = {"business_id": business, "phone": phone, "mode": mode}
        rows.append(row(lead, daily_cap=cap, used=used, **names))
        known[business, lead] = Known(*facts)
    reached, _ = reach(rows)
    decided = decide(reached, known, now)
    made = [followup.lead for followup in decided.followups]
    assert len(made) + len(decided.left_out) == len(rows)
    per_business = Counter(lead.key[0] for lead in made)
    assert all(count <= max(0, cap - used) for count in per_business.values())
    assert len({(lead.key[0], lead.contact) for lead in made}) == len(made)
    for lead in made:
        facts = known[lead.key]
        assert not facts.suppressed
        assert not facts.taken
        assert facts.consented or lead.row["mode"] == "assisted"
    for business in per_business:
        ids = [lead.key[1] for lead in made if lead.key[0] == business]
        assert ids == sorted(ids)
        capped = [
            r["id"]
            for r, code in decided.left_out
            if (r["business_id"], code) == (business, "capped")
        ]
        assert not capped or max(ids) < min(capped)
    firsts = [lead.key[0] for lead in made][: len(per_business)]
    assert len(set(firsts)) == len(per_business)  # businesses take turns


@given(st.text(max_size=40))
def test_whatever_was_typed_as_a_number_is_a_number_or_a_reason(typed: str) -> None:
    reached, unusable = reach([row(phone=typed)])
    assert len(reached) + len(unusable) == 1
    assert all(lead.contact.startswith("+") for lead in reached)
    assert all(code.startswith("phone_") for _, code in unusable)


def test_a_zone_that_does_not_exist_is_passed_over() -> None:
    assert zone_of("Mars/Phobos", "+262692000001", "Europe/Paris").key == "Indian/Reunion"
    assert zone_of(None, "+33639980001", "Indian/Mayotte").key == "Europe/Paris"
    assert zone_of(None, "+4915123456789", "Indian/Mayotte").key == "Indian/Mayotte"
    assert zone_of(None, None, "nowhere").key == "Europe/Paris"


def test_a_lead_in_api_mode_with_a_landline_is_reached_by_metas_id() -> None:
    lead = row(phone="04 72 00 00 00", whatsapp_user_id="FR.1", mode="api")
    assert [one.contact for one in reach([lead])[0]] == ["FR.1"]
    assert reach([lead | {"mode": "assisted"}]) == (
        [],
        [(lead | {"mode": "assisted"}, "phone_landline")],
    )


def test_a_reached_lead_shows_nobodys_number_in_a_log() -> None:
    (lead,) = reach([row()])[0]
    assert isinstance(lead, Reached)
    assert "39980001" not in repr(lead)
