"""Which core an executor keeps to, and when."""

from __future__ import annotations

import os
import queue
import sys
import threading
from collections.abc import Iterator

import pytest

from jobqueue.conf import Settings, usable_cores
from jobqueue.worker import cores
from jobqueue.worker.cores import Affinity, core_of
from tests.jobqueue.clocks import Clock


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(cores, "time", clock)
    return clock


@pytest.fixture
def moves(monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """The cores of every move."""
    moves: list[list[int]] = []
    monkeypatch.setattr(cores, "_move_threads", lambda cores, _policy: moves.append(list(cores)))
    monkeypatch.setattr(cores, "usable_cores", lambda: [0, 1])
    return moves


@pytest.fixture
def _own_cores() -> Iterator[None]:
    """Gives this process's threads back the cores that they had."""
    before = os.sched_getaffinity(0)
    yield
    cores._move_threads(before, os.SCHED_OTHER)


@pytest.mark.usefixtures("_own_cores")
def test_a_worker_has_as_many_executors_as_it_may_use_cores() -> None:
    os.sched_setaffinity(0, usable_cores()[:1])

    assert Settings().processes == 1


@pytest.mark.parametrize(
    ("usable", "processes", "expected"),
    [
        ([0, 1], 2, [0, 1]),
        ([4, 7], 4, [4, 7, 4, 7]),
        ([0, 1, 2, 3], 2, [None, None]),
        ([0, 1], 3, [None, None, None]),
        ([0], 1, [None]),
    ],
)
def test_every_core_gets_as_many_executors_or_none_is_kept_to(
    usable: list[int], processes: int, expected: list[int | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cores, "usable_cores", lambda: usable)

    assert [core_of(number, processes) for number in range(processes)] == expected


def test_an_executor_that_takes_anothers_place_takes_its_core(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cores, "usable_cores", lambda: [0, 1])

    assert [core_of(number, 2) for number in range(4)] == [0, 1, 0, 1]


def test_only_a_crowd_that_lasts_moves_the_threads(clock: Clock, moves: list[list[int]]) -> None:
    affinity = Affinity(1)

    affinity.adapt(is_crowded=True)
    clock.now += 0.05
    affinity.adapt(is_crowded=False)
    clock.now += 0.06
    affinity.adapt(is_crowded=True)
    assert moves == []
    clock.now += 0.11
    affinity.adapt(is_crowded=True)

    assert moves == [[1]]


def test_the_threads_are_free_again_a_second_after_the_crowd(clock: Clock, moves: list[list[int]]) -> None:
    affinity = Affinity(1)
    for _ in range(2):
        affinity.adapt(is_crowded=True)
        clock.now += 0.2

    affinity.adapt(is_crowded=False)
    assert affinity.is_bound
    clock.now += 1.0
    affinity.adapt(is_crowded=False)

    assert moves == [[1], [0, 1]]
    assert not affinity.is_bound


def test_without_a_core_nothing_is_moved(clock: Clock, moves: list[list[int]]) -> None:
    affinity = Affinity(None)
    for _ in range(3):
        affinity.adapt(is_crowded=True)
        clock.now += 1.0

    assert moves == []


@pytest.mark.usefixtures("_own_cores")
def test_all_threads_of_the_process_are_moved_and_run_as_a_batch_until_the_end(clock: Clock) -> None:
    everywhere, core = os.sched_getaffinity(0), usable_cores()[-1]
    look, end = threading.Event(), threading.Event()
    seen: queue.SimpleQueue[tuple[set[int], int]] = queue.SimpleQueue()

    def tell() -> None:
        while look.wait(10) and not end.is_set():
            look.clear()
            seen.put((os.sched_getaffinity(0), os.sched_getscheduler(0)))

    thread = threading.Thread(target=tell)
    thread.start()
    affinity = Affinity(core)
    for _ in range(2):
        affinity.adapt(is_crowded=True)
        clock.now += 0.2
    look.set()
    during = seen.get(timeout=10)
    own = os.sched_getaffinity(0), os.sched_getscheduler(0)
    affinity.end()
    look.set()
    after = seen.get(timeout=10)
    end.set()
    look.set()
    thread.join()

    assert during == own == ({core}, os.SCHED_BATCH)
    assert after == (everywhere, os.SCHED_OTHER)


@pytest.mark.usefixtures("_own_cores")
def test_a_policy_that_somebody_chose_is_kept(clock: Clock) -> None:
    os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    affinity = Affinity(usable_cores()[0])
    for _ in range(2):
        affinity.adapt(is_crowded=True)
        clock.now += 0.2
    affinity.end()

    assert os.sched_getscheduler(0) == os.SCHED_BATCH


def test_at_the_end_the_threads_are_free_at_once_and_stay_so(clock: Clock, moves: list[list[int]]) -> None:
    affinity = Affinity(1)
    for _ in range(2):
        affinity.adapt(is_crowded=True)
        clock.now += 0.2

    affinity.end()
    for _ in range(3):
        affinity.adapt(is_crowded=True)
        clock.now += 0.2

    assert moves == [[1], [0, 1]]


def test_the_threads_get_the_cores_that_they_had_before_the_crowd(
    clock: Clock, moves: list[list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    affinity = Affinity(1)
    monkeypatch.setattr(cores, "usable_cores", lambda: [1, 2, 3])
    for _ in range(2):
        affinity.adapt(is_crowded=True)
        clock.now += 0.2

    affinity.end()

    assert moves == [[1], [1, 2, 3]]


def test_a_system_that_does_not_allow_it_is_left_alone(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[int]] = []

    def refuse(cores: list[int], _policy: int) -> None:
        asked.append(list(cores))
        raise PermissionError

    monkeypatch.setattr(cores, "_move_threads", refuse)
    monkeypatch.setattr(cores, "usable_cores", lambda: [0, 1])
    affinity = Affinity(0)
    for _ in range(4):
        affinity.adapt(is_crowded=True)
        clock.now += 1.0

    assert asked == [[0], [0, 1]]  # and what was moved by then is moved back
    assert not affinity.is_bound


def test_without_an_interpreter_lock_no_core_is_kept_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cores, "usable_cores", lambda: [0, 1])
    monkeypatch.setattr(sys, "_is_gil_enabled", lambda: False, raising=False)

    assert core_of(0, 2) is None
