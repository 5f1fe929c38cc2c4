"""What stands in Redis: messages, RQ's registries, counters, and what is none of ours."""

from __future__ import annotations

import os
import pickle
import time
from collections.abc import Callable, Iterator
from typing import Any

import django_rq
import pytest
import redis
import rq
from rq.job import Job as RQJob
from rq.registry import FailedJobRegistry, FinishedJobRegistry, StartedJobRegistry
from rq.serializers import JSONSerializer
from rq.suspension import resume, suspend

from jobqueue.broker import counters, queues, registries, server
from jobqueue.broker.bell import Bell, lead
from jobqueue.broker.message import Message
from jobqueue.broker.queues import QueueLimits
from jobqueue.exceptions import BrokerUnavailable
from jobqueue.plain_rq import quarantine
from jobqueue.worker.loops import WakePipe
from tests.jobqueue.steps import QUEUES, list_of

WORKER, OTHER_WORKER = "a" * 32, "b" * 32


def _messages(*ids: int, queue: str = "email") -> list[Message]:
    return [Message(queue, number, 1, description="sample.succeed", timeout=30) for number in ids]


def _claim(count: int = 10, names: tuple[str, ...] = QUEUES, worker: str = WORKER) -> list[str]:
    return [message.id for message in queues.claim(names, count, worker, "worker").messages]


def _state(redis_client: redis.Redis) -> dict[bytes, Any]:
    """Everything in Redis, as it could be restored."""
    keys: list[bytes] = redis_client.keys("*")  # type: ignore[assignment]
    return {key: redis_client.dump(key) for key in keys}


# Messages -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "message",
    [
        Message("email", 5, 2),
        Message("email", 5, 2, "other"),
        Message("email", 10**18 - 1, 10**9 - 1, "other_2"),
    ],
)
def test_a_message_is_known_by_its_id(message: Message) -> None:
    assert Message.parse("email", message.id) == message


@pytest.mark.parametrize(
    "text",
    ["", "5", "5-", "-5", "a-1", "5-1-", "5-1x", "5-1-a b", "5-1-a-b", "5-1\n", "٥-١", "5-1-ä", " 5-1"],
)
def test_what_is_no_message_id_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no message id"):
        Message.parse("email", text)


# Publish ------------------------------------------------------------------------------------------


def test_messages_stand_in_the_order_of_their_publication(redis_client: redis.Redis) -> None:
    queues.publish(_messages(2, 1))
    queues.publish(_messages(3))

    assert list_of(redis_client) == ["2-1", "1-1", "3-1"]


def test_publishing_a_message_again_changes_nothing(redis_client: redis.Redis) -> None:
    assert queues.publish(_messages(1)) == 1
    assert queues.publish(_messages(1)) == 0

    assert list_of(redis_client) == ["1-1"]


def test_publishing_tells_how_many_were_new() -> None:
    queues.publish(_messages(1))

    assert queues.publish(_messages(1, 2, 3)) == 2


def test_after_somebody_deleted_the_list_a_message_can_be_published_again(redis_client: redis.Redis) -> None:
    queues.publish(_messages(1))
    redis_client.delete("rq:queue:email")

    assert queues.publish(_messages(1)) == 1
    assert list_of(redis_client) == ["1-1"]


def test_another_attempt_is_another_message(redis_client: redis.Redis) -> None:
    queues.publish([Message("email", 1, 1), Message("email", 1, 2)])

    assert list_of(redis_client) == ["1-1", "1-2"]


def test_rq_knows_the_queue_and_what_is_queued(redis_client: redis.Redis) -> None:
    queues.publish(_messages(1))

    assert [queue.name for queue in rq.Queue.all(connection=redis_client, serializer=JSONSerializer)] == [
        "email"
    ]
    assert django_rq.get_queue("email").job_ids == ["1-1"]


def test_rq_can_read_a_message_as_its_own_job(redis_client: redis.Redis) -> None:
    queues.publish(_messages(1))
    job = RQJob.fetch("1-1", connection=redis_client, serializer=JSONSerializer)

    assert job.get_status() == "queued"
    assert (job.origin, job.description, job.timeout) == ("email", "sample.succeed", 30)
    assert job.func_name == "jobqueue.broker.message.refuse_message"
    assert job.args == [1, 1]
    assert job.enqueued_at is not None


