"""How a supervisor follows its executors; the processes are real, what they do is up to the test."""

from __future__ import annotations

import gc
import os
import signal
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from jobqueue.worker import supervisor as module
from jobqueue.worker.board import Slot
from jobqueue.worker.options import (
    EXIT_BROKEN,
    EXIT_JOBS_LEFT,
    EXIT_RETIRED,
    EXIT_STUCK_JOB,
    STOP_SIGNALS,
    Options,
)
from jobqueue.worker.supervisor import Supervisor
from tests.conftest import wait_until

Body = Callable[[Options, Slot], int]


@dataclass(frozen=True)
class End:
    """What a supervisor tells of an executor that has ended, so that its jobs are brought back."""

    who: str
    code: int
    started: tuple[int, ...]
    stuck: tuple[int, ...] = ()


@pytest.fixture
def ends(monkeypatch: pytest.MonkeyPatch) -> list[End]:
    """The executors that were seen to end."""
    seen: list[End] = []

    def note(_id: uuid.UUID, who: str, code: int, started: list[int], stuck: list[int], *_: object) -> None:
        seen.append(End(who, code, tuple(started), tuple(stuck)))

    monkeypatch.setattr(module, "bring_back", note)
    return seen


@pytest.fixture
def _own_signals() -> Iterator[None]:
    """Gives this process its handlers back."""
    numbers = (*STOP_SIGNALS, signal.SIGCHLD)
    kept = {number: signal.getsignal(number) for number in numbers}
    yield
    signal.set_wakeup_fd(-1)
    for number, handler in kept.items():
        signal.signal(number, handler)


@pytest.fixture
def supervise(
    monkeypatch: pytest.MonkeyPatch, ends: list[End], _own_signals: None
) -> Iterator[Callable[..., Supervisor]]:
    """Starts a supervisor whose executors do nothing but `body`."""
    started: list[Supervisor] = []

    def start(body: Body, **options: object) -> Supervisor:
        class Scripted:
            def __init__(self, options: Options, _executor_id: uuid.UUID, slot: Slot) -> None:
                self._options, self._slot = options, slot

            def run(self) -> int:
                self._slot.ready()
                return body(self._options, self._slot)

        monkeypatch.setattr(module, "Executor", Scripted)
        values: dict[str, object] = {"threads": 2, "processes": 1, "shutdown_timeout": 5} | options
        supervisor = Supervisor(Options("w", ["email"], **values))  # type: ignore[arg-type]
        supervisor.listen_to_signals()
        started.append(supervisor)
        supervisor.start()
        return supervisor

    yield start
    for supervisor in started:
        supervisor.stop()
    gc.unfreeze()


def work_until_asked_to_stop(*_: object) -> int:
    """What most executors do. The stop is blocked where an executor begins."""
    signal.sigwait(STOP_SIGNALS)
    return 0


def look_until(supervisor: Supervisor, predicate: Callable[[], bool]) -> None:
    """Have it look after its executors until then."""

    def look() -> bool:
        supervisor.look_after()
        return predicate()

    wait_until(look)


def test_executors_leave_alone_what_was_loaded_before_they_were_forked(
    supervise: Callable[..., Supervisor], ends: list[End]
) -> None:
    supervisor = supervise(lambda _options, _slot: 0 if gc.get_freeze_count() else EXIT_BROKEN, burst=True)

    look_until(supervisor, lambda: bool(ends))

    assert [end.code for end in ends] == [0]


def test_executors_that_end_in_order_after_a_burst_are_not_replaced(
    supervise: Callable[..., Supervisor], ends: list[End]
) -> None:
    supervisor = supervise(lambda _options, _slot: 0, burst=True, processes=2)

    look_until(supervisor, lambda: not supervisor.goes_on())

    assert sorted(end.who for end in ends) == ["executor 1 of worker w", "executor 2 of worker w"]
    assert supervisor.exit_code == 0


def test_executors_that_die_at_once_five_times_in_a_row_make_the_worker_give_up(
    supervise: Callable[..., Supervisor], ends: list[End]
) -> None:
    supervisor = supervise(lambda _options, _slot: 3)

    look_until(supervisor, lambda: not supervisor.goes_on())

    assert [end.code for end in ends] == [3] * 5
    assert supervisor.exit_code == 1


