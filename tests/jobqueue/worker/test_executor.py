"""What an executor does with its jobs that no real worker shows at will."""

from __future__ import annotations

import pytest
from django.db import OperationalError

from jobqueue.models import Job, Worker, bulk
from jobqueue.worker import claim_loop
from jobqueue.worker.board import Board
from jobqueue.worker.claiming import Claim
from jobqueue.worker.executor import Executor
from jobqueue.worker.options import Options
from tests.jobqueue.steps import QUEUES, claimed

pytestmark = pytest.mark.django_db


def _executor(board: Board | None = None, **options: int) -> Executor:
    """One whose threads were not started, so they take up no job."""
    slot = (board or Board(1, threads=1)).slot(0)
    return Executor(Options("tests", QUEUES, threads=1, shutdown_timeout=1, **options), slot=slot)


def test_who_gives_way_hands_back_what_no_thread_gets_to_and_says_how_many_it_took() -> None:
    board = Board(1, threads=1)
    executor = _executor(board)
    jobs = [claimed(identity=executor.identity) for _ in range(3)]
    executor._claim_loop.start([Claim(job, "default") for job in jobs])

    executor._claim_loop._retire()

    assert set(Job.objects.values_list("state", "attempt", "failures")) == {("waiting", 1, 0)}
    assert (board.is_retiring(0), board.claimed(0)) == (True, 0)


def _gives_way(executor: Executor) -> bool:
    loop = executor._claim_loop
    return claim_loop._is_to_retire(loop.options, loop.in_hand.taken, loop._memory)


def test_nobody_gives_way_before_a_first_job() -> None:
    assert not _gives_way(_executor(max_memory_per_process=1))


def test_too_much_memory_in_use_is_a_reason_to_give_way() -> None:
    executor = _executor(max_memory_per_process=1)
    executor._claim_loop.start([Claim(claimed(identity=executor.identity), "default")])

    assert _gives_way(executor)


@pytest.mark.django_db(databases=["default", "other"])
def test_a_database_that_is_away_keeps_no_row_of_a_worker_that_left_in_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    executor = _executor()
    for using in ("default", "other"):
        Worker.objects.using(using).create(id=executor.id, name="tests", hostname="h", pid=1, queues=[])

    def give_up(holder: object, using: str) -> None:
        raise OperationalError("the connection is closed")

    monkeypatch.setattr(bulk, "give_up", give_up)
    executor._leave([])
    assert not any(Worker.objects.using(using).exists() for using in ("default", "other"))
