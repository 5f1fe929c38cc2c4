"""The chaos of tests/faults/test_chaos.py for as long as one likes."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from django.db import connection
from pytest_django import Settings as DjangoSettings

from spendsync_site.demo.redis_server import RedisServer
from tests.conftest import StartWorker
from tests.faults.crashes import CrashingPostgreSQL, running
from tests.soak.chaos import run_trial
from tests.workload.fixtures import Workload

pytestmark = pytest.mark.soak


@pytest.fixture
def crashing_database(transactional_db: None) -> Iterator[CrashingPostgreSQL | None]:
    """On PostgreSQL: a durable one that is the database meanwhile, and may be killed."""
    if connection.vendor != "postgresql":
        yield None
        return
    with running(CrashingPostgreSQL) as server:
        server.renew()
        with server.as_the_database():
            yield server


def test_chaos_loses_and_doubles_nothing(
    soak_minutes: float,
    rqworker: StartWorker,
    private_redis: Callable[..., RedisServer],
    workload: Workload,
    settings: DjangoSettings,
    capsys: pytest.CaptureFixture[str],
    crashing_database: CrashingPostgreSQL | None,
) -> None:
    trial = run_trial(60 * soak_minutes, rqworker, private_redis, workload, settings, crashing_database)

    with capsys.disabled():
        print(f"\n{trial.report()}")
    assert trial.verdict.is_clean, trial.report()
    assert len(trial.verdict.in_doubt) <= trial.in_danger
