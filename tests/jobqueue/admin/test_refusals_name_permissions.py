"""Every page of ours that refuses somebody who is logged in says which permission that takes."""

from __future__ import annotations

import pytest

from tests.jobqueue.admin.steps import operator
from tests.jobqueue.admin.test_every_page import answers, client_of
from tests.jobqueue.admin.world import World, address, build

pytestmark = pytest.mark.django_db(databases=["default", "other"])


NOBODY = "Nobody may do that, whatever permissions they have."
MAY_BE_HELD = {
    "GET": {"jobqueue_job_delete", "settlements_barredaddress_add"},
    "POST": {"jobqueue_job_delete", "jobqueue_queue_change", "jobqueue_processorlimits_change"},
}
"""Forms of Django's that somebody may open or send; most of them nobody may, whatever they hold."""
REFUSED_FOR_THE_JOB = {"jobqueue_stuckjob_delete", "jobqueue_setasidejob_delete"}
"""Who may delete jobs does not delete one that runs."""


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
        if answer.status_code == 403
    }
    assert len(refused) > 1
    assert [name for name, page in refused.items() if "That takes" not in page and NOBODY not in page] == []
    assert [name for name in MAY_BE_HELD[method] & refused.keys() if NOBODY in refused[name]] == []


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_what_nobody_may_is_refused_to_a_superuser_in_these_words(method: str, here: World) -> None:
    refused = {
        name: answer.content.decode()
        for name, answer in answers(client_of("superuser"), here, method).items()
        if answer.status_code == 403
    }
    assert {name for name, page in refused.items() if NOBODY not in page} <= REFUSED_FOR_THE_JOB
    assert not [name for name, page in refused.items() if NOBODY in page and "An administrator can" in page]


@pytest.mark.parametrize(
    ("page", "method", "missing"),
    [
        ("jobqueue_job_delete", "GET", "jobqueue.delete_job"),
        ("jobqueue_queue_change", "POST", "jobqueue.limit_queue"),
        ("jobqueue_processorlimits_change", "POST", "jobqueue.limit_processor"),
        ("settlements_barredaddress_add", "GET", "settlements.add_barredaddress"),
        ("settlements_settlement_delete", "POST", "settlements.delete_settlement"),
        ("settlements_settlement_change", "POST", "settlements.change_settlement"),
    ],
)
def test_a_form_of_django_names_its_own_permission(page: str, method: str, missing: str, here: World) -> None:
    looking = ["view_job", "view_queue", "settlements.view_settlement", "settlements.view_barredaddress"]
    refused = operator(*looking).generic(method, address(page, here))
    assert refused.status_code == 403
    assert f"That takes the permission {missing}." in refused.content.decode()


def test_who_may_add_need_not_see_what_is_there(here: World) -> None:
    page = address("settlements_barredaddress_add", here)
    refused = operator().get(page).content.decode()
    assert "That takes the permission settlements.add_barredaddress." in refused
    assert operator("settlements.add_barredaddress", username="ole").get(page).status_code == 200


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


def test_a_refusal_names_all_that_is_missing(here: World) -> None:
    answer = operator().get(address("jobqueue_job_preview", here))
    both = "That takes the permissions jobqueue.view_job, jobqueue.view_payload."
    assert both in answer.content.decode()


def test_the_letters_of_a_person_name_all_that_is_missing(here: World) -> None:
    page = operator().get(address("settlements_person_letters", here)).content.decode()
    assert "That takes the permission settlements.view_emaildelivery." in page
    assert "That takes one of the permissions settlements.view_person, auth.view_user." in page
