"""Forks that end where they began, whatever happens in them."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from jobqueue.worker import processes

OUT = 99


def _code_of(prepare: Callable[[], object], body: Callable[[], int]) -> int:
    """The exit code of a fork that runs `body`; OUT if it came back out of it."""
    pid = os.fork()
    if not pid:
        try:
            prepare()
            processes.run_and_end(body)
        finally:
            os._exit(OUT)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _raising(error: BaseException) -> Callable[[], int]:
    def body() -> int:
        raise error

    return body


def test_a_fork_ends_with_the_code_that_its_body_returns() -> None:
    assert _code_of(lambda: None, lambda: 7) == 7


@pytest.mark.parametrize(
    "error",
    [ValueError("no"), SystemExit(0), KeyboardInterrupt(), GeneratorExit(), MemoryError(), RecursionError()],
    ids=lambda error: type(error).__name__,
)
def test_a_fork_whose_body_raises_ends_there(error: BaseException) -> None:
    assert _code_of(lambda: None, _raising(error)) == 1


def _close_outputs() -> None:
    os.close(1)
    os.close(2)


class _Broken:
    def write(self, _text: str) -> int:
        raise BrokenPipeError

    def flush(self) -> None:
        raise KeyboardInterrupt


def _break_outputs() -> None:
    sys.stdout = sys.stderr = _Broken()  # type: ignore[assignment]


def _break_logging() -> None:
    def fail(*_: object, **__: object) -> None:
        raise MemoryError

    logging.Logger.exception = fail  # type: ignore[method-assign]
    logging.shutdown = _raising(SystemExit(0))  # type: ignore[assignment]


@pytest.mark.parametrize("prepare", [_close_outputs, _break_outputs, _break_logging])
@pytest.mark.parametrize("body", [lambda: 0, _raising(ValueError("no"))], ids=["returns", "raises"])
def test_a_fork_ends_though_it_can_tell_nobody(
    prepare: Callable[[], object], body: Callable[[], int]
) -> None:
    assert _code_of(prepare, body) != OUT


def test_a_fork_ends_though_its_body_returns_no_code() -> None:
    assert _code_of(lambda: None, lambda: "done") == 1  # type: ignore[arg-type,return-value]


@pytest.mark.parametrize(("by_itself", "asked", "expected"), [(0, 2, 2), (3, 2, 3)])
def test_a_process_stands_back_by_so_much_and_keeps_what_it_stands_back_by_already(
    by_itself: int, asked: int, expected: int
) -> None:
    own = os.getpriority(os.PRIO_PROCESS, 0)

    def body() -> int:
        processes.stand_back(own + asked)
        return os.getpriority(os.PRIO_PROCESS, 0) - own

    assert _code_of(lambda: os.nice(by_itself), body) == expected


def _stand_back_and_wait(file: Path, refusals: int = 0) -> int:
    write, left = processes._write_to_system, [BlockingIOError()] * refusals

    def refuse_or_write(path: Path, text: str) -> None:
        if left:
            raise left.pop()
        write(path, text)

    processes._AUTOGROUP, processes._write_to_system = file, refuse_or_write
    processes.stand_back_as_session(7)
    for thread in threading.enumerate():
        if thread is not threading.current_thread():
            thread.join(10)
    return 0


@pytest.fixture
def autogroup(tmp_path: Path) -> Path:
    """What the system has in /proc/self/autogroup."""
    file = tmp_path / "autogroup"
    file.write_text("/autogroup-25 nice 0\n")
    return file


@pytest.mark.parametrize("refusals", [0, 2])
def test_the_leader_of_a_session_lets_others_go_first_as_soon_as_the_system_takes_it(
    autogroup: Path, refusals: int
) -> None:
    assert _code_of(processes.lead_session, lambda: _stand_back_and_wait(autogroup, refusals)) == 0
    assert autogroup.read_text().startswith("7\n")


def test_the_session_of_somebody_else_is_left_alone(autogroup: Path) -> None:
    assert _code_of(lambda: None, lambda: _stand_back_and_wait(autogroup)) == 0
    assert autogroup.read_text() == "/autogroup-25 nice 0\n"


def test_where_sessions_are_not_told_apart_nothing_happens(tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere" / "autogroup"
    assert _code_of(processes.lead_session, lambda: _stand_back_and_wait(nowhere)) == 0
    assert not nowhere.exists()


@pytest.mark.parametrize(("text", "expected"), [("/autogroup-25 nice 3\n", 3), ("", 0), (None, 0)])
def test_the_niceness_of_a_session_is_what_the_system_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None, expected: int
) -> None:
    file = tmp_path / "autogroup"
    if text is not None:
        file.write_text(text)
    monkeypatch.setattr(processes, "_AUTOGROUP", file)
    assert processes.niceness_of_session() == expected


def test_a_process_that_ends_at_once_takes_along_what_it_started_in_sessions_of_their_own() -> None:
    from_session, into_pipe = os.pipe()

    def start_and_end() -> int:
        subprocess.Popen(["sleep", "600"], start_new_session=True, pass_fds=[into_pipe])
        processes.end_with_descendants(7)

    assert _code_of(lambda: None, start_and_end) == 7
    os.close(into_pipe)
    with os.fdopen(from_session, "rb") as reader:
        assert reader.read() == b""  # it comes to its end once nobody has the other end open


def test_a_process_that_ends_at_once_ends_though_the_system_tells_nothing_of_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(_roots: object = None) -> None:
        raise OSError("too many open files")

    monkeypatch.setattr(processes, "kill_descendants", fail)

    def end() -> int:
        processes.end_with_descendants(7)

    assert _code_of(lambda: None, end) == 7
