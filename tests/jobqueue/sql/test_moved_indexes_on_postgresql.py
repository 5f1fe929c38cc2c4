"""An index is built while others read and write. Collected on PostgreSQL only (conftest.py)."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from django.db import OperationalError, connection, transaction

from jobqueue.jobs import enqueue
from jobqueue.models import Job
from tests.conftest import wait_until
from tests.jobqueue.processors_for_tests import SUCCEED
from tests.jobqueue.sql.index_steps import forwards, forwards_in_a_thread, take_away

pytestmark = pytest.mark.django_db(transaction=True)
INDEX = "jobqueue_job_cause"


@pytest.fixture(autouse=True)
def _missing() -> Iterator[None]:
    """It is not there at first, and afterwards it is."""
    take_away(connection, {INDEX})
    yield
    forwards(connection)


def is_valid() -> bool | None:
    """Whether the index can be used; None where there is none."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(%s)", [INDEX])
        row = cursor.fetchone()
    return row and bool(row[0])


def is_waiting() -> bool:
    """Whether somebody builds an index and waits for a transaction of others."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'CREATE INDEX CONCURRENTLY%%' "
            "AND state = 'active' AND wait_event_type = 'Lock' AND datname = current_database()"
        )
        return bool(cursor.fetchone()[0])


@contextmanager
def long_read() -> Iterator[None]:
    """Meanwhile a transaction is open that has read the jobs."""
    reader = connection.copy()
    try:
        reader.set_autocommit(False)
        with reader.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            cursor.execute("SELECT count(*) FROM jobqueue_job")
        yield
    finally:
        reader.close()


def test_others_write_while_it_waits_for_a_long_read_to_end() -> None:
    with ThreadPoolExecutor(1) as builder:
        with long_read():
            built = builder.submit(forwards_in_a_thread, INDEX)
            wait_until(is_waiting, 10)
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("SET LOCAL lock_timeout = '1s'")
                job, *_ = [enqueue(SUCCEED) for _ in range(3)]
                Job.objects.filter(pk=job.pk).update(cause="while it is built", state="failed")

            assert not built.done()
            assert not is_valid()
        built.result(10)

    assert is_valid()
    assert Job.objects.filter(state="failed", cause="while it is built").count() == 1


def test_what_a_build_left_behind_that_was_broken_off_is_built_anew() -> None:
    with long_read(), ThreadPoolExecutor(1) as builder:
        built = builder.submit(forwards_in_a_thread, INDEX, "SET statement_timeout = '300ms'")
        with pytest.raises(OperationalError, match="statement timeout"):
            built.result(10)
    assert is_valid() is False

    forwards(connection)

    assert is_valid()
