"""Jobs of plain RQ: which are adopted, what becomes of them, and what RQ's tools are told."""

from __future__ import annotations

import json
import pickle
import threading
import zlib
from collections.abc import Callable
from typing import Any

import django_rq
import pytest
import redis
import rq
from django.conf import LazySettings
from django.db import OperationalError, connections
from rq.job import Callback
from rq.registry import CanceledJobRegistry, FailedJobRegistry, FinishedJobRegistry
from rq.serializers import JSONSerializer

from jobqueue.broker import queues
from jobqueue.delivery import rescue
from jobqueue.exceptions import BrokerUnavailable
from jobqueue.jobs import enqueue
from jobqueue.models import Job
from jobqueue.plain_rq import adoption, quarantine, requests
from jobqueue.sql import databases
from tests.jobqueue.processors_for_tests import SUCCEED
from tests.jobqueue.steps import (
    CLAIMANT,
    OTHER_CLAIMANT,
    QUEUES,
    TELLER,
    claim_jobs,
    claim_row,
    list_of,
    run,
    run_waiting,
)
from tests.workload.fixtures import Workload
from tests.workload.functions import FAIL, NOTE, NOTE_LATER, Account, after, fail, note, note_later

pytestmark = pytest.mark.django_db(transaction=True)

NOTED = "rq:jobqueue:foreign:email"


@pytest.fixture(autouse=True)
def _allowed(settings: LazySettings) -> None:
    settings.JOBQUEUE = {
        "ALLOWED_FUNCTIONS": [NOTE, FAIL, NOTE_LATER],
        "PROCESSOR_RETRY": {adoption.PROCESSOR: {"max_retries": 1}},
        "TIMEOUT": 33,
    }


def put(function: Any = note, *args: Any, queue: str = "email", **options: Any) -> rq.job.Job:
    """Put a function on a queue as other people's code does."""
    return django_rq.get_queue(queue).enqueue(function, *args, **options)


def put_raw(client: redis.Redis, data: bytes | str, **fields: str) -> str:
    """A message as somebody with access to Redis writes it."""
    fields = {"status": "queued", "origin": "email", "enqueued_at": "2026-01-01T00:00:00.000000Z", **fields}
    client.hset("rq:job:raw", mapping={"data": data, **fields})
    client.rpush("rq:queue:email", "raw")
    return "raw"


def quarantined() -> list[tuple[str, str]]:
    """Take what is on the queues, as a worker does; the foreign messages."""
    return queues.claim(QUEUES, 100, CLAIMANT.id.hex, "worker").quarantined


def adopt() -> Job:
    """Have the one foreign message on the queues adopted; its job."""
    assert adoption.look_after(quarantined()) == 1
    return Job.objects.get()


def make_due(client: redis.Redis, queue: str = "email") -> None:
    """The time has come to look after the foreign messages again."""
    key = f"rq:jobqueue:foreign:{queue}"
    for message in client.zrange(key, 0, -1):
        client.zadd(key, {message: 0})


def explanation(client: redis.Redis, message_id: str) -> str:
    """What the hash of a quarantined message says."""
    return (client.hget(f"rq:job:{message_id}", "exc_info") or b"").decode()


def ids(registry: type[rq.registry.BaseRegistry], queue: str = "email") -> list[str]:
    """The ids in one of RQ's registries."""
    found: list[str] = registry(
        queue, connection=django_rq.get_connection(queue), serializer=JSONSerializer
    ).get_job_ids()
    return found


# Adopt --------------------------------------------------------------------------------------------


def test_an_allowed_function_becomes_a_job_of_the_queue_it_was_put_on() -> None:
    put(note, "a", queue="reminders", times=2)
    job = adopt()

    assert (job.processor, job.queue, job.state) == ("rq.function", "reminders", "waiting")


