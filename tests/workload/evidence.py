"""What is to be known of jobs that do not end: where their messages are, and what the workers' threads do."""

from __future__ import annotations

import faulthandler
import os
import signal
from pathlib import Path

import psutil

_ASKED_BY = signal.SIGUSR2
_SIZES = {"list": "llen", "zset": "zcard", "set": "scard", "hash": "hlen", "stream": "xlen"}
_MOST_KEYS = 60


def answer_with_stacks() -> None:
    """Have this process, and all that it forks, print the stacks of its threads when it is asked."""
    faulthandler.register(_ASKED_BY, file=2, all_threads=True)


def ask_for_stacks() -> int:
    """Ask every process below this one that answers; a worker's are printed with its output. How many."""
    asked = 0
    for process in psutil.Process().children(recursive=True):
        if _answers(process.pid):
            os.kill(process.pid, _ASKED_BY)
            asked += 1
    return asked


def _answers(pid: int) -> bool:
    try:
        told = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    except OSError:  # it has ended, or this is no Linux
        return False
    caught = next((line for line in told.splitlines() if line.startswith("SigCgt:")), "SigCgt: 0")
    return bool(int(caught.split()[1], 16) >> (_ASKED_BY - 1) & 1)


def keys_with_sizes() -> str:
    """The keys of the queues' Redis, each with how much is in it."""
    from jobqueue.broker.connections import clients

    [client, *_others] = clients("work")
    told = []
    for key in sorted(client.scan_iter(count=1000))[:_MOST_KEYS]:
        command = _SIZES.get(client.type(key).decode())
        told.append(f"{key.decode(errors='replace')}: {getattr(client, command)(key) if command else 1}")
    return ", ".join(told)
