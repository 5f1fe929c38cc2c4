"""What the statements ask of PostgreSQL: how it finds the rows, and the cursor that stays.

Collected on PostgreSQL only (conftest.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import DatabaseError, connection, connections, transaction
from prometheus_client import REGISTRY

from jobqueue.jobs import enqueue, enqueue_many
from jobqueue.models import Job, transitions
from jobqueue.sql import fast_path, statements
from tests.jobqueue.processors_for_tests import CALL, SUCCEED
from tests.jobqueue.steps import IDENTITY


def _plan(count: int) -> str:
    sql, parameters = statements.claim_statement(
        connection, [(number, 1) for number in range(count)], IDENTITY.id
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


@pytest.mark.django_db
def test_a_claim_looks_at_the_rows_that_it_names_once_though_the_statistics_are_of_an_empty_table() -> None:
    old = Job.objects.bulk_create(
        [Job(processor=SUCCEED, queue="email", timeout=1, state="completed") for _ in range(3000)]
    )
    Job.objects.filter(pk__in=[job.pk for job in old])._raw_delete("default")
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE jobqueue_job")
    jobs = enqueue_many([(SUCCEED, {})] * 3000)
    sql, parameters = statements.claim_statement(connection, [(job.pk, 1) for job in jobs[:64]], IDENTITY.id)

    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {sql}", parameters)
        ((plans,),) = cursor.fetchall()

    plan = plans[0]["Plan"]
    assert (plan["Actual Rows"], Job.objects.active().count()) == (64, 64)
    # To change a row takes about 20 pages, its indexes among them; a join row by row looked at 190,000.
    assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] < 64 * 60


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("count", [1, 2])
def test_each_step_of_a_job_waits_for_the_disk(count: int) -> None:
    def waits(step: Callable[[], object]) -> str:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL synchronous_commit = on")
            step()
            return str(_rows("SHOW synchronous_commit")[0][0])

    jobs: list[Job] = []
    insert = waits(lambda: jobs.extend(enqueue_many([(SUCCEED, {})] * count)))
    claim = waits(lambda: transitions.claim(Job.objects, [(job.pk, 1) for job in jobs], IDENTITY.id))
    complete = waits(
        lambda: transitions.complete(Job.objects, [(job.pk, 1, "") for job in jobs], IDENTITY.id)
    )

    assert (insert, claim, complete) == ("on", "on", "on")
    assert Job.objects.filter(state="completed").count() == count


def _kept() -> Any:
    return vars(connections["default"]).get(fast_path._KEPT)


@pytest.fixture
def no_prepared(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection whose OPTIONS do not ask for prepared statements."""
    connection.ensure_connection()
    monkeypatch.setattr(connection.connection, "prepare_threshold", None)


@pytest.mark.django_db
@pytest.mark.usefixtures("no_prepared")
def test_the_cursor_is_kept_from_statement_to_statement() -> None:
    enqueue(SUCCEED)
    first = _kept()
    enqueue(SUCCEED)

    assert first is not None
    assert _kept() is first


@pytest.mark.django_db
@pytest.mark.usefixtures("no_prepared")
def test_what_is_large_is_not_kept() -> None:
    enqueue(SUCCEED)
    small = _kept()
    enqueue_many([(CALL, {"text": "x" * 10_000})] * 10)

    assert _kept() is small
    assert small._query is None or b"xxx" not in small._query.query
    assert Job.objects.count() == 11


@pytest.mark.django_db(transaction=True)
def test_a_new_connection_gets_a_new_cursor() -> None:
    enqueue_many([(SUCCEED, {})] * 2)
    first = _kept()
    connection.close()

    enqueue_many([(SUCCEED, {})] * 2)

    assert first is not None
    assert _kept() not in (None, first)
    assert Job.objects.count() == 4


@pytest.mark.django_db(transaction=True)
def test_a_statement_that_fails_spoils_neither_the_cursor_nor_the_next_one() -> None:
    with pytest.raises(DatabaseError):
        fast_path.run(connections["default"], ("SELECT 1 / %s", [0]))

    enqueue(SUCCEED)

    assert Job.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_while_a_cursor_is_used_nobody_else_gets_it() -> None:
    default = connections["default"]
    enqueue_many([(SUCCEED, {})] * 2)
    used = fast_path._take_cursor(default, fast_path._KEPT)

    assert fast_path._take_cursor(default, fast_path._KEPT) is not used


