"""The processes of one worker as the system sees them: forks that end where they began, groups, orphans."""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

logger = logging.getLogger(__name__)

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_PROC = Path("/proc")
_AUTOGROUP = _PROC / "self" / "autogroup"
_ASK_AGAIN = 0.13
# Whether the system tells of a child's end without letting go of its number: macOS does from Python 3.13 on.
_CAN_LOOK = hasattr(os, "waitid")
_LOOK = os.WEXITED | os.WNOHANG | os.WNOWAIT if _CAN_LOOK else 0


# Forks ------------------------------------------------------------------------------------------------


def run_and_end(body: Callable[[], int]) -> NoReturn:
    """End this process, a fork, with the exit code that `body` returns; 1 if it raises.

    Whatever happens here happens in a copy of its parent's stack, so nothing may ever leave this function.
    """
    code = 1
    try:
        code = _run(body)
        _flush()
    finally:
        # Not sys.exit: threads that hang in a job must not keep the process.
        os._exit(code)


def _run(body: Callable[[], int]) -> int:
    try:
        return int(body())
    except BaseException:
        logger.exception("the process %d failed", os.getpid())
        return 1


def _flush() -> None:
    """Each step alone: what one cannot write any more, such as to a closed pipe, must not cost the others."""
    for flush in (logging.shutdown, sys.stdout.flush, sys.stderr.flush):
        with suppress(Exception):
            flush()


