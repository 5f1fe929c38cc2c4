"""A worker that starts while PostgreSQL is away, hangs or refuses it. Collected on PostgreSQL only."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from urllib.parse import urlsplit, urlunsplit

import pytest

from spendsync_site.demo.processes import LOOPBACK
from tests.conftest import StartWorker
from tests.faults.proxy import Proxy
from tests.faults.test_postgresql import database_proxy, through
from tests.servers import subprocess_environment
from tests.workload.fixtures import Workload, note

assert database_proxy  # a fixture
WITHIN = 6.0


def _url(**parts: str) -> str:
    return urlunsplit(urlsplit(subprocess_environment()["DATABASE_URL"])._replace(**parts))


def _at(host: str, port: int) -> str:
    user = urlsplit(subprocess_environment()["DATABASE_URL"]).username or "postgres"
    return _url(netloc=f"{user}@{host}:{port}")


@pytest.fixture
def starting_up() -> Iterator[Proxy]:
    """What answers as a PostgreSQL does that is not ready for connections, until it is redirected."""
    fields = b"SFATAL\0VFATAL\0C57P03\0Mthe database system is starting up\0\0"
    answer = b"E" + (len(fields) + 4).to_bytes(4, "big") + fields
    listener = socket.create_server((LOOPBACK, 0))

    def refuse() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with client:
                # It asks for encryption first, and goes on without.
                if int.from_bytes(client.recv(8)[4:8], "big") in (80877103, 80877104):
                    client.sendall(b"N")
                    if int.from_bytes(client.recv(8)[4:8], "big") in (80877103, 80877104):
                        client.sendall(b"N")
                        client.recv(8)
                client.recv(4096)
                client.sendall(answer)

    threading.Thread(target=refuse, daemon=True).start()
    proxy = Proxy(LOOPBACK, listener.getsockname()[1])
    yield proxy
    proxy.cut()
    listener.close()


def test_a_server_that_is_away_is_waited_for(
    rqworker: StartWorker, workload: Workload, database_proxy: Proxy
) -> None:
    database_proxy.cut()
    note("early")
    worker = rqworker(wait=False, DATABASE_URL=through(database_proxy))
    worker.wait_for_line("waiting for the database 'default': OperationalError: .*refused")

    database_proxy.restore()

    worker.wait_until_ready(WITHIN)
    assert workload.wait_for_effects(1) == {"early": 1}
    assert "Traceback" not in worker.output


def test_a_server_that_starts_up_is_waited_for(
    rqworker: StartWorker, workload: Workload, starting_up: Proxy
) -> None:
    worker = rqworker(wait=False, DATABASE_URL=through(starting_up))
    worker.wait_for_line("waiting for the database 'default': OperationalError: .*starting up")

    server = urlsplit(subprocess_environment()["DATABASE_URL"])
    starting_up.redirect(server.hostname or LOOPBACK, server.port or 5432)

    worker.wait_until_ready(WITHIN)


def test_a_server_that_hangs_is_waited_for_and_a_signal_ends_the_wait_at_once(
    rqworker: StartWorker, blackhole: tuple[str, int]
) -> None:
    worker = rqworker(wait=False, DATABASE_URL=f"{_at(*blackhole)}?connect_timeout=60")
    worker.wait_for_line("waiting for the database 'default'")
    asked = time.monotonic()

    assert worker.stop() == 0
    assert time.monotonic() - asked < 10
    assert "Traceback" not in worker.output


def test_a_server_that_hangs_is_named_before_it_has_answered(
    rqworker: StartWorker, blackhole: tuple[str, int]
) -> None:
    worker = rqworker(wait=False, DATABASE_URL=f"{_at(*blackhole)}?connect_timeout=60")

    worker.wait_for_line("waiting for the database 'default': it does not answer")
    assert worker.stop() == 0


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ({"path": "/nobody_made_this"}, '"nobody_made_this" does not exist. Look at NAME of DATABASES'),
        ({"netloc": "nobody"}, '"nobody" does not exist. Look at USER of DATABASES'),
    ],
)
def test_what_no_waiting_mends_ends_it_with_a_sentence(
    url: dict[str, str], sentence: str, rqworker: StartWorker
) -> None:
    parts = urlsplit(subprocess_environment()["DATABASE_URL"])
    if "netloc" in url:
        url = {"netloc": f"nobody@{parts.hostname}:{parts.port}"}

    worker = rqworker(wait=False, DATABASE_URL=_url(**url))

    assert worker.wait() == 1
    assert sentence in worker.output
    assert worker.output.strip().splitlines()[-1].startswith("CommandError: the database 'default' refuses")
    assert "Traceback" not in worker.output
