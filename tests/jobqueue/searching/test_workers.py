"""Jobs by the worker that had them, where nobody gave it a name."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User

from jobqueue.models import Job
from jobqueue.searching import Found, Search, find_jobs, parse
from tests.jobqueue.admin.steps import add_attempt, make_job, make_worker

pytestmark = pytest.mark.django_db(databases=["default", "other"])
MADE_UP = f"54b9ccff{'0' * 24}"


def _ids(text: str) -> set[int]:
    search = parse(text)
    assert isinstance(search, Search)
    found = find_jobs(Job.objects.all(), search, User(is_superuser=True))
    assert isinstance(found, Found)
    return set(found.jobs.values_list("pk", flat=True))


@pytest.mark.parametrize("text", ["54b9ccff.2", "54B9CCFF.2", "54b9ccff"])
def test_it_is_found_by_what_pages_call_it_and_its_executor(text: str) -> None:
    running = make_job("active", worker_id=make_worker(name=f"{MADE_UP}.2").pk)
    failed = make_job("failed")
    add_attempt(failed, worker_name=f"{MADE_UP}.2")
    make_job("failed")
    assert _ids(f"worker:{text}") == {running.pk, failed.pk}


def test_another_executor_of_it_is_another() -> None:
    other = make_job("failed")
    add_attempt(other, worker_name=f"{MADE_UP}.3")
    make_job("active", worker_id=make_worker(name=f"{MADE_UP}.3").pk)
    assert _ids("worker:54b9ccff.2") == set()
