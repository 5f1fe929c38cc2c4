"""The chaos of tests/faults/test_chaos.py for as long as one likes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pytest_django import Settings as DjangoSettings

from spendsync_site.demo.redis_server import RedisServer
from tests.conftest import StartWorker
from tests.soak.chaos import run_trial
from tests.workload.fixtures import Workload

pytestmark = pytest.mark.soak


def test_chaos_loses_and_doubles_nothing(
    soak_minutes: float,
    rqworker: StartWorker,
    private_redis: Callable[..., RedisServer],
    workload: Workload,
    settings: DjangoSettings,
    capsys: pytest.CaptureFixture[str],
) -> None:
    trial = run_trial(60 * soak_minutes, rqworker, private_redis, workload, settings)

    with capsys.disabled():
        print(f"\n{trial.report()}")
    assert trial.verdict.is_clean, trial.report()
    assert len(trial.verdict.in_doubt) <= trial.in_danger
