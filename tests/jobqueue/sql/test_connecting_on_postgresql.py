"""What a worker's own connections ask of the system. Collected on PostgreSQL only (conftest.py)."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connections

from jobqueue.sql import connecting

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def options(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """The settings of the database, which a new connection follows; they are put back."""
    settings = connections.settings["default"]
    monkeypatch.delenv("PGSERVICE", raising=False)
    monkeypatch.setitem(settings, "OPTIONS", dict(settings["OPTIONS"]))
    connections["default"].close()
    yield settings
    connections["default"].close()


def _asked() -> dict[str, int]:
    """What the system was asked to do for the connection of this thread, in seconds and milliseconds."""
    connection = connections["default"]
    connection.ensure_connection()
    with socket.socket(fileno=os.dup(connection.connection.fileno())) as own:
        names = ("KEEPIDLE", "KEEPINTVL", "KEEPCNT", "USER_TIMEOUT")
        return {name: own.getsockopt(socket.IPPROTO_TCP, getattr(socket, f"TCP_{name}")) for name in names}


def test_a_workers_connections_notice_a_host_that_is_gone(options: dict[str, Any]) -> None:
    connecting.notice_vanished_hosts_in_this_process()

    assert _asked() == {"KEEPIDLE": 10, "KEEPINTVL": 5, "KEEPCNT": 3, "USER_TIMEOUT": 25_000}


def test_those_of_other_processes_stay_as_they_are(options: dict[str, Any]) -> None:
    assert _asked()["USER_TIMEOUT"] == 0


def test_what_the_project_asks_for_is_asked_for(options: dict[str, Any]) -> None:
    options["OPTIONS"] |= {"keepalives_idle": 300}
    connecting.notice_vanished_hosts_in_this_process()

    assert (_asked()["KEEPIDLE"], _asked()["USER_TIMEOUT"]) == (300, 0)
