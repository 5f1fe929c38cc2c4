"""The sign of life of an executor that runs and cannot give it, because a call into C keeps the GIL."""

from __future__ import annotations

import os
import signal
import uuid
from pathlib import Path

from django.db import connections
from django.db.models.functions import Now

from jobqueue.conf import get_settings
from jobqueue.models import Worker
from jobqueue.sql.databases import for_each_database
from jobqueue.worker import processes
from jobqueue.worker.options import STOP_SIGNALS


class Vouchers:
    """Processes that write it for a supervisor, which a database that hangs must not keep."""

    def __init__(self) -> None:
        self._pids: list[int] = []

    def vouch(self, pid: int, executor_id: uuid.UUID) -> bool:
        """Have the sign of life written, unless the process does not run. Returns whether it does."""
        if not _is_running(pid):
            return False
        connections.close_all()
        voucher = os.fork()
        if not voucher:
            processes.run_and_end(lambda: _write(executor_id))
        self._pids.append(voucher)
        return True

    @property
    def pids(self) -> list[int]:
        """Those that have not been let go of."""
        return list(self._pids)

    def reap(self) -> None:
        """Let go of those that have ended."""
        self._pids = [pid for pid in self._pids if not os.waitpid(pid, os.WNOHANG)[0]]


def _write(executor_id: uuid.UUID) -> int:
    signal.set_wakeup_fd(-1)
    for signum in STOP_SIGNALS:
        signal.signal(signum, signal.SIG_DFL)
    signal.alarm(int(get_settings().worker_silence) + 1)
    for_each_database(
        lambda using: Worker.objects.using(using).filter(pk=executor_id).update(heartbeat_at=Now())
    )
    return 0


def _is_running(pid: int) -> bool:
    """Whether the process is there and not stopped, as far as Linux tells."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "RSD"
    except OSError:
        return False
