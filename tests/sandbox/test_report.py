"""Whatever a name is, the demo shows it as a name."""

from __future__ import annotations

import pytest

from sandbox import report, terminal
from tests.harness import Deployment

NAMES = (
    "[red]Rouge[/red] [/]",
    "<b>Gras</b> & 100 % :smile:",
    "\x1b[31mRouge\x1b[0m",
    "\u202egnp.exe",
    "🏡 Zoë 👍🏽 نادية",
)


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_no_markup_and_commands_no_terminal(deployment: Deployment, name: str) -> None:
    deployment.open_business()
    deployment.execute("UPDATE ponctuel.businesses SET name = :name", name=name)
    deployment.invoice()
    deployment.tick()
    with terminal.console.capture() as capture:
        terminal.say(f"À {name} et le confirme.")
        report.businesses(deployment.database.engine())
        report.outcomes(deployment.database.engine())
        report.listed("Leads", ("nom",), [(name,)])
    out = capture.get()
    visible = name.replace("\x1b", " ").replace("\u202e", " ")
    assert out.count(visible.strip()) >= 3
    assert "\x1b" not in out
    assert "\u202e" not in out
