"""Whether jobs can be run through an alias: what PostgreSQL says of roles and transactions."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import connection

from jobqueue.sql.read_only import sentence, why_not_written

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def reader() -> Iterator[str]:
    """A role that may read the job queue's tables."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE ROLE jobqueue_reader")
        cursor.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO jobqueue_reader")
        yield "jobqueue_reader"
        cursor.execute("RESET ROLE")
        cursor.execute("DROP OWNED BY jobqueue_reader")
        cursor.execute("DROP ROLE jobqueue_reader")


def test_nothing_is_said_of_a_database_that_takes_writes() -> None:
    assert why_not_written("default") == ""


def test_a_role_whose_transactions_only_read_is_refused() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET default_transaction_read_only = on")
        try:
            assert why_not_written("default") == "its transactions are read-only"
        finally:
            cursor.execute("SET default_transaction_read_only = off")


def test_a_role_without_the_rights_is_refused_and_the_tables_are_named(reader: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"SET ROLE {reader}")
    why = why_not_written("default")
    assert why.startswith("its user may not read and write jobqueue_")
    assert 'JOBQUEUE["DATABASES"]' in sentence("default", why)