def test_executors_that_die_with_jobs_are_replaced_however_often(
    supervise: Callable[..., Supervisor], ends: list[End]
) -> None:
    def die_with_a_job(_options: Options, slot: Slot) -> int:
        slot.running(1)
        return EXIT_BROKEN

    supervisor = supervise(die_with_a_job)

    look_until(supervisor, lambda: len(ends) > 6)

    assert supervisor.goes_on()


def test_without_a_reason_to_end_an_executor_that_ends_in_order_is_replaced(
    supervise: Callable[..., Supervisor], ends: list[End]
) -> None:
    supervisor = supervise(lambda _options, _slot: 0)

    look_until(supervisor, lambda: len(ends) == 1)

    assert supervisor.goes_on()


def test_what_ran_in_an_executor_that_died_is_known(
    supervise: Callable[..., Supervisor], ends: list[End]
) -> None:
    def die_in_a_job(_options: Options, slot: Slot) -> int:
        slot.performing(1, 17, time.monotonic() + 60)
        os.kill(os.getpid(), signal.SIGKILL)
        return 0

    supervisor = supervise(die_in_a_job)

    look_until(supervisor, lambda: bool(ends))

    assert ends[0] == End("executor 1 of worker w", -signal.SIGKILL, (0, 17))


def test_an_executor_that_cannot_end_itself_for_a_stuck_job_is_killed_and_replaced(
    supervise: Callable[..., Supervisor], ends: list[End]
) -> None:
    def hang_in_a_job(_options: Options, slot: Slot) -> int:
        slot.performing(1, 17, time.monotonic() - 3600)
        return work_until_asked_to_stop()

    supervisor = supervise(hang_in_a_job)

    look_until(supervisor, lambda: bool(ends))

    assert ends[0] == End("executor 1 of worker w", EXIT_STUCK_JOB, (0, 17), (17,))
    assert supervisor.goes_on()


def test_who_takes_over_from_a_retiring_executor_gets_the_jobs_that_max_jobs_leaves(
    supervise: Callable[..., Supervisor], ends: list[End]
) -> None:
    def retire_or_end(options: Options, slot: Slot) -> int:
        if options.max_jobs != 5:
            assert options.max_jobs is not None
            return 100 + options.max_jobs
        slot.retiring(3)
        work_until_asked_to_stop()
        return EXIT_RETIRED

    supervisor = supervise(retire_or_end, max_jobs=5)

    look_until(supervisor, lambda: bool(ends))

    assert ends[0].code == 102
    assert ends[0].who == "executor 2 of worker w"  # beside the one that retires


def test_an_executor_that_has_retired_before_anybody_looked_is_replaced_in_its_place(
    supervise: Callable[..., Supervisor], ends: list[End], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Supervisor, "_replace_the_retiring", lambda _self: None)

    def retire_or_end(options: Options, slot: Slot) -> int:
        if options.max_jobs == 2:
            return 0
        slot.retiring(3)
        return EXIT_RETIRED

    supervisor = supervise(retire_or_end, max_jobs=5)

    look_until(supervisor, lambda: not supervisor.goes_on())

    assert [(end.who, end.code) for end in ends] == [
        ("executor 1 of worker w", EXIT_RETIRED),
        ("executor 1 of worker w", 0),
    ]


def test_a_signal_to_stop_is_passed_on_and_waited_for(
    supervise: Callable[..., Supervisor], ends: list[End]
) -> None:
    supervisor = supervise(work_until_asked_to_stop, processes=2)

    os.kill(os.getpid(), signal.SIGTERM)
    looks_on = supervisor.goes_on()
    supervisor.stop()

    assert not looks_on
    assert [end.code for end in ends] == [0, 0]


def test_an_executor_that_does_not_stop_in_time_is_killed(
    supervise: Callable[..., Supervisor], ends: list[End], monkeypatch: pytest.MonkeyPatch
) -> None:
    def never_stop(*_: object) -> int:
        while True:
            signal.sigwait(STOP_SIGNALS)

    monkeypatch.setattr(module, "_KILL_AFTER", 0.2)
    supervisor = supervise(never_stop, shutdown_timeout=0.1)

    supervisor.stop()

    assert [end.code for end in ends] == [EXIT_JOBS_LEFT]
