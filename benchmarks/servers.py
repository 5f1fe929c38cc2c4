"""The servers of one run: a Redis that keeps nothing, and a PostgreSQL that keeps everything."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import psycopg

from spendsync_site.demo.processes import LOOPBACK, end_with_parent, free_port
from spendsync_site.demo.redis_server import RedisServer

__all__ = ["PostgreSQLServer", "RedisServer", "ServerUnavailable"]

_PATIENCE = 30.0


class ServerUnavailable(Exception):
    """A server cannot be started; the message says what helps."""


class PostgreSQLServer:
    """A cluster of its own: durable, with the defaults of PostgreSQL, except for `max_connections`."""

    def __init__(self, folder: Path, environment: Mapping[str, str] | None = None) -> None:
        """`environment` is what the server itself finds in its own, besides this process's."""
        self._folder = folder
        self._environment = {**os.environ, **(environment or {})}
        self._data, self._log = folder / "data", folder.parent / "postgresql.log"
        self._binaries = _find_binaries()
        self.port = 0
        self._process: subprocess.Popen[str] | None = None

    @property
    def pid(self) -> int:
        """The process id of the server."""
        if self._process is None:
            raise ServerUnavailable("PostgreSQL is not running")
        return self._process.pid

    def url(self, database: str) -> str:
        """The address of a database."""
        return f"postgres://postgres@{LOOPBACK}:{self.port}/{database}"

    def start(self) -> None:
        """Make the cluster and start the server; return when it takes connections."""
        self._folder.mkdir(mode=0o700)
        if os.geteuid() == 0:
            _give_to_postgres(self._folder)
        with self._log.open("a") as output:
            subprocess.run(
                [
                    *(self._binaries / "initdb", "-D", self._data, "-U", "postgres", "--auth=trust"),
                    *("--encoding=UTF8", "--locale=C.UTF-8"),
                ],
                check=True,
                stdout=output,
                stderr=output,
                **_as_postgres(),
            )
        self.port = free_port()
        self._run()

    def crash(self) -> None:
        """Kill all of its processes at once: what had not reached the disk is forgotten."""
        if self._process is None:
            raise ServerUnavailable("PostgreSQL is not running")
        server = psutil.Process(self._process.pid)
        # Stopped, it makes no further process. Each backend leads a process group of its own.
        server.suspend()
        os.waitid(os.P_PID, server.pid, os.WSTOPPED)
        backends = server.children()
        for process in (*backends, server):
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self._process.wait(_PATIENCE)
        # One that is not gone yet holds the shared memory, and no server starts beside it.
        _gone, left = psutil.wait_procs(backends, _PATIENCE)
        if left:
            raise ServerUnavailable(f"PostgreSQL's processes do not end: {left}")

    def start_again(self) -> None:
        """Start the crashed server with what was on the disk, on the same port."""
        self._run()

    def _run(self) -> None:
        with self._log.open("a") as output:
            self._process = subprocess.Popen(
                [
                    *(self._binaries / "postgres", "-D", self._data, "-p", str(self.port)),
                    *("-c", f"listen_addresses={LOOPBACK}", "-c", f"unix_socket_directories={self._folder}"),
                    *("-c", "max_connections=400"),
                ],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                text=True,
                env=self._environment,
                start_new_session=True,
                preexec_fn=end_with_parent,
                **_as_postgres(),
            )
        self._wait_until_ready()

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                self.connect("postgres").close()
                return
            except psycopg.OperationalError as error:
                ended = self._process is None or self._process.poll() is not None
                if ended or time.monotonic() > deadline:
                    raise ServerUnavailable(
                        f"PostgreSQL did not start: {error}\n{self._log.read_text()[-2000:]}"
                    ) from None
                time.sleep(0.1)

    def connect(self, database: str) -> psycopg.Connection[tuple[object, ...]]:
        """A connection that commits every statement."""
        return psycopg.connect(
            host=LOOPBACK, port=self.port, user="postgres", dbname=database, autocommit=True
        )

    def version(self) -> str:
        """Such as "15.18"."""
        with self.connect("postgres") as connection:
            row = connection.execute("SHOW server_version").fetchone()
        return str(row[0]).split()[0] if row else ""

    def stop(self) -> None:
        """End the server; its files go with the folder."""
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                self._process.send_signal(signal.SIGQUIT)
                self._process.wait(_PATIENCE)
        self._process = None


def _find_binaries() -> Path:
    def version(path: Path) -> list[int]:
        return [int(number) for number in re.findall(r"\d+", str(path))]

    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=version)
    if not found:
        raise ServerUnavailable(
            "there is no PostgreSQL under /usr/lib/postgresql. "
            "Install it (Debian: apt-get install postgresql)."
        )
    return found[-1].parent


def _as_postgres() -> dict[str, Any]:
    """PostgreSQL refuses to run as root."""
    return {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}


def _give_to_postgres(folder: Path) -> None:
    shutil.chown(folder, "postgres", "postgres")
