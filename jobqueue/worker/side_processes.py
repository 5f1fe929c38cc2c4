"""Short-lived forks of a supervisor that speak with databases for it: one that hangs must not keep it."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Callable

from django.db import connections

from jobqueue.conf import get_settings
from jobqueue.worker import processes
from jobqueue.worker.options import STOP_SIGNALS


class SideProcesses:
    """Each does one thing and ends, at the latest when a worker that is silent for as long counts as gone."""

    def __init__(self) -> None:
        self._pids: list[int] = []

    def start(self, body: Callable[[], object]) -> None:
        """Have another process do this."""
        connections.close_all()
        pid = os.fork()
        if not pid:
            processes.run_and_end(lambda: _run(body))
        self._pids.append(pid)

    def run(self, body: Callable[[], object], within: float) -> None:
        """Have another process do this; return when it is done, at the latest after so many seconds."""
        ends, held = os.pipe()  # the process alone holds that end from now on, so it tells of its end
        try:
            self.start(body)
        finally:
            os.close(held)
        select.select([ends], [], [], within)
        os.close(ends)
        self.reap()

    @property
    def pids(self) -> list[int]:
        """Those that have not been let go of."""
        return list(self._pids)

    def reap(self) -> None:
        """Let go of those that have ended."""
        self._pids = [pid for pid in self._pids if not os.waitpid(pid, os.WNOHANG)[0]]


def _run(body: Callable[[], object]) -> int:
    signal.set_wakeup_fd(-1)
    for signum in STOP_SIGNALS:
        signal.signal(signum, signal.SIG_DFL)
    signal.alarm(int(get_settings().worker_silence) + 1)
    body()
    return 0
