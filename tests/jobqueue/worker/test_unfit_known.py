"""Jobs that one worker did not know and another knows: whoever knows them and does not take them says so."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db.models.functions import Now

from jobqueue.models import Job
from jobqueue.models.unknown import known_to_none
from jobqueue.worker import unfit as unfit_module
from jobqueue.worker.claim_loop import Claiming
from jobqueue.worker.claiming import Claim
from jobqueue.worker.executor import Executor
from jobqueue.worker.options import Options
from jobqueue.worker.unfit import UnfitJobs
from tests.jobqueue.steps import IDENTITY, OTHER_IDENTITY, QUEUES, TELLER, claim_row, published

pytestmark = pytest.mark.django_db(databases=["default", "other"])


def _handed_on_long_ago(processor: str = "") -> Job:
    job = published()
    Job.objects.filter(pk=job.pk).update(processor=processor or job.processor)
    unfit = UnfitJobs(IDENTITY, TELLER, lambda _claims: None, lambda _outcome: None)
    unfit.hand_on([(Claim(claim_row(job), "default"), "there is no such thing")])
    Job.objects.filter(pk=job.pk).update(unfit_since=Now() - timedelta(minutes=10))
    job.refresh_from_db()
    return job


def _finder() -> UnfitJobs:
    return UnfitJobs(OTHER_IDENTITY, TELLER, lambda _claims: None, lambda _outcome: None)


def _is_known() -> bool:
    return not known_to_none(Job.objects.all()).exists()


@pytest.fixture
def executor() -> Executor:
    """One whose threads were not started, so they take up no job."""
    return Executor(Options("tests", QUEUES, threads=200, shutdown_timeout=1))


@pytest.mark.parametrize("is_published", [True, False])
@pytest.mark.parametrize(
    ("room", "limited", "paused"),
    [(0, (), ()), (10, ("email",), ()), (10, (), ("email",)), (10, ("email",), ("email",))],
)
def test_what_it_knows_and_does_not_take_is_not_unknown(
    room: int, limited: tuple[str, ...], paused: tuple[str, ...], is_published: bool
) -> None:
    job = _handed_on_long_ago()
    Job.objects.filter(pk=job.pk).update(published_at=Now() if is_published else None)
    served = [queue for queue in QUEUES if queue not in paused]

    assert _finder().find(room, served, limited, paused=paused) == []

    assert _is_known()


def test_what_nobody_knows_stays_unknown_while_others_look() -> None:
    job = _handed_on_long_ago("shop.new")

    _finder().find(0, QUEUES, ())

    assert known_to_none(Job.objects.all()).get() == job


def test_a_worker_without_room_says_what_it_knows(
    executor: Executor, monkeypatch: pytest.MonkeyPatch
) -> None:
    _handed_on_long_ago()
    monkeypatch.setattr(executor._claim_loop, "_wait_for_room", lambda: 0)

    executor._claim_loop._next(Claiming())

    assert _is_known()


def test_a_quiet_worker_says_what_it_knows(executor: Executor) -> None:
    job = _handed_on_long_ago()
    executor._claim_loop.decisions.be_quiet(QUEUES)

    executor._claim_loop._next(Claiming())

    job.refresh_from_db()
    assert (job.state, _is_known()) == (Job.State.WAITING, True)


def test_of_many_it_looks_on_before_a_second_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(3):
        _handed_on_long_ago()
    for name, value in {"_LOOK_AT": 1, "_LOOK_AGAIN": 0.0, "_LOOK_EVERY": 600.0}.items():
        monkeypatch.setattr(unfit_module, name, value)
    finder = _finder()
    for _ in range(3):
        finder.find(0, QUEUES, ())

    assert _is_known()
