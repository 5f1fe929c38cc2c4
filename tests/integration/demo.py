"""Runs `make demo` as a visitor would and looks at it from outside.

As a program it checks a whole folder, such as a bare clone:
`python -m tests.integration.demo --folder clone --port 18000`.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from tests.integration.visitor import Visitor

INSTALL_AND_START = 600.0
FIRST_EMAIL = 90.0
STOP = 30.0
INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "PIP_INDEX_URL", "PIP_CONFIG_FILE", "PIP_CACHE_DIR")


def _heed_interrupts() -> None:
    """A shell lets what it runs in the background ignore SIGINT, and make hands that on."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class DemoRun:
    """One `make demo` in a process group of its own."""

    def __init__(self, folder: Path, var: Path, port: int) -> None:
        self.var = var
        self.port = port
        self._lines: list[str] = []
        # Not our whole environment: the demo must not lean on what a test run or a make above has set.
        environment = {name: value for name, value in os.environ.items() if name in INHERITED}
        self.make = subprocess.Popen(
            ["make", "demo", f"PORT={port}", f"VAR={var}"],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            preexec_fn=_heed_interrupts,
        )
        self._visitor = Visitor(self.address)
        self._reader = threading.Thread(target=self._read, name="demo output", daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.make.stdout is not None
        with self.make.stdout as output:
            for line in output:
                self._lines.append(line)

    @property
    def printed(self) -> str:
        """All that the demo has printed."""
        return "".join(self._lines)

    @property
    def output(self) -> str:
        """What the demo printed last, for the message of a failure."""
        return "".join(self._lines[-200:])

    def wait_for(self, what: str, predicate: Callable[[], Any], timeout: float) -> Any:
        """The first true value of `predicate()`; AssertionError with the output if there is none in time."""
        deadline = time.monotonic() + timeout
        pause = threading.Event()
        while not (value := predicate()):
            if self.make.poll() is not None:
                self._reader.join(5)
                raise AssertionError(
                    f"make ended with code {self.make.returncode}; it printed:\n{self.output}"
                )
            if time.monotonic() > deadline:
                raise AssertionError(f"no {what} within {timeout:g} s; the demo printed:\n{self.output}")
            pause.wait(0.25)
        return value

    def wait_until_up(self, timeout: float = INSTALL_AND_START) -> None:
        """Return once the health page says UP and the demo has said so itself."""
        self.wait_for("health", lambda: self.health().get("status") == "UP", timeout)
        self.wait_for("welcome", lambda: "Ctrl-C stops everything" in self.printed, timeout)

    @property
    def address(self) -> str:
        """Where the site is."""
        return f"http://127.0.0.1:{self.port}"

    def get(self, path: str) -> str:
        """The body of a page."""
        return self._visitor.get(path)

    def log_in(self) -> str:
        """Log in as the welcome says; the page that follows."""
        return self._visitor.log_in("admin", "admin")

    def named_pages(self) -> set[str]:
        """The paths of all pages that the demo named in its output."""
        return set(re.findall(rf"{re.escape(self.address)}(/\S*)", self.printed))

    def health(self) -> dict[str, Any]:
        """The health page, empty while there is none."""
        try:
            health: dict[str, Any] = json.loads(self.get("/health/queues"))
        except (OSError, ValueError):
            return {}
        return health

    def completed_emails(self) -> int:
        """How many jobs of the queue `email` the health page counts as completed."""
        return int(self.health().get("queues", {}).get("email", {}).get("completed", 0))

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Rows of the demo's database."""
        connection = sqlite3.connect(f"file:{self.var / 'demo.sqlite3'}?mode=ro", uri=True, timeout=10)
        try:
            return connection.execute(sql).fetchall()
        finally:
            connection.close()

    def failed_with_four_attempts(self) -> list[tuple[Any, ...]]:
        """The ids of failed jobs that have an attempt row for each of their four runs."""
        return self.query(
            "SELECT job.id FROM jobqueue_job job JOIN jobqueue_attempt attempt ON attempt.job_id = job.id"
            " WHERE job.state = 'failed' GROUP BY job.id HAVING COUNT(*) = 4"
        )

    def processes(self) -> list[psutil.Process]:
        """All processes that work on this demo's folder, wherever they hang in the process tree."""
        marks = (f"{self.var}/", f"VAR={self.var}")
        found = []
        for process in psutil.process_iter():
            try:
                texts = [*process.cmdline(), *process.environ().values()]
            except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
                continue
            if process.pid != os.getpid() and any(mark in text for text in texts for mark in marks):
                found.append(process)
        return found

    def interrupt_make_alone(self) -> None:
        """SIGINT to the make process only, as a supervisor or a careless script sends it."""
        self.make.send_signal(signal.SIGINT)

    def interrupt_group(self) -> None:
        """SIGINT to the whole process group, as Ctrl-C in a terminal does."""
        os.killpg(self.make.pid, signal.SIGINT)

    def wait_until_stopped(self, timeout: float = STOP) -> float:
        """Wait until make is gone; how long that took. AssertionError if it takes longer."""
        begin = time.monotonic()
        try:
            self.make.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the demo did not end within {timeout:g} s:\n{self.output}") from None
        self._reader.join(5)
        return time.monotonic() - begin

    def kill(self) -> None:
        """Leave nothing behind, whatever happened."""
        for process in self.processes():
            with suppress(psutil.NoSuchProcess):  # it ended just now
                process.kill()
        if self.make.poll() is None:
            self.make.kill()
        self.make.wait()


def check(folder: Path, port: int) -> None:
    """Assert all that a visitor of a bare clone is promised."""
    run = DemoRun(folder, folder / "var", port)
    try:
        begin = time.monotonic()
        run.wait_until_up()
        print(f"up after {time.monotonic() - begin:.1f} s, installation included")
        begin = time.monotonic()
        emails = run.wait_for("completed e-mail", run.completed_emails, FIRST_EMAIL)
        print(f"{emails} e-mails completed {time.monotonic() - begin:.1f} s later")
        run.wait_for("failed job with four attempts", run.failed_with_four_attempts, FIRST_EMAIL)
        print(f"a failed job with four attempts {time.monotonic() - begin:.1f} s after the site was up")
        run.interrupt_make_alone()
        print(f"ended {run.wait_until_stopped():.1f} s after SIGINT")
        left = run.processes()
        assert not left, f"still running: {left}"
        print("no process left")
    finally:
        run.kill()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    arguments = parser.parse_args()
    check(arguments.folder.resolve(), arguments.port)
