"""When it is found out what new e-mails mean: while others are read, and the rest at the end."""

from __future__ import annotations

from chalicelib.mailboxes.turn import Turn

# E-mails of one transaction.
SETTLED = 500


def settle_meanwhile(turn: Turn, parsed: int) -> None:
    """Settles a batch whenever as many have been parsed in this turn: the line, the parsers and the
    database then have something to do at the same time. Raises what `settle` raises."""
    turn.parsed += parsed
    if turn.parsed >= SETTLED:
        turn.parsed -= SETTLED
        _settle(turn)


def settle(turn: Turn) -> bool:
    """Settles what is parsed. False when the time was up before the end. Raises `LeaseLost`,
    `DatabaseUnavailable`."""
    while not turn.over():
        if not _settle(turn):
            return True
    return False


def _settle(turn: Turn) -> bool:
    """One batch; False when there was nothing."""
    with turn.tools.desk.writing(turn.held) as connection:
        counts = turn.tools.settle(connection, turn.held.id, SETTLED)
    turn.counts.update(counts)
    return bool(counts)
