"""What a dry run counts, when it lists a part of it."""

from __future__ import annotations

from chalicelib.runner.dry_run import counted


def test_a_reason_that_is_listed_in_part_counts_for_all_that_share_it() -> None:
    left_out: list[dict[str, object]] = [
        {"reason": "not_due", "total": 1200},
        {"reason": "not_due", "total": 1200},
        {"reason": "paused", "total": 1},
        {"code": "bad_zone"},
    ]
    messages: list[dict[str, object]] = [{}, {}]
    report = {"messages": messages, "changes": [], "left_out": left_out}
    assert counted(report) == {"messages": 2, "changes": 0, "left_out": 1202}
