"""Every address of the admin × method × who asks: a page that is not in the table fails the first test."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

import pytest
from django.apps import apps
from django.contrib.auth.models import Group, User
from django.db import connections
from django.db.models import Model
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from jobqueue.models import BulkAction, Cause, Job, Queue
from jobqueue.operators import add_groups
from tests.jobqueue.admin.every_page import STATUSES
from tests.jobqueue.admin.steps import make_job, make_worker
from tests.jobqueue.groups import GROUPS
from tests.jobqueue.models.test_bulk import ask

pytestmark = pytest.mark.django_db(databases=["default", "other"])
ROLES = ("anonymous", "staff", "viewer", "operator", "superuser")
METHODS = ("GET", "POST")

_OURS = ("jobqueue_", "settlements_", "index", "app_list")
# What changes by looking: sessions and logs, and the names of content types.
_NOT_OURS = ("admin", "auth", "sessions", "contenttypes", "axes")
_TABLES_NOT_OURS = ("django_session", "django_content_type", "axes_")


def _patterns(resolver: URLResolver | None = None) -> Iterator[str]:
    """The names of the addresses of the admin."""
    for entry in (resolver or _admin()).url_patterns:
        if isinstance(entry, URLResolver):
            yield from _patterns(entry)
        elif isinstance(entry, URLPattern) and str(entry.name).startswith(_OURS):
            yield str(entry.name)


def _admin() -> URLResolver:
    found = [one for one in get_resolver().url_patterns if getattr(one, "namespace", "") == "admin"]
    assert isinstance(found[0], URLResolver)
    return found[0]


def _address(name: str) -> str:
    """The address of that name, with what stands in the tables."""
    model = name.rpartition("_")[0]
    known = {
        "jobqueue_queue": "email",
        "jobqueue_cause": "ValueError",
        "jobqueue_bulkaction": _newest(BulkAction),
        "settlements_person": _newest(User),
        **{f"jobqueue_{kind}job": _newest(Job) for kind in ("", "failed", "setaside", "stuck")},
    }
    one = known.get(model, "1")
    for arguments in ([], [one], [int(one) if one.isdigit() else 1], [one, "1"], ["jobqueue"], [UUID(int=1)]):
        try:
            return reverse(f"admin:{name}", args=arguments)
        except Exception:
            continue
    raise AssertionError(f"how is the address {name} made? Teach _address")


def _newest(model: type[Model]) -> str:
    newest = model._default_manager.order_by("-pk").first()
    return str(newest.pk if newest else 1)


def _client(role: str) -> Client:
    client = Client(raise_request_exception=True)
    if role == "anonymous":
        return client
    user = User.objects.create_user(role, is_staff=True, is_superuser=role == "superuser")
    if role in ("viewer", "operator"):
        add_groups(apps, "jobqueue", GROUPS, "default")
        user.groups.add(Group.objects.get(name=f"Job {role}"))
    client.force_login(user)
    return client


def _rows() -> dict[str, list[object]]:
    """All rows of all models of ours."""
    models = [model for model in apps.get_models() if model._meta.app_label not in _NOT_OURS]
    models = [model for model in models if model._meta.managed and not model._meta.proxy]
    return {model._meta.label: list(model._default_manager.order_by("pk").values()) for model in models}


@pytest.fixture(autouse=True)
def _something_to_see() -> None:
    Queue.objects.bulk_create([Queue(name=name) for name in ("email", "reminders", "settlement")])
    Cause.objects.create(name="ValueError")
    make_job("failed", cause="ValueError")
    make_worker()
    ask()


def answers(role: str, method: str) -> dict[str, int]:
    """The status of each address, asked by this person in this way."""
    client = _client(role)
    names = sorted(set(_patterns()))
    ask_for = client.get if method == "GET" else client.post
    return {name: ask_for(_address(name)).status_code for name in names}


def test_every_page_is_in_the_table() -> None:
    assert sorted(set(_patterns()) - set(STATUSES)) == []


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("role", ROLES)
def test_each_page_answers_as_the_table_says(role: str, method: str) -> None:
    place = METHODS.index(method) * len(ROLES) + ROLES.index(role)
    expected = {name: statuses[place] for name, statuses in STATUSES.items()}
    assert answers(role, method) == expected


@pytest.mark.parametrize("role", ["anonymous", "staff", "viewer"])
def test_who_may_change_nothing_changes_nothing(role: str) -> None:
    before = _rows()
    answers(role, "POST")
    assert _rows() == before


def _written(sql: str) -> bool:
    """Whether the statement writes a row of ours."""
    verb, *words = sql.replace('"', "").split()[:3]
    table = words[-1] if verb in ("INSERT", "DELETE") else words[0] if words else ""
    return verb in ("INSERT", "UPDATE", "DELETE") and not table.startswith(_TABLES_NOT_OURS)


def test_to_look_at_a_page_writes_nothing() -> None:
    Queue.objects.all().delete()
    client = _client("superuser")
    written = {}
    for name in sorted(set(_patterns())):
        with (
            CaptureQueriesContext(connections["default"]) as first,
            CaptureQueriesContext(connections["other"]) as second,
        ):
            client.get(_address(name))
        queries = [*first.captured_queries, *second.captured_queries]
        written[name] = [query["sql"] for query in queries if _written(query["sql"])]
    assert {name: statements for name, statements in written.items() if statements} == {}
