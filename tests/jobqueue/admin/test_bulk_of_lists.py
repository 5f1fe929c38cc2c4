"""Bulk actions on all that a list shows: what it showed when its number was told, whatever narrowed it."""

from __future__ import annotations

import re
from html import unescape

import pytest
from django.http import HttpResponse
from django.test import Client

from jobqueue.models import BulkAction, BulkChoice, Job, bulk
from tests.jobqueue.admin.bulk_steps import BULK
from tests.jobqueue.admin.steps import FAILED, JOBS, choose, make_job, text_of
from tests.jobqueue.models.test_bulk import walk

pytestmark = pytest.mark.django_db(databases=["default", "other"])

LISTS_OF_OTHER_WORDS = [
    f"{FAILED}?q=sample",
    f"{JOBS}?q=state:failed+since:2h",
    f"{FAILED}?error=OSError&age=hour",
    f"{JOBS}?state=cancelled",
    f"{JOBS}?queue=email",
]


@pytest.mark.parametrize("url", LISTS_OF_OTHER_WORDS)
def test_all_that_match_any_other_list_go_to_the_background_too(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setattr(bulk, "BATCH", 2)
    state = "cancelled" if "cancelled" in url else "failed"
    wanted = {make_job(state, cause="OSError", reason="OSError").pk for _ in range(3)}
    make_job("completed", queue="reminders", processor="other.one")
    address, form = _form_of_list(choose(admin_client, "retry", url=url, select_across="1"))
    page = admin_client.post(address, form, follow=True)
    action = BulkAction.objects.get()
    assert page.redirect_chain[-1][0].endswith(f"{BULK}{action.pk}/change/")
    assert (action.expected, walk(action)) == (3, 3)
    assert set(Job.objects.waiting().values_list("pk", flat=True)) == wanted


def _form_of_list(response: HttpResponse) -> tuple[str, dict[str, str]]:
    """The address of the form that confirms an action on a list, and its fields."""
    [(address, form)] = re.findall(
        r'<form method="post" action="(/admin/[^"]*)">(.*?confirmed.*?)</form>', text_of(response), re.DOTALL
    )
    fields = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', form))
    return unescape(address), fields


def test_an_action_on_a_search_means_what_was_there_when_its_number_was_told(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "BATCH", 1)
    told = {make_job("failed").pk for _ in range(2)}
    url = f"{FAILED}?q=sample"
    address, form = _form_of_list(choose(admin_client, "retry", url=url, select_across="1"))
    make_job("failed")
    admin_client.post(address, form)
    action = BulkAction.objects.get()
    make_job("failed")
    walk(action)
    assert set(Job.objects.waiting().values_list("pk", flat=True)) == told


def test_a_search_that_finds_more_than_was_told_is_asked_again(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "BATCH", 1)
    jobs = [make_job("failed", queue=queue) for queue in ("email", "email", "reminders")]
    url = f"{FAILED}?q=queue:email"
    address, form = _form_of_list(choose(admin_client, "retry", url=url, select_across="1"))
    Job.objects.filter(pk=jobs[2].pk).update(queue="email")
    text = text_of(admin_client.post(address, form))
    assert "Meanwhile more jobs match" in text
    assert "Retry: <strong>3 jobs</strong>" in text
    assert not BulkAction.objects.exists()


def test_the_ages_of_a_search_are_told_from_when_its_number_was_told(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "BATCH", 1)
    for _ in range(2):
        make_job("failed")
    url = f"{JOBS}?q=state:failed+since:2h&age=day"
    address, _form = _form_of_list(choose(admin_client, "retry", url=url, select_across="1"))
    assert "since%3A2h" not in address
    assert re.search(r"since%3A\d{4}-\d\d-\d\dT", address)
    assert "from=" in address
    assert "age=" not in address


def test_what_a_list_showed_is_forgotten_once_it_is_done(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "BATCH", 1)
    for _ in range(3):
        make_job("failed")
    url = f"{FAILED}?q=sample"
    address, form = _form_of_list(choose(admin_client, "retry", url=url, select_across="1"))
    admin_client.post(address, form)
    assert BulkChoice.objects.get().ids == sorted(Job.objects.values_list("pk", flat=True))
    walk(BulkAction.objects.get())
    assert not BulkChoice.objects.exists()


def test_a_job_that_was_changed_meanwhile_is_left_out_of_what_a_list_showed(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "BATCH", 1)
    jobs = [make_job("failed") for _ in range(3)]
    url = f"{FAILED}?q=sample"
    address, form = _form_of_list(choose(admin_client, "delete", url=url, select_across="1"))
    admin_client.post(address, form)
    Job.objects.filter(pk=jobs[0].pk).update(state="active")
    Job.objects.filter(pk=jobs[1].pk).update(set_aside="kept")
    assert walk(BulkAction.objects.get()) == 1
    assert set(Job.objects.values_list("pk", flat=True)) == {jobs[0].pk, jobs[1].pk}
