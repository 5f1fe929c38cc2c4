"""Whatever somebody writes under a key in Redis, every queue goes on: it is set aside, nothing is lost."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable

import pytest
import redis
from prometheus_client import generate_latest

from jobqueue.broker import (
    bell,
    counters,
    foreign,
    keys,
    lead,
    limits,
    queues,
    registries,
    set_aside,
    strange_keys,
)
from jobqueue.broker.limits import QueueLimits
from jobqueue.broker.message import Message
from jobqueue.monitoring import health
from jobqueue.monitoring.metrics import JobQueueCollector
from jobqueue.worker.loops import WakePipe
from tests.jobqueue.broker.steps import OTHER_WORKER, WORKER, messages
from tests.jobqueue.steps import QUEUES, list_of

needs_databases = pytest.mark.django_db(databases=["default", "other"])

Write = Callable[[redis.Redis, str], object]

LONG = "x" * 1_000_000
DEEP = "[" * 100_000
NO_TEXT = b"\xff\xfe\x00"
HUGE = "9" * 400

# What somebody writes under a key, by its type.
CONTENTS: dict[str, Write] = {
    "text": lambda client, name: client.set(name, "text"),
    "no text": lambda client, name: client.set(name, NO_TEXT),
    "a huge number": lambda client, name: client.set(name, HUGE),
    "infinity": lambda client, name: client.set(name, "inf"),
    "a long text": lambda client, name: client.set(name, LONG),
    "deep JSON": lambda client, name: client.set(name, DEEP),
    "a list": lambda client, name: client.rpush(name, "text", NO_TEXT, "inf", HUGE, LONG, DEEP),
    "a set": lambda client, name: client.sadd(name, "text", NO_TEXT),
    "a sorted set": lambda client, name: client.zadd(
        name, {"text": 5, NO_TEXT: float("inf"), "7-1": -1e300, LONG: 0, f"5-1:{OTHER_WORKER}": 7}
    ),
    "a hash": lambda client, name: client.hset(
        name, mapping={"text": "x", NO_TEXT: NO_TEXT, DEEP: "5", '["a"]': "inf", LONG: "nan"}
    ),
    "a stream": lambda client, name: client.xadd(name, {"text": "x"}),
}
NAMES = sorted(
    {
        *keys.types_of_queue("email"),
        *keys.types_of_all(),
        "rq:job:1-1",
        "rq:job:2-1",
        "rq:jobqueue:bell:relay",
        "rq:workers",
        "rq:rl:some:rate_limited",
    }
)
LIMITS = {"email": QueueLimits(concurrency=100)}


def content_of(client: redis.Redis, name: str) -> object:
    """What stands under a key, whatever its type."""
    readers = {
        b"string": client.get,
        b"list": lambda key: client.lrange(key, 0, -1),
        b"set": client.smembers,
        b"zset": lambda key: client.zrange(key, 0, -1, withscores=True),
        b"hash": client.hgetall,
        b"stream": client.xrange,
    }
    return readers[client.type(name)](name)


def contents(name: str) -> dict[str, Write]:
    """All but what RQ itself may write there: a text suspends all workers."""
    if name != "rq:suspended":
        return CONTENTS
    return {content: write for content, write in CONTENTS.items() if content[2:] in TYPES}


TYPES = ("list", "set", "sorted set", "hash", "stream")


def one_round(number: int, queue: str = "email") -> list[str]:
    """All that is asked of Redis, for a job of this queue and one of another; the ids that were claimed."""
    ours = messages(number, queue=queue) + messages(number + 100, queue="reminders")
    queues.publish(ours)
    bell.ring_relay()
    lead.take("me", 3)
    taken = queues.claim(QUEUES, 10, WORKER, "worker", LIMITS)
    registries.unknown(ours, [WORKER])
    foreign.strays(QUEUES)
    foreign.to_look_after(10)
    registries.started(0, 0)
    limits.count_late_starts({"email": (1, 100)})
    limits.is_rate_used_up("email", 100)
    again = [message for message in taken.messages if message.job_id == number][:1]
    queues.put_back(again, WORKER)
    taken_again = queues.claim(QUEUES, 10, WORKER, "worker", LIMITS).messages if again else []
    held = [*(message for message in taken.messages if message not in again), *taken_again]
    counted = {counters.field(counters.JOBS, queue, "completed"): 1.0}
    queues.finish([(message, True) for message in held], WORKER, counted)
    registries.forget_worker(OTHER_WORKER)
    return sorted(message.id for message in held)


@pytest.mark.parametrize("name", NAMES)
def test_a_key_that_somebody_else_wrote_stops_no_queue(redis_client: redis.Redis, name: str) -> None:
    for content, write in contents(name).items():
        redis_client.flushdb()
        write(redis_client, name)

        assert "101-1" in one_round(1), content
        strange_keys.look_over()
        assert {"2-1", "102-1"} <= set(one_round(2)), content
        strange_keys.check()
        assert "names" in name or set_aside.counted(redis_client)["key"] <= 2, content


@needs_databases
@pytest.mark.parametrize("name", NAMES)
def test_reading_survives_a_key_that_somebody_else_wrote_and_leaves_it(
    redis_client: redis.Redis, name: str
) -> None:
    for content, write in CONTENTS.items():
        redis_client.flushdb()
        write(redis_client, name)
        before = content_of(redis_client, name)

        health.check_queues()
        counters.completed()
        limits.is_rate_used_up("email", 5)
        set_aside.listed(redis_client)
        generate_latest(JobQueueCollector())  # type: ignore[arg-type]
        assert content_of(redis_client, name) == before, content


def test_a_queue_with_a_rate_goes_on_though_its_starts_are_nonsense(redis_client: redis.Redis) -> None:
    for content, write in CONTENTS.items():
        redis_client.flushdb()
        write(redis_client, keys.starts("email"))
        queues.publish(messages(1))
        rate = {"email": QueueLimits(rate=100)}

        taken = queues.claim(QUEUES, 1, WORKER, "worker", rate)
        # As if a second had just been used up.
        assert taken.messages == [], content
        assert taken.pause is not None and taken.pause <= 1.1, content
        redis_client.ltrim(keys.starts("email"), 0, 50)
        assert len(queues.claim(QUEUES, 1, WORKER, "worker", rate).messages) == 1, content


def _wrong(kind: str) -> str:
    return "a set" if kind != "set" else "text"


@needs_databases
@pytest.mark.parametrize(("name", "kind"), keys.types_of_queue("email").items())
def test_a_queue_with_a_key_of_the_wrong_type_is_down_until_it_is_set_aside(
    redis_client: redis.Redis, name: str, kind: str
) -> None:
    CONTENTS[_wrong(kind)](redis_client, name)
    assert not health.check_queues().is_up
    assert health.is_ready()

    strange_keys.look_over()

    assert health.check_queues().is_up
    [known] = set_aside.listed(redis_client)
    assert (known.kind, known.name, known.queue) == ("key", name, "email")
    assert redis_client.exists(f"rq:jobqueue:set-aside:it:{name}")


@needs_databases
def test_the_health_has_the_same_form_while_a_queue_cannot_be_served(
    redis_client: redis.Redis,
) -> None:
    whole = health.check_queues().as_dict()
    redis_client.set("rq:queue:email", "no list")
    broken = health.check_queues().as_dict()

    assert broken["status"] == "DOWN"
    assert {**broken, "status": "", "timestamp": ""} == {**whole, "status": "", "timestamp": ""}


def test_a_key_that_was_set_aside_is_logged_once(
    redis_client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    redis_client.set("rq:queue:email", "no list")
    queues.publish(messages(1))
    with caplog.at_level(logging.ERROR):
        strange_keys.look_over()
        strange_keys.look_over()

    [record] = [record for record in caplog.records if record.name.startswith("jobqueue.broker")]
    assert "the key rq:queue:email in Redis was set aside" in record.message


def test_what_waited_in_a_list_that_was_written_over_is_unknown_so_that_it_is_published_again(
    redis_client: redis.Redis,
) -> None:
    queues.publish(messages(1, 2))
    redis_client.set("rq:queue:email", "no list")
    queues.publish(messages(3))

    assert registries.unknown(messages(1, 2, 3), [WORKER]) == messages(1, 2)
    assert list_of(redis_client) == ["3-1"]


def test_messages_of_one_queue_are_claimed_though_another_in_the_same_claim_is_broken(
    redis_client: redis.Redis,
) -> None:
    queues.publish([*messages(1), *messages(2, queue="reminders"), *messages(3, queue="settlement")])
    redis_client.set("rq:queue:reminders", "no list")
    redis_client.set("rq:wip:settlement", "no registry")

    taken = queues.claim(QUEUES, 10, WORKER, "worker")
    assert [message.id for message in taken.messages] == ["1-1", "3-1"]


# Odd contents of the right type --------------------------------------------------------------------


@pytest.mark.parametrize("odd", ["text", "", "inf", "nan", "1e999", NO_TEXT, HUGE, LONG])
def test_a_counter_that_is_no_number_is_set_aside_and_the_others_stay(
    redis_client: redis.Redis, odd: str | bytes
) -> None:
    field, other = counters.field(counters.JOBS, "email", "completed"), counters.field("other", "a", "b")
    redis_client.hset(keys.COUNTERS, mapping={field: odd, other: "7"})
    assert counters.completed()["email"] == 0
    assert all(0 <= amount < 10 for amount in counters.read().values())

    queues.finish([(messages(1)[0], True)], WORKER, {field: 2.0, other: 1.0})

    assert counters.read() == {field: 2.0, other: 8.0}
    [known] = set_aside.listed(redis_client)
    assert known.name.startswith("rq:jobqueue:counters")
    redis_client.hdel(keys.COUNTERS, field)
    assert set_aside.put_back(redis_client, "key", known.name) == ""
    kept = redis_client.hget(keys.COUNTERS, field)
    assert kept == (odd if isinstance(odd, bytes) else odd.encode()) or len(kept or "") > 300


def test_a_counter_is_not_put_back_over_one_that_counts(redis_client: redis.Redis) -> None:
    field = counters.field(counters.JOBS, "email", "completed")
    redis_client.hset(keys.COUNTERS, field, "text")
    queues.finish([(messages(1)[0], True)], WORKER, {field: 2.0})
    [known] = set_aside.listed(redis_client)

    assert "such a field again" in set_aside.put_back(redis_client, "key", known.name)
    assert counters.read() == {field: 2.0}


@pytest.mark.parametrize("odd", [DEEP, NO_TEXT, LONG, "[]", '["a", 5]', "text", '["job_processing_total"]'])
def test_metrics_are_read_though_a_counter_has_an_odd_name(
    redis_client: redis.Redis, odd: str | bytes
) -> None:
    redis_client.hset(keys.COUNTERS, odd, "5")

    assert b"jobqueue_up" in generate_latest(JobQueueCollector())  # type: ignore[arg-type]


def test_so_many_counters_as_nobody_counts_are_set_aside(redis_client: redis.Redis) -> None:
    many = {f"f{number}": 1 for number in range(strange_keys.MOST_COUNTERS + 1)}
    redis_client.hset(keys.COUNTERS, mapping=many)
    assert counters.read() == {}

    strange_keys.look_over()
    assert [known.name for known in set_aside.listed(redis_client)] == [keys.COUNTERS]


ODD_IDS = ["text", "5-x", "5-", "-5-1", "5--1", "05-1", "5-01", f"{10**30}-1", f"5-{10**30}", f"{2**63}-1"]


@pytest.mark.parametrize("odd", [*ODD_IDS, NO_TEXT, DEEP[:5000]])
def test_an_odd_id_among_good_ones_is_quarantined_alone(redis_client: redis.Redis, odd: str | bytes) -> None:
    queues.publish(messages(1))
    redis_client.rpush("rq:queue:email", odd)
    queues.publish(messages(2))

    taken = queues.claim(QUEUES, 10, WORKER, "worker")
    assert [message.id for message in taken.messages] == ["1-1", "2-1"]
    assert len(taken.quarantined) == 1
    assert redis_client.zcard("rq:failed:email") == 1


@pytest.mark.parametrize("odd", [LONG, LONG.encode() + NO_TEXT, DEEP])
def test_an_id_too_long_for_any_is_set_aside_whole_and_can_be_put_back(
    redis_client: redis.Redis, odd: str | bytes
) -> None:
    redis_client.rpush("rq:queue:email", odd)
    queues.publish(messages(2))

    assert [m.id for m in queues.claim(QUEUES, 10, WORKER, "worker").messages] == ["2-1"]
    [known] = set_aside.listed(redis_client)
    assert (known.kind, known.queue) == ("message", "email")
    assert len(known.name) < 300
    assert set_aside.put_back(redis_client, "message", known.name) == ""
    assert redis_client.lrange("rq:queue:email", 0, -1) == [odd.encode() if isinstance(odd, str) else odd]


@pytest.mark.parametrize("moment", ["text", "inf", "1e300", "-1e300", NO_TEXT])
def test_a_message_whose_time_of_the_claim_is_nonsense_is_not_taken_for_claimed_for_ever(
    redis_client: redis.Redis, moment: str | bytes
) -> None:
    queues.publish(messages(1))
    queues.claim(QUEUES, 1, WORKER, "worker")
    redis_client.hset("rq:job:1-1", "claimed_at", moment)  # type: ignore[arg-type]

    assert registries.started(20, 0) == [("email", f"1-1:{WORKER}")]
    assert registries.unknown(messages(1), [WORKER]) == messages(1)


def test_a_started_entry_that_is_no_text_can_be_forgotten(redis_client: redis.Redis) -> None:
    redis_client.zadd("rq:wip:email", {NO_TEXT: 1})

    assert registries.forget_started(registries.started(0, 0)) == 1
    assert not redis_client.exists("rq:wip:email")


def test_a_lead_without_an_end_is_taken_over(redis_client: redis.Redis) -> None:
    redis_client.set("rq:jobqueue:lead", "somebody")

    assert lead.take("me", 3)
    assert [known.name for known in set_aside.listed(redis_client)] == ["rq:jobqueue:lead"]


def test_a_mark_of_the_sweep_without_an_end_does_not_end_all_sweeps(redis_client: redis.Redis) -> None:
    redis_client.set("rq:jobqueue:swept:email", "1")
    redis_client.zadd("rq:wip:email", {f"1-1:{WORKER}": 1})

    assert registries.started(0, 5) == [("email", f"1-1:{WORKER}")]
    assert registries.started(0, 5) == []


@pytest.mark.parametrize("write", ["a list", "a hash"])
def test_what_is_no_suspension_of_rqs_suspends_nobody(redis_client: redis.Redis, write: str) -> None:
    CONTENTS[write](redis_client, "rq:suspended")
    queues.publish(messages(1))

    assert len(queues.claim(QUEUES, 1, WORKER, "worker").messages) == 1


@pytest.mark.parametrize("number", ["text", HUGE, "-5", "1.5", NO_TEXT])
def test_a_number_of_a_list_that_is_none_does_not_hide_lost_messages(
    redis_client: redis.Redis, number: str | bytes
) -> None:
    redis_client.set("rq:jobqueue:list:email", number)
    queues.publish(messages(1))
    redis_client.delete("rq:queue:email")
    queues.publish(messages(2))

    assert registries.unknown(messages(1, 2), [WORKER]) == messages(1)


@pytest.mark.parametrize("name", ["email", "relay"])
def test_whoever_waits_for_a_bell_that_is_none_goes_on(redis_client: redis.Redis, name: str) -> None:
    redis_client.set(keys.bell(name), "no bell")
    listening, wake = bell.Bell([name], queue="email"), WakePipe()
    try:
        assert not listening.wait(5, wake.fileno())
        redis_client.rpush(keys.bell(name), "1")
        assert listening.wait(5, wake.fileno())
    finally:
        listening.leave()


def test_a_message_of_another_type_is_set_aside_when_its_job_is_settled(redis_client: redis.Redis) -> None:
    message = Message("email", 1, 1)
    redis_client.rpush("rq:job:1-1", "somebody wrote this")
    queues.finish([(message, False)], WORKER, batch_id=uuid.uuid4().hex)

    assert [known.name for known in set_aside.listed(redis_client)] == ["rq:job:1-1"]
