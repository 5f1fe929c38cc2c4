"""Notices that a `make` above us was told to stop.

GNU make that gets SIGINT counts on the terminal having sent it to everybody. If somebody sent it
to make alone, make keeps it to itself and waits for us, who never heard of it. It gives one sign:
it no longer catches SIGINT. Watched, the demo ends 5 s after that (GNU make 4.3); otherwise it runs on, with
all its processes, until somebody looks for them.
"""

import os
import signal
from pathlib import Path


class MakeWatcher:
    """Watches the parent process, if that is a make (and the system has /proc)."""

    def __init__(self, pid: int | None = None) -> None:
        self._pid = os.getppid() if pid is None else pid
        self._watching = _name(self._pid) in ("make", "gmake")
        self._caught = self._watching and _catches(self._pid, signal.SIGINT)

    def was_told_to_stop(self) -> bool:
        """Whether make is gone or was interrupted."""
        if not self._watching:
            return False
        return _name(self._pid) is None or (self._caught and not _catches(self._pid, signal.SIGINT))


def _status(pid: int) -> dict[str, str]:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return {}
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def _name(pid: int) -> str | None:
    return _status(pid).get("Name")


def _catches(pid: int, number: int) -> bool:
    caught = int(_status(pid).get("SigCgt", "0"), 16)
    return bool(caught & 1 << (number - 1))
