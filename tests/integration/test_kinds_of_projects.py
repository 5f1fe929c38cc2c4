"""Projects that are set up as Django's documentation allows, on real processes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from spendsync_site.demo.redis_server import RedisServer
from tests.conftest import WorkerProcess, wait_until
from tests.projects import Project

pytestmark = pytest.mark.one_database
StartWorker = Callable[..., WorkerProcess]

_ROUTER = """
    class MainRouter:
        def db_for_read(self, model, **hints):
            return "main"

        def db_for_write(self, model, **hints):
            return "main"

        def allow_relation(self, obj1, obj2, **hints):
            return True

        def allow_migrate(self, db, app_label, model_name=None, **hints):
            return db == "main"
"""
_ENQUEUE = """
    from jobqueue.jobs import enqueue

    enqueue("notes.write", text="now")
    enqueue("notes.write", delay=3600, text="in an hour")
"""
_STATES = """
    from jobqueue.models import Job

    print(*Job.objects.order_by("pk").values_list("state", flat=True))
"""
_PAGES = """
    import json
    from django.test import Client

    client = Client()
    print(json.dumps([
        client.get("/health/ready").json(),
        client.get("/health/queues").json(),
        client.get("/metrics").text.splitlines(),
    ]))
"""
_WITHOUT_ADMIN = """
    from django.urls import include, path

    urlpatterns = [
        path("", include("jobqueue.api.urls")),
        path("", include("jobqueue.api.metrics_urls")),
        path("api/", include("jobqueue.api.routes")),
        path("api/", include("jobqueue.api.documents")),
    ]
"""
_CALLS = """
    import json
    from django.contrib.auth import get_user_model
    from django.test import Client

    from jobqueue.jobs import enqueue
    from jobqueue.models import AuditEntry

    job = enqueue("notes.write", delay=3600, text="late")
    client = Client()
    client.force_login(get_user_model().objects.create_superuser("olga"))
    client.post("/api/jobs/%d/run-now" % job.pk, content_type="application/json")
    client.post("/api/queues/default/pause", {"reason": "night"}, content_type="application/json")
    once = {"Idempotency-Key": "one"}
    copied = client.post("/api/jobs/%d/copy" % job.pk, content_type="application/json", headers=once)
    copy = copied.json()
    shown = client.get("/api/jobs/%d" % job.pk).json()
    entries = AuditEntry.objects.order_by("pk").values_list("who", "verb", "object_id", "reason", "log_entry")
    print(json.dumps([job.pk, copy["id"], shown["state"], shown["history"] + copy["history"], list(entries)]))
    shown = client.get("/api/docs/")
    print(shown.status_code, Client().get("/api/docs/").url, "//" in shown.content.decode())
"""
_VIEWS = """
    from django.http import HttpResponse
    from django.urls import path

    from jobqueue.jobs import enqueue
    from notes.models import Note
    from project.urls import urlpatterns as others

    def write(request, text):
        Note.objects.count()
        enqueue("notes.write", text=text, unique_key=text)
        if text == "broken":
            raise ValueError(text)
        return HttpResponse()

    urlpatterns = [path("write/<text>", write), *others]
"""
_VISIT = """
    from django.test import Client

    client = Client(raise_request_exception=False)
    print(client.get("/write/whole").status_code, client.get("/write/broken").status_code)
"""
_PEOPLE = """
    import uuid

    from django.contrib.auth.models import AbstractBaseUser, BaseUserManager, PermissionsMixin
    from django.db import models

    class People(BaseUserManager):
        def create_superuser(self, email):
            return self.create(email=email, is_superuser=True)

    class Person(AbstractBaseUser, PermissionsMixin):
        key = models.UUIDField(primary_key=True, default=uuid.uuid4)
        email = models.EmailField(unique=True)
        USERNAME_FIELD = "email"
        is_staff = True
        objects = People()
"""
_CLICK = """
    from django.contrib.admin.models import LogEntry
    from django.contrib.auth import get_user_model
    from django.test import Client

    from jobqueue.jobs import enqueue
    from jobqueue.models import Job

    job = enqueue("notes.write", delay=3600, text="late")
    client = Client()
    client.force_login(get_user_model().objects.create_superuser("olga@example.com"))
    click = {"action": "run_now", "_selected_action": job.pk, "confirmed": "run_now"}
    print(client.post("/admin/jobqueue/job/", click).status_code, end=" ")
    for page in ("", f"{job.pk}/change/"):
        print(client.get(f"/admin/jobqueue/job/{page}").status_code, end=" ")
    print(LogEntry.objects.get().user.email)
