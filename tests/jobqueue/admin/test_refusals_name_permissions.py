"""Every page of ours that refuses somebody who is logged in says which permission that takes."""

from __future__ import annotations

import pytest

from tests.jobqueue.admin.steps import operator
from tests.jobqueue.admin.test_every_page import answers, client_of
from tests.jobqueue.admin.world import World, address, build

pytestmark = pytest.mark.django_db(databases=["default", "other"])


FORMS_OF_DJANGO = {"GET": ("_add", "_delete"), "POST": ("_add", "_delete", "_change")}
"""Most of them nobody may open or send, whatever they hold."""


@pytest.fixture
def here() -> World:
    """One row of everything."""
    return build()


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("role", ["staff", "viewer", "operator"])
def test_a_refusal_names_the_permission_that_is_missing(role: str, method: str, here: World) -> None:
    refused = {
        name: answer.content.decode()
        for name, answer in answers(client_of(role), here, method).items()
        if answer.status_code == 403 and not name.endswith(FORMS_OF_DJANGO[method])
    }
    assert len(refused) > 1
    assert [name for name, page in refused.items() if "That takes" not in page] == []


def test_a_page_below_another_names_its_own_permission(here: World) -> None:
    orders = operator("view_job").get(address("jobqueue_worker_order", here))
    chart = operator("view_queue", username="ole").get(address("jobqueue_queue_chart", here))
    assert [answer.status_code for answer in (orders, chart)] == [403, 403]
    assert "That takes the permission jobqueue.view_worker." in orders.content.decode()
    assert "That takes the permission jobqueue.view_job." in chart.content.decode()


@pytest.mark.parametrize("role", ["viewer", "operator"])
def test_a_preview_names_the_permission_to_read_payloads(role: str, here: World) -> None:
    found = answers(client_of(role), here, "GET")
    for name in ("jobqueue_job_preview", "jobqueue_job_letter"):
        assert "That takes the permission jobqueue.view_payload." in found[name].content.decode()
