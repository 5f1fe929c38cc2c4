"""What no row has is a page that says so, with the ways on, in the frame of the admin."""

from __future__ import annotations

from uuid import UUID

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from tests.jobqueue.admin.steps import JOBS, make_job, operator
from tests.jobqueue.admin.world import address, build

pytestmark = pytest.mark.django_db(databases=["default", "other"])
UNKNOWN = {
    "jobqueue_job": "12345",
    "jobqueue_failedjob": "12345",
    "jobqueue_stuckjob": "12345",
    "jobqueue_setasidejob": "12345",
    "jobqueue_cause": "NoSuchError",
    "jobqueue_auditentry": "12345",
    "jobqueue_bulkaction": "12345",
    "jobqueue_charts": "12345",
    "jobqueue_queue": "no-such-queue",
    "jobqueue_worker": str(UUID(int=7)),
    "settlements_settlement": str(UUID(int=7)),
    "settlements_payment": str(UUID(int=7)),
    "settlements_emaildelivery": "12345",
    "settlements_reminderdelivery": "12345",
    "settlements_discrepancy": "12345",
    "settlements_barredaddress": "12345",
    "auth_user": "12345",
}


def _text(client: Client, address: str) -> str:
    answer = client.get(address)
    assert answer.status_code == 404
    return answer.content.decode()


@pytest.mark.parametrize("view", ["change", "history"])
@pytest.mark.parametrize("model", UNKNOWN)
def test_what_is_unknown_is_not_found_in_the_frame_of_the_admin(
    admin_client: Client, model: str, view: str
) -> None:
    text = _text(admin_client, reverse(f"admin:{model}_{view}", args=[UNKNOWN[model]]))
    assert f"{UNKNOWN[model]}: perhaps it was deleted." in text
    assert f'href="{reverse(f"admin:{model}_changelist")}"' in text
    assert 'id="nav-sidebar"' in text


@pytest.mark.parametrize(
    "key", ["no-number", "9" * 60, "1%00", "<script>alert(1)</script>", "-", "🙂", "a/b"]
)
@pytest.mark.parametrize("model", UNKNOWN)
def test_a_key_that_can_be_none_is_not_found_either(admin_client: Client, model: str, key: str) -> None:
    address = reverse(f"admin:{model}_change", args=["KEY"]).replace("KEY", key)
    assert "<script>alert" not in _text(admin_client, address)


@pytest.mark.parametrize(
    "page",
    ["copy/", "move/", "stop/", "preview/", "calendar/2026-02-31/", "calendar/2026-02-28/burn/"],
)
def test_pages_below_the_list_of_jobs_are_answered_alike(admin_client: Client, page: str) -> None:
    part = page if page.startswith("calendar") else f"12345/{page}"
    text = _text(admin_client, f"{JOBS}{part}")
    assert f'href="{JOBS}"' in text
    assert 'id="nav-sidebar"' in text


def test_who_may_not_look_does_not_learn_what_there_is() -> None:
    client = operator()
    for number in (make_job().pk, 12345):
        for view in ("change", "history"):
            assert client.get(reverse(f"admin:jobqueue_job_{view}", args=[number])).status_code == 403


def test_what_is_found_is_shown_as_before(admin_client: Client, admin_user: User) -> None:
    job = make_job("failed")
    assert admin_client.get(reverse("admin:jobqueue_job_change", args=[job.pk])).status_code == 200
    assert admin_client.get(reverse("admin:auth_user_change", args=[admin_user.pk])).status_code == 200


OF_BUTTONS = (
    "jobqueue_bulkaction_start",
    "jobqueue_bulkaction_stop",
    "jobqueue_queue_pause",
    "jobqueue_queue_resume",
    "jobqueue_worker_order",
)


@pytest.mark.parametrize("page", OF_BUTTONS)
def test_who_opens_the_address_of_a_button_is_told_that_nothing_was_done(
    admin_client: Client, page: str
) -> None:
    answer = admin_client.get(address(page, build()))
    text = answer.content.decode()
    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")
    assert "This address takes what a button sends, and shows nothing by itself." in text
    assert 'class="jq-button" href="/admin/jobqueue/' in text
    assert 'id="nav-sidebar"' in text


def test_another_method_of_such_an_address_is_answered_in_short(admin_client: Client) -> None:
    assert admin_client.put(address("jobqueue_queue_pause", build())).content == b""
