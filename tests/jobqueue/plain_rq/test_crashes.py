"""What a worker leaves that dies, or loses Redis or the database, while it adopts a job."""

from __future__ import annotations

import django_rq
import pytest
import redis
from django.db import OperationalError
from rq.registry import FailedJobRegistry

from jobqueue.broker import foreign
from jobqueue.exceptions import BrokerUnavailable
from jobqueue.models import Job
from jobqueue.plain_rq import adoption, requests
from tests.jobqueue.plain_rq.steps import (
    ids,
    is_unavailable,
    make_due,
    put,
    quarantined,
)
from tests.jobqueue.steps import claim_row, run, run_waiting
from tests.workload.fixtures import Workload
from tests.workload.functions import note

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.every_case]


def test_a_worker_that_dies_with_a_message_in_hand_leaves_it_to_the_next() -> None:
    put(note, "a")
    quarantined()

    assert adoption.look_after_due() == 0
    make_due(django_rq.get_connection("email"))
    assert adoption.look_after_due() == 1
    assert Job.objects.get().state == "waiting"


def test_what_was_handed_out_is_not_handed_out_again_at_once(redis_client: redis.Redis) -> None:
    put(note, "a")
    quarantined()
    make_due(redis_client)

    assert len(foreign.to_look_after(10)) == 1
    assert foreign.to_look_after(10) == []


def test_a_database_that_is_away_leaves_the_message_to_be_looked_after(
    monkeypatch: pytest.MonkeyPatch, redis_client: redis.Redis
) -> None:
    put(note, "a")

    def is_away(_request: object) -> None:
        raise OperationalError("the database is away")

    with monkeypatch.context() as patch:
        patch.setattr(adoption, "_adopted", is_away)
        with pytest.raises(OperationalError):
            adoption.look_after(quarantined())
    make_due(redis_client)

    assert adoption.look_after_due() == 1


def _die_between_insert_and_report(monkeypatch: pytest.MonkeyPatch) -> Job:
    with monkeypatch.context() as patch:
        patch.setattr(foreign, "report", is_unavailable)
        with pytest.raises(BrokerUnavailable):
            adoption.look_after(quarantined())
    return Job.objects.get()


def test_a_crash_between_the_row_and_the_word_to_redis_makes_no_second_row(
    monkeypatch: pytest.MonkeyPatch, redis_client: redis.Redis
) -> None:
    rq_job = put(note, "a")
    _die_between_insert_and_report(monkeypatch)
    make_due(redis_client)
    adoption.look_after_due()

    assert Job.objects.count() == 1
    assert rq_job.get_status() == "started"
    assert ids(FailedJobRegistry) == []


def test_after_such_a_crash_the_end_takes_the_job_out_of_quarantine(monkeypatch: pytest.MonkeyPatch) -> None:
    rq_job = put(note, "a")
    run_waiting(_die_between_insert_and_report(monkeypatch))

    assert rq_job.get_status() == "finished"
    assert ids(FailedJobRegistry) == []


def test_a_requeue_after_such_a_crash_makes_no_second_run(
    monkeypatch: pytest.MonkeyPatch, redis_client: redis.Redis, workload: Workload
) -> None:
    rq_job = put(note, "a")
    job = _die_between_insert_and_report(monkeypatch)
    rq_job.requeue()
    adoption.look_after([entry for entry in quarantined() if entry[1] == rq_job.id])
    job.refresh_from_db()
    run_waiting(job)
    make_due(redis_client)
    adoption.look_after_due()

    assert Job.objects.count() == 1
    assert workload.effects() == {"a": 1}
    assert rq_job.get_status() == "finished"


def test_a_requeue_while_the_job_runs_makes_no_second_run_and_its_end_is_told(
    monkeypatch: pytest.MonkeyPatch, redis_client: redis.Redis, workload: Workload
) -> None:
    rq_job = put(note, "a")
    claimed = claim_row(_die_between_insert_and_report(monkeypatch))
    rq_job.requeue()
    adoption.look_after([entry for entry in quarantined() if entry[1] == rq_job.id])
    run(claimed)
    make_due(redis_client)
    adoption.look_after_due()

    assert Job.objects.count() == 1
    assert workload.effects() == {"a": 1}
    assert rq_job.get_status() == "finished"


def test_one_message_that_cannot_be_looked_after_does_not_hold_up_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    put(note, "a", job_id="first")
    put(note, "b", job_id="second")
    read = requests.read

    def trips(queue: str, message_id: str) -> requests.Request:
        if message_id == "first":
            raise KeyError("a bug")
        return read(queue, message_id)

    monkeypatch.setattr(adoption, "read", trips)

    assert adoption.look_after(quarantined()) == 1
