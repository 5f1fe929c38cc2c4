"""A relay that sleeps for longer than anybody waits for it, and then goes on where it was."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import psutil
import pytest
import redis
from django.utils import timezone

from jobqueue.models import Job
from tests.conftest import StartWorker, wait_until
from tests.faults.steps import QUEUES, last_for
from tests.workload.fixtures import Workload, note, wait_until_done

pytestmark = pytest.mark.soak

ASLEEP = 70


@pytest.mark.parametrize(
    "step", ["jobqueue.broker.queues.publish:before", "jobqueue.broker.queues.publish:after"]
)
def test_a_relay_that_wakes_after_70_seconds_doubles_nothing(
    step: str, rqworker: StartWorker, workload: Workload, redis_client: redis.Redis
) -> None:
    # It relays and runs nothing: what is asleep in the middle of a job is another matter.
    rqworker("--processes", "1", queues=("email",), WORKLOAD_HANG_AT=step)
    due_at = timezone.now() + timedelta(seconds=2)
    jobs = [note(f"due-{number}", QUEUES[1 + number % 2], run_at=due_at) for number in range(50)]
    relay = psutil.Process(workload.wait_for_hang())

    relay.suspend()
    rqworker(queues=("reminders", "settlement"))
    workload.end_hang()  # it goes on as soon as it is awake
    last_for(ASLEEP)
    relay.resume()
    workload.wait_for_hang_passed()
    wait_until(lambda: not any(redis_client.llen(f"rq:queue:{queue}") for queue in QUEUES))
    wait_until_done()

    assert workload.effects() == Counter(job.payload["name"] for job in jobs)
    assert set(Job.objects.values_list("state", "attempt")) == {("completed", 1)}
