"""Processors whose every run leaves a mark in Redis, where the test awaits and counts it."""

from __future__ import annotations

import ctypes
import os
import signal
import threading
import time
from contextlib import suppress
from datetime import timedelta
from functools import lru_cache

import redis
from django.conf import settings
from django.contrib.auth.models import Group
from django.db import connection, transaction

from jobqueue.jobs import RetryLater, RetryPolicy, processor, report_progress

QUEUES = ("email", "reminders", "settlement")
EFFECTS = "workload:effects"
EFFECT_BELL = "workload:effect-bell"
# What a production policy does, without its waits.
_ONE_RETRY = RetryPolicy(max_retries=1, first_delay=timedelta(milliseconds=50))
_THREE_RETRIES = RetryPolicy(max_retries=3, first_delay=timedelta(milliseconds=20))


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
    found: redis.Redis = redis.Redis.from_url(settings.WORKLOAD_REDIS_URL, socket_timeout=None)
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


@processor("workload.report", queue="settlement")
def report(name: str, done: int, total: int) -> None:
    """Says how far it is, then waits for its gate."""
    report_progress(done, total, text="rows")
    wait(name=name)


_kept: list[bytearray] = []


@processor("workload.grow", queue="settlement")
def grow(name: str, megabytes: int) -> None:
    """Makes its process larger for good."""
    _note_start(name)
    grown = bytearray(megabytes << 20)
    # Memory is in use once it was written to.
    grown[::4096] = b"x" * len(grown[::4096])
    _kept.append(grown)
    _have_effect(name)


@processor("workload.fail", queue="settlement")
def fail(name: str) -> None:
    """Fails in every run."""
    _note_start(name)
    raise ValueError(f"no luck for {name}")


@processor("workload.fail_fast", queue="settlement", retry=_THREE_RETRIES)
def fail_fast(name: str) -> None:
    """Fails in every run, with short waits."""
    _note_start(name)
    raise ValueError(f"no luck for {name}")


class Unspeakable(Exception):
    """An error that cannot even be printed."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


@processor("workload.fail_unspeakably", queue="settlement", retry=_ONE_RETRY)
def fail_unspeakably(name: str) -> None:
    """Fails in every run, with an error that fails too."""
    _note_start(name)
    raise Unspeakable


@processor("workload.later", queue="settlement")
def later(name: str, seconds: float) -> None:
    """Asks for another time in its first run, has its effect in its second."""
    _note_start(name)
    if client().llen(started_key(name)) == 1:
        raise RetryLater(seconds, "not yet")
    _have_effect(name)


@processor("workload.end_process", queue="settlement", retry=_ONE_RETRY)
def end_process(name: str) -> None:
    """Takes its whole process down in every run."""
    _note_start(name)
    os._exit(9)


@processor("workload.block", queue="settlement", retry=_ONE_RETRY, timeout=0.5)
def block(name: str) -> None:
    """Waits for ever in one call into C, which no exception interrupts."""
    _note_start(name)
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()


@processor("workload.hold", queue="settlement", retry=_ONE_RETRY, timeout=0.5)
def hold(name: str, seconds: float) -> None:
    """Waits in one call into C that keeps the interpreter's lock, so that no thread of its process runs."""
    _note_start(name)
    ctypes.PyDLL(None).usleep(int(seconds * 1_000_000))
    _have_effect(name)


@processor("workload.hold_for_long", queue="settlement", timeout=600)
def hold_for_long(name: str, seconds: float) -> None:
    """The same, and may do so for ten minutes."""
    hold(name=name, seconds=seconds)


@processor("workload.loop", queue="settlement", retry=_ONE_RETRY, timeout=0.5)
def loop(name: str) -> None:
    """Never ends by itself, but takes exceptions."""
    _note_start(name)
    while True:
        time.sleep(0.01)


@processor("workload.ignore_everything", queue="settlement", retry=_ONE_RETRY, timeout=0.5)
def ignore_everything(name: str) -> None:
    """Makes its process deaf to SIGTERM, and never ends, whatever is raised in it."""
    # Not by the module `signal`, which lets only the main thread do that.
    ctypes.CDLL(None).signal(int(signal.SIGTERM), signal.SIG_IGN)
    _note_start(name)
    while True:
        with suppress(BaseException):
            time.sleep(0.01)


@processor("workload.ignore_everything_for_long", queue="settlement", timeout=600)
def ignore_everything_for_long(name: str) -> None:
    """Does so for as long as ten minutes."""
    ignore_everything(name=name)


@processor("workload.allocate", queue="settlement", retry=_ONE_RETRY)
def allocate(name: str, pieces: int) -> None:
    """Takes two gigabytes of memory, in so many pieces."""
    _note_start(name)
    taken = [bytearray(2 * 1024**3 // pieces) for _ in range(pieces)]
    _have_effect(f"{name} got {len(taken)} pieces")


@processor("workload.write", queue="settlement")
def write(name: str) -> None:
    """Writes a row in a transaction that is open while it waits for its gate."""
    with transaction.atomic():
        Group.objects.create(name=name)
        _note_start(name)
        while client().blpop([gate_key(name)], timeout=1) is None:
            pass


@processor("workload.write_then", queue="settlement")
def write_then(name: str) -> None:
    """Starts, waits for its gate, and only then writes its row, guarded by its name, and has its effect."""
    _note_start(name)
    while client().blpop([gate_key(name)], timeout=1) is None:
        pass
    Group.objects.create(name=name)
    _have_effect(name)


@processor("workload.write_elsewhere", queue="settlement", retry=_ONE_RETRY)
def write_elsewhere(name: str) -> None:
    """Writes its row, guarded by its name, in the project's other database, and has its effect."""
    _note_start(name)
    Group.objects.using("other").create(name=name)
    _have_effect(name)


@processor("workload.rename", queue="settlement")
def rename(name: str) -> None:
    """Reads a row, waits for its gate, and then changes it, in a transaction that sees nothing else."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        group = Group.objects.get(name__startswith=name)
        _note_start(name)
        while client().blpop([gate_key(name)], timeout=1) is None:
            pass
        group.name += " renamed"
        group.save()
    _have_effect(name)


@processor("workload.block_for_long", queue="settlement", timeout=600)
def block_for_long(name: str) -> None:
    """Waits for ever in one call into C, and may do so for ten minutes."""
    block(name=name)


@processor("workload.leave_mess", queue="settlement")
def leave_mess(name: str, how: str) -> None:
    """Leaves its thread's database connection in a state that no job should leave it in."""
    _note_start(name)
    if how == "open transaction":
        transaction.atomic().__enter__()
        Group.objects.create(name=name)
    elif how == "no autocommit":
        transaction.set_autocommit(False)
        Group.objects.create(name=name)
    else:
        Group.objects.exists()
        connection.close()
