"""What becomes of the jobs of an executor that has ended."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import pytest
import redis
from django.db import OperationalError, connections
from django.db.models.functions import Now

from jobqueue.broker import queues
from jobqueue.delivery.outbox import publish_due
from jobqueue.delivery.publishable import message_of
from jobqueue.models import Job, Worker
from jobqueue.worker.claiming import Identity
from jobqueue.worker.in_hand import BESIDE_A_STUCK_JOB, WORKER_STOPPED
from jobqueue.worker.left_behind import bring_back, interrupt
from jobqueue.worker.options import EXIT_BROKEN, EXIT_JOBS_LEFT, EXIT_RETIRED, EXIT_STUCK_JOB
from tests.jobqueue.steps import QUEUES, claimed, list_of, make_worker, published

pytestmark = pytest.mark.django_db(databases=["default", "other"])

WHO = "executor 1 of worker w"


@pytest.fixture
def identity() -> Identity:
    """An executor that has ended."""
    gone = Identity(uuid.uuid4(), "w", QUEUES)
    make_worker(gone)
    return gone


def _fate(job: Job) -> tuple[str, int, int]:
    job.refresh_from_db()
    return job.state, job.attempt, job.failures


@pytest.mark.parametrize("code", [1, -9, EXIT_BROKEN])
def test_an_unforeseen_end_uses_up_an_attempt_of_what_ran_only(code: int, identity: Identity) -> None:
    ran, unstarted = (claimed(identity=identity) for _ in range(2))

    bring_back(identity.id, WHO, code, [0, ran.pk])

    assert (_fate(ran), _fate(unstarted)) == (("waiting", 2, 1), ("waiting", 1, 0))
    (attempt,) = ran.attempts.all()
    assert f"{WHO} ended with code {code}" in attempt.message


@pytest.mark.parametrize("code", [0, EXIT_STUCK_JOB, EXIT_JOBS_LEFT, EXIT_RETIRED])
def test_an_end_that_explains_itself_uses_up_no_attempt(code: int, identity: Identity) -> None:
    ran = claimed(identity=identity)

    bring_back(identity.id, WHO, code, [ran.pk])

    assert _fate(ran) == ("waiting", 1, 0)


def test_what_was_to_stop_is_not_said_to_have_run_too_long(
    identity: Identity, caplog: pytest.LogCaptureFixture
) -> None:
    stuck = claimed(identity=identity)
    Job.objects.filter(pk=stuck.pk).update(stop_asked_at=Now(), stop_reason="stopped by ann")

    bring_back(identity.id, WHO, EXIT_STUCK_JOB, [stuck.pk], [stuck.pk])

    said = "was asked to stop and did not yield, so its process was ended"
    assert _fate(stuck)[0] == "cancelled"
    assert stuck.attempts.get().message == said
    assert f"was stopped in attempt 1: {said}" in caplog.text


@pytest.mark.parametrize(
    ("code", "stuck", "reason"),
    [
        (0, False, WORKER_STOPPED),
        (EXIT_STUCK_JOB, False, BESIDE_A_STUCK_JOB),  # it noted itself which one was
        (EXIT_STUCK_JOB, True, BESIDE_A_STUCK_JOB),
    ],
)
def test_what_shared_the_process_is_told_why_it_goes_back(
    identity: Identity, code: int, stuck: bool, reason: str
) -> None:
    neighbour, other = (claimed(identity=identity) for _ in range(2))

    bring_back(identity.id, WHO, code, [], [other.pk] if stuck else [])

    neighbour.refresh_from_db()
    assert (neighbour.state, neighbour.reason) == ("waiting", reason)


def test_the_jobs_of_others_are_left_alone(identity: Identity) -> None:
    theirs = claimed(identity=Identity(uuid.uuid4(), "another", QUEUES))

    bring_back(identity.id, WHO, 1, [theirs.pk])
    interrupt(identity.id, [theirs.pk], "stuck")

    assert _fate(theirs) == ("active", 1, 0)


def test_the_worker_is_forgotten(identity: Identity) -> None:
    bring_back(identity.id, WHO, 0, [])

    assert not Worker.objects.filter(pk=identity.id).exists()


def test_what_is_interrupted_uses_up_an_attempt(identity: Identity) -> None:
    stuck, other = (claimed(identity=identity) for _ in range(2))

    interrupt(identity.id, [stuck.pk], "stuck")

    assert (_fate(stuck), _fate(other)) == (("waiting", 2, 1), ("active", 1, 0))


def test_a_database_that_is_away_does_not_keep_the_jobs_of_another_from_going_back(
    identity: Identity,
) -> None:
    job = claimed(identity=identity, using="other")

    def away(*_: Any) -> Any:
        raise OperationalError("it is away")

    with connections["default"].execute_wrapper(away):
        bring_back(identity.id, WHO, 1, [job.pk])

    assert _fate(job) == ("waiting", 2, 1)


@pytest.mark.parametrize("using", ["default", "other"])
def test_what_was_taken_from_redis_and_not_claimed_yet_is_published_anew_at_once(
    identity: Identity, using: str, redis_client: redis.Redis
) -> None:
    job = published(using=using)
    queues.claim(QUEUES, 10, identity.id.hex, identity.name)

    bring_back(identity.id, WHO, -9, [])

    assert publish_due(using) == 1
    assert list_of(redis_client) == [message_of(job, using).id]
    assert _fate(job) == ("waiting", 1, 0)


def test_what_another_took_from_redis_is_left_to_it(identity: Identity) -> None:
    published()
    queues.claim(QUEUES, 10, uuid.uuid4().hex, "another")

    bring_back(identity.id, WHO, -9, [])

    assert publish_due("default") == 0


@pytest.mark.parametrize("code", [1, -9])
def test_the_message_of_what_was_claimed_comes_once(
    identity: Identity, code: int, redis_client: redis.Redis
) -> None:
    ran, unstarted = (claimed(identity=identity) for _ in range(2))

    bring_back(identity.id, WHO, code, [ran.pk])
    Job.objects.update(run_at=Now() - timedelta(minutes=1))
    while publish_due("default"):
        pass

    assert sorted(list_of(redis_client)) == [f"{ran.pk}-2", f"{unstarted.pk}-1"]
