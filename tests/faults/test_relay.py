"""The relay, which brings every delayed job on the road, killed again and again."""

from __future__ import annotations

import time
from collections import Counter
from datetime import timedelta

from django.utils import timezone

from tests.conftest import StartWorker
from tests.faults.steps import last_for, percentile_99
from tests.workload.fixtures import Workload, note, wait_until_done

REMINDERS = 200
SECONDS = 60
KILLED_EVERY = 5


def test_reminders_are_on_time_and_single_while_their_relay_is_killed_every_5_seconds(
    rqworker: StartWorker, workload: Workload
) -> None:
    # Runs the reminders and relays none, so that every kill hits the relay and nothing else.
    rqworker(queues=("reminders",), WORKLOAD_HANG_AT="jobqueue.relay.Relay.look:before")
    relay = rqworker("--processes", "1", queues=("settlement",))
    begin, first = time.monotonic(), timezone.now() + timedelta(seconds=1)
    every = timedelta(seconds=SECONDS) / REMINDERS
    reminders = [
        note(f"reminder-{number}", "reminders", run_at=first + number * every) for number in range(REMINDERS)
    ]

    for kill in range(1, SECONDS // KILLED_EVERY + 1):
        last_for(begin + kill * KILLED_EVERY - time.monotonic())
        relay.kill()
        relay = rqworker("--processes", "1", queues=("settlement",), wait=False)
    wait_until_done(30)

    assert workload.effects() == Counter(reminder.payload["name"] for reminder in reminders)
    late = [
        workload.start_times(reminder.payload["name"])[0] - reminder.run_at.timestamp()
        for reminder in reminders
    ]
    assert min(late) >= 0
    assert percentile_99(late) <= 10
