"""What leaves this repository for Lambda, and what stops it."""

from __future__ import annotations

import json
from pathlib import Path
from zipfile import ZIP_STORED, ZipFile

import pytest

from scripts import package
from tests.contract.paths import CODE, ROOT


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A small application to package."""
    source = tmp_path / "source"
    for name in ("app.py", "chalicelib/__init__.py", "chalicelib/jobs/one.py"):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text("")
    (source / "requirements.txt").write_text("")
    (source / ".chalice").mkdir()
    for name in ("config.json", "policy-dev-api.json", "stages.toml"):
        (source / ".chalice" / name).write_text("{}")
    return source


def exported(source: Path, target: Path) -> set[str]:
    package.export(target, source)
    return {str(path.relative_to(target)) for path in target.rglob("*") if path.is_file()}


def test_the_code_and_what_chalice_reads_leave_and_nothing_else(
    source: Path, tmp_path: Path
) -> None:
    (source / "tests").mkdir()
    (source / "tests" / "test_one.py").write_text("")
    (source / "chalicelib" / "__pycache__").mkdir()
    (source / "chalicelib" / "__pycache__" / "one.cpython-311.pyc").write_text("")
    (source / ".chalice" / "deployed").mkdir()
    (source / ".chalice" / "deployed" / "dev.json").write_text("{}")
    assert exported(source, tmp_path / "target") == {
        "app.py",
        "chalicelib/__init__.py",
        "chalicelib/jobs/one.py",
        "requirements.txt",
        ".chalice/config.json",
        ".chalice/policy-dev-api.json",
    }


@pytest.mark.parametrize("name", ["jobs/one.py.orig", "jobs/.one.py.swp", "notes.md", ".env"])
def test_a_stray_file_stops_the_packaging_and_is_named(
    name: str, source: Path, tmp_path: Path
) -> None:
    (source / "chalicelib" / name).write_text("")
    with pytest.raises(package.PackagingError, match=name):
        package.export(tmp_path / "target", source)


def test_a_link_that_leads_elsewhere_stops_the_packaging(source: Path, tmp_path: Path) -> None:
    (source / "chalicelib" / "secrets.json").symlink_to("/etc/passwd")
    with pytest.raises(package.PackagingError, match=r"secrets\.json"):
        package.export(tmp_path / "target", source)


def test_this_applications_templates_and_migrations_leave_with_its_code(tmp_path: Path) -> None:
    shipped = set(package.export(tmp_path))
    for folder in ("templates", "db/migrations", "jobs"):
        there = [path for path in (CODE / folder).rglob("*") if path.is_file()]
        there = [path for path in there if "__pycache__" not in path.parts]
        assert there
        assert {str(path.relative_to(ROOT)) for path in there} <= shipped


def test_rules_are_worked_out_with_none_of_this_terminals_settings() -> None:
    here = {"PATH": "/bin", "HTTPS_PROXY": "http://p", "SCHEDULE_FOLLOWUPS": "1 1 1 1 1"}
    here |= {"DATABASE_URL": "postgresql://u:p@h/b", "ZONE_FOLLOWUPS": "UTC"}
    assert package.environment(here) == {
        "PATH": "/bin",
        "HTTPS_PROXY": "http://p",
        "AWS_DEFAULT_REGION": "eu-west-3",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    elsewhere = package.environment({"AWS_DEFAULT_REGION": "eu-north-1"})
    assert elsewhere["AWS_DEFAULT_REGION"] == "eu-north-1"


def test_a_pin_is_read_whatever_the_case_and_the_punctuation_of_its_name() -> None:
    assert package.pins("# a\n\nTyping_Extensions==4.1  # b\nzope.interface==7\n") == {
        "typing-extensions": "4.1",
        "zope-interface": "7",
    }


def test_an_application_that_cannot_be_imported_stops_the_packaging_with_the_reason(
    source: Path, tmp_path: Path
) -> None:
    (source / "app.py").write_text("import nowhere_to_be_found")
    configuration = {"version": "2.0", "app_name": "one", "stages": {"dev": {}}}
    (source / ".chalice" / "config.json").write_text(json.dumps(configuration))
    with pytest.raises(package.PackagingError, match="nowhere_to_be_found"):
        package.build("dev", tmp_path / "output", source)


SITE = "python/lib/python3.11/site-packages"


def built(output: Path, layer: dict[str, bytes], requirements: str) -> Path:
    """Zips as Chalice leaves them; returns the path of the requirements."""
    output.mkdir()
    with ZipFile(output / package.LAYER_ZIP, "w", ZIP_STORED) as archive:
        for name, content in layer.items():
            archive.writestr(f"{SITE}/{name}", content)
    with ZipFile(output / package.APP_ZIP, "w", ZIP_STORED) as archive:
        archive.writestr("app.py", b"")
    (output / "requirements.txt").write_text(requirements)
    return output / "requirements.txt"


ONE = {"one.py": b"1" * 1000, "one-1.0.dist-info/RECORD": b"one.py,,\none-1.0.dist-info/RECORD,,\n"}


def test_what_is_pinned_and_packed_is_weighed_by_distribution(tmp_path: Path) -> None:
    requirements = built(tmp_path / "output", ONE, "One==1.0")
    weights = {weight.name: weight for weight in package.check(tmp_path / "output", requirements)}
    assert set(weights) == {"one", "app", "(zip directory)"}
    assert weights["one"].unzipped == 1000 + len(ONE["one-1.0.dist-info/RECORD"])


@pytest.mark.parametrize(
    ("requirements", "named"),
    [("One==1.0\nTwo==2.0", "two"), ("One==1.1", "one"), ("", "one")],
    ids=["missing", "another version", "not pinned"],
)
def test_a_package_that_differs_from_its_pins_is_refused(
    requirements: str, named: str, tmp_path: Path
) -> None:
    pinned = built(tmp_path / "output", ONE, requirements)
    with pytest.raises(package.PackagingError, match=named):
        package.check(tmp_path / "output", pinned)


def test_a_package_that_lambda_would_not_take_is_refused(tmp_path: Path) -> None:
    pinned = built(tmp_path / "output", ONE | {"big.bin": bytes(46_000_000)}, "One==1.0")
    with pytest.raises(package.PackagingError, match=r"46\.0 Mo"):
        package.check(tmp_path / "output", pinned)
