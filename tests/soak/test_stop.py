"""Stops at random moments, many of them."""

from __future__ import annotations

from collections import Counter

import pytest
import redis

from jobqueue.models import Job
from tests.conftest import StartWorker
from tests.faults.steps import started_entries, stop_at_a_random_moment
from tests.workload.fixtures import Workload, wait_until_done

pytestmark = pytest.mark.soak

STOPS_A_MINUTE = 20


def test_stops_at_random_moments_under_load_lose_and_double_nothing(
    rqworker: StartWorker, workload: Workload, redis_client: redis.Redis, soak_minutes: float
) -> None:
    stops = max(1, round(soak_minutes * STOPS_A_MINUTE))
    names: list[str] = []
    for stop in range(stops):
        enqueued, code = stop_at_a_random_moment(rqworker, workload, f"stop-{stop}")
        names += enqueued
        assert code == 0
        assert started_entries(redis_client) == 0
        assert not Job.objects.active().exists()

    rqworker()
    wait_until_done(120)

    print(f"{stops} stops, {len(names)} jobs")
    assert workload.effects() == Counter(names)
    assert set(Job.objects.values_list("state", "attempt", "failures")) == {("completed", 1, 0)}
