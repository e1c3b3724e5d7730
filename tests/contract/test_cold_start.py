"""What a cold start imports. Sets are compared, not seconds: they do not depend on the machine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import alembic
import pytest

from chalicelib import jobs
from tests.contract.cold import Imported, import_alone
from tests.contract.paths import CODE, ROOT

# Import times are in docs/package.md. `typing_extensions` comes with SQLAlchemy.
LIGHT = {"chalice", "chalicelib", "sqlalchemy", "typing_extensions"}
INSTALLED = Path(alembic.__file__).parent.parent

Import = Callable[[str], Imported]


@pytest.fixture(scope="module")
def cold(tmp_path_factory: pytest.TempPathFactory) -> Import:
    """Imports with nothing of this repository in reach but chalicelib and app.py."""
    folder = tmp_path_factory.mktemp("task")
    (folder / "chalicelib").symlink_to(CODE)
    (folder / "app.py").symlink_to(ROOT / "app.py")
    return lambda module: import_alone(module, [folder, INSTALLED])


@pytest.mark.parametrize("name", jobs.NAMES)
def test_a_job_imports_alone_and_nothing_heavy(name: str, cold: Import) -> None:
    imported = cold(f"chalicelib.jobs.{name}")
    assert imported.has_handler
    assert imported.packages == LIGHT
    assert "sqlalchemy.orm" not in imported.modules
    others = {f"chalicelib.jobs.{other}" for other in (*jobs.NAMES, *jobs.TOOLS)} - {
        f"chalicelib.jobs.{name}"
    }
    assert imported.modules.isdisjoint(others)
    assert not [module for module in imported.modules if module.startswith("chalicelib.routes")]


@pytest.mark.parametrize("name", jobs.TOOLS)
def test_a_tool_imports_alone_and_nothing_heavy(name: str, cold: Import) -> None:
    imported = cold(f"chalicelib.jobs.{name}")
    assert imported.has_handler
    assert imported.packages <= LIGHT


def test_the_api_imports_every_job_and_nothing_heavy_without_any_environment(cold: Import) -> None:
    imported = cold("app")
    assert imported.packages == LIGHT | {"app"}
    assert {f"chalicelib.jobs.{name}" for name in (*jobs.NAMES, *jobs.TOOLS)} <= imported.modules
