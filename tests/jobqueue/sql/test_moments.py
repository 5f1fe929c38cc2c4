"""Moments that the database's clock wrote and those that a program did, compared as what they are."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.db import connection

from jobqueue.models import Job
from jobqueue.sql.moments import compared, edge, kept_of, read_kept, with_kept
from tests.jobqueue.admin.steps import make_job

pytestmark = pytest.mark.django_db
# Each as SQLite's clock and as Django write the same moment.
WRITTEN = [
    ("2026-01-31 09:00:00.500", "2026-01-31 09:00:00.500000"),
    ("2026-01-31 09:00:00.000", "2026-01-31 09:00:00"),
]


def _job(text: str) -> Job:
    """A job that ended at this moment, in these digits where the database keeps digits."""
    job = make_job("failed")
    stored = text if connection.vendor == "sqlite" else f"{text}+00"
    with connection.cursor() as cursor:
        cursor.execute("UPDATE jobqueue_job SET finished_at = %s WHERE id = %s", [stored, job.pk])
    return job


@pytest.mark.parametrize("texts", WRITTEN)
def test_a_moment_as_it_is_kept_equals_that_of_its_own_row(texts: tuple[str, str]) -> None:
    for text in texts:
        job = _job(text)
        [row] = with_kept(Job.objects.filter(pk=job.pk), "finished_at")
        again = read_kept(str(kept_of(row, "finished_at") or ""), "default")
        assert Job.objects.filter(pk=job.pk, finished_at=compared(again)).exists()


@pytest.mark.parametrize("texts", WRITTEN)
def test_what_is_of_the_very_moment_of_an_edge_is_behind_it(texts: tuple[str, str]) -> None:
    for text in texts:
        job, moment = _job(text), datetime.fromisoformat(text).replace(tzinfo=UTC)
        own = Job.objects.filter(pk=job.pk)
        bound = edge(moment, "default")
        assert (own.filter(finished_at__gte=bound).exists(), own.filter(finished_at__lt=bound).exists()) == (
            True,
            False,
        )


@pytest.mark.parametrize("text", ["", "soon", "2026-01-31", "2026-01-31T09:00:00", "2026-01-31 09:00:00.x"])
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        read_kept(text, "default")
