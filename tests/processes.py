"""Finds the processes of a worker, also those that lost their parent."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import psutil

_OUTPUTS = (1, 2)


def processes_of(leader: int, pipe: int) -> list[psutil.Process]:
    """All that are in the leader's session or in that of a process that prints into this pipe (its inode)."""
    sessions = {process: _session(process.pid) for process in psutil.process_iter()}
    own = os.getsid(0)
    known = {leader, *(session for process, session in sessions.items() if _prints_into(process.pid, pipe))}
    return [process for process, session in sessions.items() if session in known and session != own]


def put_to_sleep(processes: Iterable[psutil.Process]) -> None:
    """Let them do nothing any more, not even start another process."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.suspend()


def _session(pid: int) -> int | None:
    with suppress(ProcessLookupError, PermissionError):
        return os.getsid(pid)
    return None


def _prints_into(pid: int, pipe: int) -> bool:
    for output in _OUTPUTS:
        with suppress(OSError):
            if Path(f"/proc/{pid}/fd/{output}").stat().st_ino == pipe:
                return True
    return False
