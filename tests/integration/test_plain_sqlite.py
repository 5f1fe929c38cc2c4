"""A project with the settings that `startproject` wrote: SQLite without OPTIONS."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from spendsync_site.demo.redis_server import RedisServer
from tests.conftest import WorkerProcess, wait_until
from tests.projects import Project

pytestmark = pytest.mark.xdist_group("plain SQLite")  # they share what takes long to make

StartProjectWorker = Callable[..., WorkerProcess]

_ENQUEUE = """
    import json
    from collections import Counter
    from concurrent.futures import ThreadPoolExecutor

    from jobqueue.jobs import enqueue

    def one(number):
        try:
            if {unique}:
                enqueue("notes.write", unique_key=f"key {{number % 7}}", text="unique")
            else:
                enqueue("notes.read_and_write" if number % 2 else "notes.write", text=f"{{number}}")
        except Exception as error:
            return f"{{type(error).__name__}}: {{error}}"

    with ThreadPoolExecutor(8) as threads:
        print(json.dumps(Counter(filter(None, threads.map(one, range({count}))))))
"""
_STATES = """
    import json
    from django.db.models import Count
    from jobqueue.models import Attempt, Job
    from notes.models import Note

    states = dict(Job.objects.order_by("state").values_list("state").annotate(Count("pk")))
    print(json.dumps([states, Note.objects.count(), Attempt.objects.count()]))
"""
_EMPTY = """
    from jobqueue.models import Attempt, Job
    from notes.models import Note

    for model in (Attempt, Job, Note):
        model.objects.all().delete()
"""
_DELAYED = """
    from datetime import timedelta

    from jobqueue.jobs import NewJob, database_now, enqueue_many

    now = database_now("default")
    enqueue_many(
        NewJob("notes.write", {{"text": "late"}}, run_at=now + timedelta(seconds=2 + number / 10))
        for number in range({count})
    )
"""
_LATENESS = """
    import json
    from jobqueue.models import Job

    jobs = Job.objects.filter(state="completed")
    print(json.dumps([(job.started_at - job.run_at).total_seconds() for job in jobs]))
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, redis_server: RedisServer) -> Project:
    """As `startproject` and README leave it."""
    made = Project(tmp_path_factory.mktemp("plain") / "site", redis_server)
    made.create_tables()
    return made


@pytest.fixture(autouse=True)
def _no_rows(project: Project) -> None:
    project.python(_EMPTY)


def _states(project: Project) -> Any:
    states, notes, attempts = json.loads(project.python(_STATES))
    return states, notes, attempts


def _wait_until_done(project: Project) -> Any:
    return wait_until(
        lambda: (found := _states(project)) and not {"waiting", "active"} & set(found[0]) and found, 90
    )


def _enqueue_everywhere(project: Project, *, unique: bool, count: int) -> list[dict[str, int]]:
    """Enqueue in three processes of eight threads; the errors of each."""
    with ThreadPoolExecutor(3) as processes:
        code = [_ENQUEUE.format(unique=unique, count=count)] * 3
        # What a Redis that is slow on a busy machine makes the outbox say stands before it.
        return [json.loads(output.splitlines()[-1]) for output in processes.map(project.python, code)]


def test_no_job_fails_and_no_call_raises_beside_workers_that_write(
    project: Project, project_worker: StartProjectWorker
) -> None:
    project_worker(project)
    project_worker(project)

    assert _enqueue_everywhere(project, unique=False, count=40) == [{}, {}, {}]

    states, notes, attempts = _wait_until_done(project)
    assert states == {"completed": 120}
    assert notes == 120
    assert attempts == 0


def test_unique_keys_that_many_want_at_once_raise_nothing(project: Project) -> None:
    assert _enqueue_everywhere(project, unique=True, count=100) == [{}, {}, {}]
    assert _states(project)[0] == {"waiting": 7}


def test_jobs_due_ten_a_second_start_within_a_tenth_of_a_second(
    project: Project, project_worker: StartProjectWorker
) -> None:
    project_worker(project, "--processes", "1")
    project.python(_DELAYED.format(count=60))
    _wait_until_done(project)
    late = sorted(json.loads(project.python(_LATENESS)))
    assert len(late) == 60
    # Nine of ten: the disk of a machine that runs other tests beside this one takes longer now and then.
    assert late[53] <= 0.1
