"""Columns of several querysets by one statement: what the rows of the model would have said."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.db.models.functions import Greatest
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from jobqueue.models import Job
from jobqueue.sql.columns_together import columns_together
from tests.jobqueue.admin.steps import make_job

pytestmark = pytest.mark.django_db
NAMES = ("pk", "run_at", "subject")


def test_each_queryset_keeps_its_order_and_its_slice(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    now = timezone.now()
    jobs = [make_job(run_at=now - timedelta(minutes=number), subject=f"a.b:{number}") for number in range(4)]
    rows = Job.objects.order_by("run_at")
    with django_assert_num_queries(1):
        found = columns_together([rows[:3], Job.objects.none(), Job.objects.order_by("-run_at")[:2]], *NAMES)
    wanted = [*reversed(jobs[1:]), *jobs[:2]]
    assert found == [(job.pk, job.run_at, job.subject) for job in wanted]


def test_they_may_be_annotations() -> None:
    job = make_job(subject="a.b:1")
    rows = Job.objects.annotate(due=Greatest("run_at", "created_at"))
    assert columns_together([rows, rows.filter(pk=0)], "pk", "due") == [
        (job.pk, max(job.run_at, job.created_at))
    ]


def test_nothing_is_asked_where_none_can_have_a_row(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    with django_assert_num_queries(0):
        assert columns_together([Job.objects.none()] * 2, *NAMES) == []


def test_a_row_that_cannot_be_read_as_usual_keeps_no_other_from_being_read() -> None:
    broken, good = make_job(), make_job()
    moment = "infinity" if connection.vendor == "postgresql" else "12026-01-01 00:00:00"
    with connection.cursor() as cursor:
        cursor.execute("UPDATE jobqueue_job SET run_at = %s WHERE id = %s", [moment, broken.pk])
    found = columns_together([Job.objects.order_by("pk")], *NAMES)
    assert [number for number, _moment, _subject in found] == [broken.pk, good.pk]
    assert found[1] == (good.pk, good.run_at, good.subject)