def test_a_worker_of_rq_itself_does_not_run_our_jobs(redis_client: redis.Redis) -> None:
    queues.publish(_messages(1))
    queue = django_rq.get_queue("email")
    rq.SimpleWorker([queue], connection=redis_client, serializer=JSONSerializer).work(burst=True)

    job = RQJob.fetch("1-1", connection=redis_client, serializer=JSONSerializer)
    result = job.latest_result()
    assert job.get_status() == "failed"
    assert result is not None
    assert "runs only in jobqueue's own worker: manage.py rqworker" in str(result.exc_string)


def test_nothing_about_the_payload_is_in_redis(redis_client: redis.Redis) -> None:
    queues.publish(_messages(1))

    assert set(redis_client.hgetall("rq:job:1-1")) == {
        *(b"status", b"list", b"origin", b"data", b"description", b"timeout", b"created_at", b"enqueued_at")
    }
    assert (
        redis_client.hget("rq:job:1-1", "data")
        == b'["jobqueue.broker.message.refuse_message", null, [1, 1], {}]'
    )


# Claim --------------------------------------------------------------------------------------------


def test_messages_are_claimed_in_order_of_the_queues_and_of_publication() -> None:
    queues.publish([*_messages(1, 2, queue="settlement"), *_messages(3, queue="reminders"), *_messages(4, 5)])

    assert _claim() == ["4-1", "5-1", "3-1", "1-1", "2-1"]


def test_no_more_messages_are_claimed_than_asked_for(redis_client: redis.Redis) -> None:
    queues.publish([*_messages(1, 2), *_messages(3, 4, queue="reminders")])

    assert _claim(3) == ["1-1", "2-1", "3-1"]
    assert list_of(redis_client, "reminders") == ["4-1"]


def test_only_the_named_queues_are_served() -> None:
    queues.publish([*_messages(1), *_messages(2, queue="reminders")])

    assert _claim(names=("reminders",)) == ["2-1"]


@pytest.mark.parametrize(("names", "count"), [((), 5), (QUEUES, 0)])
def test_who_serves_nothing_claims_nothing(names: tuple[str, ...], count: int) -> None:
    queues.publish(_messages(1))

    assert _claim(count, names) == []


def test_a_message_is_claimed_once() -> None:
    queues.publish(_messages(1))

    assert _claim() == ["1-1"]
    assert _claim(worker=OTHER_WORKER) == []


def test_a_suspended_rq_claims_nothing_until_it_is_resumed(redis_client: redis.Redis) -> None:
    queues.publish(_messages(1))
    suspend(redis_client)
    assert _claim() == []

    resume(redis_client)
    assert _claim() == ["1-1"]


def test_a_claimed_message_stands_in_rqs_registry_of_started_jobs(redis_client: redis.Redis) -> None:
    queues.publish(_messages(1))
    _claim()
    registry = StartedJobRegistry("email", connection=redis_client, serializer=JSONSerializer)

    assert registry.get_job_ids() == ["1-1"]
    job = RQJob.fetch("1-1", connection=redis_client, serializer=JSONSerializer)
    assert job.get_status() == "started"
    assert job.worker_name == "worker"
    assert job.started_at is not None


@pytest.fixture
def bell() -> Iterator[Callable[[float], bool]]:
    """Waits for the bells of all queues, so many seconds at most; whether one rang."""
    listening, wake = Bell(QUEUES), WakePipe()
    yield lambda seconds: listening.wait(seconds, wake.fileno())
    listening.leave()


def test_a_bell_rings_for_whoever_waits(bell: Callable[[float], bool]) -> None:
    queues.publish(_messages(1))

    assert bell(5)


def test_without_a_message_no_bell_rings(bell: Callable[[float], bool]) -> None:
    assert not bell(0.01)


def test_a_wait_for_a_bell_can_be_interrupted() -> None:
    listening, wake = Bell(QUEUES), WakePipe()
    wake.wake()
    started = time.monotonic()

    assert not listening.wait(30, wake.fileno())
    assert time.monotonic() - started < 5
    listening.leave()


