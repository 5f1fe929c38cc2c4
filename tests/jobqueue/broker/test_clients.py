"""One client for one database of Redis, whoever asks and however a queue names it."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
import redis
from django.conf import LazySettings

from jobqueue.broker import connections, counters, queues, registries
from jobqueue.broker.connections import client_for, clients
from tests.jobqueue.broker.steps import WORKER, messages
from tests.jobqueue.steps import QUEUES


@pytest.fixture
def two_names(settings: LazySettings) -> None:
    """Queues whose settings name one database of Redis in two ways."""
    config = dict(settings.RQ_QUEUES["email"])
    place = {name: value for name, value in config.items() if name in ("HOST", "PORT", "DB")}
    url = {"URL": "redis://{HOST}:{PORT}/{DB}".format(**place)}
    settings.RQ_QUEUES = {"email": config, "reminders": url, "settlement": config | {"SSL_CERT_REQS": "none"}}


def test_threads_that_ask_for_the_first_time_at_once_get_one_client(
    settings: LazySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.RQ_QUEUES = dict(settings.RQ_QUEUES)  # the clients are made anew
    both_make_one = threading.Barrier(2)
    make = connections.client_of_our_own

    def make_together(client: redis.Redis) -> redis.Redis:
        with suppress(threading.BrokenBarrierError):
            both_make_one.wait(0.3)
        return make(client)

    monkeypatch.setattr(connections, "client_of_our_own", make_together)
    with ThreadPoolExecutor(2) as threads:
        first, second = threads.map(client_for, QUEUES[:2])

    assert first is second


def test_queues_that_name_one_database_in_two_ways_share_a_client(two_names: None) -> None:
    assert len({client_for(queue) for queue in QUEUES}) == 1
    assert len(clients("probe")) == 1


def test_another_database_of_the_same_redis_has_a_client_of_its_own(settings: LazySettings) -> None:
    config = settings.RQ_QUEUES["email"]
    settings.RQ_QUEUES = {"email": config, "reminders": config | {"DB": 7}}

    assert client_for("email") is not client_for("reminders")


def test_what_ended_is_counted_once_where_queues_name_one_database_in_two_ways(two_names: None) -> None:
    name = counters.field(counters.JOBS, "email", "completed")
    queues.finish([], WORKER, {name: 1.0})

    assert counters.read()[name] == 1
    assert counters.completed()["email"] == 1


def test_each_queues_started_registry_is_swept_though_others_were_just_now(
    settings: LazySettings, redis_client: redis.Redis
) -> None:
    every = settings.RQ_QUEUES
    for queue in QUEUES:
        queues.publish(messages(1, queue=queue))
    queues.claim(QUEUES, len(QUEUES), WORKER, "worker")
    settings.RQ_QUEUES = {"email": every["email"]}
    assert [queue for queue, _ in registries.started(0, 60)] == ["email"]
    settings.RQ_QUEUES = every

    assert [queue for queue, _ in registries.started(0, 60)] == ["reminders", "settlement"]
