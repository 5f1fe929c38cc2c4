"""A process that forks while it uses Redis, as a server does that loads the site first."""

from __future__ import annotations

import os
from collections.abc import Callable

import psutil

from jobqueue.broker.connections import client_for
from spendsync_site.demo.redis_server import RedisServer


def _code_of_fork(step: Callable[[], bool]) -> int:
    """0 if the step says yes in a forked process."""
    child = os.fork()
    if child == 0:
        code = 2
        try:
            code = 0 if step() else 1
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _sockets_to(server: RedisServer) -> set[str]:
    return {
        os.readlink(f"/proc/self/fd/{found.fd}")
        for found in psutil.Process().net_connections("tcp")
        if found.raddr and found.raddr.port == server.port
    }


def test_a_fork_publishes_though_its_parents_pool_was_locked() -> None:
    client = client_for("email", "publish")
    client.ping()
    with client.connection_pool._lock:
        assert _code_of_fork(lambda: bool(client_for("email", "publish").ping())) == 0


def test_a_fork_leaves_the_parents_sockets_and_they_go_on(
    private_redis: Callable[..., RedisServer], use_redis: Callable[[str, int], None]
) -> None:
    server = private_redis()
    use_redis(server.host, server.port)
    client_for("email").ping()
    before = _sockets_to(server)

    assert before
    assert _code_of_fork(lambda: not _sockets_to(server)) == 0
    assert client_for("email").ping()
    assert _sockets_to(server) == before