def test_a_bell_that_was_left_rings_for_the_next(bell: Callable[[float], bool]) -> None:
    first, wake = Bell(QUEUES), WakePipe()
    assert not first.wait(0.01, wake.fileno())
    first.leave()
    queues.publish(_messages(1))

    assert bell(5)


def test_a_wait_goes_on_where_the_last_one_ended(bell: Callable[[float], bool]) -> None:
    assert not bell(0.01)
    queues.publish(_messages(1))

    assert bell(5)


def test_a_bell_rings_once_for_many_messages(redis_client: redis.Redis) -> None:
    queues.publish(_messages(1, 2, 3))
    queues.publish(_messages(4))

    assert redis_client.llen("rq:jobqueue:bell:email") == 1


def test_who_leaves_messages_behind_rings_for_the_next(bell: Callable[[float], bool]) -> None:
    queues.publish(_messages(1, 2))
    bell(5)
    _claim(1)

    assert bell(5)


# Limits -------------------------------------------------------------------------------------------


def _claim_within(limits: QueueLimits, count: int = 10, free: int | None = None) -> queues.Taken:
    return queues.claim(QUEUES, count, WORKER, "worker", {"email": limits}, free)


def _rate_is_known(redis_client: redis.Redis, queue: str = "email") -> None:
    """The record of the last starts is there, and they are long ago."""
    redis_client.lpush(f"rq:jobqueue:starts:{queue}", 0)


def test_a_rate_limit_lets_so_many_start_in_a_second(redis_client: redis.Redis) -> None:
    _rate_is_known(redis_client)
    queues.publish(_messages(1, 2, 3, 4, 5))

    assert len(_claim_within(QueueLimits(rate=2)).messages) == 2
    assert _claim_within(QueueLimits(rate=2)).messages == []


def test_a_claim_says_when_the_rate_limit_lets_the_next_go(redis_client: redis.Redis) -> None:
    _rate_is_known(redis_client)
    queues.publish(_messages(1, 2))
    _claim_within(QueueLimits(rate=1))

    pause = _claim_within(QueueLimits(rate=1)).pause
    assert pause is not None
    assert 1.0 < pause <= 1.1


def test_a_claim_that_got_less_than_it_could_take_says_when_the_rate_limit_lets_the_next_go(
    redis_client: redis.Redis,
) -> None:
    seconds, microseconds = redis_client.time()
    now = seconds * 1000 + microseconds // 1000
    redis_client.rpush("rq:jobqueue:starts:email", now - 500, 0)
    queues.publish(_messages(1, 2))

    claimed = _claim_within(QueueLimits(rate=2))
    assert len(claimed.messages) == 1
    assert claimed.pause is not None
    assert 0 < claimed.pause <= 0.6


def test_a_claim_that_got_all_there_is_waits_for_no_limit(redis_client: redis.Redis) -> None:
    _rate_is_known(redis_client)
    queues.publish(_messages(1, 2))

    assert _claim_within(QueueLimits(rate=2)).pause is None


def test_a_rate_limit_holds_over_any_second_and_not_by_the_second_on_the_clock(
    redis_client: redis.Redis,
) -> None:
    seconds, microseconds = redis_client.time()
    half_a_second_ago = seconds * 1000 + microseconds // 1000 - 500
    redis_client.rpush("rq:jobqueue:starts:email", half_a_second_ago, 0, 0)
    queues.publish(_messages(1, 2, 3, 4))

    assert len(_claim_within(QueueLimits(rate=3)).messages) == 2


def test_a_lost_record_of_starts_counts_as_a_second_just_used_up() -> None:
    queues.publish(_messages(1))
    claimed = _claim_within(QueueLimits(rate=100))

    assert claimed.messages == []
    assert claimed.pause is not None
    assert claimed.pause > 0.5


def test_a_record_of_starts_from_the_future_counts_as_lost(redis_client: redis.Redis) -> None:
    in_an_hour = (redis_client.time()[0] + 3600) * 1000
    redis_client.lpush("rq:jobqueue:starts:email", in_an_hour)
    queues.publish(_messages(1))

    pause = _claim_within(QueueLimits(rate=1)).pause
    assert pause is not None
    assert pause < 2


