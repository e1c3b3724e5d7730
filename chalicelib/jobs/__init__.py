"""The register of jobs: one line per Lambda. From the moment that it is listed here a job has its
doors, and the tests ask for its scenario of reliability and its line in the documentation."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

from chalicelib.errors import NotFound

if TYPE_CHECKING:
    from chalicelib.runner.job import Job

NAMES = (
    "followups",  # relances of unpaid invoices and unanswered quotes
    "account_deletions",  # accounts that are to be erased, up to their last letter
    "lead_followups",  # leads that wait for their closer, or for a message
    "inbox_sync",  # mail that the businesses receive
    "overdue_and_reminders",  # invoices and tasks that become overdue, appointments to come
    "deliver_messages",  # the outbox
)
# Lambdas that are no jobs: called by hand, without schedule.
TOOLS = ("migrate",)


def module(name: str) -> ModuleType:
    """A job's module. Raises `NotFound` for a name that is not registered."""
    if name not in NAMES:
        known = ", ".join(NAMES)
        raise NotFound(f"Aucun job ne s'appelle « {name} ». Il y a : {known}.")
    return import_module(f"chalicelib.jobs.{name}")


@cache
def job(name: str) -> Job:
    """The job of that name. Raises `NotFound`."""
    found: Job = module(name).JOB
    return found


def title_of(name: str) -> str:
    """A job's French title, or its name when it is not (any more) one of ours."""
    return job(name).title if name in NAMES else name
