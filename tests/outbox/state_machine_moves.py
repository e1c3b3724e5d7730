"""Everything that can happen next, and how likely it is to be chosen among what is possible."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from tests.outbox.processes import Process, Trouble
from tests.outbox.state_machine_providers import OUTCOMES
from tests.outbox.state_machine_world import SUBJECTS, Where, World

MOST_PROCESSES = 4
# Shorter and longer than an answer, a process, a claim, a search, the proof window, the limit.
JUMPS = (*(1, 20, 70, 70, 70, 130, 130, 320), *(600, 600, 600, 4000, 8000), *(90_000, 700_000))
TROUBLES: Sequence[Trouble] = ("refused", "answer_lost", "answer_lost")
STATES = ("accepted", "sent", "delivered", "read", "failed")
CHANNELS: Sequence[Where] = ("email", "whatsapp")
ACTIONS = ("cancel", "release", "resend", "arrived")
LATEST = 12  # of the messages, copies and events, those that are touched


@dataclass(frozen=True)
class Move:
    """`weight`: how likely it is, beside the others that are possible."""

    name: str
    weight: int
    do: Callable[[World, Random], object]
    possible: Callable[[World], object] = lambda _world: True


def chosen(world: World, choice: int) -> Move:
    """One of the moves that are possible; `choice` is any number from 0. Hypothesis prefers 0, and
    so the first."""
    possible = [move for move in MOVES for _ in range(move.weight) if move.possible(world)]
    return possible[choice % len(possible)]


def _plan(world: World, draw: Random) -> None:
    """Of a new cycle when nothing is under way, else often what is planned already."""
    subjects = draw.sample(range(SUBJECTS), k=draw.randint(1, 3))
    latest = max((int(cycle) for *_, cycle in world.planned), default=-1)
    cycle = latest + 1 if not world.open else draw.randint(max(0, latest - 1), latest + 1)
    world.plan(subjects, cycle, of_run=draw.random() < 0.2)


def _go(world: World, draw: Random) -> None:
    """Rather one that lives: those that were given up wake when others have taken their place."""
    ready, now = _ready(world), world.time.monotonic()
    world.go(draw.choices(ready, [25 if now < process.until else 1 for process in ready])[0])


def _fail(world: World, draw: Random) -> None:
    world.go(draw.choice(_ready(world)), draw.choice(TROUBLES))


def _answer(world: World, draw: Random) -> None:
    world.answer(draw.choice(_calling(world)), draw.randrange(2), draw.choice(OUTCOMES))


def _webhook(world: World, draw: Random) -> None:
    world.tell(-_recent(draw), draw.choice(STATES), named=draw.random() < 0.7)


def _foreign(world: World, draw: Random) -> None:
    world.tell_of_another_deployment(-_recent(draw), draw.choice(STATES))


def _operate(world: World, draw: Random) -> None:
    """Often where something is to be done."""
    action = draw.choice(ACTIONS)
    several = world.in_doubt if action in ("resend", "arrived") else sorted(world.keys)
    world.operate(action, draw.choice((several or sorted(world.keys))[-LATEST:]))


def _kill(world: World, draw: Random) -> None:
    """Often one that is calling."""
    calling = _calling(world)
    several = calling if calling and draw.random() < 0.7 else world.processes
    world.kill(draw.choice(several))


def _resend(world: World, draw: Random) -> None:
    world.operate("resend", draw.choice(world.in_doubt))


def _suppress(world: World, draw: Random) -> None:
    act = world.suppress if draw.random() < 0.3 else world.lift
    act(draw.choice(CHANNELS), draw.randrange(2))


def _blind(world: World, draw: Random) -> None:
    answers = ("visible", "visible", "empty", "unreachable")
    world.blind[draw.choice(CHANNELS)] = draw.choice(answers)


def _change_mind(world: World, draw: Random) -> None:
    verdicts = ("send", "send", "cancel", "hold")
    world.verdicts[f"S{draw.randrange(SUBJECTS)}"] = draw.choice(verdicts)


def _ready(world: World) -> list[Process]:
    return [process for process in world.processes if process.ready]


def _calling(world: World) -> list[Process]:
    return [process for process in world.processes if process.unmade]


def _startable(world: World) -> bool:
    return world.open > 0 and len(world.processes) < MOST_PROCESSES


def _recent(draw: Random) -> int:
    return draw.randint(1, LATEST)


MOVES = (
    Move("transactions", 44, _go, _ready),
    Move("calls", 24, _answer, _calling),
    Move("processes", 5, lambda world, _draw: world.start(), _startable),
    Move("plans", 10, _plan, lambda world: not world.open),
    Move("plans", 4, _plan),
    Move("jumps", 5, lambda world, draw: world.jump(draw.choice(JUMPS))),
    Move("webhooks", 6, _webhook, lambda world: world.copies),
    Move("repeated", 2, lambda w, draw: w.tell_again(-_recent(draw)), lambda w: w.events),
    Move("foreign", 1, _foreign, lambda world: world.keys),
    Move(
        "crashes",
        2,
        _kill,
        lambda world: world.processes,
    ),
    Move("late_arrivals", 6, lambda w, draw: w.arrive(_recent(draw)), lambda w: w.orphans),
    Move("outages", 1, _fail, _ready),
    Move("operator", 3, _operate, lambda world: world.keys),
    Move("operator", 6, _resend, lambda world: world.in_doubt),
    Move("suppressions", 1, _suppress),
    Move("pauses", 1, lambda world, draw: world.pause(paused=draw.random() < 0.3)),
    Move("verdicts", 2, _change_mind),
    Move("searches", 1, _blind),
)
