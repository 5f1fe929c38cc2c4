"""Gives every test process a Redis and a database of its own, before Django reads its settings.

Loaded with `-p tests.servers` (pyproject.toml): pytest-django reads the settings before any
conftest.py is imported. Each process, be it an xdist worker or the only one, starts a real
Redis on a free loopback port. The database is a SQLite file in a temporary folder, or the one
that TEST_DATABASE_URL names. Real workers that a test starts get at both through
`subprocess_environment()`.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest

from spendsync_site.demo.processes import LOOPBACK
from spendsync_site.demo.redis_server import RedisServer, RedisUnavailable, find_redis_executable

ROOT = Path(__file__).resolve().parent.parent
REDIS_DATABASE = 1

_redis: RedisServer | None = None
_folder: Path | None = None


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None, Any, Any]:
    """Start the servers ahead of every plugin's own turn."""
    global _redis, _folder
    _folder = Path(tempfile.mkdtemp(prefix="spendsync-tests-"))
    (_folder / "static").mkdir()
    atexit.register(pytest_unconfigure)  # pytest itself calls it only if it came as far as running tests
    try:
        if _only_distributes(early_config):
            find_redis_executable()
        else:
            _redis = RedisServer(_folder / "redis")
            _redis.start()
    except RedisUnavailable as error:
        raise pytest.UsageError(str(error)) from None
    os.environ.update(_environment(_folder, _redis.port if _redis else 0))
    return (yield)


def pytest_unconfigure() -> None:
    """End this process's Redis and remove its files."""
    if _redis is not None:
        _redis.stop()
    if _folder is not None:
        shutil.rmtree(_folder, ignore_errors=True)


def _only_distributes(config: pytest.Config) -> bool:
    """Whether this is xdist's controller, which runs no test itself."""
    return bool(getattr(config.known_args_namespace, "numprocesses", None)) and (
        "PYTEST_XDIST_WORKER" not in os.environ
    )


def _environment(folder: Path, redis_port: int) -> dict[str, str]:
    return {
        "SECRET_KEY": "a-key-for-tests-only-that-is-long-enough-to-satisfy-every-check-0123456789",
        "DEBUG": "0",
        "EMAIL_URL": "memorymail://",
        "EMAIL_BACKEND": "",
        "STATIC_ROOT": f"{folder}/static",
        "REDIS_HOST": LOOPBACK,
        "REDIS_PORT": str(redis_port),
        "REDIS_PASSWORD": "",
        "REDIS_URL": "",  # empty and not absent: a developer's .env must not fill it in
        "REDIS_JOB_QUEUE_DB": str(REDIS_DATABASE),
        **_database_environment(folder),
    }


def _database_environment(folder: Path) -> dict[str, str]:
    given = os.environ.get("TEST_DATABASE_URL", "")
    if not given:
        return {
            "DATABASE_URL": f"sqlite:///{folder}/site.sqlite3",
            "TEST_DATABASE_NAME": f"{folder}/test.sqlite3",
            "OTHER_DATABASE_URL": f"sqlite:///{folder}/other.sqlite3",
            "TEST_OTHER_DATABASE_NAME": f"{folder}/test_other.sqlite3",
        }
    name = urlsplit(given).path.lstrip("/")
    if not name:
        raise pytest.UsageError(
            f"TEST_DATABASE_URL must end with a database's name, as in {given.rstrip('/')}/spendsync"
        )
    return {
        "DATABASE_URL": given,
        "TEST_DATABASE_NAME": f"test_{name}",
        "OTHER_DATABASE_URL": _with_database(given, f"{name}_other"),
        "TEST_OTHER_DATABASE_NAME": f"test_{name}_other",
    }


def _with_database(url: str, name: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


def main_redis() -> RedisServer:
    """The Redis of this test process."""
    if _redis is None:
        raise RuntimeError("this process only distributes tests; it has no Redis")
    return _redis


def subprocess_environment(redis: RedisServer | None = None, **changes: str) -> dict[str, str]:
    """The environment for a process that shall work on the test database and Redis of this one.

    `redis` names another Redis than this process's own; `changes` are added last.
    """
    from django.db import connections

    environment = dict(os.environ)
    for alias, variable in (("default", "DATABASE_URL"), ("other", "OTHER_DATABASE_URL")):
        environment[variable] = _url_of(os.environ[variable], str(connections[alias].settings_dict["NAME"]))
    for variable in ("TEST_DATABASE_NAME", "TEST_OTHER_DATABASE_NAME"):
        environment.pop(variable, None)
    server = redis or main_redis()
    environment |= {
        "REDIS_HOST": server.host,
        "REDIS_PORT": str(server.port),
        "PYTHONUNBUFFERED": "1",
    }
    return environment | changes


def _url_of(url: str, test_name: str) -> str:
    if url.startswith("sqlite"):
        return f"sqlite:///{test_name}"
    return _with_database(url, test_name)
