"""What the statements ask of PostgreSQL: how it finds the rows, and the cursor that stays.

Collected on PostgreSQL only (conftest.py).
"""

from __future__ import annotations

from typing import Any

import pytest
from django.db import DatabaseError, connection, connections

from jobqueue import statements
from jobqueue.jobs import enqueue, enqueue_many
from jobqueue.models import Job
from tests.jobqueue.processors_for_tests import CALL, SUCCEED
from tests.jobqueue.steps import CLAIMANT


def _plan(count: int) -> str:
    sql, parameters = statements.claim_statement(
        connection, [(number, 1) for number in range(count)], CLAIMANT.id
    )
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {sql}", parameters)
        return "\n".join(row[0] for row in cursor.fetchall())


@pytest.mark.django_db
@pytest.mark.parametrize("count", [1, 64])
def test_a_claim_reads_no_index_of_waiting_rows_whatever_the_statistics_say(count: int) -> None:
    Job.objects.bulk_create(
        [Job(processor=SUCCEED, queue="email", timeout=1, state="completed") for _ in range(3000)]
    )
    with connection.cursor() as cursor:
        # Now the planner believes that hardly any row waits.
        cursor.execute("ANALYZE jobqueue_job")
        # A few thousand rows are read as a whole sooner than 64 by their key; a million are not.
        cursor.execute("SET LOCAL enable_seqscan = off")

    plan = _plan(count)

    assert "jobqueue_job_pkey" in plan
    for index in ("jobqueue_job_open", "jobqueue_job_published", "jobqueue_job_unpublished"):
        assert index not in plan


def _kept() -> Any:
    return vars(connections["default"]).get(statements._KEPT)


@pytest.mark.django_db
def test_the_cursor_is_kept_from_statement_to_statement() -> None:
    enqueue(SUCCEED)
    first = _kept()
    enqueue(SUCCEED)

    assert first is not None
    assert _kept() is first


@pytest.mark.django_db
def test_what_is_large_is_not_kept() -> None:
    enqueue(SUCCEED)
    small = _kept()
    enqueue_many([(CALL, {"text": "x" * 10_000})] * 10)

    assert _kept() is small
    assert small._query is None or b"xxx" not in small._query.query
    assert Job.objects.count() == 11


@pytest.mark.django_db(transaction=True)
def test_a_new_connection_gets_a_new_cursor() -> None:
    enqueue(SUCCEED)
    first = _kept()
    connection.close()

    enqueue(SUCCEED)

    assert _kept() is not first
    assert Job.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_a_statement_that_fails_spoils_neither_the_cursor_nor_the_next_one() -> None:
    with pytest.raises(DatabaseError):
        statements.run(connections["default"], ("SELECT 1 / %s", [0]))

    enqueue(SUCCEED)

    assert Job.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_while_a_cursor_is_used_nobody_else_gets_it() -> None:
    default = connections["default"]
    enqueue(SUCCEED)
    used = statements._take_cursor(default)

    assert statements._take_cursor(default) is not used
