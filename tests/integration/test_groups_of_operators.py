"""Groups of operators in projects that are set up in other ways than this one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from spendsync_site.demo.redis_server import RedisServer
from tests.jobqueue.groups import GROUPS
from tests.projects import Project

pytestmark = pytest.mark.one_database

_SHOW = """
    import json
    from django.contrib.auth.models import Group

    groups = Group.objects.order_by("name")
    print(json.dumps({group.name: group.permissions.count() for group in groups}))
"""
_TWO_PLACES = """
    class JobsApart:
        def db_for_read(self, model, **hints):
            return "jobs" if model._meta.app_label in ("jobqueue", "notes") else "default"

        db_for_write = db_for_read

        def allow_migrate(self, db, app_label, **hints):
            return (db == "jobs") == (app_label in ("jobqueue", "notes"))
"""


def test_groups_stand_where_users_stand_though_jobs_stand_elsewhere(
    tmp_path: Path, redis_server: RedisServer, new_database: Callable[[], str]
) -> None:
    settings = f"""
        DATABASES = {{"default": {new_database()}, "jobs": {new_database()}}}
        DATABASE_ROUTERS = ["routers.JobsApart"]
    """
    project = Project(tmp_path / "site", redis_server, settings, routers=_TWO_PLACES)
    project.create_tables()
    project.manage("migrate", "--database", "jobs")
    shown = json.loads(project.python(_SHOW).splitlines()[-1])
    assert shown == {name: len(words) for name, words in sorted(GROUPS.items())}


def test_a_project_without_users_has_no_groups(
    tmp_path: Path, redis_server: RedisServer, new_database: Callable[[], str]
) -> None:
    settings = f"""
        DATABASES = {{"default": {new_database()}}}
        for name in ("admin", "auth", "contenttypes", "messages", "sessions"):
            INSTALLED_APPS.remove(f"django.contrib.{{name}}")
        MIDDLEWARE = []
        TEMPLATES = []
        ROOT_URLCONF = "addresses"
    """
    project = Project(tmp_path / "site", redis_server, settings, addresses="urlpatterns = []")
    project.create_tables()
    assert "[X] 0009_operators" in project.manage("showmigrations", "jobqueue")
