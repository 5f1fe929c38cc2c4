"""The chart counts each job once, whichever of several real workers ran it."""

from __future__ import annotations

from collections import Counter

import pytest

from jobqueue.broker import chart
from jobqueue.broker.chart import PERIOD
from jobqueue.charting.folding import fold
from jobqueue.jobs import enqueue, enqueue_many
from jobqueue.models import ChartHour
from jobqueue.sql.clock import database_now
from tests.conftest import StartWorker, wait_until
from tests.workload.fixtures import Workload, wait_until_done

pytestmark = [
    pytest.mark.django_db(transaction=True, databases=["default", "other"]),
    pytest.mark.one_database,
]


def charted() -> dict[str, int]:
    """How many jobs ended in which way within the last ten minutes, as Redis counted them."""
    period = int(database_now("default").timestamp()) // PERIOD
    found: Counter[str] = Counter()
    for groups in chart.read([period - 1, period]).values():
        for group, tally in groups.items():
            assert sum(tally.runs) == sum(tally.waits) == tally.jobs
            found[group.outcome] += tally.jobs
    return dict(found)


def test_two_workers_count_each_job_once(rqworker: StartWorker, workload: Workload) -> None:
    for _ in range(2):
        rqworker("--processes", "2")
    for part in range(5):
        enqueue_many([("workload.note.email", {"name": f"{part} {number}"}) for number in range(200)])
        enqueue("workload.fail_fast", name=f"bad {part}")
    wait_until_done()
    expected = {"completed": 1_000, "failed": 5, "retried": 15}

    wait_until(lambda: charted() == expected)
    fold(2)

    folded: Counter[str] = Counter()
    for outcome, jobs in ChartHour.objects.values_list("outcome", "jobs"):
        folded[outcome] += jobs
    assert folded == expected
