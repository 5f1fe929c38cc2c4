"""Every address of the admin × method × who asks: a page that is not in the table fails the first test."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from django.apps import apps
from django.contrib.auth.models import User
from django.db import connections, transaction
from django.http import HttpResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from jobqueue.models import Queue
from tests.jobqueue.admin import world
from tests.jobqueue.admin.every_page import STATUSES
from tests.jobqueue.admin.world import World
from tests.jobqueue.groups import OPERATORS, VIEWERS, member_of

pytestmark = pytest.mark.django_db(databases=["default", "other"])
ROLES = ("anonymous", "staff", "viewer", "operator", "superuser")
OF_GROUPS = {"viewer": VIEWERS, "operator": OPERATORS}
METHODS = ("GET", "POST")
NOT_ALLOWED = ("OPTIONS", "PUT", "PATCH", "DELETE", "TRACE")

# What changes by looking: sessions and logs, and the names of content types.
_NOT_OURS = ("admin", "auth", "sessions", "contenttypes", "axes")
_TABLES_NOT_OURS = ("django_session", "django_content_type", "axes_")


def client_of(role: str) -> Client:
    client = Client(raise_request_exception=True)
    if role == "anonymous":
        return client
    if role in OF_GROUPS:
        return member_of(*OF_GROUPS[role], username=role)
    client.force_login(User.objects.create_user(role, is_staff=True, is_superuser=role == "superuser"))
    return client


def _rows() -> dict[str, list[object]]:
    """All rows of all models of ours."""
    models = [model for model in apps.get_models() if model._meta.app_label not in _NOT_OURS]
    models = [model for model in models if model._meta.managed and not model._meta.proxy]
    return {model._meta.label: list(model._default_manager.order_by("pk").values()) for model in models}


@pytest.fixture
def here() -> World:
    """One row of everything."""
    return world.build()


def answers(client: Client, here: World, method: str) -> dict[str, HttpResponse]:
    """What each address answers, asked in this way; nothing of it stays."""
    found = {}
    for name in world.names():
        with transaction.atomic(), transaction.atomic("other"):
            data = world.sent(name, here) if method == "POST" else {}
            found[name] = getattr(client, method.lower())(world.address(name, here), data)
            for using in ("default", "other"):
                transaction.set_rollback(True, using)
    return found


def _statuses(answered: Mapping[str, HttpResponse]) -> dict[str, int]:
    return {name: answer.status_code for name, answer in answered.items()}


def _column(method: str, role: str) -> dict[str, int]:
    place = METHODS.index(method) * len(ROLES) + ROLES.index(role)
    return {name: statuses[place] for name, statuses in STATUSES.items()}


def test_every_page_is_in_the_table() -> None:
    assert sorted(set(world.names()) ^ set(STATUSES)) == []


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("role", ROLES)
def test_each_page_answers_as_the_table_says(role: str, method: str, here: World) -> None:
    assert _statuses(answers(client_of(role), here, method)) == _column(method, role)


@pytest.mark.parametrize("role", ROLES)
def test_a_head_is_answered_as_a_get_without_its_body(role: str, here: World) -> None:
    answered = answers(client_of(role), here, "HEAD")
    assert _statuses(answered) == _column("GET", role)
    assert [name for name, answer in answered.items() if answer.content] == []


@pytest.mark.parametrize("role", ROLES)
def test_other_methods_are_named_as_not_allowed_whoever_asks(role: str, here: World) -> None:
    client = client_of(role)
    for method in NOT_ALLOWED:
        answered = answers(client, here, method)
        assert set(_statuses(answered).values()) == {405}, method
        assert {answer["Allow"] for answer in answered.values()} == {"GET, HEAD, POST"}
        assert [name for name, answer in answered.items() if answer.content] == []


@pytest.mark.parametrize("role", ["anonymous", "staff", "viewer"])
def test_who_may_change_nothing_changes_nothing(role: str, here: World) -> None:
    client, before = client_of(role), _rows()
    for name in world.names():
        client.post(world.address(name, here), world.sent(name, here))
    assert _rows() == before


def _written(sql: str) -> bool:
    """Whether the statement writes a row of ours."""
    verb, *words = sql.replace('"', "").split()[:3]
    table = words[-1] if verb in ("INSERT", "DELETE") else words[0] if words else ""
    return verb in ("INSERT", "UPDATE", "DELETE") and not table.startswith(_TABLES_NOT_OURS)


def test_to_look_at_a_page_writes_nothing(here: World) -> None:
    Queue.objects.all().delete()
    client = client_of("superuser")
    written = {}
    for name in world.names():
        with (
            CaptureQueriesContext(connections["default"]) as first,
            CaptureQueriesContext(connections["other"]) as second,
        ):
            client.get(world.address(name, here))
        queries = [*first.captured_queries, *second.captured_queries]
        written[name] = [query["sql"] for query in queries if _written(query["sql"])]
    assert {name: statements for name, statements in written.items() if statements} == {}


def test_a_list_without_rows_says_so_and_has_no_bar_of_actions() -> None:
    client = client_of("superuser")
    bars = {}
    for name in world.names():
        if name.endswith("_changelist"):
            page = client.get(reverse(f"admin:{name}"))
            text = page.content.decode()
            if "cl" in (page.context or {}) and not page.context["cl"].result_count:
                bars[name] = ('class="actions"' in text, "jq-none" in text)
    assert len(bars) > 5
    assert set(bars.values()) == {(False, True)}, bars


@pytest.mark.parametrize("word", ["q", "queue", "cause", "from"])
def test_no_list_repeats_a_word_of_its_address_that_is_too_long(word: str, here: World) -> None:
    client, text = client_of("superuser"), "\u00e9" * 20_000  # of six characters each in a link
    lists = [name for name in world.names() if name.endswith(("_changelist", "_calendar", "_running"))]
    found = {name: client.get(world.address(name, here), {word: text}) for name in lists}
    assert {name: len(page.content) for name, page in found.items() if len(page.content) > 1_000_000} == {}


def test_no_list_repeats_a_name_in_its_address_that_is_too_long(here: World) -> None:
    page = client_of("superuser").get(world.address("jobqueue_job_changelist", here), {"\u00e9" * 20_000: ""})
    assert len(page.content) < 1_000_000