def test_the_payload_says_what_is_called_and_which_job_of_rqs_it_is() -> None:
    rq_job = put(note, "a", times=2)
    payload = adopt().payload

    assert payload.pop("enqueued_at")
    assert payload == {"function": NOTE, "args": ["a"], "kwargs": {"times": 2}, "rq_job_id": rq_job.id}


def test_a_function_enqueued_by_its_name_is_adopted() -> None:
    put(NOTE, "a")

    assert adopt().payload["function"] == NOTE


def test_data_that_is_not_compressed_is_adopted(redis_client: redis.Redis) -> None:
    put_raw(redis_client, json.dumps([NOTE, None, ["a"], {}]))

    assert adopt().payload["args"] == ["a"]


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


@pytest.mark.parametrize(
    ("given", "taken"),
    [("7", 7.0), ("2.5", 2.5), ("-1", 33.0), ("0", 33.0), ("nan", 33.0), ("inf", 33.0), ("1h", 33.0)]
    + [("99999999", 33.0), ("", 33.0)],
)
def test_the_time_limit_is_rqs_if_it_is_a_sane_one(
    redis_client: redis.Redis, given: str, taken: float
) -> None:
    put_raw(redis_client, json.dumps([NOTE, None, [], {}]), timeout=given)

    assert adopt().timeout == taken


def test_a_claim_brings_the_job_that_it_has_just_adopted() -> None:
    put(note, "a")
    [claimed] = claim_jobs(CLAIMANT, 10)

    assert claimed.job.payload["function"] == NOTE


