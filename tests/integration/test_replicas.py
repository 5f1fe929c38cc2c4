"""Aliases that cannot be written through, on real processes: what is served beside them, and what is said."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from spendsync_site.demo.redis_server import RedisServer
from tests.conftest import WorkerProcess, wait_until
from tests.projects import Project, primary_replica_router

_ROUTER = primary_replica_router(migrates="True")
# The same file, opened for reading alone: no replica is closer.
_REPLICA = """
    DATABASES["default"]["OPTIONS"] = {"transaction_mode": "IMMEDIATE", "timeout": 20}
    DATABASES["replica"] = {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": f"file:{BASE_DIR / 'db.sqlite3'}?mode=ro",
    }
"""
_ENQUEUE = """
    from jobqueue.jobs import enqueue

    for number in range(20):
        enqueue("notes.write", text=f"{number}")
"""
_STATES = """
    import json
    from django.db.models import Count
    from jobqueue.models import Job

    print(json.dumps(dict(Job.objects.order_by("state").values_list("state").annotate(Count("pk")))))
"""
_HEALTH = """
    from jobqueue.monitoring import health

    print(health.is_ready(), health.check_queues().is_up)
"""


def _run_jobs(project: Project, project_worker: Callable[..., WorkerProcess]) -> WorkerProcess:
    worker = project_worker(project, "--processes", "1")
    project.python(_ENQUEUE)
    wait_until(lambda: json.loads(project.python(_STATES)) == {"completed": 20}, 60)
    return worker


def _project(tmp_path: Path, redis: RedisServer, settings: str, **files: str) -> Project:
    project = Project(tmp_path / "site", redis, settings, **files)
    project.manage("makemigrations", "notes")
    project.manage("migrate", "--database", "default")
    return project


def test_jobs_run_behind_the_router_of_djangos_documentation(
    tmp_path: Path, redis_server: RedisServer, project_worker: Callable[..., WorkerProcess]
) -> None:
    routed = _REPLICA + '    DATABASE_ROUTERS = ["routers.PrimaryReplicaRouter"]\n'
    project = _project(tmp_path, redis_server, routed, routers=_ROUTER)
    worker = _run_jobs(project, project_worker)
    assert "set aside" not in worker.output
    assert project.python(_HEALTH).split() == ["True", "True"]


def test_an_alias_that_takes_no_writes_is_set_aside_by_name_and_the_others_are_served(
    tmp_path: Path, redis_server: RedisServer, project_worker: Callable[..., WorkerProcess]
) -> None:
    project = _project(tmp_path, redis_server, _REPLICA)
    worker = _run_jobs(project, project_worker)
    assert "set aside until this worker is started again: the jobs of the database 'replica'" in worker.output
    assert 'JOBQUEUE["DATABASES"]' in worker.output
    assert project.python(_HEALTH).split()[-2:] == ["True", "False"]


def test_an_alias_without_tables_is_set_aside_by_name_and_the_others_are_served(
    tmp_path: Path, redis_server: RedisServer, project_worker: Callable[..., WorkerProcess]
) -> None:
    settings = """
    DATABASES["archive"] = {"ENGINE": "django.db.backends.sqlite3", "NAME": BASE_DIR / "archive.sqlite3"}
    """
    worker = _run_jobs(_project(tmp_path, redis_server, settings), project_worker)
    assert "missing or old in the database 'archive'" in worker.output


def test_a_worker_with_nothing_left_to_serve_ends_and_names_the_setting_that_helps(
    tmp_path: Path, redis_server: RedisServer
) -> None:
    settings = _REPLICA + '    JOBQUEUE = {"DATABASES": ["replica"]}\n'
    project = _project(tmp_path, redis_server, settings)
    output = project.manage("rqworker", "default", succeeds=False)
    assert "the jobs of the database 'replica' cannot be run: it is opened for reading alone" in output
    assert 'JOBQUEUE["DATABASES"]' in output
