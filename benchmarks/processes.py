"""Processes that a measure starts, what they use, and their end by process id."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from spendsync_site.demo.processes import end_with_parent

ROOT = Path(__file__).resolve().parent.parent
_TICK = os.sysconf("SC_CLK_TCK")
_STOP_WITHIN = 15.0


class BenchmarkFailed(Exception):
    """A measure is worth nothing: jobs are missing or ran twice, or a process failed."""


@dataclass(frozen=True, slots=True)
class ProcessStatus:
    """What `/proc/<pid>/stat` tells."""

    pid: int
    parent: int
    session: int
    ticks: int
    ticks_of_ended_children: int


def all_processes() -> Iterator[ProcessStatus]:
    """Every process there is."""
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        with suppress(OSError):
            # The name in parentheses may hold blanks.
            fields = Path("/proc", entry, "stat").read_text().rpartition(")")[2].split()
            yield ProcessStatus(
                pid=int(entry),
                parent=int(fields[1]),
                session=int(fields[3]),
                ticks=int(fields[11]) + int(fields[12]),
                ticks_of_ended_children=int(fields[13]) + int(fields[14]),
            )


def cpu_seconds(root: int) -> float:
    """User and system time of a session leader or parent, its processes, and those of them that ended."""
    return sum(process.ticks + process.ticks_of_ended_children for process in _family(root)) / _TICK


def memory(root: int) -> int:
    """The memory of a family of processes in bytes: what they share counts once (PSS)."""
    return sum(_proportional_set_size(process.pid) for process in _family(root))


def process_count(root: int) -> int:
    """How many processes the family has."""
    return len(_family(root))


def is_running(pid: int) -> bool:
    """Whether a process has not ended."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def _family(root: int) -> list[ProcessStatus]:
    processes = list(all_processes())
    known = {root}
    while True:
        more = {process.pid for process in processes if process.session in known or process.parent in known}
        if more <= known:
            return [process for process in processes if process.pid in known]
        known |= more


def _proportional_set_size(pid: int) -> int:
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0


@contextmanager
def running(
    command: Sequence[str], environment: Mapping[str, str], log: Path
) -> Iterator[subprocess.Popen[str]]:
    """A process in a session of its own; at the end it gets SIGTERM, and what is left of it SIGKILL."""
    with log.open("a") as output:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            preexec_fn=end_with_parent,
        )
    try:
        yield process
    finally:
        _end(process)


def _end(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_WITHIN)
    deadline = time.monotonic() + _STOP_WITHIN
    while (left := _alive_in_session(process.pid)) and time.monotonic() < deadline:
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.poll()
        time.sleep(0.01)
    process.wait()


def _alive_in_session(session: int) -> list[int]:
    return [process.pid for process in all_processes() if process.session == session]


def output_of(command: Sequence[str], environment: Mapping[str, str], log: Path, timeout: float) -> str:
    """What a command prints; BenchmarkFailed with its last words if it fails."""
    with log.open("a+") as errors:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,
            preexec_fn=end_with_parent,
        )
        try:
            output, _ = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            raise BenchmarkFailed(f"{' '.join(command)} took more than {timeout:.0f} s") from None
        finally:
            _end(process)
    if process.returncode:
        raise BenchmarkFailed(f"{' '.join(command)} failed:\n{last_lines(log)}")
    return output


def last_lines(log: Path, count: int = 15) -> str:
    """The end of a log."""
    return "\n".join(log.read_text(errors="replace").splitlines()[-count:])
