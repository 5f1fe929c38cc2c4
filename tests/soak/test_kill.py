"""Lost machines, many of them: how soon their jobs run again."""

from __future__ import annotations

import pytest

from jobqueue.models import Job
from tests.conftest import StartWorker
from tests.faults.steps import percentile_99, times_until_rescued
from tests.workload.fixtures import Workload

pytestmark = pytest.mark.soak

AT_ONCE = 2
TRIALS_A_MINUTE = 2


def test_the_jobs_of_lost_machines_are_rescued_within_30_seconds(
    rqworker: StartWorker, workload: Workload, soak_minutes: float
) -> None:
    trials = max(AT_ONCE, round(soak_minutes * TRIALS_A_MINUTE))
    took: list[float] = []
    while len(took) < trials:
        took += times_until_rescued(rqworker, workload, AT_ONCE, f"trial-{len(took)}")

    print(f"{len(took)} machines lost; seconds until the job ran again: {sorted(took)}")
    assert percentile_99(took) <= 30
    assert workload.effects().total() == len(took)
    assert set(Job.objects.values_list("state", "attempt", "failures")) == {("completed", 2, 1)}
