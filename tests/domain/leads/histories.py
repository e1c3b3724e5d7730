"""A time in the life of leads, drawn: they come, answer, opt out, go on to another stage, are won;
closers send what is proposed to them, or do not; Ponctuel is down at times."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from chalicelib.domain.leads import proposals
from chalicelib.outbox import consents
from chalicelib.runner.schedule import Schedule
from tests import lead_rows as rows
from tests.harness import Deployment

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
PARIS = ZoneInfo("Europe/Paris")
ASSISTED, API = "B1", "B2"
CAP = 4
# Hours after the stage began, or after the one before. The first is what a business has that has
# said nothing.
CADENCES = {
    (ASSISTED, "nouveau"): (24, 48, 96),
    (ASSISTED, "devis"): (24, 48, 96),
    (API, "nouveau"): (6, 30, 72),
    (API, "devis"): (0, 50),
}
ZONES = (None, "Indian/Reunion", "Pacific/Tahiti", "America/Martinique", "CET+1")
BEGINNINGS = (datetime(2026, 3, 16, tzinfo=UTC), datetime(2026, 9, 14, tzinfo=UTC))


@dataclass(frozen=True)
class Lead:
    """What a lead is from an instant on."""

    business: str
    id: str
    phone: str
    zone: str | None
    stage: str
    stage_since: datetime
    status: str = "open"
    auto_enabled: bool = True
    opted_out: bool = False
    replied_at: datetime | None = None

    @property
    def local(self) -> ZoneInfo:
        return ZoneInfo(self.zone) if self.zone and "/" in self.zone else PARIS

    @property
    def cycle(self) -> str:
        return f"{self.stage}@{self.stage_since.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}"

    @property
    def wanted(self) -> bool:
        """Whether it may be followed up."""
        silent = self.replied_at is None or self.replied_at < self.stage_since
        return self.status == "open" and self.auto_enabled and not self.opted_out and silent

    def cadence(self) -> tuple[int, ...]:
        return CADENCES[self.business, self.stage]


@dataclass
class History:
    begin: datetime
    days: int
    outages: list[tuple[datetime, timedelta]] = field(default_factory=list)
    leads: dict[tuple[str, str], list[tuple[datetime, Lead]]] = field(default_factory=dict)

    def down(self, instant: datetime) -> bool:
        return any(begin <= instant <= begin + length for begin, length in self.outages)

    def wakes(self) -> list[tuple[datetime, bool]]:
        """(instant, whether the job runs): each slot, and deliveries every two hours, at night
        too."""
        end = self.begin + self.days * DAY
        slots: set[datetime] = set()
        schedule, instant = Schedule.parse("0 */6 * * *", "Europe/Paris"), self.begin
        while (instant := schedule.next_after(instant)) < end:
            slots.add(instant)
        others = {self.begin + n * 2 * HOUR + 7 * HOUR / 60 for n in range(1, self.days * 12)}
        wakes = sorted({(at, True) for at in slots} | {(at, False) for at in others})
        return [(at, runs) for at, runs in wakes if not self.down(at)]

    def at(self, key: tuple[str, str], instant: datetime) -> Lead | None:
        found = None
        for since, lead in self.leads[key]:
            if since > instant:
                break
            found = lead
        return found


def drawn(draw: random.Random, days: int, outages: Iterable[timedelta]) -> History:
    """`outages`: their lengths, in the order in which they come."""
    history = History(draw.choice(BEGINNINGS), days)
    lengths = list(outages)
    share = days * DAY / max(1, len(lengths))
    for n, length in enumerate(lengths):
        room = max(share - length - DAY, HOUR)
        history.outages.append((history.begin + n * share + draw.random() * room + DAY, length))
    for n in range(2 * (4 + days // 2)):
        business = (ASSISTED, API)[n % 2]
        came = history.begin + draw.random() * max(days - 6, 1) * DAY
        came = came.replace(microsecond=0)
        lead = Lead(
            business, f"L{n}", f"+336399{80000 + n:05}", draw.choice(ZONES), "nouveau", came
        )
        states = [(came, lead)]
        happens = came
        for _ in range(draw.choice((0, 0, 0, 1, 1, 2))):
            happens += draw.randrange(1, 12 * 24) * HOUR
            lead = replace(lead, **_change(draw, lead, happens))
            states.append((happens, lead))
        history.leads[business, lead.id] = states
    return history


def _change(draw: random.Random, lead: Lead, at: datetime) -> dict[str, Any]:
    what = draw.choice(("replied", "replied", "stage", "stage", "opted_out", "won", "off"))
    if what == "replied":
        return {"replied_at": at}
    if what == "stage":
        return {"stage": "devis" if lead.stage == "nouveau" else "nouveau", "stage_since": at}
    if what == "won":
        return {"status": "won"}
    return {"opted_out": True} if what == "opted_out" else {"auto_enabled": False}


class World:
    """The history in the tables of a deployment that is as new, and closers who act."""

    def __init__(self, deployment: Deployment, history: History, draw: random.Random) -> None:
        self._deployment, self._history, self._draw = deployment, history, draw
        self._written: dict[tuple[str, str], Lead] = {}
        assert deployment.twilio
        rows.open_business(deployment, ASSISTED, daily_cap=CAP)
        rows.open_business(deployment, API, mode="api", daily_cap=CAP)
        rows.templates(deployment)
        for stage in ("nouveau", "devis"):
            steps = zip(CADENCES[API, stage], ("relance", "rappel", "derniere"), strict=False)
            rows.cadence(deployment, stage, *steps, business_id=API)
        for states in history.leads.values():
            lead = states[0][1]
            if lead.business == API:
                with deployment.database.begin() as connection:
                    consents.grant(
                        connection, business_id=API, channel="whatsapp", contact=lead.phone,
                        source="test",
                    )  # fmt: skip

    def come_to(self, instant: datetime) -> None:
        self._deployment.database.set_clock(instant)
        for key in self._history.leads:
            lead, before = self._history.at(key, instant), self._written.get(key)
            if lead is None or lead == before:
                continue
            columns = {
                "stage": lead.stage, "stage_since": lead.stage_since, "status": lead.status,
                "auto_enabled": lead.auto_enabled, "opted_out": lead.opted_out,
                "replied_at": lead.replied_at,
            }  # fmt: skip
            if before is None:
                rows.lead(
                    self._deployment, lead.id, business_id=lead.business, name=f"Lead {lead.id}",
                    phone=lead.phone, zone=lead.zone, created_at=lead.stage_since, **columns,
                )  # fmt: skip
            else:
                sets = ", ".join(f"{name} = :{name}" for name in columns)
                self._deployment.execute(
                    f"UPDATE ponctuel.leads SET {sets} WHERE business_id = :business AND id = :id",
                    business=lead.business, id=lead.id, **columns,
                )  # fmt: skip
            self._written[key] = lead

    def act(self, clock: datetime) -> int:
        """The closer sends some of what is proposed, skips some, and leaves the rest. How many were
        treated."""
        treated = 0
        with self._deployment.database.begin() as connection:
            for proposal in proposals.due_of(connection, ASSISTED, "U1", clock).proposals:
                chance = self._draw.random()
                if chance < 0.3:
                    done = proposals.confirm(connection, ASSISTED, "U1", proposal.id)
                elif chance < 0.35:
                    done = proposals.skip(connection, ASSISTED, "U1", proposal.id, "not_now")
                else:
                    continue
                assert done is not None
                treated += done.changed
        return treated
