"""Querysets that are read by one statement: each gives what it would give alone."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group
from django.db import connection
from django.db.models import CharField, Value
from pytest_django import DjangoAssertNumQueries

from jobqueue.models import Job
from jobqueue.sql.together import read_together
from tests.jobqueue.admin.steps import make_job

pytestmark = pytest.mark.django_db


def test_each_keeps_its_condition_its_order_and_its_slice(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    for number in range(6):
        Group.objects.create(name=f"group {number % 2} of {number}")
    even, odd = (Group.objects.filter(name__startswith=f"group {one}") for one in (0, 1))
    asked = [even.order_by("-name")[:2], Group.objects.none(), odd.order_by("name"), even.order_by("name")]
    with django_assert_num_queries(1):
        found = read_together(asked)
    assert found == [list(rows) for rows in asked]
    assert [len(rows) for rows in found] == [2, 0, 3, 3]


def test_nothing_is_asked_where_none_can_have_a_row(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    with django_assert_num_queries(0):
        assert read_together([Group.objects.none()]) == [[]]
        assert read_together([Group.objects.filter(pk__in=[])] * 2) == [[], []]


def test_what_is_annotated_and_what_json_says_are_read_as_always() -> None:
    job = make_job(payload={"name": "50 %", "number": 5})
    rows = Job.objects.annotate(said=Value("100 %", output_field=CharField()))
    [[found], _none] = read_together([rows.filter(payload__name="50 %"), rows.filter(pk=0)])
    assert (found, found.payload, found.run_at) == (job, job.payload, job.run_at)
    assert found.said == "100 %"
    assert not {name for name in vars(found) if name.startswith("together")}


def test_a_row_that_cannot_be_read_as_usual_keeps_no_other_from_being_read() -> None:
    broken, good = make_job(), make_job()
    moment = "infinity" if connection.vendor == "postgresql" else "12026-01-01 00:00:00"
    with connection.cursor() as cursor:
        cursor.execute("UPDATE jobqueue_job SET run_at = %s WHERE id = %s", [moment, broken.pk])
    rows = Job.objects.order_by("pk")
    assert read_together([rows, rows.filter(pk=good.pk)]) == [[broken, good], [good]]
