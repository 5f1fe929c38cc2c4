"""The sign of life of an executor that runs and cannot give it, because a call into C keeps the GIL."""

from __future__ import annotations

import uuid
from pathlib import Path

from django.db.models.functions import Now

from jobqueue.conf import get_settings
from jobqueue.models import Worker
from jobqueue.worker.database_threads import DatabaseThreads
from jobqueue.worker.side_processes import SideProcesses


def vouch(pid: int, executor_id: uuid.UUID, side_processes: SideProcesses) -> bool:
    """Have the sign of life written, unless the process does not run. Returns whether it does."""
    if not _is_running(pid):
        return False
    side_processes.start(lambda: write(executor_id))
    return True


def write(executor_id: uuid.UUID) -> None:
    """Give its sign of life in every database; one that hangs keeps no other's from being written."""
    threads = DatabaseThreads.started("a voucher", patience=get_settings().worker_silence)
    threads.each(lambda using: Worker.objects.using(using).filter(pk=executor_id).update(heartbeat_at=Now()))


def _is_running(pid: int) -> bool:
    """Whether the process is there and not stopped, as far as Linux tells."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "RSD"
    except OSError:
        return False
