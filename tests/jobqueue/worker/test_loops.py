"""The background threads of an executor: what an outage of one thing does to the others."""

from __future__ import annotations

import pytest
from django.conf import LazySettings
from django.db import OperationalError

from jobqueue.sql.databases import for_each_database
from jobqueue.worker import loops
from tests.jobqueue.clocks import Clock


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch, settings: LazySettings) -> Clock:
    """The clock that the loops look at; heartbeats come every second."""
    settings.JOBQUEUE = {"HEARTBEAT_INTERVAL": 1}
    clock = Clock()
    monkeypatch.setattr(loops, "time", clock)
    return clock


def judgements(judge: loops._Judge, clock: Clock, seconds: int) -> list[bool]:
    """What a look each second says."""
    found = []
    for _ in range(seconds):
        found.append(judge.may_judge())
        clock.now += 1
    return found


def test_who_has_just_begun_to_look_takes_nobody_for_gone(clock: Clock) -> None:
    assert judgements(loops._Judge(), clock, 6) == [False] * 4 + [True] * 2


def test_after_the_database_was_away_nobody_is_taken_for_gone_for_a_while(clock: Clock) -> None:
    judge = loops._Judge()
    judgements(judge, clock, 10)

    clock.now += 60

    assert judgements(judge, clock, 6) == [False] * 4 + [True] * 2


def test_one_database_that_is_away_does_not_keep_the_others_from_their_step() -> None:
    seen = []

    def step(alias: str) -> None:
        seen.append(alias)
        if alias == "default":
            raise OperationalError("it is away")

    with pytest.raises(OperationalError, match="it is away"):
        for_each_database(step)

    assert seen == ["default", "other"]


def test_a_wait_that_fails_does_not_end_the_loop(caplog: pytest.LogCaptureFixture) -> None:
    calls = []

    def wait(seconds: float) -> None:
        raise ValueError("a file number above what can be waited for")

    loop = loops.Loop("tested", lambda: calls.append(1) or 0.0, wait=wait, wake=lambda: None)
    loop._pause(loop._call())
    loop._pause(loop._call())

    assert len(calls) == 2
    assert "tested failed" in caplog.text
