"""The background threads of an executor: what an outage of one thing does to the others."""

from __future__ import annotations

import pytest
from django.db import OperationalError

from jobqueue.sql.databases import for_each_database
from jobqueue.worker import loops


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
