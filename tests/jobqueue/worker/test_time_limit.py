"""JobTimeout inside jobs that run too long."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from jobqueue.exceptions import JobTimeout
from jobqueue.models import Job
from jobqueue.worker.time_limit import TimeLimits

PATIENCE = 10.0


def _job(timeout: float, number: int = 1) -> Job:
    return Job(pk=number, processor="sample", timeout=timeout)


class _Running:
    """A thread that runs a body under a limit, and what came of it."""

    def __init__(self, limits: TimeLimits, job: Job, body: Callable[[], Any]) -> None:
        self.error: BaseException | None = None
        self._started = threading.Event()
        self._limits, self._job, self._body = limits, job, body
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._started.wait(PATIENCE)

    def _run(self) -> None:
        try:
            with self._limits.limit(self._job):
                self._started.set()
                self._body()
        except BaseException as error:
            self.error = error

    def join(self) -> BaseException | None:
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()
        return self.error


def _loop_until(stop: threading.Event) -> Callable[[], None]:
    def body() -> None:
        while not stop.is_set():
            sum(range(100))

    return body


@pytest.fixture
def stop() -> Any:
    """Ends the loops of a test whose limit did not."""
    event = threading.Event()
    yield event
    event.set()


def test_a_job_that_loops_past_its_limit_gets_job_timeout(stop: threading.Event) -> None:
    limits = TimeLimits()
    running = _Running(limits, _job(0), _loop_until(stop))
    limits.enforce()

    error = running.join()
    assert isinstance(error, JobTimeout)
    assert str(error) == "the job ran longer than its limit of 0 seconds"


def test_the_error_is_called_job_timeout(stop: threading.Event) -> None:
    limits = TimeLimits()
    running = _Running(limits, _job(0), _loop_until(stop))
    limits.enforce()

    assert type(running.join()).__name__ == "JobTimeout"


def test_a_job_within_its_limit_is_left_alone(stop: threading.Event) -> None:
    limits = TimeLimits()
    running = _Running(limits, _job(60), _loop_until(stop))
    limits.enforce()
    stop.set()

    assert running.join() is None


def test_only_the_job_past_its_limit_is_hit(stop: threading.Event) -> None:
    limits = TimeLimits()
    late = _Running(limits, _job(0, 1), _loop_until(stop))
    punctual = _Running(limits, _job(60, 2), _loop_until(stop))
    limits.enforce()

    assert isinstance(late.join(), JobTimeout)
    stop.set()
    assert punctual.join() is None


def test_a_limit_is_enforced_once(stop: threading.Event) -> None:
    limits = TimeLimits()
    caught = []

    def stubborn() -> None:
        for _ in range(2):
            try:
                _loop_until(stop)()
            except JobTimeout:
                caught.append(True)
                limits.enforce()
                stop.set()

    running = _Running(limits, _job(0), stubborn)
    limits.enforce()

    assert running.join() is None
    assert caught == [True]


def test_a_limit_that_comes_in_the_moment_a_job_ends_does_not_hit_the_next() -> None:
    """A thread that sits in C code meets the error late: after the job, if nobody takes it back."""
    limits = TimeLimits()
    results: list[str] = []
    in_c, go_on = threading.Event(), threading.Lock()
    go_on.acquire()

    class Gate:
        """Its exit runs while the error is on its way."""

        def __enter__(self) -> None:
            in_c.set()

        def __exit__(self, *_: Any) -> None: ...

    def body() -> None:
        for number, timeout in ((1, 0.0), (2, 60.0)):
            try:
                with limits.limit(_job(timeout, number)):
                    if number == 1:
                        with Gate():
                            go_on.acquire()
                    sum(range(10_000))
                results.append("ended")
            except JobTimeout:
                results.append("timeout")

    thread = threading.Thread(target=body, daemon=True)
    thread.start()
    assert in_c.wait(PATIENCE)
    limits.enforce()
    go_on.release()
    thread.join(PATIENCE)

    assert results == ["timeout", "ended"]


def test_a_hundred_jobs_that_end_at_their_limit_never_hit_the_one_behind() -> None:
    limits = TimeLimits()
    stray: list[BaseException] = []
    done = threading.Event()

    def body() -> None:
        for number in range(100):
            try:
                with limits.limit(_job(0, number)):
                    sum(range(500))
            except JobTimeout:
                pass
            try:
                sum(range(500))
            except BaseException as error:
                stray.append(error)
        done.set()

    thread = threading.Thread(target=body, daemon=True)
    thread.start()
    while not done.is_set() and thread.is_alive():
        limits.enforce()
    thread.join(PATIENCE)

    assert done.is_set()
    assert stray == []
    assert limits.running() == []


def test_a_job_far_past_its_limit_has_overrun(stop: threading.Event) -> None:
    limits = TimeLimits()
    job = _job(0)
    waiting = _Running(limits, job, lambda: stop.wait(PATIENCE))  # in C code: no error gets through

    assert limits.overrun(0) == [job]
    assert limits.overrun(60) == []
    stop.set()
    waiting.join()
    assert limits.overrun(0) == []


def test_what_runs_is_known_while_it_runs(stop: threading.Event) -> None:
    limits = TimeLimits()
    job = _job(60)
    running = _Running(limits, job, lambda: stop.wait(PATIENCE))

    assert limits.running() == [job]
    stop.set()
    running.join()
    assert limits.running() == []


def test_a_job_that_fails_is_forgotten_too() -> None:
    limits = TimeLimits()
    with pytest.raises(ValueError, match="broken"), limits.limit(_job(60)):
        raise ValueError("broken")

    assert limits.running() == []
