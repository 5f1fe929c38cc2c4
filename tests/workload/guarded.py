"""Processors that may run again: their effect is guarded, as settlements guard theirs; each run is noted."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.contrib.auth.models import Group
from django.db import transaction

from jobqueue.jobs import Discard, RetryLater, RetryPolicy, current_job, enqueue, processor
from tests.workload.processors import EFFECT_BELL, EFFECTS, QUEUES, client

RUNS = "workload:runs"
_DONE = "workload:done"
_ONCE = "workload:once"
# As the default, without its waits. More retries than a test has faults.
_RETRY = RetryPolicy(max_retries=5, first_delay=timedelta(milliseconds=50))

_EFFECT_ONCE = """
if redis.call('SADD', KEYS[1], ARGV[2]) == 1 then
  redis.call('RPUSH', KEYS[2], ARGV[1])
  redis.call('RPUSH', KEYS[3], '1')
end
"""


@dataclass(frozen=True, slots=True)
class Run:
    """One start of a job."""

    name: str
    job_id: int
    attempt: int
    started: float


def runs() -> list[Run]:
    """All starts of guarded jobs, in their order."""
    return [Run(*json.loads(entry)) for entry in client().lrange(RUNS, 0, -1)]


def _begin(name: str) -> None:
    job = current_job()
    assert job is not None
    client().rpush(RUNS, json.dumps([name, job.pk, job.attempt, time.time()]))


def _is_first(what: str, name: str) -> bool:
    return bool(client().sadd(f"{_ONCE}:{what}", name))


def _have_effect_once(name: str) -> None:
    # Once for each job: two jobs of one name would have two effects.
    job = current_job()
    assert job is not None
    client().eval(_EFFECT_ONCE, 3, _DONE, EFFECTS, EFFECT_BELL, name, job.pk)


def _guarded(name: str, how: str = "", pause: float = 0.0) -> None:
    """Has its effect, in its first run or, with `how`, only after it failed or asked for another time."""
    _begin(name)
    if pause:
        threading.Event().wait(pause)
    if how == "fail once" and _is_first(how, name):
        raise ValueError(f"no luck for {name} yet")
    if how == "later" and _is_first(how, name):
        raise RetryLater(0.3, "not yet")
    if how == "discard":
        raise Discard(f"{name} is not possible")
    _have_effect_once(name)


GUARDED = {
    queue: processor(f"workload.guarded.{queue}", queue=queue, retry=_RETRY)(_guarded) for queue in QUEUES
}
"""One for each queue."""


@processor("workload.chain", queue="settlement", retry=_RETRY)
def chain(name: str) -> None:
    """Enqueues a job, once, in the transaction of a row that says so; its effect is that job's."""
    _begin(name)
    with transaction.atomic():
        _, is_new = Group.objects.get_or_create(name=name)
        if is_new:
            enqueue(GUARDED["email"].name, name=f"{name}-next")


def requests(names: list[str], **payload: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """What `enqueue_many` takes for guarded jobs of these names, in turn on the three queues."""
    for number, name in enumerate(names):
        yield GUARDED[QUEUES[number % len(QUEUES)]].name, {"name": name, **payload}
