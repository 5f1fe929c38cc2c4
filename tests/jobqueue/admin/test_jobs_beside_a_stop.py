"""The question before a stop names the jobs that would begin anew with its process."""

from __future__ import annotations

import re

import pytest
from pytest import MonkeyPatch

from jobqueue.admin import running_pages
from jobqueue.broker import running
from jobqueue.broker.running import Run
from jobqueue.models import Job, Worker
from tests.jobqueue.admin.steps import make_job, make_worker, operator, text_of

pytestmark = pytest.mark.django_db(databases=["default", "other"])


def _running(worker: Worker, number: int) -> list[Job]:
    return [make_job("active", worker_id=worker.pk, processor=f"sample.{n}") for n in range(number)]


def _asked(job: Job) -> str:
    text = text_of(operator("view_job", "stop_job").get(f"/admin/jobqueue/job/{job.pk}/stop/"))
    found = re.search(r"begin anew\. (Now it [^<]*)</li>", text)
    assert found is not None
    return found[1]


def test_what_runs_in_the_same_process_is_named() -> None:
    worker = make_worker(takes_orders=True)
    stopped, first, second = _running(worker, 3)
    _running(make_worker(name="worker-2", takes_orders=True), 1)
    assert _asked(stopped) == f"Now it runs #{first.pk} sample.1, #{second.pk} sample.2 as well."


def test_of_many_some_are_named(monkeypatch: MonkeyPatch) -> None:
    monkeypatch.setattr(running_pages, "MOST_NAMED", 1)
    stopped, first, _second, _third = _running(make_worker(takes_orders=True), 4)
    assert _asked(stopped) == f"Now it runs #{first.pk} sample.1 and 2 more as well."


def test_what_only_is_claimed_is_not_named() -> None:
    worker = make_worker(takes_orders=True)
    stopped, beside, _claimed = _running(worker, 3)
    runs = [Run("default", job.pk, job.attempt, 1) for job in (stopped, beside)]
    running.tell(worker.pk.hex, running.as_text(runs))
    assert _asked(stopped) == f"Now it runs #{beside.pk} sample.1 as well."


def test_that_nothing_else_runs_there_is_said() -> None:
    [stopped] = _running(make_worker(takes_orders=True), 1)
    assert _asked(stopped) == "Now it runs no other."
