"""Half a minute in which everything breaks, again and again, while people save payments."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pytest_django import Settings as DjangoSettings

from spendsync_site.demo.redis_server import RedisServer
from tests.conftest import StartWorker
from tests.soak.chaos import run_trial
from tests.workload.fixtures import Workload


def test_half_a_minute_of_chaos_loses_and_doubles_nothing(
    rqworker: StartWorker,
    private_redis: Callable[..., RedisServer],
    workload: Workload,
    settings: DjangoSettings,
    capsys: pytest.CaptureFixture[str],
) -> None:
    trial = run_trial(30, rqworker, private_redis, workload, settings)

    with capsys.disabled():
        print(f"\n{trial.report()}")
    assert trial.verdict.is_clean, trial.report()
    assert len(trial.verdict.in_doubt) <= trial.in_danger
    assert trial.faults.total() >= 10
