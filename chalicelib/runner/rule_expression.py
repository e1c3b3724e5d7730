"""A job's EventBridge rule, worked out when Chalice asks for it: at deploy, not at cold start."""

from __future__ import annotations

from chalice.app import ScheduleExpression

from chalicelib.runner.job import Job


class RuleExpression(ScheduleExpression):
    """The UTC rule of a job's schedule and zone, as this stage sets them."""

    def __init__(self, job: Job) -> None:
        self._job = job

    def to_string(self) -> str:
        from chalicelib.runner.rule import eventbridge_rule
        from chalicelib.settings import settings

        current = settings()
        expression = current.schedule_for(self._job.name) or self._job.schedule
        return eventbridge_rule(expression, self._job.zone_on(current))


def rule_of(job: Job) -> RuleExpression:
    return RuleExpression(job)
