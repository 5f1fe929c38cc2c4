"""Jobs of plain RQ: which are adopted, and how they run."""

from __future__ import annotations

import threading

import pytest
import redis
from django.conf import LazySettings
from django.db import OperationalError, connections
from rq.registry import FailedJobRegistry

from jobqueue import plain_rq
from jobqueue.jobs import enqueue
from jobqueue.models import Job
from jobqueue.plain_rq import adoption, requests
from jobqueue.sql import databases
from tests.jobqueue.plain_rq.steps import (
    NOTED,
    adopt,
    explanation,
    ids,
    put,
    quarantined,
)
from tests.jobqueue.processors_for_tests import SUCCEED
from tests.jobqueue.steps import IDENTITY, OTHER_IDENTITY, claim_jobs, claim_row, list_of, run_waiting
from tests.workload.fixtures import Workload
from tests.workload.functions import NOTE, after, fail, note, note_each, note_later

pytestmark = pytest.mark.django_db(transaction=True)


def test_an_allowed_function_becomes_a_job_of_the_queue_it_was_put_on() -> None:
    put(note, "a", queue="reminders", times=2)
    job = adopt()

    assert (job.processor, job.queue, job.state) == ("rq.function", "reminders", "waiting")


def test_the_payload_says_what_is_called_and_which_job_of_rqs_it_is() -> None:
    rq_job = put(note, "a", times=2)
    payload = adopt().payload

    assert payload.pop("enqueued_at")
    assert payload == {"function": NOTE, "args": ["a"], "kwargs": {"times": 2}, "rq_job_id": rq_job.id}


def test_all_runs_of_one_rq_job_are_found_by_their_subject() -> None:
    rq_job = put(note, "a")
    adopt()

    assert Job.objects.about(f"rq.job:{rq_job.id}").count() == 1


def test_an_adopted_job_is_published(redis_client: redis.Redis) -> None:
    put(note, "a")
    job = adopt()

    assert list_of(redis_client) == [job.message_id]


def test_an_adopted_job_has_left_the_quarantine_and_counts_as_started() -> None:
    rq_job = put(note, "a")
    adopt()

    assert rq_job.get_status() == "started"
    assert ids(FailedJobRegistry) == []


def test_a_job_that_rq_would_forget_is_kept_until_it_has_run(redis_client: redis.Redis) -> None:
    rq_job = put(note, "a", ttl=60)
    redis_client.expire(f"rq:job:{rq_job.id}", 60)
    adopt()

    assert redis_client.ttl(f"rq:job:{rq_job.id}") == -1


def test_a_claim_brings_the_job_that_it_has_just_adopted() -> None:
    put(note, "a")
    [claimed] = claim_jobs(IDENTITY, 10)

    assert claimed.job.payload["function"] == NOTE


