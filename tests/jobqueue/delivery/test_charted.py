"""What ends without a worker that settles it is in the charts, whoever ends it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
from django.db import DatabaseError

from jobqueue.broker.chart import OTHER, Group
from jobqueue.delivery import apart, rescue
from jobqueue.models import Job, transitions
from jobqueue.worker import in_hand
from jobqueue.worker.claiming import Claim
from tests.jobqueue.conftest import UseRedis
from tests.jobqueue.processors_for_tests import SUCCEED
from tests.jobqueue.reading import charted
from tests.jobqueue.steps import IDENTITY, claimed, make_worker, rolled_back

pytestmark = pytest.mark.django_db
Committed = Callable[..., AbstractContextManager[Any]]


@pytest.fixture
def committed(django_capture_on_commit_callbacks: Committed) -> Callable[[Callable[[], object]], None]:
    """Takes a step and what follows its commit."""

    def take(step: Callable[[], object]) -> None:
        with django_capture_on_commit_callbacks(execute=True):
            step()

    return take


def _amounts() -> dict[Group, int]:
    return {group: tally.jobs for group, tally in charted().items()}


def _lost(**fields: Any) -> Job:
    job = claimed()
    Job.objects.filter(pk=job.pk).update(**fields)
    make_worker(silent_for=21)
    return job


def _to_stop() -> Job:
    job = claimed()
    transitions.ask_to_stop(Job.objects.filter(pk=job.pk), "stopped by anna")
    return job


def _rescue() -> None:
    assert rescue.rescue_lost("default") == 1


@pytest.mark.parametrize(("failures", "outcome"), [(0, "retried"), (3, "failed")])
def test_the_job_of_a_lost_worker_is_charted_as_it_ended(
    failures: int, outcome: str, committed: Callable[..., None]
) -> None:
    job = _lost(failures=failures)
    committed(_rescue)

    assert _amounts() == {Group(job.queue, SUCCEED, outcome): 1}


def test_jobs_that_an_operator_fails_are_charted(committed: Callable[..., None]) -> None:
    jobs = [claimed(), claimed()]
    committed(lambda: rescue.fail(Job.objects.all()))

    assert _amounts() == {Group(jobs[0].queue, SUCCEED, "failed"): 2}


@pytest.mark.parametrize(
    "end",
    [
        lambda job: rescue.rescue_lost("default"),
        lambda job: rescue.fail(Job.objects.all()),
        lambda job: rescue.release(Job.objects.all()),
        lambda job: in_hand.hand_back([Claim(job, "default")], IDENTITY.id),
    ],
    ids=["rescued", "failed", "put back", "handed back"],
)
def test_a_job_that_was_to_stop_is_charted_as_stopped_whoever_ends_it(
    end: Callable[[Job], object], committed: Callable[..., None]
) -> None:
    job = _to_stop()
    committed(lambda: end(job))

    assert _amounts() == {Group(job.queue, SUCCEED, "stopped"): 1}


def test_what_is_set_aside_is_charted_as_failed(committed: Callable[..., None]) -> None:
    job = claimed()
    committed(lambda: apart.set_aside(Job.objects.filter(pk=job.pk), "its payload cannot be read"))

    assert _amounts() == {Group(job.queue, SUCCEED, "failed"): 1}


def test_what_is_put_back_or_handed_back_has_not_ended(committed: Callable[..., None]) -> None:
    job = claimed()
    claimed()
    committed(lambda: rescue.release(Job.objects.filter(pk=job.pk)))
    committed(
        lambda: in_hand.hand_back([Claim(each, "default") for each in Job.objects.active()], IDENTITY.id)
    )

    assert _amounts() == {}


def test_a_processor_that_nobody_knows_is_charted_with_the_rest(committed: Callable[..., None]) -> None:
    job = _lost(processor="made.up")
    committed(_rescue)

    assert {group.processor for group in _amounts()} == {OTHER}
    assert job.queue in {group.queue for group in _amounts()}


def test_what_was_taken_back_is_not_charted(committed: Callable[..., None]) -> None:
    _lost()

    def take_back() -> None:
        with rolled_back():
            _rescue()

    committed(take_back)

    assert _amounts() == {}


def test_a_redis_that_is_away_keeps_no_job_from_its_end(
    committed: Callable[..., None], redis_closed: UseRedis, caplog: pytest.LogCaptureFixture
) -> None:
    job = _lost(failures=3)
    committed(_rescue)

    job.refresh_from_db()
    assert job.state == Job.State.FAILED
    assert "the charts lack them" in caplog.text


def test_an_error_while_it_is_charted_keeps_no_job_from_its_end(
    committed: Callable[..., None], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    job = _lost(failures=3)

    def fail(_using: str) -> float:
        raise DatabaseError("of this row: secret")

    monkeypatch.setattr("jobqueue.delivery.charted.about_shown", fail)
    committed(_rescue)

    job.refresh_from_db()
    assert job.state == Job.State.FAILED
    assert "the charts lack them: DatabaseError" in caplog.text
    assert "secret" not in caplog.text
