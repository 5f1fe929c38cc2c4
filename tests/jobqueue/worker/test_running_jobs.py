"""What an executor tells of its running jobs: from its threads, once a second, and only what is news."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from jobqueue.broker import running
from jobqueue.jobs import report_progress
from jobqueue.progress import Progress
from jobqueue.worker.claiming import Claim
from jobqueue.worker.outcomes import Outcome
from jobqueue.worker.running_jobs import LOOK_EVERY, RunningJobs
from jobqueue.worker.threads import JobThreads
from tests.jobqueue.processors_for_tests import CALL, Calls
from tests.jobqueue.steps import claimed

pytestmark = pytest.mark.django_db
WORKER = "0" * 32


class _Held:
    """A job in one of two threads that says something and then waits to be let go."""

    def __init__(self, calls: Calls, says: Callable[[], Any]) -> None:
        self.said, self.may_end = threading.Event(), threading.Event()
        self.ended: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
        self.threads = JobThreads(
            2, performing=lambda *_: None, performed=self.ended.put, guard=lambda body: body
        )
        self.job = claimed(CALL)

        def behaviour(**_: Any) -> None:
            says()
            self.said.set()
            assert self.may_end.wait(20)

        calls.behaviour = behaviour
        self.threads.start()
        self.threads.take([Claim(self.job, "default")])
        assert self.said.wait(20)

    def end(self) -> None:
        self.may_end.set()
        self.ended.get(timeout=20)
        for _ in range(self.threads.count):
            self.threads._claimed.put(None)  # a thread ends with it


@pytest.fixture
def hold(sample_processors: Calls) -> Iterator[Callable[..., _Held]]:
    """Has a job run in a thread of its own until the test ends."""
    held: list[_Held] = []

    def begin(says: Callable[[], Any]) -> _Held:
        held.append(_Held(sample_processors, says))
        return held[-1]

    yield begin
    for one in held:
        if not one.may_end.is_set():
            one.end()


def test_what_a_job_reports_is_told_with_its_thread(hold: Callable[..., _Held]) -> None:
    held = hold(lambda: report_progress(3, 4, text="to ann@example.org"))

    assert RunningJobs(WORKER, held.threads).look() == LOOK_EVERY

    [run] = running.told_by([WORKER])[WORKER]
    assert run[:3] == ("default", held.job.pk, 1)
    assert run.thread in (0, 1)
    assert run.progress == Progress(3, 4, 0.75, "to (address)")


def test_what_has_ended_is_told_no_more(hold: Callable[..., _Held]) -> None:
    held = hold(lambda: report_progress(3, 4))
    told = RunningJobs(WORKER, held.threads)
    told.look()
    held.end()
    told.look()

    assert running.told_by([WORKER]) == {}


def test_a_job_that_says_nothing_is_told_once_it_has_run_for_a_second(
    hold: Callable[..., _Held], monkeypatch: pytest.MonkeyPatch
) -> None:
    held = hold(lambda: None)
    told = RunningJobs(WORKER, held.threads)
    told.look()
    assert running.told_by([WORKER]) == {}

    monkeypatch.setattr("jobqueue.worker.running_jobs.LOOK_EVERY", 0.0)
    told.look()
    [run] = running.told_by([WORKER])[WORKER]
    assert (run.job_id, run.progress) == (held.job.pk, None)


def test_redis_is_told_news_alone(hold: Callable[..., _Held], monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(running, "tell", lambda _worker, text: told.append(text))
    held = hold(lambda: [report_progress(number, 10_000) for number in range(10_000)])
    jobs = RunningJobs(WORKER, held.threads)
    for _ in range(5):
        jobs.look()

    assert len(told) == 1
    assert '"done":9999' in told[0]


def test_what_is_no_news_is_told_again_before_it_is_gone(
    hold: Callable[..., _Held], monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr(running, "tell", lambda _worker, text: told.append(text))
    monkeypatch.setattr("jobqueue.worker.running_jobs._TELL_AGAIN", 0.0)
    jobs = RunningJobs(WORKER, hold(lambda: report_progress(1)).threads)
    jobs.look()
    jobs.look()

    assert len(told) == 2


def test_an_executor_that_runs_nothing_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "tell", lambda *_: pytest.fail("it has nothing to say"))
    threads = JobThreads(1, performing=lambda *_: None, performed=lambda _: None, guard=lambda body: body)

    RunningJobs(WORKER, threads).look()
