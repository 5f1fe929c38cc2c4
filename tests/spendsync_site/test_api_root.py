"""`/api/` lists the resources, each to whom may see it."""

from __future__ import annotations

import pytest
from django.test import Client

from tests.jobqueue.admin.steps import operator
from tests.jobqueue.api.steps import ask, get, problem

pytestmark = pytest.mark.django_db(databases=["default", "other"])


def _listed(client: Client) -> dict[str, str]:
    return {one["name"]: one["url"] for one in get(client, "")["results"]}


def test_the_root_lists_every_resource_that_has_a_list(admin_client: Client) -> None:
    assert set(_listed(admin_client)) == {
        *("queues", "processors", "jobs", "causes", "bulk", "workers", "schedule", "audit"),
        *("settlements", "payments", "emails", "simulation"),
    }


def test_each_address_is_answered(admin_client: Client) -> None:
    for url in _listed(admin_client).values():
        assert url.endswith("/") and admin_client.get(url).status_code == 200, url


def test_who_may_see_queues_alone_is_told_of_no_other() -> None:
    listed = _listed(operator("view_queue"))

    assert set(listed) == {"queues", "processors"}
    assert listed["queues"] == "http://testserver/api/queues/"


def test_nobody_who_has_not_logged_in_is_told_anything() -> None:
    problem(ask(Client(), "GET", ""), 401)