def test_messages_that_came_with_a_foreign_one_are_claimed_while_it_cannot_be_looked_after(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    put(note, "a")
    ours = enqueue(SUCCEED)

    def fails(_messages: object) -> int:
        raise OperationalError("the database is away")

    monkeypatch.setattr(adoption, "look_after", fails)

    assert [claimed.job.pk for claimed in claim_jobs(CLAIMANT, 10)] == [ours.pk]


# Refuse -------------------------------------------------------------------------------------------


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


def _pickled(_: redis.Redis) -> str:
    queue = rq.Queue("email", connection=django_rq.get_connection("email"))
    return str(queue.enqueue(note, "pickled").id)


def _pickled_without_compression(client: redis.Redis) -> str:
    return put_raw(client, pickle.dumps((NOTE, None, ("a",), {})))


def _method(client: redis.Redis) -> str:
    return put_raw(client, zlib.compress(json.dumps([NOTE, {"a": 1}, ["a"], {}]).encode()))


def _success_callback(_: redis.Redis) -> str:
    return str(put(note, "a", on_success=Callback(after)).id)


def _failure_callback(_: redis.Redis) -> str:
    return str(put(note, "a", on_failure=Callback(after)).id)


def _stopped_callback(_: redis.Redis) -> str:
    return str(put(note, "a", on_stopped=Callback(after)).id)


def _webhook(client: redis.Redis) -> str:
    return put_raw(client, json.dumps([NOTE, None, ["a"], {}]), webhooks='[{"url": "http://127.0.0.1"}]')


def _repeated(_: redis.Redis) -> str:
    return str(put(note, "a", repeat=rq.Repeat(times=2)).id)


def _rate_limited(client: redis.Redis) -> str:
    return put_raw(client, json.dumps([NOTE, None, ["a"], {}]), rate_limit_key="key")


def _with_a_dependent(_: redis.Redis) -> str:
    rq_job = put(note, "a")
    put(note, "b", depends_on=rq_job)
    return str(rq_job.id)


def _too_large(_: redis.Redis) -> str:
    return str(put(note, "a" * 16 * 1024).id)


def _bomb(client: redis.Redis) -> str:
    return put_raw(client, zlib.compress(b" " * 10_000_000))


def _huge_data(client: redis.Redis) -> str:
    return put_raw(client, b"x" * 10_000_000)


def _truncated(client: redis.Redis) -> str:
    return put_raw(client, zlib.compress(json.dumps([NOTE, None, ["a"], {}]).encode())[:-3])


def _with_a_tail(client: redis.Redis) -> str:
    return put_raw(client, zlib.compress(json.dumps([NOTE, None, ["a"], {}]).encode()) + b"tail")


def _odd_id(client: redis.Redis) -> str:
    put_raw(client, json.dumps([NOTE, None, ["a"], {}]))
    client.rename("rq:job:raw", "rq:job:a b/ä")
    client.delete("rq:queue:email")
    client.rpush("rq:queue:email", "a b/ä")
    return "a b/ä"


def _long_time(client: redis.Redis) -> str:
    return put_raw(client, json.dumps([NOTE, None, ["a"], {}]), enqueued_at="2" * 1000)


def _no_hash(client: redis.Redis) -> str:
    client.rpush("rq:queue:email", "nothing")
    return "nothing"


def _data(text: str) -> Callable[[redis.Redis], str]:
    return lambda client: put_raw(client, text)


REFUSED: dict[str, tuple[Callable[[redis.Redis], str], str]] = {
    "pickle": (_pickled, "its data is no JSON"),
    "pickle without compression": (_pickled_without_compression, "its data is no JSON"),
    "method": (_method, "a method of an instance"),
    "success callback": (_success_callback, "asks for a callback"),
    "failure callback": (_failure_callback, "asks for a callback"),
    "stopped callback": (_stopped_callback, "asks for a callback"),
    "webhook": (_webhook, "asks for webhooks"),
    "repetition": (_repeated, "asks for repetitions"),
    "rate limit": (_rate_limited, "asks for a rate limit"),
    "dependent": (_with_a_dependent, "asks for jobs that depend on it"),
    "too large": (_too_large, "the payload has"),
    "bomb": (_bomb, "its data is too large"),
    "huge data": (_huge_data, "it is no job of RQ's, or too large"),
    "truncated": (_truncated, "its data is damaged"),
    "tail": (_with_a_tail, "its data is damaged"),
    "odd id": (_odd_id, "its id is none that RQ gives"),
    "long time": (_long_time, "it is no job of RQ's, or too large"),
    "no hash": (_no_hash, "it is no job of RQ's"),
    "no data": (_data(""), "its data is damaged"),
    "no list": (_data('{"a": 1}'), "no call of a function"),
    "three items": (_data(f'["{NOTE}", null, []]'), "no call of a function"),
    "no name": (_data("[null, null, [], {}]"), "no call of a function"),
    "arguments that are no list": (_data(f'["{NOTE}", null, {{}}, {{}}]'), "no call of a function"),
    "keywords that are no dict": (_data(f'["{NOTE}", null, [], []]'), "no call of a function"),
    "no number": (_data(f'["{NOTE}", null, [NaN], {{}}]'), "no valid JSON"),
    "infinite": (_data(f'["{NOTE}", null, [1e999], {{}}]'), "no valid JSON"),
    "huge number": (_data(f'["{NOTE}", null, [{"9" * 5000}], {{}}]'), "its data is no JSON"),
    "NUL": (_data(f'["{NOTE}", null, ["\\u0000"], {{}}]'), "NUL"),
    "half a character": (_data(f'["{NOTE}", null, ["\\ud800"], {{}}]'), "surrogate"),
    "nested": (_data(f'["{NOTE}", null, {"[" * 20000}{"]" * 20000}, {{}}]'), "its data is no JSON"),
    "another function": (_data('["os.mkdir", null, ["x"], {}]'), "'os.mkdir' is not allowed"),
    "a part of the name": (_data('["tests.workload.functions", null, [], {}]'), "is not allowed"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_no_plain_call_of_an_allowed_function_stays_in_quarantine(
    redis_client: redis.Redis, kind: str
) -> None:
    inject, why = REFUSED[kind]
    message_id = inject(redis_client)

    assert adoption.look_after(quarantined()) == 0
    assert why in explanation(redis_client, message_id)
    assert redis_client.zscore("rq:failed:email", message_id)
    assert not redis_client.exists(NOTED)
    assert not Job.objects.exists()


def test_rq_itself_cannot_enqueue_a_method_as_json() -> None:
    with pytest.raises(TypeError):
        put(Account().note)


# Run ----------------------------------------------------------------------------------------------


def test_the_function_is_called_with_its_arguments(workload: Workload) -> None:
    put(note, "a", times=2)
    outcome = run_waiting(adopt())

    assert outcome.status == "completed"
    assert workload.effects() == {"a": 2}


def test_a_coroutine_function_is_awaited(workload: Workload) -> None:
    put(note_later, "a")
    run_waiting(adopt())

    assert workload.effects() == {"a": 1}


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


# Report -------------------------------------------------------------------------------------------


def test_a_job_that_completed_is_finished_for_rq(redis_client: redis.Redis) -> None:
    rq_job = put(note, "a")
    run_waiting(adopt())

    assert rq_job.get_status() == "finished"
    assert rq_job.id in ids(FinishedJobRegistry)
    assert 490 < redis_client.ttl(f"rq:job:{rq_job.id}") <= 500


@pytest.mark.parametrize(("ttl", "left"), [(0, -2), (-1, -1), (1000, 1000)])
def test_a_finished_job_is_kept_for_as_long_as_it_asked_for(
    redis_client: redis.Redis, ttl: int, left: int
) -> None:
    rq_job = put(note, "a", result_ttl=ttl)
    run_waiting(adopt())

    assert redis_client.ttl(f"rq:job:{rq_job.id}") in (left, left - 1)


@pytest.mark.parametrize("ttl", ["nan", "1e300", "99999999999999999999", "x"])
def test_a_time_to_keep_it_that_makes_no_sense_does_not_stop_the_report(
    redis_client: redis.Redis, ttl: str
) -> None:
    put_raw(redis_client, json.dumps([NOTE, None, ["a"], {}]), result_ttl=ttl)
    run_waiting(adopt())

    assert 490 < redis_client.ttl("rq:job:raw") <= 500


def test_a_job_that_is_to_run_again_stays_started_for_rq() -> None:
    rq_job = put(fail)
    job = adopt()
    run_waiting(job)

    assert job.state == "waiting"
    assert rq_job.get_status() == "started"


def test_a_job_that_failed_for_good_is_failed_for_rq(redis_client: redis.Redis) -> None:
    rq_job = put(fail)
    job = adopt()
    run_waiting(job)
    run_waiting(job)

    assert job.state == "failed"
    assert rq_job.get_status() == "failed"
    assert ids(FailedJobRegistry) == [rq_job.id]
    assert explanation(redis_client, rq_job.id).startswith(f"job {job.pk} of jobqueue failed")


def test_the_error_itself_does_not_go_into_redis(redis_client: redis.Redis) -> None:
    rq_job = put(fail)
    job = adopt()
    run_waiting(job)
    run_waiting(job)

    assert "anna" not in str(redis_client.hgetall(f"rq:job:{rq_job.id}"))


def test_a_row_that_somebody_wrote_by_hand_only_fails() -> None:
    job = Job.objects.create(processor=adoption.PROCESSOR, queue="email", payload={"a": 1}, timeout=1)
    run_waiting(job)
    run_waiting(job)

    assert job.state == "failed"


def test_a_job_that_ended_is_not_looked_after_again(redis_client: redis.Redis) -> None:
    put(note, "a")
    run_waiting(adopt())

    assert not redis_client.exists(NOTED)


def test_a_failed_job_that_is_retried_in_the_admin_ends_as_finished(settings: LazySettings) -> None:
    rq_job = put(note, "a")
    job = adopt()
    allowed, settings.JOBQUEUE = settings.JOBQUEUE, {}
    run_waiting(job)
    assert rq_job.get_status() == "failed"

    settings.JOBQUEUE = allowed
    job.retry()
    run_waiting(job)

    assert rq_job.get_status() == "finished"
    assert ids(FailedJobRegistry) == []


def test_a_late_word_of_the_start_does_not_hide_the_end() -> None:
    rq_job = put(note, "a")
    job = adopt()
    late = adoption._report(job)
    run_waiting(job)
    quarantine.report_adopted(*late)

    assert rq_job.get_status() == "finished"


def test_a_word_about_an_earlier_run_does_not_touch_a_job_that_was_enqueued_anew() -> None:
    put(note, "a", job_id="daily")
    job = adopt()
    rq_job = put(note, "b", job_id="daily")
    run(claim_row(job))

    assert rq_job.get_status() == "queued"


def test_a_job_that_rq_forgot_is_not_called_back_to_life(redis_client: redis.Redis) -> None:
    rq_job = put(note, "a")
    job = adopt()
    redis_client.flushall()
    run_waiting(job)

    assert not redis_client.exists(f"rq:job:{rq_job.id}")


def test_a_key_of_another_type_does_not_hold_up_the_reports(redis_client: redis.Redis) -> None:
    rq_job = put(note, "a")
    job = adopt()
    redis_client.delete(f"rq:job:{rq_job.id}")
    redis_client.set(f"rq:job:{rq_job.id}", "text")
    run_waiting(job)

    assert not TELLER._untold


def test_an_end_that_redis_does_not_take_is_told_later(monkeypatch: pytest.MonkeyPatch) -> None:
    rq_job = put(note, "a")
    job = adopt()
    with monkeypatch.context() as patch:
        patch.setattr(quarantine, "report_adopted", _unavailable)
        run_waiting(job)
    assert rq_job.get_status() == "started"

    TELLER.tell_untold()

    assert rq_job.get_status() == "finished"


# Crashes ------------------------------------------------------------------------------------------


def _unavailable(*_: object) -> bool:
    raise BrokerUnavailable("Redis is away")


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

    assert len(quarantine.to_look_after(10)) == 1
    assert quarantine.to_look_after(10) == []


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
        patch.setattr(quarantine, "report_adopted", _unavailable)
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
        claim_row(Job.objects.get(), OTHER_CLAIMANT)
        return None

    monkeypatch.setattr(adoption, "_adopted", look_and_be_late)
    adoption.look_after(messages)

    assert Job.objects.get().state == "active"


@pytest.mark.parametrize(
    ("end", "status", "registry"),
    [
        (lambda: rescue.fail(Job.objects.active()), "failed", FailedJobRegistry),
        (lambda: Job.objects.active().update(state="cancelled"), "canceled", CanceledJobRegistry),
        (lambda: Job.objects.active().update(state="completed"), "finished", FinishedJobRegistry),
    ],
)
def test_a_job_that_ended_without_a_word_to_rq_is_reported_later(
    redis_client: redis.Redis, end: Callable[[], object], status: str, registry: Any
) -> None:
    rq_job = put(note, "a")
    claim_row(adopt())
    end()
    make_due(redis_client)
    adoption.look_after_due()

    assert rq_job.get_status() == status
    assert ids(registry) == [rq_job.id]
    assert not redis_client.exists(NOTED)


def test_a_job_that_still_runs_stays_noted(redis_client: redis.Redis) -> None:
    rq_job = put(note, "a")
    claim_row(adopt())
    make_due(redis_client)
    adoption.look_after_due()

    assert rq_job.get_status() == "started"
    assert redis_client.zrange(NOTED, 0, -1) == [rq_job.id.encode()]


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


def test_an_adopted_job_lives_in_a_database_that_is_served(settings: LazySettings) -> None:
    put(note, "a")

    assert adopt()._state.db == databases.databases()[0]