PREPARED = "SELECT statement FROM pg_prepared_statements WHERE statement LIKE '%%jobqueue_job%%'"


@pytest.fixture
def prepares() -> Iterator[None]:
    """A connection whose OPTIONS ask for prepared statements, from the first run on."""
    options = connection.settings_dict["OPTIONS"]
    before = dict(options)
    connection.close()
    options["prepare_threshold"] = 0
    yield
    connection.close()
    options.clear()
    options.update(before)


def _prepared() -> list[str]:
    return [sql for (sql,) in _rows(PREPARED)]


def _rows(sql: str) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(sql, [])
        return list(cursor.fetchall())


def _run_one_job() -> str:
    job = enqueue(CALL, text="x")
    assert [claimed.payload for claimed in transitions.claim(Job.objects, [(job.pk, 1)], IDENTITY.id)] == [
        {"text": "x"}
    ]
    transitions.complete(Job.objects, [(job.pk, 1, "")], IDENTITY.id)
    return str(Job.objects.get(pk=job.pk).state)


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("prepares")
def test_the_statements_of_one_job_are_prepared_where_the_options_ask_for_it() -> None:
    assert _run_one_job() == "completed"

    assert sorted(sql.split()[0] for sql in _prepared()) == ["INSERT", "UPDATE", "UPDATE"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("prepares")
def test_the_statements_of_many_jobs_are_planned_each_time() -> None:
    jobs = enqueue_many([(SUCCEED, {})] * 3)
    transitions.claim(Job.objects, [(job.pk, 1) for job in jobs], IDENTITY.id)

    assert _prepared() == []


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("no_prepared")
def test_without_the_option_nothing_is_prepared() -> None:
    assert _run_one_job() == "completed"

    assert _prepared() == []


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("prepares")
@pytest.mark.parametrize(
    "spoil",
    [
        "DEALLOCATE ALL",
        "ALTER TABLE jobqueue_job ALTER COLUMN queue TYPE varchar(101)",
    ],
)
def test_a_prepared_statement_that_cannot_be_used_any_more_costs_no_job(spoil: str) -> None:
    _run_one_job()
    with connection.cursor() as cursor:
        cursor.execute(spoil)
    try:
        assert _run_one_job() == "completed"
        assert _run_one_job() == "completed"
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE jobqueue_job ALTER COLUMN queue TYPE varchar(100)")


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("prepares")
def test_a_statement_that_another_client_prepared_under_the_same_name_is_not_run() -> None:
    # As behind a pooler that hands one session to several clients.
    with connection.cursor() as cursor:
        for number in range(3):
            cursor.execute(f"PREPARE _pg3_{number} AS DELETE FROM jobqueue_job")

    assert _run_one_job() == "completed"


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("prepares")
def test_plans_are_made_anew_after_a_while_and_not_before() -> None:
    enqueue(SUCCEED)
    before = _executed()
    enqueue(SUCCEED)
    kept = _executed() - before
    vars(connection.connection)[fast_path._PLANNED_UNTIL] = 0.0

    enqueue(SUCCEED)

    # The second time with a DISCARD PLANS before it.
    assert (kept, _executed() - before - kept) == (1, 2)


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("prepares")
def test_prepared_statements_are_counted_in_the_metrics_like_all_others() -> None:
    enqueue(SUCCEED)
    before = _executed()

    enqueue(SUCCEED)

    assert _executed() == before + 1


def _executed() -> float:
    value = REGISTRY.get_sample_value("django_db_execute_total", {"alias": "default", "vendor": "postgresql"})
    return value or 0.0


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("prepares")
def test_a_held_key_is_an_error_of_its_own_with_prepared_statements_too() -> None:
    first = enqueue(SUCCEED, unique_key="key")

    assert enqueue(SUCCEED, unique_key="key").pk == first.pk
    assert Job.objects.count() == 1
