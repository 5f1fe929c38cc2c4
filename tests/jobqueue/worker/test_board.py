"""What executors tell and their supervisor reads."""

from __future__ import annotations

import os
import time

import pytest

from jobqueue.worker.board import Board, Slot


def board() -> Board:
    """One for two executors of three threads."""
    return Board(2, threads=3)


def test_what_an_executor_tells_is_read_in_its_place_only() -> None:
    told = board()

    told.slot(1).running(4)

    assert [told.running(number) for number in range(len(told))] == [0, 4]


def test_another_process_sees_what_an_executor_tells() -> None:
    told = board()

    child = os.fork()
    if not child:
        slot = told.slot(1)
        slot.settled(3, 1)
        slot.performing(2, 17, 5.0)
        os._exit(0)
    os.waitpid(child, 0)

    assert told.totals() == (0, 3, 1)
    assert told.started(1) == [0, 0, 17]


def test_totals_are_those_of_all_places() -> None:
    told = board()
    for number, slot in enumerate((told.slot(0), told.slot(1)), start=1):
        slot.running(number)
        slot.settled(10 * number, number)
        slot.settled(1, 0)

    assert told.totals() == (3, 32, 3)


def test_a_new_executor_starts_from_nothing_and_goes_on_with_the_totals() -> None:
    told = board()
    slot = told.slot(0)
    slot.running(2)
    slot.performing(0, 17, 5.0)
    slot.settled(3, 1)
    slot.retiring(6)

    told.reset(0)

    assert told.totals() == (0, 3, 1)
    assert (told.claimed(0), told.is_retiring(0)) == (0, False)
    assert told.started(0) == [0, 0, 0]
    assert told.overdue(0, 6.0) == []


def test_a_place_where_nothing_runs_counts_as_idle_and_keeps_what_had_started() -> None:
    told = board()
    told.slot(0).running(2)
    told.slot(0).performing(0, 17, 5.0)

    told.has_ended(0)

    assert told.running(0) == 0
    assert told.started(0) == [17, 0, 0]


def test_only_jobs_that_still_run_past_the_moment_are_overdue() -> None:
    told = board()
    slot = told.slot(0)
    slot.performing(0, 17, 5.0)
    slot.performing(1, 18, 7.0)
    slot.performing(2, 19, 4.0)
    slot.performing(2, 19, 0.0)

    assert told.overdue(0, 6.0) == [17]


def test_who_retires_says_after_how_many_jobs_and_wakes_the_supervisor() -> None:
    read, write = os.pipe()
    told = Board(1, threads=1, wake_end=write)

    told.slot(0).retiring(12)

    assert (told.is_retiring(0), told.claimed(0)) == (True, 12)
    assert os.read(read, 10)
    os.close(read)
    os.close(write)


def test_a_supervisor_that_does_not_read_does_not_hold_up_who_retires() -> None:
    read, write = os.pipe()
    os.set_blocking(write, False)
    with pytest.raises(BlockingIOError):
        while True:
            os.write(write, bytes(4096))

    told = Board(1, threads=1, wake_end=write)
    told.slot(0).retiring(1)

    assert told.is_retiring(0)
    os.close(read)
    os.close(write)


def test_ready_is_told_once_and_ends_the_pipe() -> None:
    read, write = os.pipe()

    board().slot(0, write).ready()

    assert os.read(read, 10) == b"r"
    assert os.read(read, 10) == b""
    os.close(read)


def test_a_sign_of_life_ends_the_silence() -> None:
    told = board()
    told.vouch(0, seconds_ago=60)
    silent_for = told.silent_for(0)

    told.slot(0).alive()

    assert silent_for >= 60
    assert told.silent_for(0) < 60


def test_a_new_executor_has_just_given_a_sign_of_life() -> None:
    told = board()
    began = time.monotonic()

    told.reset(0)

    assert told.silent_for(0) <= time.monotonic() - began


def test_an_executor_without_a_supervisor_tells_nobody() -> None:
    slot = Slot()

    slot.ready()
    slot.performing(40, 17, 5.0)
    slot.retiring(3)
