"""PostgreSQL is killed and forgets what had not reached its disk: claims, for which no job waits.

On a server of its own. Collected on PostgreSQL only (conftest.py).
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.servers import PostgreSQLServer
from tests.conftest import StartWorker, WorkerProcess, wait_until
from tests.servers import ROOT, subprocess_environment
from tests.workload.fixtures import Workload

NAME = "crashed"
ENQUEUE = """
    INSERT INTO jobqueue_job (processor, queue, payload, subject, timeout, state, attempt, failures, reason)
    VALUES ('workload.wait', 'settlement', '{"name": "crashed"}', '', 60, 'waiting', 1, 0, '')
"""


@pytest.fixture
def server() -> Iterator[PostgreSQLServer]:
    """A PostgreSQL of this test's own, with all tables in its database "site"."""
    # Not in a folder of pytest's, which nobody else may enter: PostgreSQL is another user.
    folder = Path(tempfile.mkdtemp(prefix="spendsync-crash-"))
    folder.chmod(0o755)
    server = PostgreSQLServer(folder / "postgresql")
    try:
        server.start()
        with server.connect("postgres") as connection:
            connection.execute("CREATE DATABASE site")
        environment = subprocess_environment(DATABASE_URL=server.url("site"), OTHER_DATABASE_URL="")
        migrate = [sys.executable, "manage.py", "migrate", "--verbosity", "0"]
        subprocess.run(migrate, cwd=ROOT, env=environment, check=True)
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _ask(server: PostgreSQLServer, sql: str) -> Any:
    with server.connect("site") as connection:
        return connection.execute(sql.encode()).fetchone()


def _stop_writing_ahead(server: PostgreSQLServer) -> None:
    """From now on only commits that wait for the disk bring anything there."""
    (pid,) = _ask(server, "SELECT pid FROM pg_stat_activity WHERE backend_type = 'walwriter'")
    os.kill(pid, signal.SIGSTOP)


def _start_job_and_crash(
    server: PostgreSQLServer, rqworker: StartWorker, workload: Workload
) -> WorkerProcess:
    # Nothing else is written soon after the claim, which would take it along to the disk.
    worker = rqworker(DATABASE_URL=server.url("site"), jobqueue={"HEARTBEAT_INTERVAL": 4, "LOST_AFTER": 60})
    with server.connect("site") as connection:
        _stop_writing_ahead(server)
        connection.execute(ENQUEUE)
    workload.wait_for_start(NAME)
    server.crash()
    return worker


def _assert_done_once(server: PostgreSQLServer, workload: Workload) -> None:
    wait_until(lambda: _ask(server, "SELECT state FROM jobqueue_job")[0] == "completed", 20)
    assert _ask(server, "SELECT attempt, failures FROM jobqueue_job") == (1, 0)
    assert workload.effects() == {NAME: 1}
    assert len(workload.start_times(NAME)) == 1


def test_a_job_that_ends_while_postgresql_is_down_counts_though_its_claim_was_forgotten(
    server: PostgreSQLServer, rqworker: StartWorker, workload: Workload
) -> None:
    worker = _start_job_and_crash(server, rqworker, workload)
    workload.open_gate(NAME)
    worker.wait_for_line("cannot settle 1 jobs for now")

    server.start_again()

    _assert_done_once(server, workload)


def test_a_job_that_runs_on_gets_its_forgotten_claim_back(
    server: PostgreSQLServer, rqworker: StartWorker, workload: Workload
) -> None:
    _start_job_and_crash(server, rqworker, workload)

    server.start_again()

    wait_until(lambda: _ask(server, "SELECT state FROM jobqueue_job")[0] == "active", 20)
    workload.open_gate(NAME)
    _assert_done_once(server, workload)
