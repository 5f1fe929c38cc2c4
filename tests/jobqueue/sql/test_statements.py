"""The statements that every job takes part in: what they carry, and the cursor that runs them."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any

import pytest
from django.db import connections, transaction
from pytest_django import DjangoAssertNumQueries

from jobqueue.jobs import NewJob, enqueue, enqueue_many
from jobqueue.models import Job, transitions
from jobqueue.sql import statements
from tests.jobqueue.processors_for_tests import CALL, SUCCEED
from tests.jobqueue.steps import IDENTITY

pytestmark = pytest.mark.django_db

ODD_TEXTS = [
    "",
    "a,b",
    '"quoted"',
    "back\\slash",
    "{braces}",
    "NULL",
    "null",
    " ",
    "líne\nbreak",
    "it's %s",
    "\\",
]


@pytest.mark.parametrize("text", ODD_TEXTS)
def test_odd_texts_arrive_as_they_were_when_many_are_written(text: str) -> None:
    subject = text if text.isprintable() and text else "x"
    request = NewJob(CALL, {"text": text}, subject=subject)

    written = enqueue_many([request, request])

    rows = Job.objects.filter(pk__in=[job.pk for job in written])
    assert [(row.payload, row.subject) for row in rows] == [({"text": text}, subject)] * 2


def test_what_one_of_many_does_not_have_stays_empty() -> None:
    run_at = dt.datetime(2120, 1, 2, 3, 4, 5, 678901, tzinfo=dt.UTC)

    plain, keyed, later = enqueue_many(
        [NewJob(SUCCEED, {}), NewJob(SUCCEED, {}, unique_key="key"), NewJob(SUCCEED, {}, run_at=run_at)]
    )

    rows = {row.pk: row for row in Job.objects.all()}
    assert (rows[plain.pk].unique_key, rows[keyed.pk].unique_key) == (None, "key")
    assert rows[later.pk].run_at == run_at
    assert rows[later.pk].published_at is None


@pytest.mark.parametrize("count", [1, 2])
def test_a_claimed_job_knows_when_it_was_written_to_the_microsecond(count: int) -> None:
    jobs = [enqueue(SUCCEED) for _ in range(count)]

    claimed = transitions.claim(Job.objects, [(job.pk, 1) for job in jobs], IDENTITY.id)

    assert [job.created_at for job in claimed] == [
        Job.objects.values_list("created_at", flat=True).get(pk=job.pk) for job in jobs
    ]


@pytest.mark.parametrize("reasons", [["", ""], ["", 'skipped: "odd", {one}\\'], ["skipped: a", "skipped: b"]])
def test_every_completed_job_gets_its_own_reason(reasons: list[str]) -> None:
    jobs = [enqueue(SUCCEED) for _ in reasons]
    transitions.claim(Job.objects, [(job.pk, 1) for job in jobs], IDENTITY.id)

    transitions.complete(
        Job.objects, [(job.pk, 1, text) for job, text in zip(jobs, reasons, strict=True)], IDENTITY.id
    )

    assert [Job.objects.get(pk=job.pk).reason for job in jobs] == reasons


def test_statements_are_seen_by_whoever_counts_queries(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    job = enqueue(SUCCEED)

    with django_assert_num_queries(1):
        transitions.claim(Job.objects, [(job.pk, 1)], IDENTITY.id)


def test_a_statement_belongs_to_the_transaction_around_it() -> None:
    enqueue(SUCCEED)
    with transaction.atomic():
        enqueue(SUCCEED)
        transaction.set_rollback(True)

    assert Job.objects.count() == 1


def test_a_cursor_that_somebody_put_in_place_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    default = connections["default"]
    cursor = default.cursor

    def watched(*arguments: Any) -> Any:
        asked.append("cursor")
        return cursor(*arguments)

    monkeypatch.setitem(vars(default), "cursor", watched)
    enqueue(SUCCEED)

    assert asked


def test_the_claim_of_one_and_of_many_asks_for_the_same_of_each_row() -> None:
    # run_at, state and attempt decide; the two forms must not differ in it.
    waiting, later, other_attempt = enqueue(SUCCEED), enqueue(SUCCEED, delay=60), enqueue(SUCCEED)
    messages = [(waiting.pk, 1), (later.pk, 1), (other_attempt.pk, 2)]

    one_by_one = [bool(transitions.claim(Job.objects, [message], uuid.uuid4())) for message in messages]
    Job.objects.update(state="waiting", worker=None)
    together = {job.pk for job in transitions.claim(Job.objects, messages, IDENTITY.id)}

    assert one_by_one == [True, False, False]
    assert together == {waiting.pk}


def test_an_element_that_is_no_text_is_written_without_quotes() -> None:
    assert statements._array([1, 2.5, None, "x"]) == '{1,2.5,NULL,"x"}'
