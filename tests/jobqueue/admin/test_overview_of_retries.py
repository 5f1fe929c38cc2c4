"""What is tried again, on the overview: jobs that wait after a run that failed, and the runs of a minute."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from jobqueue.counts import signs
from jobqueue.models import Job
from jobqueue.sql.clock import database_now
from tests.jobqueue.admin.steps import add_attempt, ids_of, make_job, operator
from tests.jobqueue.admin.test_overview import REGION, _facts

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])


def _tried(
    state: str = "waiting", runs: int = 2, minutes: float = 5, again_in: float = 10, **fields: Any
) -> Job:
    """A job of which so many runs failed, the last one so many minutes ago, each followed by another."""
    now = database_now("default")
    job = make_job(state, attempt=runs + 1, **{"run_at": now + timedelta(minutes=again_in)} | fields)
    end = now - timedelta(minutes=minutes)
    for number in range(1, runs + 1):
        add_attempt(job, number, is_retried=True, finished_at=end - timedelta(minutes=runs - number))
    return job


def _to_be_retried(client: Client) -> Any:
    [tile] = [tile for tile in client.get(REGION).context["tiles"] if tile.name == "email"]
    return next((fact for fact in tile.facts if fact.label == "to be retried"), None)


def test_a_tile_says_how_many_jobs_wait_to_be_tried_again(admin_client: Client) -> None:
    jobs = [_tried(), _tried(runs=1, again_in=50)]
    make_job("delayed", run_at=database_now("default") + timedelta(minutes=5))
    fact = _to_be_retried(admin_client)
    assert fact.value == "2"
    assert ids_of(admin_client.get(fact.url)) == {job.pk for job in jobs}


@pytest.mark.parametrize(
    "fields",
    [
        {"state": "completed"},
        {"state": "failed"},
        {"queue": "reminders"},
        {"again_in": 90},
        {"again_in": -1},
    ],
    ids=["it ran", "it failed", "another queue", "much later", "due"],
)
def test_what_is_not_tried_again_is_not_counted(admin_client: Client, fields: dict[str, Any]) -> None:
    _tried(**fields)
    assert _to_be_retried(admin_client) is None


def test_what_asked_for_another_time_since_is_not_counted(admin_client: Client) -> None:
    job = _tried()
    Job.objects.filter(pk=job.pk).update(attempt=4)
    fact = _to_be_retried(admin_client)
    assert fact is None
    assert ids_of(admin_client.get("/admin/jobqueue/job/?finding=to_retry")) == set()


def test_they_are_counted_among_what_is_due_first(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        _tried(runs=1)
    monkeypatch.setattr(signs, "MOST_COUNTED", 1)
    assert _to_be_retried(admin_client).value == "2"


def test_who_may_not_see_jobs_has_no_way_to_them() -> None:
    _tried()
    fact = _to_be_retried(operator("view_queue"))
    assert (fact.value, fact.url) == ("1", "")


def test_runs_that_failed_and_are_followed_by_others_were_started(admin_client: Client) -> None:
    _tried(runs=3, minutes=0.2)
    _tried(runs=1, minutes=0.5)
    _tried(runs=1, minutes=2)
    assert _facts(admin_client, "email")["started a minute"] == "2"
