"""What plain RQ asks for, read: what is a plain call of a function, and what stays in quarantine."""

from __future__ import annotations

import json
import pickle
import zlib
from collections.abc import Callable

import django_rq
import pytest
import redis
import rq
from rq.job import Callback

from jobqueue.models import Job
from jobqueue.plain_rq import adoption
from tests.jobqueue.plain_rq.steps import (
    NOTED,
    adopt,
    explanation,
    put,
    put_raw,
    quarantined,
)
from tests.workload.functions import NOTE, Account, after, note

pytestmark = pytest.mark.django_db(transaction=True)


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


def test_data_that_is_not_compressed_is_adopted(redis_client: redis.Redis) -> None:
    put_raw(redis_client, json.dumps([NOTE, None, ["a"], {}]))

    assert adopt().payload["args"] == ["a"]


def test_a_function_enqueued_by_its_name_is_adopted() -> None:
    put(NOTE, "a")

    assert adopt().payload["function"] == NOTE


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


def _retried(_: redis.Redis) -> str:
    return str(put(note, "a", retry=rq.Retry(max=3)).id)


def _with_a_dependency(client: redis.Redis) -> str:
    return put_raw(client, json.dumps([NOTE, None, ["a"], {}]), dependency_ids='["other"]')


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
    "retry": (_retried, "asks for a Retry"),
    "dependency that has ended": (_with_a_dependency, "asks for another job to end first"),
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
