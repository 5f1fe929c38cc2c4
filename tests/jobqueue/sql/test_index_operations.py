"""Indexes that migrations make while others write."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest
from django.db import connection, models
from django.db.migrations.state import ModelState, ProjectState

from jobqueue.models import Job
from jobqueue.sql.index_operations import AddIndexBesideWriters

NAME = "jobqueue_job_for_a_test"
pytestmark = pytest.mark.django_db(transaction=True)


def _operation() -> AddIndexBesideWriters:
    index = models.Index(fields=["finished_at"], condition=models.Q(state="failed"), name=NAME)
    return AddIndexBesideWriters("job", index)


def _apply(*, backwards: bool = False) -> None:
    operation, before = _operation(), ProjectState()
    before.add_model(ModelState.from_model(Job, exclude_rels=True))
    after = before.clone()
    operation.state_forwards("jobqueue", after)
    with connection.schema_editor(atomic=False) as editor:
        if backwards:
            operation.database_backwards("jobqueue", editor, after, before)
        else:
            operation.database_forwards("jobqueue", editor, before, after)


def _indexes() -> set[str]:
    with connection.cursor() as cursor:
        return set(connection.introspection.get_constraints(cursor, Job._meta.db_table))


@pytest.fixture
def applied() -> Iterator[Callable[..., None]]:
    yield _apply
    _apply(backwards=True)
    assert NAME not in _indexes()


def test_the_index_is_made(applied: Callable[..., None]) -> None:
    applied()
    assert NAME in _indexes()


if connection.vendor == "postgresql":

    def test_an_index_that_is_there_is_left_alone(applied: Callable[..., None]) -> None:
        applied()
        applied()
        assert NAME in _indexes()

    def test_one_that_was_broken_off_is_made_anew(applied: Callable[..., None]) -> None:
        applied()
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE pg_index SET indisvalid = false WHERE indexrelid = to_regclass(%s)", [NAME]
            )
        applied()
        with connection.cursor() as cursor:
            cursor.execute("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(%s)", [NAME])
            assert cursor.fetchone() == (True,)

    def test_others_write_while_it_is_made(applied: Callable[..., None]) -> None:
        other = connection.copy()
        with other.cursor() as cursor:  # one that the index has to wait for
            cursor.execute("BEGIN")
            cursor.execute("LOCK TABLE jobqueue_job IN ROW EXCLUSIVE MODE")
            making = threading.Thread(target=_apply_and_close)
            making.start()
            _wait_until_waiting()
            job = Job(processor="sample.succeed", queue="email", timeout=1)
            job.save()
            assert making.is_alive()
            cursor.execute("COMMIT")
        making.join(30)
        other.close()
        assert NAME in _indexes()

    def _apply_and_close() -> None:
        try:
            _apply()
        finally:
            connection.close()

    def _wait_until_waiting() -> None:
        found = 0
        while not found:
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT count(*) FROM pg_stat_activity"
                    " WHERE query LIKE 'CREATE INDEX CONCURRENTLY%' AND wait_event_type = 'Lock'"
                )
                found = cursor.fetchone()[0]
