"""`preview`: the slots of a job over a year, with what a calendar does to them."""

from __future__ import annotations

from argparse import Namespace
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice
from typing import Any

from rich.console import Console

from chalicelib import jobs
from chalicelib.errors import NotFound, SettingsError
from chalicelib.runner.job import BUSINESS_ZONE
from chalicelib.runner.schedule import Schedule, time_zone
from chalicelib.settings import settings
from cli import output
from cli.arguments import command, day, days
from cli.output import PARIS
from cli.schedule_words import in_words, zone_in_words
from cli.source import is_remote, opened

NEXT = 10
_MONTHS = (
    "janvier", "février", "mars", "avril", "mai", "juin",
    "juillet", "août", "septembre", "octobre", "novembre", "décembre",
)  # fmt: skip
_WEEKDAYS = ("lun.", "mar.", "mer.", "jeu.", "ven.", "sam.", "dim.")


def register(subparsers: Any) -> None:
    parser = command(
        subparsers,
        "preview",
        "les créneaux d'un job sur un an, changements d'heure compris",
        _run,
        remote=True,
    )
    parser.add_argument("job", metavar="JOB")
    parser.add_argument("--days", metavar="JOURS", type=days, default=366, help="366 par défaut")
    parser.add_argument("--zone", metavar="FUSEAU", help="un autre fuseau que celui du job")
    parser.add_argument(
        "--from", metavar="DATE", type=day, dest="start", help="premier jour (sinon aujourd'hui)"
    )


def _run(arguments: Namespace) -> int:
    title, expression, zone = _remote(arguments) if is_remote(arguments) else _local(arguments.job)
    zone = arguments.zone or (PARIS if zone == BUSINESS_ZONE else zone)
    schedule = Schedule.parse(expression, zone)
    now = datetime.now(UTC)
    first = arguments.start or now.astimezone(time_zone(schedule.zone)).date()
    data = preview(schedule, first, arguments.days, after=None if arguments.start else now)
    output.answer(arguments, {"job": arguments.job, "title": title, **data}, _show)
    return 0


def _local(name: str) -> tuple[str, str, str]:
    """(title, schedule, zone) of the job, by this process's settings. Raises `PonctuelError`."""
    job, current = jobs.job(name), settings()
    return job.title, current.schedule_for(name) or job.schedule, job.zone_on(current)


def _remote(arguments: Namespace) -> tuple[str, str, str]:
    """The same as the deployed stage has it."""
    with opened(arguments) as source:
        listed = {job["name"]: job for job in source.jobs()}
    job = listed.get(arguments.job)
    if job is None:
        raise NotFound(f"L'étape n'a pas de job « {arguments.job} ». Il y a : {', '.join(listed)}.")
    if job.get("error"):
        raise SettingsError(job["error"])
    return job["title"], job["schedule"], job["zone"]


def preview(
    schedule: Schedule, first: date, count: int, *, after: datetime | None = None
) -> dict[str, Any]:
    """Slots of `count` local days from `first`, by month; what is remarkable about some days; the
    next slots after `after` (aware; None: from `first` on)."""
    months: dict[str, int] = defaultdict(int)
    remarks = []
    names = _holidays(range(first.year, (first + timedelta(days=count)).year + 1))
    for local_day, slots, shift in _by_day(schedule, first, count):
        months[f"{local_day:%Y-%m}"] += slots
        if shift:
            remarks.append({"day": local_day, "slots": slots, "clock_change": shift})
        if local_day in names and slots:
            remarks.append({"day": local_day, "slots": slots, "holiday": names[local_day]})
    start = _midnight(schedule, first)
    upcoming = schedule.between(
        start if after is None else max(start, after), datetime.max.replace(tzinfo=UTC)
    )
    return {
        "schedule": schedule.expression,
        "words": in_words(schedule.expression),
        "zone": schedule.zone,
        "from": first,
        "days": count,
        "slots": sum(months.values()),
        "months": [{"month": month, "slots": slots} for month, slots in months.items()],
        "remarks": remarks,
        "next": list(islice(upcoming, NEXT)),
    }


def _by_day(schedule: Schedule, first: date, count: int) -> Iterator[tuple[date, int, int]]:
    """(local day, slots, minutes by which its clock changes). Days without a change that have slots
    at all have the same ones: they are counted once."""
    usual: int | None = None
    for offset in range(count):
        local_day = first + timedelta(days=offset)
        start, end = _midnight(schedule, local_day), _midnight(schedule, local_day, 1)
        shift = round((timedelta(days=1) - (end - start)).total_seconds() / 60)
        if shift:
            yield local_day, sum(1 for _ in schedule.between(start, end)), shift
        elif schedule.next_after(start - timedelta(microseconds=1)) >= end:
            yield local_day, 0, 0
        else:
            if usual is None:
                usual = sum(1 for _ in schedule.between(start, end))
            yield local_day, usual, 0


def _midnight(schedule: Schedule, local_day: date, later: int = 0) -> datetime:
    at = datetime.combine(local_day + timedelta(days=later), time(), time_zone(schedule.zone))
    return at.astimezone(UTC)


def _holidays(years: range) -> dict[date, str]:
    """The public holidays of the whole of France, with their French names."""
    from holidays.countries.france import France

    return dict(France(years=years, language="fr"))  # type: ignore[no-untyped-call]  # untyped library


def _show(screen: Console, data: dict[str, Any]) -> None:
    zone = data["zone"]
    output.line(screen, f"{data['title']} ({data['job']})", "bold")
    output.line(screen, f"{data['words']}, {zone_in_words(zone)}   [{data['schedule']}]")
    total = output.plural(data["slots"], "créneau", "créneaux")
    output.line(screen, f"{total} en {data['days']} jours à partir du {data['from']:%d/%m/%Y}\n")
    output.table(
        screen,
        ("mois", "créneaux", "à savoir"),
        [
            (_month(month["month"]), month["slots"], "\n".join(_remarks(data, month["month"])))
            for month in data["months"]
        ],
        long="à savoir",
    )
    marked = {remark["day"]: remark for remark in data["remarks"]}
    output.line(screen, f"\nLes {len(data['next'])} prochains", "bold")
    rows = []
    for slot in data["next"]:
        local = slot.astimezone(time_zone(zone))
        remark = marked.get(local.date())
        rows.append(
            (
                f"{_WEEKDAYS[local.weekday()]} {local:%d/%m/%Y %H:%M}",
                f"UTC{local:%z}",
                _remark(remark) if remark else "",
            )
        )
    output.table(screen, ("créneau", "décalage", "à savoir"), rows, long="à savoir")


def _remarks(data: dict[str, Any], month: str) -> list[str]:
    return [
        f"{remark['day']:%d} : {_remark(remark)}"
        for remark in data["remarks"]
        if f"{remark['day']:%Y-%m}" == month
    ]


def _remark(remark: dict[str, Any]) -> str:
    if "holiday" in remark:
        return f"férié ({remark['holiday']})"
    minutes = abs(remark["clock_change"])
    amount = f"{minutes // 60} h" if minutes % 60 == 0 else f"{minutes} min"
    moved = f"avance de {amount}" if remark["clock_change"] > 0 else f"recule de {amount}"
    return f"l'heure {moved}, {output.plural(remark['slots'], 'créneau', 'créneaux')}"


def _month(month: str) -> str:
    year, number = month.split("-")
    return f"{_MONTHS[int(number) - 1]} {year}"
