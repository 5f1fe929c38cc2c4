"""What workers tell Redis of what they run, and what is read of it."""

from __future__ import annotations

import pytest
import redis

from jobqueue.broker import keys, running
from jobqueue.broker.running import KEEP, Run
from jobqueue.progress import progress_of
from tests.jobqueue.broker.steps import OTHER_WORKER, WORKER

RUNS = [
    Run("default", 7, 1, 0, progress_of(3, 4, text="Zeilen 3 €")),
    Run("other", 7, 2, 1, progress_of(share=0.5)),
    Run("default", 8, 1, 2),
]


def test_what_a_worker_told_is_read_as_it_was_told_and_goes_by_itself(redis_client: redis.Redis) -> None:
    running.tell(WORKER, running.as_text(RUNS))

    assert running.told_by([WORKER, OTHER_WORKER]) == {WORKER: RUNS}
    assert 0 < redis_client.ttl(keys.RUNNING + WORKER) <= KEEP


def test_a_worker_that_runs_nothing_leaves_nothing(redis_client: redis.Redis) -> None:
    running.tell(WORKER, running.as_text(RUNS))
    running.tell(WORKER, running.as_text([]))

    assert not redis_client.exists(keys.RUNNING + WORKER)


@pytest.mark.parametrize(
    "odd",
    [
        b"\xff\xfe",
        b"{}",
        b"7",
        b"[" * 100_000,
        b"[[1]]",
        b'[["default", 1, 1, 0, null, null]]',
        b'[["default", "1", 1, 0, null]]',
        b'[["default", 1, 1, 0, {"done": -1}]]',
        b'[["default", 1, 1, 0, {"done": NaN}]]',
        b'[["default", 1, 1, 0, {"by": "whom"}]]',
        b"x" * 3_000_000,
    ],
)
def test_what_somebody_else_wrote_there_is_nothing(redis_client: redis.Redis, odd: bytes) -> None:
    redis_client.set(keys.RUNNING + WORKER, odd)
    running.tell(OTHER_WORKER, running.as_text(RUNS))

    assert running.told_by([WORKER, OTHER_WORKER]) == {OTHER_WORKER: RUNS}


def test_a_key_of_another_type_is_nothing_and_is_written_over(redis_client: redis.Redis) -> None:
    redis_client.rpush(keys.RUNNING + WORKER, "x")
    assert running.told_by([WORKER]) == {}

    running.tell(WORKER, running.as_text(RUNS))
    assert running.told_by([WORKER]) == {WORKER: RUNS}
