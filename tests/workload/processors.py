"""Processors whose every run leaves a mark in Redis, where the test awaits and counts it."""

from __future__ import annotations

import os
import threading
import time
from datetime import timedelta
from functools import lru_cache

import redis
from django.conf import settings
from django.contrib.auth.models import Group
from django.db import transaction

from jobqueue.jobs import RetryLater, RetryPolicy, processor

QUEUES = ("email", "reminders", "settlement")
EFFECTS = "workload:effects"
EFFECT_BELL = "workload:effect-bell"
_AT_ONCE = RetryPolicy(max_retries=1, first_delay=timedelta(milliseconds=50))


def started_key(name: str) -> str:
    """The list that gets one entry, the time, for each start of the job `name`."""
    return f"workload:started:{name}"


def start_bell(name: str) -> str:
    """The list that a test awaits the start of the job `name` on."""
    return f"workload:start-bell:{name}"


def gate_key(name: str) -> str:
    """The list whose entries let the job `name` go on, one run each."""
    return f"workload:gate:{name}"


@lru_cache(maxsize=1)
def client() -> redis.Redis:
    """The Redis that the effects are noted in."""
    found: redis.Redis = redis.Redis.from_url(settings.WORKLOAD_REDIS_URL)
    return found


def _note_start(name: str) -> None:
    with client().pipeline() as pipeline:
        pipeline.rpush(started_key(name), repr(time.time()))
        pipeline.rpush(start_bell(name), "1")
        pipeline.execute()


def _have_effect(name: str) -> None:
    with client().pipeline() as pipeline:
        pipeline.rpush(EFFECTS, name)
        pipeline.rpush(EFFECT_BELL, "1")
        pipeline.execute()


def _note(name: str) -> None:
    _note_start(name)
    _have_effect(name)


NOTE = {queue: processor(f"workload.note.{queue}", queue=queue)(_note) for queue in QUEUES}
"""Has its effect at once; one for each queue."""


@processor("workload.wait", queue="settlement")
def wait(name: str) -> None:
    """Starts, waits for its gate, and only then has its effect."""
    _note_start(name)
    while client().blpop([gate_key(name)], timeout=1) is None:
        pass
    _have_effect(name)


@processor("workload.fail", queue="settlement")
def fail(name: str) -> None:
    """Fails in every run."""
    _note_start(name)
    raise ValueError(f"no luck for {name}")


@processor("workload.later", queue="settlement")
def later(name: str, seconds: float) -> None:
    """Asks for another time in its first run, has its effect in its second."""
    _note_start(name)
    if client().llen(started_key(name)) == 1:
        raise RetryLater(seconds, "not yet")
    _have_effect(name)


@processor("workload.end_process", queue="settlement", retry=_AT_ONCE)
def end_process(name: str) -> None:
    """Takes its whole process down in every run."""
    _note_start(name)
    os._exit(9)


@processor("workload.block", queue="settlement", retry=_AT_ONCE, timeout=0.5)
def block(name: str) -> None:
    """Waits for ever in one call into C, which no exception interrupts."""
    _note_start(name)
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()


@processor("workload.loop", queue="settlement", retry=_AT_ONCE, timeout=0.5)
def loop(name: str) -> None:
    """Never ends by itself, but takes exceptions."""
    _note_start(name)
    while True:
        time.sleep(0.01)


@processor("workload.write", queue="settlement")
def write(name: str) -> None:
    """Writes a row in a transaction that is open while it waits for its gate."""
    with transaction.atomic():
        Group.objects.create(name=name)
        _note_start(name)
        while client().blpop([gate_key(name)], timeout=1) is None:
            pass
