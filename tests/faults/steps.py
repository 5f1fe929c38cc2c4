"""Steps that the fault tests and their long versions in tests/soak share."""

from __future__ import annotations

import math
import random
import threading
import time
from collections.abc import Sequence

import psutil
import redis

from jobqueue.jobs import enqueue
from jobqueue.models import Job
from tests.conftest import StartWorker, WorkerProcess
from tests.workload.fixtures import Workload, note_jobs, wait_until_done

QUEUES = ("email", "reminders", "settlement")

# The heartbeat's clock for tests that do not measure it.
QUICK = {"HEARTBEAT_INTERVAL": 0.5, "WORKER_SILENCE": 2}

# The size of a worker that shall run one job and no other.
ONE_JOB = ("--processes", "1", "--threads", "1")


def last_for(seconds: float) -> None:
    """Let a fault last, or keep the pace of a load: the only waits that nothing but the clock ends."""
    threading.Event().wait(max(0.0, seconds))


def pids_of(worker: WorkerProcess) -> set[int]:
    """The process ids of a worker's executors."""
    return {process.pid for process in worker.children()}


def executor_of(job: Job, worker: WorkerProcess) -> psutil.Process:
    """The process that runs the job."""
    job.refresh_from_db()
    assert job.worker is not None
    pid = job.worker.pid
    return next(process for process in worker.children() if process.pid == pid)


def started_entries(client: redis.Redis) -> int:
    """How many jobs Redis has as taken from the queues by a worker."""
    return sum(client.zcard(f"rq:wip:{queue}") for queue in QUEUES)


def percentile_99(values: Sequence[float]) -> float:
    """The smallest of the values that is not exceeded by more than one in a hundred."""
    return sorted(values)[math.ceil(0.99 * len(values)) - 1]


def times_until_rescued(rqworker: StartWorker, workload: Workload, losses: int, name: str) -> list[float]:
    """Lose so many machines in the middle of a job, each at another moment of the rescuers' clocks.

    A new worker is started at once for each. Returns the seconds from each loss until its job ran again.
    """
    workers = [rqworker(*ONE_JOB) for _ in range(losses)]
    jobs = [enqueue("workload.wait", name=f"{name}-{number}") for number in range(losses)]
    for job in jobs:
        workload.wait_for_start(job.payload["name"])
    doomed = {job.payload["name"]: _worker_of(job, workers) for job in jobs}

    lost_at, new = {}, []
    for job_name, worker in doomed.items():
        lost_at[job_name] = time.time()
        worker.kill()
        new.append(rqworker("--processes", "1", wait=False))
        last_for(random.uniform(0, 2))

    seconds = []
    for job_name in doomed:
        workload.wait_for_start(job_name, timeout=60)
        seconds.append(workload.start_times(job_name)[1] - lost_at[job_name])
        workload.open_gate(job_name)
    wait_until_done()
    for worker in new:
        worker.stop()
    return seconds


def _worker_of(job: Job, workers: Sequence[WorkerProcess]) -> WorkerProcess:
    job.refresh_from_db()
    assert job.worker is not None
    pid = job.worker.pid
    return next(worker for worker in workers if pid in pids_of(worker))


def stop_at_a_random_moment(rqworker: StartWorker, workload: Workload, name: str) -> tuple[list[str], int]:
    """Enqueue 150 jobs on three queues, and stop a new worker somewhere in the middle of them.

    Returns the names of the jobs and the worker's exit code.
    """
    names = note_jobs(150, prefix=name)
    worker = rqworker(wait=False)
    done = sum(workload.effects().values())
    workload.wait_for_effects(done + random.randrange(1, 120))
    return names, worker.stop()