def die_with(parent: int) -> None:
    """On Linux, a parent that is killed takes this process along, as if it were asked to stop."""
    if sys.platform == "linux":
        _control(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            raise SystemExit("the supervisor ended before its executor started")


# Niceness ---------------------------------------------------------------------------------------------


def niceness_of_session() -> int:
    """How nice the session of this process is to others, where Linux shares cores out between sessions."""
    try:
        return int(_AUTOGROUP.read_text().split()[-1])
    except (OSError, ValueError, IndexError):  # not Linux, or without autogroups
        return 0


def stand_back(niceness: int) -> None:
    """Let others go first where CPU is short: this process, and what it starts, gets at least so nice."""
    os.setpriority(os.PRIO_PROCESS, 0, max(niceness, os.getpriority(os.PRIO_PROCESS, 0)))


def stand_back_as_session(niceness: int) -> None:
    """The same for the session that this process leads, soon: the system may have to be asked again.

    Where a kernel shares cores out between sessions first, a process is nice to those of its own session only
    (sched(7), "The autogroup feature"). From who is not root it takes one change in 0.1 s, of all processes.
    """
    if os.getsid(0) == os.getpid() and not _is_session_set(niceness):
        threading.Thread(target=_set_session, args=[niceness], name="niceness", daemon=True).start()


def _set_session(niceness: int) -> None:
    while not _is_session_set(niceness):
        time.sleep(_ASK_AGAIN)


def _is_session_set(niceness: int) -> bool:
    try:
        _write_to_system(_AUTOGROUP, f"{niceness}\n")
    except BlockingIOError:
        return False
    except OSError as error:
        logger.debug("sessions are not told apart here: %s", error)
    return True


def _write_to_system(path: Path, text: str) -> None:
    # Not by a file of Python's, which keeps what is refused for now and tries it again when it is closed.
    file = os.open(path, os.O_WRONLY)
    try:
        os.write(file, text.encode())
    finally:
        os.close(file)


# Groups -----------------------------------------------------------------------------------------------


def lead_session() -> None:
    """Give this process a session and a group of its own, which what it starts belongs to."""
    with suppress(PermissionError):  # it leads a group already
        os.setsid()


def read_nothing() -> None:
    """Read nothing from the terminal that the parent may have."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)


def exit_code_of(leader: int) -> int | None:
    """The exit code of a child that leads a group, once it has ended, else None; not to be asked again.

    What is left of its group is killed before its number can be given to somebody else.
    """
    try:
        if _CAN_LOOK:
            if os.waitid(os.P_PID, leader, _LOOK) is None:
                return None
            _kill_group(leader)
        ended, status = os.waitpid(leader, os.WNOHANG)
    except ChildProcessError:
        return 1
    if ended and not _CAN_LOOK:
        _kill_group(leader)
    return os.waitstatus_to_exitcode(status) if ended else None


def kill_leader(leader: int) -> None:
    """Kill a child and its group; return once it is gone."""
    _kill_group(leader)
    with suppress(ProcessLookupError):
        os.kill(leader, signal.SIGKILL)  # it may not have got to lead its group
    with suppress(ChildProcessError):
        os.waitpid(leader, 0)


def _kill_group(leader: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)


# Orphans ----------------------------------------------------------------------------------------------


class Orphans:
    """What the processes of jobs leave when they end: also what left its group, as far as Linux tells."""

    def __init__(self) -> None:
        self._strangers: set[int] | None = None

    def adopt(self) -> None:
        """From now on they become children of this process, which has no others but those to be known."""
        self._strangers = children()
        if sys.platform == "linux":
            _control(_PR_SET_CHILD_SUBREAPER, 1)

    def look_after(self, known: Collection[int], *, kills: bool) -> None:
        """Reap those that have ended; `kills` ends all, as is due once the executor of their job has ended.

        The known ones are nobody's orphans, and others want to hear their exit codes.
        """
        if self._strangers is None:
            return
        others = self._strangers.union(known)
        if kills:
            kill_descendants(children() - others)
        _reap_but(others)


def _reap_but(known: Collection[int]) -> None:
    with suppress(ChildProcessError):
        while _CAN_LOOK and (ended := os.waitid(os.P_ALL, 0, _LOOK)) is not None:
            if ended.si_pid in known:
                return
            os.waitpid(ended.si_pid, os.WNOHANG)


def is_child_running(pid: int) -> bool:
    """Whether a child of this process runs; whoever wants its exit code can still ask for it."""
    try:
        return _CAN_LOOK and os.waitid(os.P_PID, pid, _LOOK) is None
    except ChildProcessError:
        return False


def reap(pid: int, *, within: float) -> None:
    """Let go of a child that is about to end, at the latest after so many seconds."""
    deadline = time.monotonic() + within
    with suppress(ChildProcessError):
        while not os.waitpid(pid, os.WNOHANG)[0] and time.monotonic() < deadline:
            time.sleep(0.001)


def children() -> set[int]:
    """The processes that this one has started or adopted, as far as Linux tells."""
    return _children(_parents(), [os.getpid()])


def kill_descendants(roots: Iterable[int] | None = None) -> None:
    """Kill what these processes have started, by default this one, and what that has started.

    Those that the caller names are killed too; of this process it is the rest of it. Only Linux tells.
    """
    if roots is None:
        _kill(_descendants(_parents(), [os.getpid()]))
    else:
        named = set(roots)
        _kill(_descendants(_parents(), named) | named)


def end_with_descendants(code: int) -> NoReturn:
    """End this process at once, whatever its threads do, and before it what it and those have started.

    A supervisor would end those too, but may have been killed.
    """
    try:
        kill_descendants()
    finally:
        os._exit(code)


def _kill(pids: Iterable[int]) -> None:
    for pid in pids:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)


def _descendants(parents: dict[int, int], roots: Iterable[int]) -> set[int]:
    found: set[int] = set()
    generation = _children(parents, roots)
    while generation - found:
        found |= generation
        generation = _children(parents, generation)
    return found


def _children(parents: dict[int, int], roots: Iterable[int]) -> set[int]:
    wanted = set(roots)
    return {pid for pid, parent in parents.items() if parent in wanted}


def _parents() -> dict[int, int]:
    """The parent of each process, by its id; empty where the system does not tell."""
    if not _PROC.is_dir():
        return {}
    found = {}
    for entry in os.listdir(_PROC):
        if entry.isdigit():
            with suppress(OSError, IndexError):  # it has just ended
                found[int(entry)] = int((_PROC / entry / "stat").read_text().rpartition(")")[2].split()[1])
    return found


def _control(option: int, value: int) -> None:
    ctypes.CDLL(None, use_errno=True).prctl(option, value)
