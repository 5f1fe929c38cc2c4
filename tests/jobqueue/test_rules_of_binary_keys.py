"""Rules of a model whose primary key is binary: each driver gives such a key in a form of its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection, models
from django.test.utils import isolate_apps

from jobqueue.jobs import enqueue
from jobqueue.models import AtomicSaveMixin, Job, subject_of
from jobqueue.rules import Change, enqueue_on_save, on_save
from tests.jobqueue.processors_for_tests import SUCCEED

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("only_rules_of_the_test")]
KEY = b"\xff\x00key"

with isolate_apps("tests"):

    class Parcel(AtomicSaveMixin):
        """What is known by the digest of its label."""

        digest = models.BinaryField(primary_key=True, max_length=40)
        name = models.CharField(max_length=100, default="")

        class Meta:
            app_label = "tests"


@pytest.fixture(scope="module", autouse=True)
def _table(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    with django_db_blocker.unblock(), connection.schema_editor() as editor:
        editor.create_model(Parcel)
    yield
    with django_db_blocker.unblock(), connection.schema_editor() as editor:
        editor.delete_model(Parcel)


def test_each_change_is_one_job_about_one_subject_however_the_row_was_read() -> None:
    enqueue_on_save(Parcel, SUCCEED, fields=["name"], payload=lambda _instance: {})
    parcel = Parcel.objects.create(digest=KEY, name="new")
    Job.objects.update(state="completed")
    read = Parcel.objects.get(name="new")  # its key is a memoryview on PostgreSQL
    read.name = "changed"
    read.save()

    jobs = Job.objects.all()
    assert [job.state for job in jobs.order_by("id")] == ["completed", "waiting"]
    assert {job.subject for job in jobs} == {subject_of(parcel)} == {subject_of(read)}
    assert set(Job.objects.about(read)) == set(Job.objects.about(parcel)) == set(jobs)


def test_a_rule_is_told_what_changed_of_the_row_that_was_read() -> None:
    heard: list[Change] = []
    on_save(Parcel, lambda _instance, change: heard.append(change), fields=["name"])
    Parcel.objects.create(digest=KEY, name="new")
    heard.clear()
    read = Parcel.objects.get()
    read.save()
    read.name = "changed"
    read.save()

    assert [change.fields for change in heard] == [{"name": ("new", "changed")}]


def test_what_waits_about_the_row_is_one_job_of_its_key() -> None:
    enqueue_on_save(Parcel, SUCCEED, fields=["name"], payload=lambda _instance: {}, delay=60)
    Parcel.objects.create(digest=KEY, name="new")
    for name in ("a", "b"):
        read = Parcel.objects.get()
        read.name = name
        read.save()

    assert Job.objects.count() == 1


def test_it_can_be_the_subject_of_a_job_that_is_enqueued_by_hand() -> None:
    Parcel.objects.create(digest=KEY)

    job = enqueue(SUCCEED, subject=Parcel.objects.get())

    assert job.subject == f"tests.parcel:{KEY!r}"
