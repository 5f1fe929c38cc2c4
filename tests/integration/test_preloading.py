"""gunicorn that loads the site before it forks: each worker has clients of its own, and all of it works."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
import redis as redis_library

from spendsync_site.demo.processes import LOOPBACK, end_with_parent, free_port
from spendsync_site.demo.redis_server import RedisServer
from tests.conftest import WorkerProcess, wait_until
from tests.integration.postgresql import PORT
from tests.projects import Project

pytestmark = pytest.mark.one_database
_URLS = """
    import os

    from django.http import JsonResponse
    from django.urls import path

    from jobqueue.jobs import enqueue
    from project.urls import urlpatterns as others

    def publish(request):
        return JsonResponse({"job": enqueue("notes.write", text="published").pk})

    def show_process(get_response):
        def answer(request):
            response = get_response(request)
            response["Process"] = os.getpid()
            return response

        return answer

    urlpatterns = [path("publish", publish), *others]
"""
# What the workers inherit has been used: the site answers itself before it is forked.
_WARM = """
    from wsgiref.util import setup_testing_defaults

    from django.db import connections

    from project.wsgi import application

    for path in ("/health/queues", "/health/ready", "/metrics", "/publish"):
        environ = {"PATH_INFO": path}
        setup_testing_defaults(environ)
        answer = application(environ, lambda status, headers: print(status))
        b"".join(answer)
        answer.close()
    connections.close_all()
"""
_STATES = """
    from jobqueue.models import Job

    print(*Job.objects.values_list("state", flat=True))
"""


@pytest.fixture
def project(tmp_path: Path, redis_server: RedisServer, new_database: Callable[[], str]) -> Project:
    """It keeps its connections to the database, so that there are some to share."""
    settings = f"""
        DATABASES = {{"default": {{**{new_database()}, "CONN_MAX_AGE": 60}}}}
        ROOT_URLCONF = "addresses"
        MIDDLEWARE = ["addresses.show_process", *MIDDLEWARE]
    """
    made = Project(tmp_path / "site", redis_server, settings, addresses=_URLS, warm=_WARM)
    made.create_tables()
    return made


@pytest.fixture
def site(project: Project) -> Iterator[tuple[psutil.Process, str]]:
    """gunicorn's first process and its address, once it has two workers."""
    port = free_port()
    with (project.folder / "gunicorn.log").open("w") as log:
        started = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", "warm:application", "--preload", "--workers", "2"]
            + ["--bind", f"{LOOPBACK}:{port}"],
            cwd=project.folder,
            env=project.environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            preexec_fn=end_with_parent,
        )
    first = psutil.Process(started.pid)
    try:
        wait_until(lambda: len(first.children()) == 2, 30)
        yield first, f"http://{LOOPBACK}:{port}"
    finally:
        started.terminate()
        started.wait(20)


@contextmanager
def _asleep(process: psutil.Process) -> Iterator[None]:
    """The other worker takes every request."""
    process.suspend()
    try:
        yield
    finally:
        process.resume()


def _ask(address: str, worker: psutil.Process) -> str:
    with urllib.request.urlopen(address, timeout=20) as answer:
        assert answer.headers["Process"] == str(worker.pid)
        return str(answer.read().decode())


def _sockets(process: psutil.Process, ports: set[int]) -> set[str]:
    """The kernel's names of its sockets to these ports."""
    return {
        os.readlink(f"/proc/{process.pid}/fd/{connection.fd}")
        for connection in process.net_connections("tcp")
        if connection.raddr and connection.raddr.port in ports
    }


def _use(address: str, worker: psutil.Process) -> dict[str, Any]:
    health = json.loads(_ask(f"{address}/health/queues", worker))
    assert json.loads(_ask(f"{address}/health/ready", worker)) == {"status": "UP"}
    assert "jobqueue_jobs{" in _ask(f"{address}/metrics", worker)
    assert json.loads(_ask(f"{address}/publish", worker))["job"]
    return dict(health)


def test_each_worker_answers_and_publishes_through_sockets_of_its_own(
    project: Project,
    site: tuple[psutil.Process, str],
    redis_server: RedisServer,
    redis_client: redis_library.Redis,
    project_worker: Callable[..., WorkerProcess],
) -> None:
    first, address = site
    ports = {redis_server.port, PORT}
    workers = first.children()
    for worker, other in (workers, reversed(workers)):
        with _asleep(other):
            assert _use(address, worker)["status"] == "UP"

    # One from before the fork, and one from each worker: told to Redis by those who wrote them.
    assert redis_client.llen("rq:queue:default") == 3
    of_each = [_sockets(process, ports) for process in (first, *workers)]
    assert all(of_each)
    assert len(set.union(*of_each)) == sum(map(len, of_each))

    project_worker(project, "--processes", "1")
    wait_until(lambda: project.python(_STATES).split() == ["completed"] * 3, 30)
