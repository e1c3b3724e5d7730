"""The step that reads mailboxes: which, with what, and what is told of it in the run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any, Final

from sqlalchemy import Connection, Engine, text

from chalicelib.domain.inbox import queries
from chalicelib.errors import SettingsError
from chalicelib.runner.deadline import Deadline
from chalicelib.runner.job import Batch, ItemError, Outcome, Preview, Run

# How soon a mailbox that is well is due again. It is read in each run all the same.
APART: Final = timedelta(minutes=5)

REASONS: Final = {
    "business_inactive": "entreprise inactive",
    "paused": "boîte en pause",
    "reauthorise": "autorisation à renouveler par son propriétaire",
    "disabled": "boîte arrêtée : mot de passe refusé trop longtemps",
    "waiting": "en erreur : prochain essai plus tard",
}


@dataclass(frozen=True)
class ReadMailboxes:
    """Items are ids of mailboxes. A dry run asks no server: it lists which would be read."""

    def run_errand(
        self, run: Run, engine: Engine, deadline: Deadline, items: Sequence[tuple[str, str]]
    ) -> Outcome:
        from chalicelib.domain.inbox.outcomes import record
        from chalicelib.domain.inbox.settle import settle
        from chalicelib.mailboxes.opening import Opener
        from chalicelib.mailboxes.sync import sync_mailboxes
        from chalicelib.runner.invocation import open_store
        from chalicelib.settings import settings

        current = settings()
        try:
            storage = open_store(current)
            if storage is None:
                raise SettingsError(
                    "STORAGE_URL n'est pas renseigné : les e-mails reçus n'ont pas de place où "
                    "être gardés. " + current.how_to_set("STORAGE_URL")
                )
            opener = Opener(engine, current)
        except SettingsError as error:
            return Outcome(
                errors=[
                    ItemError(business, item, error.code, str(error)) for business, item in items
                ]
            )
        report = sync_mailboxes(
            engine,
            storage,
            [int(item) for _business, item in items],
            deadline=deadline,
            open_session=opener,
            settle=settle,
            record=partial(record, next_tick=run.now + APART, run_id=run.id),
        )
        return Outcome(
            counts=+report.counts,
            errors=[
                ItemError(one.business_id, str(one.mailbox_id), one.code, one.message)
                for one in (*report.failed, *report.troubles)
            ],
        )

    def preview(self, run: Run, connection: Connection, batch: Batch) -> Preview:
        rows = connection.execute(text(batch.cte), batch.parameters)
        left_out = connection.execute(text(queries.LEFT_OUT), batch.parameters).mappings()
        return Preview(
            changes=[
                {"change": "mailboxes_read", "business_id": row[0], "subject": row[1]}
                for row in rows
            ],
            left_out=[_left_out(row) for row in left_out],
        )


def _left_out(row: Mapping[Any, Any]) -> Mapping[str, Any]:
    return dict(row) | {"why": REASONS[row["reason"]]}
