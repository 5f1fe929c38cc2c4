"""Of which kind an outage is, and of which database, for people who look."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import psycopg
import pytest
from django.db import Error, InternalError, OperationalError

from jobqueue.exceptions import BrokerUnavailable
from jobqueue.sql.troubles import Outage, Trouble, outage_of
from tests.jobqueue.sql.outages_for_tests import (
    caught,
    execute,
    locked_error,
    sqlite_file,
    unreachable_server,
)

pytestmark = pytest.mark.django_db


def _raised(driver: Exception, kind: type[Error] = OperationalError) -> Error:
    error = kind(str(driver))
    error.__cause__ = driver
    return error


def test_a_server_that_cannot_be_reached_is_away_and_named() -> None:
    error = caught(lambda: execute(unreachable_server(), "SELECT 1"))

    assert outage_of(error) == Outage(Trouble.AWAY, "default")


@pytest.mark.parametrize(
    "text",
    [
        'FATAL:  database "site" is not currently accepting connections',
        'FATAL:  password authentication failed for user "site"',
    ],
)
def test_a_refused_connection_is_away(text: str) -> None:
    assert outage_of(_raised(psycopg.OperationalError(text))) == Outage(Trouble.AWAY)


@pytest.mark.parametrize(
    ("state", "trouble"),
    [
        ("25006", Trouble.TAKES_NO_CHANGES),
        ("53100", Trouble.TAKES_NO_CHANGES),
        ("53300", Trouble.AWAY),
        ("57P01", Trouble.AWAY),
        ("40P01", Trouble.BUSY),
    ],
)
def test_the_code_of_postgresql_says_of_which_kind(state: str, trouble: Trouble) -> None:
    error = _raised(psycopg.errors.lookup(state)("the server says so"), InternalError)

    assert outage_of(error) == Outage(trouble)


def test_a_file_opened_for_reading_takes_no_changes(tmp_path: Path) -> None:
    connection = sqlite_file(tmp_path / "file.sqlite3")
    execute(connection, "CREATE TABLE sample (value text)")
    execute(connection, "PRAGMA query_only = 1")
    error = caught(lambda: execute(connection, "INSERT INTO sample DEFAULT VALUES"))
    connection.close()

    assert outage_of(error) == Outage(Trouble.TAKES_NO_CHANGES, "default")


def test_a_full_disk_takes_no_changes() -> None:
    driver = sqlite3.OperationalError("database or disk is full")
    driver.sqlite_errorcode = sqlite3.SQLITE_FULL

    assert outage_of(_raised(driver)) == Outage(Trouble.TAKES_NO_CHANGES)


def test_a_locked_file_is_busy(tmp_path: Path) -> None:
    assert outage_of(locked_error(tmp_path)) == Outage(Trouble.BUSY, "default")


def test_redis_away_is_no_database() -> None:
    assert outage_of(BrokerUnavailable("away")) == Outage(Trouble.REDIS_AWAY)


def test_a_wrong_statement_is_no_outage(tmp_path: Path) -> None:
    connection = sqlite_file(tmp_path / "file.sqlite3")
    error = caught(lambda: execute(connection, "SELECT * FROM nowhere"))
    connection.close()

    assert outage_of(error) is None
