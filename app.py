"""Ponctuel: one Lambda per job, one for the HTTP routes.

| what                          | where                      | reached by                          |
| ----------------------------- | -------------------------- | ----------------------------------- |
| jobs                          | `chalicelib/jobs/`         | EventBridge's ticks, and `wake`     |
| tools (migrate)               | `chalicelib/jobs/`         | an invocation by hand               |
| today's users' cron addresses | `chalicelib/routes/compat` | their cron services                 |
| jobs and runs                 | `chalicelib/routes/jobs`,  | operators                           |
|                               | `chalicelib/routes/runs`   |                                     |
| pages of customers' links     | `chalicelib/routes/unsubscribe` | a message's recipient       |
| pages of closers' links       | `chalicelib/routes/closer` | closers, from an e-mail             |
| health and OpenAPI            | `chalicelib/routes/health`, `openapi` | monitors, developers     |

A job's Lambda imports its own module and never this one.
"""

from __future__ import annotations

from importlib import import_module

from chalice.app import Chalice

from chalicelib.jobs import NAMES, TOOLS
from chalicelib.routes import door, table
from chalicelib.runner.triggers import APP

# Chalice's own log handler would write beside ours, under the same name.
app = Chalice(app_name=APP, configure_logs=False)

for name in (*NAMES, *TOOLS):
    app.register_blueprint(import_module(f"chalicelib.jobs.{name}").bp)

door.register(app, table.ROUTES)
