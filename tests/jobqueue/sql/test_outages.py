"""What an error of a database says: try again, or never."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import psycopg
import pytest
from django.db import OperationalError

from jobqueue.exceptions import BrokerUnavailable, Discard
from jobqueue.sql import outages
from jobqueue.sql.outages import is_outage
from tests.jobqueue.sql.outages_for_tests import (
    caught,
    execute,
    locked_error,
    sqlite_file,
    unreachable_server,
)

pytestmark = pytest.mark.django_db


def test_a_locked_file_may_be_free_later(tmp_path: Path) -> None:
    error = locked_error(tmp_path)

    assert "database is locked" in str(error)
    assert is_outage(error)


def test_a_transaction_that_read_before_somebody_wrote_may_be_tried_again(tmp_path: Path) -> None:
    one, other = (sqlite_file(tmp_path / "file.sqlite3") for _ in range(2))
    for sql in ("PRAGMA journal_mode = WAL", "CREATE TABLE sample (id integer primary key)", "BEGIN"):
        execute(one, sql)
    execute(one, "SELECT * FROM sample")
    execute(other, "INSERT INTO sample DEFAULT VALUES")

    assert is_outage(caught(lambda: execute(one, "INSERT INTO sample DEFAULT VALUES")))
    one.close()
    other.close()


def test_a_full_disk_may_have_room_later(tmp_path: Path) -> None:
    connection = sqlite_file(tmp_path / "file.sqlite3")
    execute(connection, "CREATE TABLE sample (value text)")
    execute(connection, "PRAGMA max_page_count = 2")

    error = caught(lambda: execute(connection, "INSERT INTO sample VALUES (zeroblob(100000))"))

    assert "full" in str(error)
    assert is_outage(error)
    connection.close()


def test_a_file_that_cannot_be_reached_may_be_there_later(tmp_path: Path) -> None:
    away = sqlite_file(tmp_path / "not mounted" / "file.sqlite3")

    assert is_outage(caught(lambda: execute(away, "SELECT 1")))


def test_a_server_that_cannot_be_reached_may_be_there_later() -> None:
    assert is_outage(caught(lambda: execute(unreachable_server(), "SELECT 1")))


@pytest.mark.parametrize("code", [sqlite3.SQLITE_IOERR, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_NOMEM])
def test_a_disk_or_a_memory_that_fails_may_be_mended(code: int) -> None:
    error, driver = OperationalError("disk I/O error"), sqlite3.OperationalError("disk I/O error")
    driver.sqlite_errorcode = code
    error.__cause__ = driver

    assert is_outage(error)


@pytest.mark.parametrize("sqlstate", ["57P05", "58030"])
def test_a_server_that_hung_up_or_has_trouble_with_its_disk_may_serve_later(sqlstate: str) -> None:
    error = OperationalError("the server says so")
    error.__cause__ = psycopg.errors.lookup(sqlstate)("the server says so")

    assert is_outage(error)


@pytest.mark.parametrize("sql", ["SELECT * FROM nowhere", "SELEC 1", "SELECT nothing"])
def test_what_will_never_work_is_no_outage(sql: str, tmp_path: Path) -> None:
    connection = sqlite_file(tmp_path / "file.sqlite3")

    assert not is_outage(caught(lambda: execute(connection, sql)))
    connection.close()


def test_what_was_raised_from_an_outage_is_one(tmp_path: Path) -> None:
    try:
        try:
            raise KeyError("the report") from locked_error(tmp_path)
        except KeyError as inner:
            raise RuntimeError("no report") from inner
    except RuntimeError as wrapped:
        assert is_outage(wrapped)


def test_what_was_raised_while_an_outage_was_handled_is_none(tmp_path: Path) -> None:
    try:
        try:
            raise locked_error(tmp_path)
        except OperationalError:
            raise KeyError("something else")  # noqa: B904 - beside it, not from it
    except KeyError as beside:
        assert not is_outage(beside)


def test_a_job_that_is_discarded_for_an_outage_is_discarded(tmp_path: Path) -> None:
    discarded = Discard("the report is not worth the wait")
    discarded.__cause__ = locked_error(tmp_path)

    assert not is_outage(discarded)


def test_a_file_of_the_processors_own_is_none_of_ours(tmp_path: Path) -> None:
    own = locked_error(tmp_path).__cause__

    assert isinstance(own, sqlite3.OperationalError)
    assert not is_outage(own)


@pytest.mark.parametrize(
    "error",
    [
        OperationalError("database is locked"),
        ConnectionRefusedError("somebody else's server"),
        TimeoutError("somebody else's server"),
        ValueError("wrong"),
    ],
)
def test_what_came_from_no_database_is_no_outage(error: Exception) -> None:
    assert not is_outage(error)


def test_redis_away_in_a_job_is_an_outage() -> None:
    assert is_outage(BrokerUnavailable("ConnectionError: refused"))


@pytest.mark.parametrize(
    ("text", "is_for_now"),
    [
        ("failed to resolve host 'db.invalid': [Errno -2] Name or service not known", True),
        ("connection refused", True),
        ('invalid port number: "54x"', False),
        ('invalid sslmode value: "x"', False),
        ('invalid connection option "x"', False),
        ('FATAL:  role "nobody" does not exist', False),
    ],
)
def test_a_host_may_be_found_again_whatever_its_name_and_a_wrong_setting_stays_wrong(
    text: str, is_for_now: bool
) -> None:
    error = OperationalError(text)
    error.__cause__ = psycopg.OperationalError(text)

    assert outages._is_of_connection(error.__cause__) is is_for_now