def test_late_starts_count_from_when_they_came(redis_client: redis.Redis) -> None:
    _rate_is_known(redis_client)
    queues.publish(_messages(1, 2, 3))
    queues.count_late_starts({"email": (2, 3)})

    assert len(_claim_within(QueueLimits(rate=3)).messages) == 1


def test_a_rate_of_zero_lets_none_start(redis_client: redis.Redis) -> None:
    _rate_is_known(redis_client)
    queues.publish(_messages(1))

    assert _claim_within(QueueLimits(rate=0)).messages == []


def test_a_limited_queue_does_not_hold_up_the_next(redis_client: redis.Redis) -> None:
    queues.publish([*_messages(1), *_messages(2, queue="reminders")])

    claimed = _claim_within(QueueLimits(rate=0))
    assert [message.queue for message in claimed.messages] == ["reminders"]


def test_a_concurrency_limit_counts_what_all_workers_run() -> None:
    queues.publish(_messages(1, 2, 3, 4))
    queues.claim(QUEUES, 1, OTHER_WORKER, "other")

    assert len(_claim_within(QueueLimits(concurrency=3)).messages) == 2
    assert _claim_within(QueueLimits(concurrency=3)).messages == []


def test_a_job_that_ends_lets_the_next_go(bell: Callable[[float], bool]) -> None:
    queues.publish(_messages(1, 2))
    [first] = _claim_within(QueueLimits(concurrency=1)).messages
    assert bell(5)
    assert _claim_within(QueueLimits(concurrency=1)).messages == []
    assert not bell(0.01)

    queues.finish([(first, True)], WORKER)
    assert bell(5)
    assert len(_claim_within(QueueLimits(concurrency=1)).messages) == 1


def test_of_a_limited_queue_no_more_is_taken_than_can_start_at_once(redis_client: redis.Redis) -> None:
    _rate_is_known(redis_client)
    queues.publish(_messages(1, 2, 3, 4))

    assert len(_claim_within(QueueLimits(rate=100), count=10, free=1).messages) == 1


def test_of_what_cannot_start_at_once_half_is_left_to_others() -> None:
    queues.publish(_messages(*range(1, 11)))

    assert len(queues.claim(QUEUES, 100, WORKER, "worker", free=2).messages) == 5


def test_what_can_start_at_once_is_taken_whole() -> None:
    queues.publish(_messages(1, 2, 3))

    assert len(queues.claim(QUEUES, 100, WORKER, "worker", free=16).messages) == 3


# The lead -----------------------------------------------------------------------------------------


def test_only_one_leads() -> None:
    assert lead("first", 30)
    assert not lead("second", 30)
    assert lead("first", 30)


def test_who_gives_up_the_lead_leaves_it_to_the_next() -> None:
    lead("first", 30)
    lead("second", 0)
    assert not lead("second", 30)

    lead("first", 0)
    assert lead("second", 30)


def test_only_new_messages_are_published_where_that_is_asked_for(redis_client: redis.Redis) -> None:
    queues.publish(_messages(1))
    _claim()

    assert queues.publish(_messages(1, 2), only_new=True) == 1
    assert list_of(redis_client) == ["2-1"]


def test_who_leaves_nothing_behind_does_not_ring(bell: Callable[[float], bool]) -> None:
    queues.publish(_messages(1, 2))
    bell(5)
    _claim(2)

    assert not bell(0.01)


# Foreign messages ---------------------------------------------------------------------------------


def _plain_rq(redis_client: redis.Redis) -> str:
    return str(django_rq.get_queue("email").enqueue(os.getcwd).id)


def _pickled_rq(redis_client: redis.Redis) -> str:
    return str(rq.Queue("email", connection=redis_client).enqueue(os.getcwd).id)


def _malicious_pickle(redis_client: redis.Redis) -> str:
    class Evil:
        def __reduce__(self) -> tuple[Any, tuple[str]]:
            return os.mkdir, ("/nonexistent/evil",)

    redis_client.hset("rq:job:evil", mapping={"status": "queued", "data": pickle.dumps(Evil())})
    redis_client.rpush("rq:queue:email", "evil")
    return "evil"


