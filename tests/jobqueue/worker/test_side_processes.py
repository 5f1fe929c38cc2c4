"""Processes that speak with a database for the supervisor: waited for by their end, and never for ever."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest
from django.conf import LazySettings

from jobqueue.worker.side_processes import SideProcesses
from tests.conftest import wait_until

LONG = 60.0
"""Seconds that no test waits."""


@pytest.fixture
def side_processes() -> Iterator[SideProcesses]:
    """What a test has left of them is ended."""
    made = SideProcesses()
    yield made
    for pid in made.pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not _left(made))


def _left(side_processes: SideProcesses) -> list[int]:
    side_processes.reap()
    return side_processes.pids


def _hang() -> None:
    while True:
        time.sleep(LONG)


def test_another_process_does_it(side_processes: SideProcesses) -> None:
    told, tell = os.pipe()
    side_processes.run(lambda: os.write(tell, str(os.getpid()).encode()), LONG)

    assert int(os.read(told, 20)) != os.getpid()


@pytest.mark.parametrize("error", [None, OSError("away"), SystemExit(3)], ids=repr)
def test_its_end_is_noticed_at_once_however_it_ends(
    side_processes: SideProcesses, error: BaseException | None
) -> None:
    def body() -> None:
        if error is not None:
            raise error

    begin = time.monotonic()
    side_processes.run(body, LONG)

    assert time.monotonic() - begin < LONG / 4
    wait_until(lambda: not _left(side_processes))


def test_one_that_is_killed_is_noticed_as_well(side_processes: SideProcesses) -> None:
    begin = time.monotonic()
    side_processes.run(lambda: os.kill(os.getpid(), signal.SIGKILL), LONG)

    assert time.monotonic() - begin < LONG / 4


def test_one_that_hangs_keeps_nobody_for_longer_than_was_said(side_processes: SideProcesses) -> None:
    begin = time.monotonic()
    side_processes.run(_hang, 0.1)

    assert 0.1 <= time.monotonic() - begin < LONG / 4
    assert len(side_processes.pids) == 1


def test_another_is_run_beside_one_that_hangs(side_processes: SideProcesses) -> None:
    side_processes.start(_hang)
    told, tell = os.pipe()
    side_processes.run(lambda: os.write(tell, b"done"), LONG)

    assert os.read(told, 20) == b"done"
    wait_until(lambda: len(_left(side_processes)) == 1)


def test_one_that_hangs_ends_by_itself_once_a_silent_worker_counts_as_gone(
    side_processes: SideProcesses, settings: LazySettings
) -> None:
    settings.JOBQUEUE = {"WORKER_SILENCE": 0.5, "HEARTBEAT_INTERVAL": 0.1}
    side_processes.start(_hang)

    wait_until(lambda: not _left(side_processes), 10)


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_it_can_be_ended_though_its_parent_takes_its_time_with_signals(
    side_processes: SideProcesses, signum: signal.Signals
) -> None:
    before = signal.signal(signum, signal.SIG_IGN)
    told, tell = os.pipe()
    try:
        side_processes.start(lambda: (os.write(tell, b"here"), _hang()))
    finally:
        signal.signal(signum, before)
    assert os.read(told, 20) == b"here"
    [pid] = side_processes.pids

    os.kill(pid, signum)

    wait_until(lambda: not _left(side_processes))
