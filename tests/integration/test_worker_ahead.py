"""Short jobs are claimed ahead; when long ones take the threads, they go back to whoever is idle."""

from __future__ import annotations

from collections import Counter

import redis

from jobqueue.jobs import enqueue
from jobqueue.models import Job
from tests.conftest import StartWorker, wait_until
from tests.workload.fixtures import Workload, note, note_jobs, wait_until_done


def test_jobs_held_ahead_go_back_when_long_jobs_keep_the_threads(
    rqworker: StartWorker, workload: Workload, redis_client: redis.Redis
) -> None:
    rqworker("--processes", "1", "--threads", "2")
    names = note_jobs(300, prefix="short")
    wait_until_done()
    for name in ("one", "two"):
        enqueue("workload.wait", name=name)
        workload.wait_for_start(name)
    for number in range(20):
        names.append(f"behind-{number}")
        note(names[-1])

    wait_until(lambda: Job.objects.active().count() == 2 and redis_client.llen("rq:queue:email") == 20)
    rqworker("--processes", "1")
    workload.wait_for_effects(len(names))
    wait_until(lambda: not Job.objects.active().filter(payload__name__startswith="behind").exists())
    assert set(Job.objects.active().values_list("payload__name", flat=True)) == {"one", "two"}
    for name in ("one", "two"):
        workload.open_gate(name)
    wait_until_done()

    assert workload.effects() == Counter([*names, "one", "two"])
    assert set(Job.objects.values_list("attempt", "failures")) == {(1, 0)}
