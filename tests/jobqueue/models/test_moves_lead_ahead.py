"""A move leads to a time ahead: what would be due is left where it is, for to run it now is another verb."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from django.utils import translation

from jobqueue.exceptions import PastRunAt
from jobqueue.models import Job, holding
from jobqueue.operating.retelling import retold_refusal
from jobqueue.sql.clock import database_now
from tests.jobqueue.admin.steps import make_job

pytestmark = pytest.mark.django_db(databases=["default", "other"])


def _ago(**by: float) -> datetime:
    return database_now("default") - timedelta(**by)


@pytest.mark.parametrize("by", [{"seconds": 0}, {"seconds": 1}, {"days": 353}])
def test_a_job_does_not_move_to_the_past(by: dict[str, float]) -> None:
    job = make_job("delayed")
    before = job.run_at
    with pytest.raises(PastRunAt, match="is past: a job moves to a time ahead; “Run now” makes it due"):
        job.move(_ago(**by))
    job.refresh_from_db()
    assert job.run_at == before and not Job.objects.due().exists()


def test_a_held_job_does_not_move_to_the_past_either() -> None:
    job = make_job("delayed")
    before = job.run_at
    holding.hold(job, "pia", "", "default")
    with pytest.raises(PastRunAt):
        job.move(_ago(days=1))
    job.refresh_from_db()
    assert job.held_run_at == before


def test_a_time_without_a_zone_is_one_of_the_site() -> None:
    with pytest.raises(PastRunAt):
        make_job("delayed").move(datetime(2020, 1, 1))  # noqa: DTZ001


def test_what_was_refused_is_kept_in_english_and_told_in_the_readers_language() -> None:
    job, moment, said = make_job("delayed"), _ago(days=1), {}
    for language in ("en", "de"):
        with translation.override(language), pytest.raises(PastRunAt) as refused:
            job.move(moment)
        said[language] = str(refused.value)
    assert said["en"] != said["de"]
    with translation.override("de"):
        assert retold_refusal(f"#{job.pk}: {said['en']}") == f"#{job.pk}: {said['de']}"