def test_messages_that_came_with_a_foreign_one_are_claimed_while_it_cannot_be_looked_after(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    put(note, "a")
    ours = enqueue(SUCCEED)

    def fails(_messages: object) -> int:
        raise OperationalError("the database is away")

    monkeypatch.setattr(plain_rq, "look_after", fails)

    assert [claimed.job.pk for claimed in claim_jobs(IDENTITY, 10)] == [ours.pk]


def test_a_function_that_is_not_allowed_stays_in_quarantine_and_says_which_it_is(
    redis_client: redis.Redis,
) -> None:
    rq_job = put(after)

    assert adoption.look_after(quarantined()) == 0
    assert not Job.objects.exists()
    assert ids(FailedJobRegistry) == [rq_job.id]
    assert rq_job.get_status() == "failed"
    assert "'tests.workload.functions.after' is not allowed" in explanation(redis_client, rq_job.id)


def test_what_stays_in_quarantine_is_not_looked_after_again(redis_client: redis.Redis) -> None:
    put(after)
    adoption.look_after(quarantined())

    assert not redis_client.exists(NOTED)


def test_the_function_is_called_with_its_arguments(workload: Workload) -> None:
    put(note, "a", times=2)
    outcome = run_waiting(adopt())

    assert outcome.status == "completed"
    assert workload.effects() == {"a": 2}


def test_a_coroutine_function_is_awaited(workload: Workload) -> None:
    put(note_later, "a")
    run_waiting(adopt())

    assert workload.effects() == {"a": 1}


def test_a_generator_function_has_failed(workload: Workload) -> None:
    put(note_each, "a")
    outcome = run_waiting(adopt())

    assert outcome.failure is not None
    assert outcome.failure.error_class == "ProcessorDidNotRun"


def test_a_function_that_is_not_allowed_any_more_is_not_called(
    settings: LazySettings, workload: Workload
) -> None:
    put(note, "a")
    job = adopt()
    settings.JOBQUEUE = {}
    run_waiting(job)

    assert job.state == "failed"
    assert job.reason.startswith(f"Discard: the function '{NOTE}' is not in JOBQUEUE ALLOWED_FUNCTIONS")
    assert workload.effects() == {}


def test_our_own_code_cannot_enqueue_it() -> None:
    with pytest.raises(ValueError, match="queue '' is not configured"):
        enqueue(adoption.PROCESSOR, function=NOTE, args=[], kwargs={}, rq_job_id="a", enqueued_at="")


def test_a_message_that_redis_holds_twice_runs_once(redis_client: redis.Redis, workload: Workload) -> None:
    rq_job = put(note, "a")
    run_waiting(adopt())
    redis_client.rpush("rq:queue:email", rq_job.id)
    adoption.look_after(quarantined())

    assert Job.objects.count() == 1
    assert rq_job.get_status() == "finished"


def test_a_job_of_rqs_that_is_enqueued_anew_after_its_end_runs_again(workload: Workload) -> None:
    put(note, "a", job_id="daily")
    run_waiting(adopt())
    rq_job = put(note, "a", job_id="daily")
    assert adoption.look_after(quarantined()) == 1
    run_waiting(Job.objects.waiting().get())

    assert workload.effects() == {"a": 2}
    assert rq_job.get_status() == "finished"


def test_a_failed_job_that_is_requeued_with_rqs_tools_runs_again() -> None:
    rq_job = put(fail)
    job = adopt()
    run_waiting(job)
    run_waiting(job)
    rq_job.requeue()

    assert adoption.look_after(quarantined()) == 1
    assert Job.objects.about(f"rq.job:{rq_job.id}").count() == 2
    assert rq_job.get_status() == "started"


def test_the_same_id_with_other_arguments_is_another_job() -> None:
    put(note, "a", job_id="daily")
    adopt()
    put(note, "b", job_id="daily")

    assert adoption.look_after(quarantined()) == 1
    assert [job.payload["args"] for job in Job.objects.order_by("id")] == [["a"], ["b"]]


def test_workers_that_adopt_one_message_at_once_make_one_job(monkeypatch: pytest.MonkeyPatch) -> None:
    put(note, "a")
    messages = quarantined()
    together = threading.Barrier(4)
    look = adoption._adopted
    first_look = threading.local()

    def look_together(request: requests.Request) -> Job | None:
        found = look(request)
        if not hasattr(first_look, "done"):
            first_look.done = True
            together.wait(20)
        return found

    monkeypatch.setattr(adoption, "_adopted", look_together)
    errors: list[BaseException] = []

    def adopt_it() -> None:
        try:
            adoption.look_after(messages)
        except BaseException as error:
            errors.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=adopt_it) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(40)

    assert errors == []
    assert Job.objects.count() == 1


def test_a_job_that_another_worker_adopted_and_started_meanwhile_is_not_written_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    put(note, "a")
    messages = quarantined()
    look = adoption._adopted

    def look_and_be_late(request: requests.Request) -> Job | None:
        monkeypatch.setattr(adoption, "_adopted", look)
        adoption.look_after(messages)
        claim_row(Job.objects.get(), OTHER_IDENTITY)
        return None

    monkeypatch.setattr(adoption, "_adopted", look_and_be_late)
    adoption.look_after(messages)

    assert Job.objects.get().state == "active"


def test_an_adopted_job_lives_in_a_database_that_is_served(settings: LazySettings) -> None:
    put(note, "a")

    assert adopt()._state.db == databases.databases()[0]
