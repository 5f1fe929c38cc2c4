"""What a project must be like: `check` says what is wrong and how to cure it; no worker starts before."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import LazySettings
from django.core.checks import CheckMessage, run_checks
from django.core.management import CommandError, call_command
from django.db import connections

from jobqueue.sql import isolation, replicas


def _found() -> list[CheckMessage]:
    return run_checks(tags=["jobqueue"])


@pytest.fixture
def set_database(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Changes settings of a database, as a project might have them, and gives its connection back."""
    kept = {alias: connections[alias] for alias in connections}

    def change(alias: str, **changes: Any) -> None:
        monkeypatch.setitem(connections.settings, alias, connections.settings[alias] | changes)
        replicas._replicas.cache_clear()

    yield change
    for alias, connection in kept.items():
        connections[alias] = connection
    replicas._replicas.cache_clear()


def test_times_without_a_zone_are_an_error_with_the_cure(settings: LazySettings) -> None:
    settings.USE_TZ = False
    [message] = _found()
    assert message.id == "jobqueue.E022"
    assert message.hint == "Set USE_TZ = True. TIME_ZONE may stay what it is."


def test_a_worker_refuses_times_without_a_zone_in_the_same_words(settings: LazySettings) -> None:
    settings.USE_TZ = False
    [message] = _found()
    with pytest.raises(CommandError) as refused:
        call_command("rqworker", "email")
    assert str(refused.value) == f"{message.msg}. {message.hint}"


@pytest.mark.parametrize("kind", ["mysql", "oracle"])
def test_a_database_that_is_not_served_needs_no_driver_to_be_refused(kind: str, set_database: Any) -> None:
    set_database("other", ENGINE=f"django.db.backends.{kind}")
    [message] = _found()
    assert message.id == "jobqueue.E008"
    assert f"{kind} is not served" in message.msg


def test_a_project_without_a_database_is_an_error(set_database: Any) -> None:
    for alias in connections:
        set_database(alias, ENGINE="django.db.backends.dummy")
    [message] = _found()
    assert message.id == "jobqueue.E023"


@pytest.mark.parametrize("queue", [{}, {"HOST": "localhost"}, {"UNIX_SOCKET_PATH": "/run/redis"}, None])
def test_a_queue_without_the_place_of_its_redis_is_an_error(settings: LazySettings, queue: Any) -> None:
    settings.RQ_QUEUES = {**settings.RQ_QUEUES, "new": queue}
    [message] = _found()
    assert message.id == "jobqueue.E024"
    assert message.msg == "RQ_QUEUES['new'] does not say where Redis is"


@pytest.mark.parametrize("port", ["abc", 0, -1, 65_536, 6379.5, None, True, ""])
def test_a_port_that_is_none_is_an_error_with_the_port(settings: LazySettings, port: Any) -> None:
    settings.RQ_QUEUES = {**settings.RQ_QUEUES, "new": {"HOST": "localhost", "PORT": port}}
    [message] = _found()
    assert message.id == "jobqueue.E024"
    assert f"has the PORT {port!r}" in message.msg


@pytest.mark.parametrize("port", [6379, "6379", 65_535])
def test_a_port_may_be_a_number_or_its_text(settings: LazySettings, port: Any) -> None:
    settings.RQ_QUEUES = {**settings.RQ_QUEUES, "new": {"HOST": "localhost", "PORT": port}}
    assert _found() == []


@pytest.mark.parametrize("cache", ["none", "of_django"])
def test_a_cache_that_gives_no_connection_is_an_error(settings: LazySettings, cache: str) -> None:
    redis_cache = {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": "redis://localhost"}
    settings.CACHES = {**settings.CACHES, "of_django": redis_cache}
    settings.RQ_QUEUES = {**settings.RQ_QUEUES, "new": {"USE_REDIS_CACHE": cache}}
    [message] = _found()
    assert message.id == "jobqueue.E024"
    assert "USE_REDIS_CACHE is for caches of django-redis" in message.msg


def test_a_place_that_cannot_be_one_is_an_error_that_does_not_show_it(settings: LazySettings) -> None:
    settings.RQ_QUEUES = {**settings.RQ_QUEUES, "new": {"URL": "http://:secret@localhost"}}
    [message] = _found()
    assert message.id == "jobqueue.E024"
    assert "a way that redis-py does not take (ValueError)" in message.msg


def test_sqlite_without_options_is_a_warning_with_what_to_copy(set_database: Any) -> None:
    set_database("other", ENGINE="django.db.backends.sqlite3", OPTIONS={})
    if connections["other"].vendor != "sqlite":
        del connections["other"]
    [message] = _found()
    assert message.id == "jobqueue.W030"
    assert "'other'" in message.msg
    assert '"transaction_mode": "IMMEDIATE"' in str(message.hint)
    assert "journal_mode=WAL" in str(message.hint)


def test_a_zone_of_its_own_is_an_error_on_sqlite_whose_clock_shows_utc(set_database: Any) -> None:
    set_database("other", TIME_ZONE="Europe/Berlin")
    found = _found()
    if connections["other"].vendor == "sqlite":
        [message] = found
        assert message.id == "jobqueue.E025"
        assert "DATABASES['other'] has the TIME_ZONE 'Europe/Berlin'" in message.msg
    else:
        assert found == []


def test_the_zone_of_the_clock_may_be_named(set_database: Any) -> None:
    set_database("other", TIME_ZONE="UTC")
    assert _found() == []


def test_a_database_that_commits_nothing_by_itself_is_an_error(set_database: Any) -> None:
    set_database("other", AUTOCOMMIT=False)
    [message] = _found()
    assert message.id == "jobqueue.E026"
    assert "DATABASES['other'] has AUTOCOMMIT off" in message.msg


# Isolation ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "level"),
    [
        ({"isolation_level": 3}, "REPEATABLE READ"),
        ({"isolation_level": 4}, "SERIALIZABLE"),
        ({"options": r"-c default_transaction_isolation=repeatable\ read"}, "REPEATABLE READ"),
        (
            {"options": "-c x=1 -c default_transaction_isolation=serializable"},
            "SERIALIZABLE",
        ),
    ],
)
def test_an_isolation_with_which_jobs_cannot_be_served_is_an_error_with_the_cure(
    set_database: Any, options: dict[str, Any], level: str
) -> None:
    set_database("default", OPTIONS=options)
    if connections["default"].vendor != "postgresql":
        assert isolation.refused_by_settings("default") == ""  # SQLite has one isolation
        return

    [message] = _found()

    assert message.id == "jobqueue.E027"
    assert message.msg == (
        f"the transactions of the database 'default' are {level}, with which jobs cannot be served"
    )
    assert message.hint is not None
    assert message.hint.startswith("Keep READ COMMITTED, PostgreSQL's default")


@pytest.mark.parametrize(
    "options",
    [
        {"isolation_level": 2},
        {"isolation_level": 1},
        {"options": r"-c default_transaction_isolation=read\ committed"},
        {"options": "-c statement_timeout=5s"},
    ],
)
def test_the_isolation_of_postgresql_itself_passes(set_database: Any, options: dict[str, Any]) -> None:
    set_database("default", OPTIONS=options)

    assert isolation.refused_by_settings("default") == ""


def test_requests_that_are_transactions_pass(set_database: Any) -> None:
    set_database("default", ATOMIC_REQUESTS=True)

    assert _found() == []
