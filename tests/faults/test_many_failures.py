"""Many jobs fail at once: what ran is written before more is claimed."""

from __future__ import annotations

from jobqueue.jobs import enqueue_many
from jobqueue.models import Job
from jobqueue.worker.claim_loop import MOST_UNSETTLED
from tests.conftest import StartWorker, wait_until
from tests.workload.fixtures import Workload

THREADS = 16
JOBS = 2 * MOST_UNSETTLED


def test_claims_do_not_run_far_ahead_of_failures_that_are_written_slowly(
    rqworker: StartWorker, workload: Workload
) -> None:
    enqueue_many(("workload.fail", {"name": f"job-{number}"}) for number in range(JOBS))
    rqworker("--processes", "1", "--threads", f"{THREADS}")
    active: list[int] = []

    def are_all_written() -> bool:
        active.append(Job.objects.active().count())
        return not Job.objects.filter(failures=0).exists()

    wait_until(are_all_written, timeout=120, interval=0.01)
    assert max(active) <= MOST_UNSETTLED + THREADS