def _without_a_hash(redis_client: redis.Redis) -> str:
    redis_client.rpush("rq:queue:email", "nothing behind it")
    return "nothing behind it"


def _uuid_of_digits(redis_client: redis.Redis) -> str:
    """One in three hundred of RQ's own ids begins like one of ours."""
    queue = django_rq.get_queue("email")
    return str(queue.enqueue(os.getcwd, job_id="12345678-1234-4123-8123-123456789012").id)


def _quarantine() -> None:
    for queue, message_id in queues.claim(QUEUES, 10, WORKER, "worker").quarantined:
        quarantine.explain(queue, message_id, "it is a test")


FOREIGN = [_plain_rq, _pickled_rq, _malicious_pickle, _without_a_hash, _uuid_of_digits]


@pytest.mark.parametrize("put", FOREIGN)
def test_a_foreign_message_is_quarantined_and_not_claimed(
    redis_client: redis.Redis, put: Callable[[redis.Redis], str]
) -> None:
    foreign = put(redis_client)
    claimed = queues.claim(QUEUES, 10, WORKER, "worker")

    assert claimed.messages == []
    assert claimed.quarantined == [("email", foreign)]
    assert list_of(redis_client) == []
    assert redis_client.zscore("rq:failed:email", foreign)
    assert redis_client.zcard("rq:wip:email") == 0


@pytest.mark.parametrize("put", FOREIGN)
def test_a_quarantined_message_says_what_it_is_and_what_to_do(
    redis_client: redis.Redis, put: Callable[[redis.Redis], str]
) -> None:
    foreign = put(redis_client)
    _quarantine()

    fields: dict[bytes, bytes] = redis_client.hgetall(f"rq:job:{foreign}")  # type: ignore[assignment]
    explanation = fields[b"exc_info"].decode()
    assert f"{foreign!r} on queue 'email' was not published by jobqueue and was not run" in explanation
    assert "jobqueue.jobs.enqueue()" in explanation
    assert 'JOBQUEUE["ALLOWED_FUNCTIONS"]' in explanation
    assert "because it is a test" in explanation
    assert redis_client.hget(f"rq:job:{foreign}", "status") == b"failed"


def test_a_quarantined_message_is_logged(redis_client: redis.Redis, caplog: pytest.LogCaptureFixture) -> None:
    _plain_rq(redis_client)
    _quarantine()

    [record] = [record for record in caplog.records if record.name.startswith("jobqueue.plain_rq.")]
    assert record.levelname == "ERROR"
    assert "Quarantined" in record.message


def test_rqs_own_pages_can_show_a_quarantined_message(redis_client: redis.Redis) -> None:
    foreign = _plain_rq(redis_client)
    _quarantine()

    assert FailedJobRegistry("email", connection=redis_client, serializer=JSONSerializer).get_job_ids() == [
        foreign
    ]


@pytest.mark.parametrize(
    "odd",
    [
        "5-1x",
        "5-1-",
        "5-1-a-b",
        "5-1-ä",
        "5-1-a b",
        "5-",
        "-1",
        "a-b",
        "5_1",
        "5-1\n",
        "%d+",
        "x" * 5000,
        "5-1\x00",
        "",
    ],
)
def test_an_id_with_odd_characters_is_quarantined_and_hurts_no_other(
    redis_client: redis.Redis, odd: str
) -> None:
    redis_client.rpush("rq:queue:email", odd)
    queues.publish(_messages(7))
    claimed = queues.claim(QUEUES, 10, WORKER, "worker")

    assert [message.id for message in claimed.messages] == ["7-1"]
    assert claimed.quarantined == [("email", odd)]


def test_an_id_that_is_no_text_can_be_explained(redis_client: redis.Redis) -> None:
    redis_client.rpush("rq:queue:email", b"\xff\xfe\x80")
    _quarantine()

    assert b"not published by jobqueue" in redis_client.hget(b"rq:job:\xff\xfe\x80", "exc_info")  # type: ignore[operator]
    assert not redis_client.exists("rq:jobqueue:foreign:email")


