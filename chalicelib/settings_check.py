"""Every setting looked at once, for `./ponctuel check`: the lazy reading finds them one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from chalicelib.errors import SettingsError
from chalicelib.settings import SCHEDULE, ZONE, Settings, rows


def problems(current: Settings, jobs: Iterable[str]) -> list[str]:
    """What is wrong, in French, one sentence per setting; `jobs` are the names that exist. A
    misspelt job in SCHEDULE_… or ZONE_… is found too: it would be ignored in silence."""
    known = sorted(jobs)
    reads: list[Callable[[], object]] = [partial(getattr, current, "stage")]
    for row in rows():
        per_job = row in (SCHEDULE, ZONE)
        reads += [partial(current.read, row, job) for job in (known if per_job else [""])]
    found = [message for read in reads if (message := _failure(read))]
    expected = {row.name.replace("<JOB>", job.upper()) for row in (SCHEDULE, ZONE) for job in known}
    found += [
        f"{name} : aucun job ne porte ce nom."
        for name in sorted(current.environment)
        if name.startswith(("SCHEDULE_", "ZONE_")) and name not in expected
    ]
    return list(dict.fromkeys(found))


def _failure(read: Callable[[], object]) -> str | None:
    try:
        read()
    except SettingsError as error:
        return str(error)
    return None
