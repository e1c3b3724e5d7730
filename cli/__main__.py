"""`python -m cli`, which `./ponctuel` runs."""

from __future__ import annotations

import os
import sys

from cli.main import main

if __name__ == "__main__":
    # Somebody reads this terminal: a run's ordinary log lines would hide its answer. Those of the
    # scheduler are its answer.
    if sys.argv[1:2] != ["scheduler"]:
        os.environ.setdefault("LOG_LEVEL", "WARNING")
    sys.exit(main())
