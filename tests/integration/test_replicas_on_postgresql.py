"""A primary and a replica behind the router of Django's documentation, on PostgreSQL and real processes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from spendsync_site.demo.redis_server import RedisServer
from tests.conftest import WorkerProcess, wait_until
from tests.integration.postgresql import PostgreSQLDatabase
from tests.projects import Project, primary_replica_router

pytestmark = pytest.mark.xdist_group("replicas on PostgreSQL")  # they share what takes long to make

_ROUTER = primary_replica_router(migrates='db == "default"')
_WAYS_TO_READ: dict[str, Callable[[PostgreSQLDatabase], dict[str, Any]]] = {
    "a role that may only read": PostgreSQLDatabase.settings_of_a_role_that_reads,
    "transactions that only read": lambda database: database.settings(
        OPTIONS={"options": "-c default_transaction_read_only=on"}
    ),
}
_EMPTY = """
    from django.contrib.admin.models import LogEntry
    from django.contrib.auth import get_user_model

    from jobqueue.models import Attempt, Job, Queue
    from notes.models import Note

    for model in (Attempt, Job, Note, Queue, LogEntry, get_user_model()):
        model.objects.all().delete()
"""
_ENQUEUE = """
    from jobqueue.jobs import enqueue

    for _ in range(2):
        enqueue("notes.write", unique_key="only", delay=1, text="unique")
    enqueue("notes.write", text="plain")
    enqueue("notes.read_and_write", text="read")
    enqueue("notes.write", delay=0.5, text="delayed")
    enqueue("notes.write_at_the_second_try", text="retried")
    enqueue("notes.fail")
"""
_ENDED = """
    import json
    from jobqueue.models import Attempt, Job
    from notes.models import Note

    jobs = Job.objects.order_by("pk").values_list("processor", "state", "failures")
    notes = sorted(Note.objects.values_list("text", flat=True))
    print(json.dumps([list(jobs), notes, Attempt.objects.count()]))
"""
_HEALTH = """
    from django.test import Client

    answer = Client().get("/health/queues").json()
    print(answer["status"], Client().get("/health/ready").json()["status"])
"""
# An operator's clicks: what each page answered, and what became of the rows.
_OPERATE = """
    import json
    import uuid
    from datetime import timedelta

    from django.contrib.admin.models import LogEntry
    from django.contrib.auth import get_user_model
    from django.test import Client

    from jobqueue.admin import seal
    from jobqueue.jobs import database_now
    from jobqueue.models import Job, Queue

    now = database_now("default")

    def make(state, **fields):
        values = {"processor": "notes.write", "queue": "default", "payload": {"text": "x"}, "timeout": 30}
        return Job.objects.create(**values | {"state": state, "run_at": now} | fields)

    ended = {"finished_at": now, "failures": 4, "attempt": 4, "reason": "ConnectionError: refused"}
    jobs = {
        "retry": make("failed", **ended),
        "cancel": make("waiting", run_at=now + timedelta(hours=2)),
        "run_now": make("waiting", run_at=now + timedelta(hours=3)),
        "release": make("active", started_at=now - timedelta(minutes=9), worker_id=uuid.uuid4()),
    }
    aside = make("failed", set_aside="its payload is list", finished_at=now)
    client = Client()
    client.force_login(get_user_model().objects.create_superuser("owner", "", "the owner's"))
    pages = [f"/admin/jobqueue/{name}/" for name in ("job", "failedjob", "stuckjob", "setasidejob", "queue")]
    pages += ["/admin/", "/admin/jobqueue/worker/", "/admin/jobqueue/queue/counts/"]
    for job in jobs.values():
        pages += [f"/admin/jobqueue/job/{job.pk}/change/", f"/admin/jobqueue/job/{job.pk}/history/"]
    answers = {page: client.get(page).status_code for page in pages}
    for verb, job in jobs.items():
        click = {"action": verb, "_selected_action": job.pk}
        asked = client.post("/admin/jobqueue/job/", click).status_code
        done = client.post("/admin/jobqueue/job/", click | {"confirmed": verb}).status_code
        answers[verb] = [asked, done]
    chosen = {"chosen": f"job:default:{aside.pk}"}
    answers["put back"] = client.post("/admin/jobqueue/setasidejob/", chosen).status_code
    states = {}
    for verb in ("pause", "resume"):
        click = {"action": verb, "_selected_action": "default"}
        answers[verb] = client.post("/admin/jobqueue/queue/", click).status_code
        states[verb] = Queue.objects.get(pk="default").paused
    shown = seal(Queue, "default", dict.fromkeys(["rate_limit", "concurrency_limit", "late_after"]))
    limit = {"rate_limit": "5", "concurrency_limit": "", "shown_values": shown}
    answers["limit"] = client.post("/admin/jobqueue/queue/default/change/", limit).status_code
    states["limit"] = Queue.objects.get(pk="default").rate_limit
    for name, job in (jobs | {"put back": aside}).items():
        job = Job.objects.get(pk=job.pk)
        states[name] = [job.state, job.set_aside, job.run_at <= database_now("default")]
    print(json.dumps([answers, states, LogEntry.objects.count()]))
"""


@pytest.fixture(scope="module", params=_WAYS_TO_READ)
def project(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    redis_server: RedisServer,
    new_postgresql: Callable[[], PostgreSQLDatabase],
) -> Iterator[Project]:
    """A project whose reads all go to an alias that cannot write."""
    database = new_postgresql()
    replica = _WAYS_TO_READ[request.param](database)
    settings = f"""
        DATABASES = {{"default": {database.settings()!r}, "replica": {replica!r}}}
        DATABASE_ROUTERS = ["routers.PrimaryReplicaRouter"]
    """
    made = Project(tmp_path_factory.mktemp("routed") / "site", redis_server, settings, routers=_ROUTER)
    made.create_tables()
    yield made


def test_jobs_of_every_kind_come_to_their_end(
    project: Project, project_worker: Callable[..., WorkerProcess]
) -> None:
    project.python(_EMPTY + _ENQUEUE)
    worker = project_worker(project, "--processes", "1")

    def ended() -> Any:
        found = json.loads(project.python(_ENDED))
        return found if {state for _, state, _ in found[0]} == {"completed", "failed"} else None

    jobs, notes, attempts = wait_until(ended, 60)
    assert [job for job in jobs if job[1:] != ["completed", 0]] == [
        ["notes.write_at_the_second_try", "completed", 1],
        ["notes.fail", "failed", 1],
    ]
    assert notes == ["delayed", "plain", "read", "retried", "tried retried", "unique"]
    assert attempts == 2
    assert "set aside" not in worker.output
    assert project.python(_HEALTH).split()[-2:] == ["UP", "UP"]


def test_pages_and_actions_of_the_admin_answer_and_do_what_they_say(project: Project) -> None:
    answers, states, entries = json.loads(project.python(_EMPTY + _OPERATE).splitlines()[-1])
    assert {name: answer for name, answer in answers.items() if name.startswith("/") and answer != 200} == {}
    assert {name: answer for name, answer in answers.items() if not name.startswith("/")} == {
        **dict.fromkeys(("retry", "cancel", "run_now", "release"), [200, 302]),
        **dict.fromkeys(("put back", "pause", "resume", "limit"), 302),
    }
    assert states == {
        "retry": ["waiting", "", True],
        "cancel": ["cancelled", "", False],
        "run_now": ["waiting", "", True],
        "release": ["waiting", "", True],
        "put back": ["waiting", "", True],
        "pause": True,
        "resume": False,
        "limit": 5,
    }
    assert entries == 8