def test_an_id_that_is_no_text_is_quarantined_and_hurts_no_other(redis_client: redis.Redis) -> None:
    redis_client.rpush("rq:queue:email", b"\xff\xfe\x80")
    queues.publish(_messages(7))
    claimed = queues.claim(QUEUES, 10, WORKER, "worker")

    assert [message.id for message in claimed.messages] == ["7-1"]
    assert len(claimed.quarantined) == 1


@pytest.mark.parametrize("odd", ["99999999999999999999-1", "5-99999999999999999999", "5-1-" + "x" * 65])
def test_an_id_no_job_of_ours_can_have_is_quarantined(redis_client: redis.Redis, odd: str) -> None:
    redis_client.rpush("rq:queue:email", odd)

    assert queues.claim(QUEUES, 10, WORKER, "worker").quarantined == [("email", odd)]


def test_a_key_of_another_type_under_a_foreign_id_does_not_stop_the_claim(redis_client: redis.Redis) -> None:
    redis_client.set("rq:job:foreign", "text")
    redis_client.rpush("rq:queue:email", "foreign")
    queues.publish(_messages(7))

    assert _claim() == ["7-1"]


def test_a_key_of_another_type_under_a_foreign_id_does_not_stop_the_explanation(
    redis_client: redis.Redis,
) -> None:
    redis_client.set("rq:job:foreign", "text")
    redis_client.rpush("rq:queue:email", "foreign")
    _quarantine()

    assert redis_client.get("rq:job:foreign") == b"text"
    assert not redis_client.exists("rq:jobqueue:foreign:email")


# Finish -------------------------------------------------------------------------------------------


def _claimed(*ids: int) -> list[Message]:
    queues.publish(_messages(*ids))
    return queues.claim(QUEUES, len(ids), WORKER, "worker").messages


def test_a_finished_message_is_kept_for_a_while_for_rqs_tools(redis_client: redis.Redis) -> None:
    [message] = _claimed(1)
    queues.finish([(message, True)], WORKER)

    registry = FinishedJobRegistry("email", connection=redis_client, serializer=JSONSerializer)
    assert registry.get_job_ids() == ["1-1"]
    assert redis_client.zcard("rq:wip:email") == 0
    assert 0 < redis_client.ttl("rq:job:1-1") <= queues.KEEP_FINISHED


def test_a_message_that_did_not_finish_is_forgotten(redis_client: redis.Redis) -> None:
    [message] = _claimed(1)
    queues.finish([(message, False)], WORKER)

    assert redis_client.keys("rq:job:*") == []
    assert redis_client.zcard("rq:wip:email") == 0


def test_finishing_does_not_touch_what_another_worker_runs(redis_client: redis.Redis) -> None:
    [message] = _claimed(1)
    queues.finish([(message, False)], OTHER_WORKER)

    assert redis_client.zrange("rq:wip:email", 0, -1) == [f"1-1:{WORKER}".encode()]


def test_counters_add_up() -> None:
    queues.finish([], WORKER, {"a": 1, "b": 0.5})
    queues.finish([], WORKER, {"a": 2})

    assert counters.read() == {"a": 3, "b": 0.5}


def test_a_batch_counts_once_however_often_it_is_told() -> None:
    [message] = _claimed(1)
    for _ in range(3):
        queues.finish([(message, True)], WORKER, {"a": 1}, "batch")

    assert counters.read() == {"a": 1}


def test_another_batch_counts_for_itself() -> None:
    queues.finish([], WORKER, {"a": 1}, "one")
    queues.finish([], WORKER, {"a": 1}, "two")

    assert counters.read() == {"a": 2}


def test_counters_of_a_batch_of_several_queues_count_once() -> None:
    messages = [*_messages(1), *_messages(2, queue="reminders")]
    queues.finish([(message, True) for message in messages], WORKER, {"a": 1})

    assert counters.read() == {"a": 1}


def test_the_mark_of_a_batch_does_not_stay_for_ever(redis_client: redis.Redis) -> None:
    queues.finish([], WORKER, {"a": 1}, "batch")

    assert redis_client.ttl("rq:jobqueue:batch:batch-0") > 0


# Unknown ------------------------------------------------------------------------------------------


def _unknown(*ids: int, alive: tuple[str, ...] = (WORKER,)) -> list[str]:
    return [message.id for message in registries.unknown(_messages(*ids), alive)]


