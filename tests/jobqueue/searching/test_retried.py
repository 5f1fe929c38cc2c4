"""What was retried, and when: jobs in any state, by their attempts."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User

from jobqueue.models import Job
from jobqueue.searching import Found, Search, find_jobs, parse
from jobqueue.sql.clock import database_now
from tests.jobqueue.admin.steps import add_attempt, make_job

pytestmark = pytest.mark.django_db(databases=["default", "other"])


def _ids(text: str, state: str = "") -> set[int]:
    search = parse(text)
    assert isinstance(search, Search)
    found = find_jobs(Job.objects.all(), search, User(is_superuser=True), state=state)
    assert isinstance(found, Found)
    return set(found.jobs.values_list("pk", flat=True))


def _ago(**since: float) -> datetime:
    return database_now("default") - timedelta(**since)


def _retried(state: str = "completed", *ends: datetime, **fields: Any) -> Job:
    job = make_job(state, **fields)
    for number, end in enumerate(ends or (_ago(minutes=5),), start=1):
        add_attempt(job, number, finished_at=end, is_retried=True)
    return job


def test_they_are_found_whatever_became_of_them_and_each_once() -> None:
    done = _retried("completed", _ago(minutes=9), _ago(minutes=5))
    waits, failed = _retried("delayed"), _retried("failed")
    make_job("completed")
    assert _ids("state:retried") == {done.pk, waits.pk, failed.pk}
    assert list(Job.objects.filter(pk__in=_ids("state:retried"))).count(done) == 1


@pytest.mark.parametrize("is_retried", [False, None])
def test_an_attempt_that_was_the_last_or_that_nobody_noted_is_no_retry(is_retried: bool | None) -> None:
    add_attempt(make_job("failed"), is_retried=is_retried)
    assert _ids("state:retried") == set()


@pytest.mark.parametrize("word", ["since:2h", "-until:2h"])
def test_a_time_is_when_an_attempt_ended_not_the_job(word: str) -> None:
    wanted = _retried("completed", _ago(hours=1), finished_at=_ago(days=3), created_at=_ago(days=9))
    _retried("completed", _ago(hours=3))
    assert _ids(f"state:retried {word}") == {wanted.pk}


def test_two_times_are_those_of_one_attempt() -> None:
    wanted = _retried("completed", _ago(hours=3))
    _retried("completed", _ago(hours=5), _ago(hours=1))
    assert _ids("state:retried since:4h until:2h") == {wanted.pk}


def test_the_state_of_a_list_counts_as_the_word(admin_user: User) -> None:
    wanted = _retried("completed", _ago(hours=3))
    _retried("completed", _ago(hours=5))
    assert _ids("since:4h until:2h", state="retried") == {wanted.pk}


def test_they_are_narrowed_by_other_words() -> None:
    wanted = _retried("failed", queue="reminders")
    _retried("failed", queue="email")
    _retried("completed", queue="reminders")
    assert _ids("state:retried state:failed queue:reminders since:1h") == {wanted.pk}


def test_they_can_be_left_out() -> None:
    _retried("failed")
    wanted = make_job("failed")
    assert _ids("state:failed -state:retried") == {wanted.pk}
