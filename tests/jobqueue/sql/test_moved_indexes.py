"""Indexes of a table that is written to meanwhile: there afterwards, whatever an installation had before."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import connection
from django.db.migrations.loader import MigrationLoader

from jobqueue.models import Job
from jobqueue.sql.moved_indexes import AddMissingIndexBesideWriters
from tests.jobqueue.sql.index_steps import AFTER, BEFORE, MOVED, forwards, indexes, take_away

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    yield
    forwards(connection)


def test_the_tables_have_every_index_of_the_models() -> None:
    assert {index.name for index in Job._meta.indexes} <= indexes(connection)


def test_an_installation_that_has_them_keeps_them() -> None:
    forwards(connection)

    assert indexes(connection) >= MOVED


@pytest.mark.parametrize("missing", [MOVED, {"jobqueue_job_cause"}], ids=["all", "one"])
def test_one_that_lacks_them_has_them_afterwards(missing: set[str]) -> None:
    take_away(connection, missing)
    assert not missing & indexes(connection)

    forwards(connection)

    assert indexes(connection) >= MOVED


def test_their_migration_is_none_that_locks_what_it_touches() -> None:
    migration = MigrationLoader(None).disk_migrations["jobqueue", "0017_job_indexes"]

    assert migration.atomic is False
    assert all(isinstance(operation, AddMissingIndexBesideWriters) for operation in migration.operations)


def test_the_states_around_it_differ_by_them_alone() -> None:
    before, after = (
        {index.name for index in state.models["jobqueue", "job"].options["indexes"]}
        for state in (BEFORE, AFTER)
    )

    assert after - before == MOVED