def test_a_queued_message_is_known() -> None:
    queues.publish(_messages(1))

    assert _unknown(1) == []


def test_a_message_that_was_never_published_is_unknown() -> None:
    assert _unknown(1) == ["1-1"]


def test_after_a_flush_every_message_is_unknown(redis_client: redis.Redis) -> None:
    queues.publish(_messages(1, 2))
    redis_client.flushall()

    assert _unknown(1, 2) == ["1-1", "2-1"]


def test_a_message_whose_list_was_deleted_is_unknown(redis_client: redis.Redis) -> None:
    queues.publish(_messages(1))
    redis_client.delete("rq:queue:email")

    assert _unknown(1) == ["1-1"]


def test_a_message_emptied_by_rqs_own_tools_is_unknown() -> None:
    queues.publish(_messages(1))
    django_rq.get_queue("email").empty()

    assert _unknown(1) == ["1-1"]


def test_a_message_that_a_living_worker_has_just_claimed_is_known() -> None:
    _claimed(1)

    assert _unknown(1) == []


def test_a_message_that_a_silent_worker_claimed_is_unknown() -> None:
    _claimed(1)

    assert _unknown(1, alive=(OTHER_WORKER,)) == ["1-1"]
    assert _unknown(1, alive=()) == ["1-1"]


def test_a_message_that_a_living_worker_claimed_long_ago_without_a_trace_in_its_row_is_unknown(
    redis_client: redis.Redis,
) -> None:
    # The claim's answer, or the database, was lost: the worker does not know of it.
    _claimed(1)
    redis_client.hset("rq:job:1-1", "claimed_at", int(redis_client.time()[0]) - 3600)

    assert _unknown(1) == ["1-1"]


def test_a_finished_message_whose_row_still_waits_is_unknown() -> None:
    [message] = _claimed(1)
    queues.finish([(message, True)], WORKER)

    assert _unknown(1) == ["1-1"]


def test_only_the_unknown_are_told_apart() -> None:
    queues.publish(_messages(1, 3))

    assert _unknown(1, 2, 3, 4) == ["2-1", "4-1"]


def test_a_claimed_message_found_unknown_can_be_published_and_claimed_again() -> None:
    _claimed(1)
    queues.publish(registries.unknown(_messages(1), []))

    assert _claim(worker=OTHER_WORKER) == ["1-1"]


# Workers that are gone ----------------------------------------------------------------------------


def test_what_a_lost_worker_left_in_rqs_registries_goes_and_nothing_else(redis_client: redis.Redis) -> None:
    queues.publish([*_messages(1, 2), *_messages(3, queue="reminders")])
    queues.claim(("email",), 1, OTHER_WORKER, "other")
    queues.claim(QUEUES, 10, WORKER, "worker")

    assert registries.forget_worker(WORKER) == 2
    assert redis_client.zrange("rq:wip:email", 0, -1) == [f"1-1:{OTHER_WORKER}".encode()]
    assert redis_client.zcard("rq:wip:reminders") == 0


def test_a_worker_that_left_nothing_can_be_forgotten() -> None:
    assert registries.forget_worker(WORKER) == 0


# Read ---------------------------------------------------------------------------------------------


def test_reading_changes_nothing(redis_client: redis.Redis) -> None:
    _claimed(1)
    queues.publish(_messages(2))
    queues.finish([], WORKER, {"a": 1})
    before = _state(redis_client)

    counters.read()
    server.ping()
    _unknown(1, 2, 3)

    assert _state(redis_client) == before


@pytest.mark.parametrize(
    "call",
    [
        lambda: queues.publish(_messages(1)),
        lambda: queues.publish(_messages(1), hurry=True),
        lambda: _claim(),
        lambda: Bell(QUEUES).wait(0.01, WakePipe().fileno()),
        lambda: queues.finish([], WORKER, {"a": 1}),
        lambda: _unknown(1),
        lambda: registries.forget_worker(WORKER),
        lambda: counters.read(),
        lambda: server.ping(),
    ],
)
def test_without_redis_every_call_says_so_in_one_way(redis_closed: object, call: Callable[[], Any]) -> None:
    with pytest.raises(BrokerUnavailable, match="ConnectionError"):
        call()