"""


def _wait_for(project: Project, *states: str) -> None:
    wait_until(lambda: project.python(_STATES).split() == list(states), 30)


def _assert_that_it_works(project: Project, project_worker: StartWorker) -> None:
    """Nothing is said by `check`, a job runs, and the pages count it."""
    assert "no issues" in project.manage("check")
    project.python(_ENQUEUE)
    worker = project_worker(project, "--processes", "1")
    _wait_for(project, "completed", "waiting")
    assert "set aside" not in worker.output
    ready, queues, metrics = json.loads(project.python(_PAGES).splitlines()[-1])
    assert ready == {"status": "UP"}
    assert queues["status"] == "UP"
    assert queues["queues"]["default"] == {
        "waiting": 0,
        "active": 0,
        "completed": 1,
        "failed": 0,
        "delayed": 1,
    }
    assert 'jobqueue_jobs{queue="default",state="delayed"} 1.0' in metrics
    assert {'jobqueue_up{store="redis"} 1.0', 'jobqueue_up{store="database"} 1.0'} <= set(metrics)


def test_jobs_run_and_are_counted_where_the_default_database_is_empty(
    tmp_path: Path, redis_server: RedisServer, new_database: Callable[[], str], project_worker: StartWorker
) -> None:
    settings = f"""
        DATABASES = {{"default": {{}}, "main": {new_database()}}}
        DATABASE_ROUTERS = ["routers.MainRouter"]
    """
    project = Project(tmp_path / "site", redis_server, settings, routers=_ROUTER)
    project.create_tables(using="main")
    _assert_that_it_works(project, project_worker)


def test_jobs_run_and_are_counted_in_a_project_without_the_admin(
    tmp_path: Path, redis_server: RedisServer, new_database: Callable[[], str], project_worker: StartWorker
) -> None:
    settings = f"""
        DATABASES = {{"default": {new_database()}}}
        INSTALLED_APPS.remove("django.contrib.admin")
        ROOT_URLCONF = "addresses"
    """
    project = Project(tmp_path / "site", redis_server, settings, addresses=_WITHOUT_ADMIN)
    project.create_tables()
    _assert_that_it_works(project, project_worker)


def test_the_api_does_what_operators_do_and_writes_it_down_in_a_project_without_the_admin(
    tmp_path: Path, redis_server: RedisServer, new_database: Callable[[], str]
) -> None:
    settings = f"""
        DATABASES = {{"default": {new_database()}}}
        INSTALLED_APPS.remove("django.contrib.admin")
        ROOT_URLCONF = "addresses"
    """
    project = Project(tmp_path / "site", redis_server, settings, addresses=_WITHOUT_ADMIN)
    project.create_tables()
    told, pages = project.python(_CALLS).splitlines()[-2:]
    number, copy, state, history, entries = json.loads(told)
    assert state == "waiting"
    assert [(done["who"], done["what"].partition(":")[0]) for done in history] == [
        ("olga", "Copy"),
        ("olga", "Run now"),
        ("olga", "Copy"),
    ]
    assert entries == [
        ["olga", "Run now", str(number), "", None],
        ["olga", "Pause", "default", "night", None],
        ["olga", "Copy", str(number), "", None],
        ["olga", "Copy", str(copy), "", None],
    ]
    assert pages == "200 /accounts/login/?next=/api/docs/ False"


def test_a_view_in_a_transaction_of_its_request_enqueues_with_it_or_not_at_all(
    tmp_path: Path, redis_server: RedisServer, new_database: Callable[[], str], project_worker: StartWorker
) -> None:
    settings = f"""
        DATABASES = {{"default": {{**{new_database()}, "ATOMIC_REQUESTS": True}}}}
        ROOT_URLCONF = "addresses"
    """
    project = Project(tmp_path / "site", redis_server, settings, addresses=_VIEWS)
    project.create_tables()
    project_worker(project, "--processes", "1")
    assert project.python(_VISIT).split()[-2:] == ["200", "500"]
    _wait_for(project, "completed")


def test_operators_are_whatever_users_the_project_has(
    tmp_path: Path, redis_server: RedisServer, new_database: Callable[[], str]
) -> None:
    settings = f"""
        DATABASES = {{"default": {new_database()}}}
        INSTALLED_APPS.append("people")
        AUTH_USER_MODEL = "people.Person"
    """
    files = {"people/__init__": "", "people/models": _PEOPLE}
    project = Project(tmp_path / "site", redis_server, settings, **files)
    project.create_tables("people")
    assert "no issues" in project.manage("check")
    assert project.python(_CLICK).split()[-4:] == ["302", "200", "200", "olga@example.com"]
