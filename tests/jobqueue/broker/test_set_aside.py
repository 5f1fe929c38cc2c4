"""What is set aside in Redis is listed, counted, put back, and never deleted."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta

import django_rq
import pytest
import redis

from jobqueue.broker import queues, set_aside
from jobqueue.plain_rq import adoption
from tests.jobqueue.broker.steps import WORKER, claim, messages
from tests.jobqueue.steps import QUEUES, list_of


def _quarantine(redis_client: redis.Redis) -> str:
    """A message of plain RQ that was refused; its id."""
    message_id = str(django_rq.get_queue("email").enqueue(os.getcwd).id)
    for queue, foreign in queues.claim(QUEUES, 10, WORKER, "worker").quarantined:
        adoption.refuse(queue, foreign, "it is a test")
    return message_id


def _set_a_list_aside(redis_client: redis.Redis) -> set_aside.SetAside:
    redis_client.set("rq:queue:email", "no list")
    claim()
    [known] = set_aside.listed(redis_client)
    return known


def test_a_refused_message_is_listed_with_its_queue_and_reason(redis_client: redis.Redis) -> None:
    message_id = _quarantine(redis_client)

    [known] = set_aside.listed(redis_client)
    assert (known.kind, known.name, known.queue) == ("message", f"email {message_id}", "email")
    assert known.reason == "it is a test"
    assert abs(known.since - datetime.now(UTC)) < timedelta(seconds=5)


def test_a_key_of_the_wrong_type_is_listed_with_what_it_was(redis_client: redis.Redis) -> None:
    known = _set_a_list_aside(redis_client)

    assert (known.kind, known.name, known.queue) == ("key", "rq:queue:email", "email")
    assert known.content == "a string of 7 bytes"
    assert "the job queue did not write it" in known.reason


def test_what_is_set_aside_is_counted_by_kind(redis_client: redis.Redis) -> None:
    _quarantine(redis_client)
    _set_a_list_aside_beside(redis_client)

    assert set_aside.counted(redis_client) == {"message": 1, "key": 1}


def _set_a_list_aside_beside(redis_client: redis.Redis) -> None:
    redis_client.set("rq:queue:reminders", "no list")
    claim()


def test_a_message_that_is_put_back_is_judged_anew(redis_client: redis.Redis) -> None:
    message_id = _quarantine(redis_client)

    assert set_aside.put_back(redis_client, "message", f"email {message_id}") == ""
    assert list_of(redis_client) == [message_id]
    assert set_aside.listed(redis_client) == []
    assert queues.claim(QUEUES, 10, WORKER, "worker").quarantined == [("email", message_id)]


def test_a_key_is_put_back_with_what_it_was(redis_client: redis.Redis) -> None:
    known = _set_a_list_aside(redis_client)

    assert set_aside.put_back(redis_client, "key", known.name) == ""
    assert redis_client.get("rq:queue:email") == b"no list"
    assert set_aside.listed(redis_client) == []


def test_a_key_is_not_put_back_over_one_of_its_name(redis_client: redis.Redis) -> None:
    known = _set_a_list_aside(redis_client)
    queues.publish(messages(1))

    assert "There is a key of this name again" in set_aside.put_back(redis_client, "key", known.name)
    assert list_of(redis_client) == ["1-1"]
    assert set_aside.listed(redis_client) == [known]


def test_the_same_key_is_set_aside_again_beside_the_first(redis_client: redis.Redis) -> None:
    _set_a_list_aside(redis_client)
    redis_client.set("rq:queue:email", "again")
    claim()

    assert {known.name for known in set_aside.listed(redis_client)} == {"rq:queue:email", "rq:queue:email~2"}
    set_aside.put_back(redis_client, "key", "rq:queue:email~2")
    assert redis_client.get("rq:queue:email") == b"again"


@pytest.mark.parametrize(("kind", "name"), [("message", "none"), ("key", "none"), ("row", "7")])
def test_what_is_not_set_aside_is_not_put_back_and_says_so(
    redis_client: redis.Redis, kind: str, name: str
) -> None:
    assert set_aside.put_back(redis_client, kind, name)


def test_a_message_that_rqs_tools_took_is_forgotten_and_the_others_stay(redis_client: redis.Redis) -> None:
    gone, kept = _quarantine(redis_client), _quarantine(redis_client)
    redis_client.zrem("rq:failed:email", gone)

    assert set_aside.forget_gone() == 1
    assert [known.name for known in set_aside.listed(redis_client)] == [f"email {kept}"]
    assert set_aside.counted(redis_client)["message"] == 1


def test_a_name_shows_nothing_of_what_somebody_wrote(redis_client: redis.Redis) -> None:
    redis_client.rpush("rq:queue:email", b"bob@example.com \xff")
    for queue, foreign in queues.claim(QUEUES, 10, WORKER, "worker").quarantined:
        adoption.refuse(queue, foreign, "it is a test")

    [known] = set_aside.listed(redis_client)
    assert "example" not in repr(known)
    assert known.name.isascii()
    assert set_aside.put_back(redis_client, "message", known.name) == ""
    assert redis_client.lrange("rq:queue:email", 0, -1) == [b"bob@example.com \xff"]


STORE = ["rq:jobqueue:set-aside:names:key", "rq:jobqueue:set-aside:notes", "rq:jobqueue:set-aside:news"]


@pytest.mark.parametrize("name", STORE)
def test_a_store_that_somebody_wrote_to_moves_out_of_its_own_way(
    redis_client: redis.Redis, name: str
) -> None:
    redis_client.set(name, "nonsense") if "notes" not in name else redis_client.rpush(name, "nonsense")

    assert set_aside.listed(redis_client) == []
    assert set_aside.counted(redis_client) == {"message": 0, "key": 0}
    redis_client.set("rq:queue:email", "no list")
    claim()
    assert len(redis_client.keys(f"rq:jobqueue:set-aside:it:{name}~*")) == 1
    names = {known.name.partition("~")[0] for known in set_aside.listed(redis_client)}
    assert names == {name, "rq:queue:email"}


def test_a_note_that_is_nonsense_does_not_hide_the_others(redis_client: redis.Redis) -> None:
    _set_a_list_aside(redis_client)
    for number, note in enumerate((b"\xff", b"[" * 100_000, b"[]", b'{"since": "x", "queue": 7}', b"{}")):
        redis_client.zadd("rq:jobqueue:set-aside:names:key", {f"odd-{number}": number})
        redis_client.hset("rq:jobqueue:set-aside:notes", f"key odd-{number}", note)

    assert len(set_aside.listed(redis_client)) == 6
