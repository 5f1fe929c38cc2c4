"""Projects as their owners make them: `django-admin startproject`, and the job queue added by its README."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

from spendsync_site.demo.redis_server import RedisServer
from tests.servers import REDIS_DATABASE, ROOT

# What nobody's own project inherits from the environment of the tests.
_OURS = ("DATABASE", "REDIS", "TEST_", "DJANGO_", "SECRET_KEY", "DEBUG", "EMAIL", "STATIC_ROOT", "PYTEST")

_APP = {
    "__init__.py": "",
    "models.py": """
        from django.db import models


        class Note(models.Model):
            text = models.CharField(max_length=100)
    """,
    "processors.py": """
        from datetime import timedelta

        from django.db import transaction

        from jobqueue.jobs import current_database, processor
        from notes.models import Note


        @processor("notes.write", queue="default")
        def write(text):
            Note.objects.using(current_database()).create(text=text)


        @processor("notes.write_at_the_second_try", queue="default", retry={"first_delay": timedelta()})
        def write_at_the_second_try(text):
            notes = Note.objects.using(current_database())
            if not notes.filter(text=f"tried {text}").exists():
                notes.create(text=f"tried {text}")
                raise ConnectionError("try again")
            notes.create(text=text)


        @processor("notes.fail", queue="default", retry=0)
        def fail():
            raise ValueError("never")


        @processor("notes.read_and_write", queue="default")
        def read_and_write(text):
            with transaction.atomic(using=current_database()):
                notes = Note.objects.using(current_database())
                notes.count()
                notes.create(text=text)
    """,
}
_URLS = """
    from django.contrib import admin
    from django.urls import include, path

    urlpatterns = [
        path("", include("jobqueue.api.urls")),
        path("", include("jobqueue.api.metrics_urls")),
        path("admin/", admin.site.urls),
    ]
"""


def primary_replica_router(*, migrates: str) -> str:
    """The router of Django's documentation for a replica; its `allow_migrate` returns `migrates`."""
    return f"""
        class PrimaryReplicaRouter:
            def db_for_read(self, model, **hints):
                return "replica"

            def db_for_write(self, model, **hints):
                return "default"

            def allow_relation(self, obj1, obj2, **hints):
                return True

            def allow_migrate(self, db, app_label, model_name=None, **hints):
                return {migrates}
    """


class Project:
    """A new project in a folder, with an app of its own, `notes`, and the queue `default`."""

    def __init__(self, folder: Path, redis: RedisServer, settings: str = "", **files: str) -> None:
        """`settings` stand at the end of what `startproject` wrote; `files`: further modules, by path."""
        self.folder = folder
        self.environment = {
            name: value for name, value in os.environ.items() if not name.startswith(_OURS)
        } | {
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        folder.mkdir(parents=True, exist_ok=True)
        run_python(folder, self.environment, "-m", "django", "startproject", "project", str(folder))
        (folder / "notes").mkdir()
        for name, text in _APP.items():
            (folder / "notes" / name).write_text(dedent(text))
        (folder / "project" / "urls.py").write_text(dedent(_URLS))
        for name, text in files.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / f"{name}.py").write_text(dedent(text))
        with (folder / "project" / "settings.py").open("a") as file:
            file.write(dedent(_settings(redis)) + dedent(settings))

    def manage(self, *arguments: str, succeeds: bool = True) -> str:
        """What `manage.py` prints, on both streams."""
        return run_python(self.folder, self.environment, "manage.py", *arguments, succeeds=succeeds)

    def create_tables(self, *apps: str, using: str = "default") -> None:
        """Those of Django, of the job queue, of the app `notes` and of these apps."""
        self.manage("makemigrations", *apps, "notes")
        self.manage("migrate", "--database", using)

    def python(self, code: str) -> str:
        """What the code prints in a process of the project."""
        environment = self.environment | {"DJANGO_SETTINGS_MODULE": "project.settings"}
        return run_python(self.folder, environment, "-c", f"import django; django.setup()\n{dedent(code)}")


def run_python(folder: Path, environment: dict[str, str], *arguments: str, succeeds: bool = True) -> str:
    """Run Python in a folder; what it prints on both streams."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
    )
    assert (done.returncode == 0) == succeeds, done.stdout
    return done.stdout


def _settings(redis: RedisServer) -> str:
    return f"""
        JOBQUEUE = {{"NICENESS": 0}}  # tests beside each other keep both cores busy, and wait for jobs
        INSTALLED_APPS = ["jobqueue", *INSTALLED_APPS, "django_rq", "rest_framework", "notes"]
        RQ_QUEUES = {{"default": {{"HOST": "{redis.host}", "PORT": {redis.port}, "DB": {REDIS_DATABASE}}}}}
        RQ_SHOW_ADMIN_LINK = False
        ALLOWED_HOSTS = ["*"]
        LOGGING = {{
            "version": 1,
            "disable_existing_loggers": False,
            "handlers": {{"console": {{"class": "logging.StreamHandler"}}}},
            "root": {{"handlers": ["console"], "level": "INFO"}},
        }}
    """
