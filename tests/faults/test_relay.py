"""The relay, which brings every delayed job on the road, killed again and again."""

from __future__ import annotations

import time
from collections import Counter
from datetime import timedelta

import redis
from django.utils import timezone

from jobqueue.models import Worker
from tests.conftest import StartWorker, WorkerProcess
from tests.faults.steps import last_for, percentile_99, pids_of
from tests.workload.fixtures import Workload, note, wait_until_done

REMINDERS = 200
SECONDS = 60
KILLED_EVERY = 5


def leader_among(relays: list[WorkerProcess], client: redis.Redis) -> WorkerProcess:
    """The worker whose relay leads; the first one while none does."""
    leader = (client.get("rq:jobqueue:lead") or b"").decode()
    pid = next((worker.pid for worker in Worker.objects.all() if worker.pk.hex == leader), None)
    return next((relay for relay in relays if pid in pids_of(relay)), relays[0])


def test_reminders_are_on_time_and_single_while_the_leading_relay_is_killed_every_5_seconds(
    rqworker: StartWorker, workload: Workload, redis_client: redis.Redis
) -> None:
    # Runs the reminders and relays none, so that every kill hits the relay and nothing else.
    rqworker(queues=("reminders",), WORKLOAD_HANG_AT="jobqueue.worker.relay.Relay.look:before")
    # Three, because a new worker may take longer than five seconds to start where much else runs.
    relays = [rqworker("--processes", "1", queues=("settlement",)) for _ in range(3)]
    begin, first = time.monotonic(), timezone.now() + timedelta(seconds=1)
    every = timedelta(seconds=SECONDS) / REMINDERS
    reminders = [
        note(f"reminder-{number}", "reminders", run_at=first + number * every) for number in range(REMINDERS)
    ]

    for kill in range(1, SECONDS // KILLED_EVERY + 1):
        last_for(begin + kill * KILLED_EVERY - time.monotonic())
        doomed = leader_among(relays, redis_client)
        relays.remove(doomed)
        doomed.kill()
        relays.append(rqworker("--processes", "1", queues=("settlement",), wait=False))
    wait_until_done(30)

    assert workload.effects() == Counter(reminder.payload["name"] for reminder in reminders)
    late = [
        workload.start_times(reminder.payload["name"])[0] - reminder.run_at.timestamp()
        for reminder in reminders
    ]
    print(f"the latest, in seconds: {sorted(late)[-10:]}")
    assert min(late) >= 0
    assert percentile_99(late) <= 10
