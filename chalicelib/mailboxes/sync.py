"""The mailboxes of a run, read with what a run has for it: see `shift` for who reads which, and
`mailbox_sync` for how one is read."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from sqlalchemy import Engine

from chalicelib.mail.parse import parse as default_parse
from chalicelib.mailboxes.copies import Copies
from chalicelib.mailboxes.crew import Crew
from chalicelib.mailboxes.lease import Desk
from chalicelib.mailboxes.memory import Memory
from chalicelib.mailboxes.parsed_rows import Parse
from chalicelib.mailboxes.parsing import Parsing
from chalicelib.mailboxes.parsing_processes import Processes
from chalicelib.mailboxes.report import Report
from chalicelib.mailboxes.shift import Ending, OpenSession, Shift
from chalicelib.mailboxes.turn import Limits, Settle, Tools
from chalicelib.providers.storage.port import Storage
from chalicelib.runner.deadline import Deadline

# Messages in memory, of all threads.
MEMORY = 64_000_000


def sync_mailboxes(
    engine: Engine,
    storage: Storage,
    mailbox_ids: Sequence[int],
    *,
    deadline: Deadline,
    open_session: OpenSession,
    settle: Settle,
    record: Ending,
    parse: Parse = default_parse,
    limits: Limits | None = None,
    crew: Crew | None = None,
    memory: int = MEMORY,
) -> Report:
    """Reads these mailboxes, in this order, until each is read or the deadline is near, and writes
    what became of each. `settle` tells what new e-mails mean, `record` what becomes of mailboxes
    whose turn is over (see `domain.inbox`). What is wrong with one is in the report. Raises
    `DatabaseUnavailable`, `SchemaOutdated`, and what is wrong with the program; the mailboxes are
    then given back as far as the database allows."""
    limits = limits or Limits()
    with ExitStack() as stack:
        desk = Desk(engine)
        copies = stack.enter_context(Copies(storage))
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ponctuel-inbox-")))
        # Children have their own parser: it is ours, or they are not asked.
        processes = stack.enter_context(Processes()) if parse is default_parse else None
        parsing = Parsing(desk, copies, parse, in_memory=limits.in_memory, processes=processes)
        tools = Tools(desk, copies, parsing, Memory(memory), limits, work, settle)
        return Shift(tools, deadline, open_session, record, crew or Crew()).run(mailbox_ids)
