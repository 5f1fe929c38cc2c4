"""Bulk actions from lists, what is written down of them, and who may watch and stop them."""

from __future__ import annotations

import re
import threading
from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client

from jobqueue.admin import bulk_jobs
from jobqueue.models import BulkAction, Job, bulk
from jobqueue.sql.clock import database_now
from tests.jobqueue.admin.bulk_steps import BULK, SMTP, forms_on, start
from tests.jobqueue.admin.steps import (
    FAILED,
    JOBS,
    choose,
    confirm,
    ids_of,
    make_job,
    make_worker,
    operator,
    page_of,
    text_of,
)
from tests.jobqueue.models.test_bulk import walk

pytestmark = pytest.mark.django_db(databases=["default", "other"])


# From the lists -------------------------------------------------------------------------------------


@pytest.mark.parametrize("url", [f"{FAILED}?cause=OSError&age=hour", f"{JOBS}?state=failed&queue=email"])
def test_all_that_match_a_list_of_failed_jobs_go_to_the_background_above_one_batch(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setattr(bulk, "BATCH", 2)
    for _ in range(3):
        make_job("failed", cause="OSError")
    make_job("failed", cause="KeyError", queue="reminders")
    form = forms_on(text_of(choose(admin_client, "retry", url=url, select_across="1")))[0]
    admin_client.post(f"{BULK}start/", form)
    action = BulkAction.objects.get()
    assert action.expected == 3
    assert walk(action) == 3


def test_a_yes_to_a_question_about_fewer_jobs_is_no_yes_to_more(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "BATCH", 1)
    for _ in range(2):
        make_job("failed")
    response = choose(admin_client, "retry", url=FAILED, select_across="1", confirmed="retry")
    assert "Retry: <strong>2 jobs</strong>" in text_of(response)
    assert not BulkAction.objects.exists()


def test_one_batch_is_done_at_once(admin_client: Client) -> None:
    make_job("failed")
    assert confirm(admin_client, "retry", url=FAILED, select_across="1") == ["1 job retried."]
    assert not BulkAction.objects.exists()


# Written down ---------------------------------------------------------------------------------------


def test_one_entry_says_who_did_what_and_why(admin_client: Client, admin_user: User) -> None:
    for _ in range(3):
        make_job("failed", cause=SMTP)
    start(admin_client, cause=SMTP, reason="mail server is back")
    walk(BulkAction.objects.get())
    entry = LogEntry.objects.get()
    assert entry.user == admin_user
    assert entry.change_message.startswith(f"Retry: 3 jobs (failed jobs, cause {SMTP}")
    assert entry.change_message.endswith("Reason: mail server is back")


def test_a_job_names_the_action_that_retried_it(admin_client: Client) -> None:
    job = make_job("failed", cause=SMTP)
    start(admin_client, cause=SMTP)
    action = BulkAction.objects.get()
    walk(action)
    assert f'<a href="{BULK}{action.pk}/change/">' in text_of(admin_client.get(page_of(job)))


def test_a_second_operator_is_led_to_the_action_that_is_under_way(admin_client: Client) -> None:
    make_job("failed", cause=SMTP)
    start(admin_client, cause=SMTP)
    other = operator("view_job", "retry_job")
    [said] = start(other, cause=SMTP)
    assert said.startswith("Nothing was begun: this one, which admin began, is under way for the same cause.")
    assert (BulkAction.objects.count(), LogEntry.objects.count()) == (1, 1)


# Watched and stopped --------------------------------------------------------------------------------


def _begun(client: Client) -> BulkAction:
    for _ in range(2):
        make_job("failed", cause=SMTP)
    start(client, cause=SMTP)
    return BulkAction.objects.get()


def test_the_page_shows_how_far_it_is(admin_client: Client) -> None:
    make_worker()
    action = _begun(admin_client)
    text = text_of(admin_client.get(f"{BULK}{action.pk}/change/"))
    assert '<progress class="jq-progress" value="0" max="2"' in text
    assert "0 of 2 jobs" in text
    assert "data-region-seconds" in text
    assert "No worker is alive" not in text


def test_the_page_says_that_no_worker_is_alive(admin_client: Client) -> None:
    make_worker(silent_for=600)
    action = _begun(admin_client)
    assert "No worker is alive" in text_of(admin_client.get(f"{BULK}{action.pk}/change/"))


def test_the_page_of_what_has_ended_with_its_jobs_is_not_asked_for_again(admin_client: Client) -> None:
    action = _begun(admin_client)
    walk(action)
    Job.objects.update(state="completed", finished_at=database_now("default"))
    text = text_of(admin_client.get(f"{BULK}{action.pk}/change/"))
    assert "2 of 2 jobs" in text
    assert "data-region-seconds" not in text
    assert "Stop</button>" not in text


def test_the_page_leads_to_exactly_the_jobs_that_it_changed_by_their_state_now(admin_client: Client) -> None:
    action = _begun(admin_client)
    page = f"{BULK}{action.pk}/change/"
    assert "The jobs that it changed" not in text_of(admin_client.get(page))
    walk(action)
    make_job("failed", cause=SMTP)
    make_job("failed", bulk_action=action.pk + 1)
    first, second = Job.objects.filter(bulk_action=action.pk)
    Job.objects.filter(pk=first.pk).update(state="completed", finished_at=database_now("default"))

    jobs = admin_client.get(page).context["jobs"]
    assert ids_of(admin_client.get(jobs["url"])) == {first.pk, second.pk}
    assert [(one.number, one.label) for one in jobs["states"]] == [("1", "waiting"), ("1", "completed")]
    listed = [ids_of(admin_client.get(one.url)) for one in jobs["states"]]
    assert listed == [{second.pk}, {first.pk}]


def test_the_states_of_very_many_jobs_are_counted_among_the_first(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    action = _begun(admin_client)
    walk(action)
    monkeypatch.setattr(bulk_jobs, "MOST_COUNTED", 1)
    text = text_of(admin_client.get(f"{BULK}{action.pk}/change/"))
    assert "of the first 1 of them:" in text
    assert re.findall(r"(\d+) waiting", text) == ["1"]


def test_the_audit_says_how_many_jobs_an_action_changed_of_how_many(admin_client: Client) -> None:
    action = _begun(admin_client)
    audit = "/admin/jobqueue/auditentry/"
    assert [row.jobs for row in admin_client.get(audit).context["rows"]] == ["0 of 2"]
    BulkAction.objects.update(changed=1)
    admin_client.post(f"{BULK}{action.pk}/stop/")
    assert [row.jobs for row in admin_client.get(audit).context["rows"]] == ["1 of 2", "1 of 2"]
    BulkAction.objects.update(changed=2)
    assert [row.jobs for row in admin_client.get(audit).context["rows"]] == ["2", "2"]


def test_it_is_stopped_by_a_click_that_is_written_down(admin_client: Client) -> None:
    action = _begun(admin_client)
    response = admin_client.post(f"{BULK}{action.pk}/stop/", follow=True)
    assert [str(message) for message in response.context["messages"]][-1] == "It is stopped."
    assert walk(action) == 0
    assert LogEntry.objects.first().change_message == "Stop: 0 of 2 jobs were changed"  # type: ignore[union-attr]


def test_what_has_ended_is_not_stopped(admin_client: Client) -> None:
    action = _begun(admin_client)
    walk(action)
    response = admin_client.post(f"{BULK}{action.pk}/stop/", follow=True)
    assert [str(message) for message in response.context["messages"]][-1] == "It had ended already."


def test_actions_are_listed(admin_client: Client) -> None:
    _begun(admin_client)
    text = text_of(admin_client.get(BULK))
    assert "0 / 2" in text
    assert "waits" in text


@pytest.mark.parametrize(
    "values",
    [
        {"verb": "postpone"},
        {"selection": []},
        {"selection": ["state"]},
        {"began_at": datetime(1900, 1, 1, tzinfo=UTC), "expected": 2**31 - 1, "changed": 1},
    ],
)
def test_an_action_that_nobody_here_asked_for_is_shown(admin_client: Client, values: dict[str, Any]) -> None:
    action = _begun(admin_client)
    BulkAction.objects.update(**values)
    for url in (BULK, f"{BULK}{action.pk}/change/"):
        text_of(admin_client.get(url))


@pytest.mark.parametrize("path", ["7/change/", "x/change/", "9" * 30 + "/change/"])
def test_an_action_that_there_is_not_is_not_found(admin_client: Client, path: str) -> None:
    assert admin_client.get(f"{BULK}{path}").status_code == 404


# Who may --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("permissions", "verb", "status"),
    [
        (("view_job",), "retry", 403),
        (("view_job", "delete_job"), "retry", 403),
        (("view_job", "retry_job"), "delete", 403),
        (("retry_job",), "retry", 403),
        (("view_job", "retry_job"), "retry", 302),
        (("view_job", "delete_job"), "delete", 302),
    ],
)
def test_beginning_takes_the_permission_of_the_verb(
    permissions: tuple[str, ...], verb: str, status: int
) -> None:
    make_job("failed")
    client = operator(*permissions)
    assert client.post(f"{BULK}start/", {"verb": verb, "confirmed": verb}).status_code == status


@pytest.mark.parametrize(
    ("permission", "status"), [("view_job", 403), ("retry_job", 403), ("stop_bulkaction", 302)]
)
def test_stopping_takes_a_permission_of_its_own(admin_client: Client, permission: str, status: int) -> None:
    action = _begun(admin_client)
    assert operator("view_job", permission).post(f"{BULK}{action.pk}/stop/").status_code == status


def test_a_click_without_a_token_is_refused(admin_user: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(admin_user)
    make_job("failed")
    assert client.post(f"{BULK}start/", {"verb": "retry", "confirmed": "retry"}).status_code == 403


@pytest.mark.django_db(transaction=True)
def test_two_operators_at_once_make_one_action(admin_user: User) -> None:
    make_job("failed")
    together = threading.Barrier(2)
    codes: list[int] = []

    def click() -> None:
        client = Client()
        client.force_login(admin_user)
        together.wait(10)
        codes.append(client.post(f"{BULK}start/", {"verb": "retry", "confirmed": "retry"}).status_code)
        connection.close()

    operators = [threading.Thread(target=click) for _ in range(2)]
    for thread in operators:
        thread.start()
    for thread in operators:
        thread.join(30)
    assert codes == [302, 302]
    assert (BulkAction.objects.count(), LogEntry.objects.count()) == (1, 1)
