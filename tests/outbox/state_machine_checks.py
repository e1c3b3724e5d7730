"""What must be true of the ledger whatever has happened, and what must come of everything once
nothing goes wrong any more."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from chalicelib.outbox.operator import RELEASABLE
from tests.outbox.state_machine_world import Key, World

Row = Mapping[str, Any]

OPEN = ("planned", "held", "claimed", "submitting")
HAS_LEFT = ("accepted", "delivered", "failed")
GIVES_ITS_KEY_BACK = ("cancelled", "expired")
# Claims, waits, circuits and searches of one message are bounded: more events than that is no end.
MOST_EVENTS = 80


def check(world: World) -> None:
    """After each step. Raises `AssertionError`."""
    rows = world.rows()
    world.open = sum(row["state"] in OPEN or row["to_prove"] for row in rows)
    world.in_doubt = [row["id"] for row in rows if row["state"] == "uncertain"]
    _nothing_is_lost(world, rows)
    for row in rows:
        _is_in_order(world, row)
    for key, allowed in world.allowed.items():
        copies = world.copies_of(key)
        assert copies <= allowed, f"{key}: {copies} copies, {allowed} allowed"


def _nothing_is_lost(world: World, rows: Sequence[Row]) -> None:
    found = {row["id"]: _key(row) for row in rows}
    gone = {number: key for number, key in world.keys.items() if found.get(number) != key}
    assert not gone, f"gone: {gone}"
    world.keys = found
    live = Counter(_key(row) for row in rows if not row["key_free"])
    for key in world.planned:
        assert key in found.values(), f"{key} was planned and has no row"
        assert live[key] <= 1, f"{key} has {live[key]} live rows"
    for row in rows:
        free = row["key_free"] and not live[_key(row)]
        assert not free or row["state"] in GIVES_ITS_KEY_BACK, f"{_said(row)} has no key"


def _is_in_order(world: World, row: Row) -> None:
    number, state = row["id"], row["state"]
    if row["resends"] > world.resends[number]:
        assert row["kind"] == "probe.resends", f"{_said(row)} was resent"
        assert row["resends"] == 1, f"{_said(row)} was resent twice"
        assert world.in_flight(number) == 0, f"{_said(row)} was resent during a call"
        world.permit(number)
        world.resends[number] = row["resends"]
    copies = sum(copy.row == number for copy in world.copies)
    if row["told"] and number not in world.resent:
        assert state in HAS_LEFT, f"{_said(row)}, and a webhook has told that it left"
    if state in HAS_LEFT:
        assert copies or number in world.arrived, f"{_said(row)}, and nobody has it"
    if state in ("refused", "cancelled", "uncertain"):
        assert row["error_code"], f"{_said(row)} without a reason"
    if state in ("refused", "cancelled", "expired"):
        # One that was to be sent once more may come to nothing: its first copy was in doubt.
        assert not copies or world.allowed[world.keys[number]] > 1, f"{_said(row)}, and it has left"


def drain(world: World) -> None:
    """The processes end, the providers work, and the clock goes from event to event until nothing
    waits. Then every key has come to something, and what is in doubt is listed."""
    for process in list(world.processes):
        world.kill(process)
    world.orphans.clear()
    world.blind.clear()
    world.verdicts.clear()
    world.pause(paused=False)
    # What has a trace by its own Message-ID is sure to be found while it is looked for.
    ids = {copy.row for copy in world.copies if copy.channel == "email"}
    provable = {row["id"] for row in world.rows() if row["to_prove"] and row["id"] in ids}
    for _ in range(MOST_EVENTS):
        _deliver(world)
        check(world)
        following = world.next_event()
        if following is None:
            break
        world.jump(following + 1)
    else:
        raise AssertionError("still not at rest")
    for row in world.rows():
        _has_come_to_something(row)
        if row["id"] in provable:
            assert row["state"] in HAS_LEFT, f"{_said(row)}, and its trace is there to be found"


def _has_come_to_something(row: Row) -> None:
    match row["state"]:
        case "accepted" | "delivered" | "failed" | "refused" | "cancelled" | "expired":
            return
        case "held":
            assert row["hold_reason"] in RELEASABLE, f"{_said(row)} for ever"
        case "uncertain":
            assert not row["to_prove"], f"{_said(row)}, and nobody looks"
        case state:
            raise AssertionError(f"{_said(row)} for ever: {state}")


def _deliver(world: World) -> None:
    process = world.start()
    while process.at != "end":
        while process.unmade:
            world.answer(process, 0, "accepted")
        world.go(process)
    if process.error is not None:
        raise process.error


def _key(row: Row) -> Key:
    return row["business_id"], row["kind"], row["subject"], row["cycle"]


def _said(row: Row) -> str:
    why = row["hold_reason"] or row["error_code"] or ""
    return f"message {row['id']} ({row['subject']}/{row['cycle']}) is {row['state']} {why}".strip()
