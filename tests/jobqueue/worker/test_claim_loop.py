"""What an executor does after a claim: claim again, wait, or end."""

from __future__ import annotations

import time

import pytest

from jobqueue.models import Job, Queue
from jobqueue.worker.claim_loop import Claiming, HeldBack, Stopped, Waiting, _state_after
from jobqueue.worker.claiming import Batch, Claim
from jobqueue.worker.executor import Executor
from jobqueue.worker.options import Options
from tests.jobqueue.steps import QUEUES, claimed, published

pytestmark = pytest.mark.django_db(databases=["default", "other"])


def _executor(**options: float) -> Executor:
    """One whose threads were not started, so they take up no job."""
    return Executor(Options("tests", QUEUES, threads=2, shutdown_timeout=1, **options))  # type: ignore[arg-type]


def _claims(count: int) -> list[Claim]:
    return [Claim(Job(pk=number + 1), "default") for number in range(count)]


def test_a_claim_that_got_all_it_had_room_for_is_followed_by_another() -> None:
    assert _state_after(Batch(_claims(2), None), 2, leaves_out=False) == Claiming()


def test_a_claim_that_left_nothing_waits_for_a_bell_and_looks_without_one_after_a_second() -> None:
    state = _state_after(Batch(_claims(1), None), 2, leaves_out=True)

    assert type(state) is Waiting
    assert state.leaves_out
    assert 0.9 < state.until - time.monotonic() <= 1.0


def test_what_a_limit_holds_back_is_looked_for_when_the_limit_may_let_it_go() -> None:
    state = _state_after(Batch([], 0.1), 2, leaves_out=False)

    assert type(state) is HeldBack
    assert state.until - time.monotonic() <= 0.1


def test_a_claim_that_a_limit_cut_short_is_not_held_back() -> None:
    assert type(_state_after(Batch(_claims(1), 0.1), 2, leaves_out=False)) is Waiting


def test_idle_for_too_long_it_ends() -> None:
    loop = _executor(max_idle_time=0)._claim_loop

    assert loop._next(Claiming()) == Stopped()


def test_while_a_limit_holds_work_back_it_is_not_idle() -> None:
    # Redis does not know yet what started within the last second.
    Queue.objects.create(name="email", rate_limit=1)
    published()
    executor = _executor(max_idle_time=0)
    executor._decisions.read()

    assert type(executor._claim_loop._next(Claiming())) is HeldBack


def test_while_it_holds_a_job_it_is_not_idle() -> None:
    executor = _executor(max_idle_time=0)
    executor._claim_loop.start([Claim(claimed(identity=executor.identity), "default")])

    assert type(executor._claim_loop._next(Claiming())) is Waiting


def test_asked_to_stop_it_claims_no_more() -> None:
    job = published()
    executor = _executor()
    executor._stop.ask(15, None)

    assert executor._claim_loop._next(Claiming()) == Stopped()
    assert Job.objects.get(pk=job.pk).state == Job.State.WAITING
