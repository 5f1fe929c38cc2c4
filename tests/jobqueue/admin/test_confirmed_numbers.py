"""What is confirmed is what was counted: an action changes no job that its question did not tell of."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.test import Client

from jobqueue import signals
from jobqueue.models import Job
from jobqueue.sql.clock import database_now
from tests.jobqueue.admin.steps import FAILED, JOBS, choose, confirm, entries_of, make_job, text_of

pytestmark = pytest.mark.django_db


def test_what_came_after_the_question_is_left_alone(admin_client: Client) -> None:
    asked = make_job("failed")
    told = _told(admin_client, "retry")
    later = make_job("failed")
    confirm(admin_client, "retry", url=FAILED, select_across="1", **told)
    assert [Job.objects.get(pk=job.pk).state for job in (asked, later)] == ["waiting", "failed"]


def _told(client: Client, action: str, url: str = FAILED) -> dict[str, str]:
    """What the form of the question brings back of the jobs that it told the number of."""
    text = text_of(choose(client, action, url=url, select_across="1"))
    return dict(re.findall(r'<input type="hidden" name="(newest|counted)" value="([^"]*)">', text))


def test_where_more_would_be_changed_than_was_told_nothing_is_and_it_is_asked_anew(
    admin_client: Client,
) -> None:
    older = [make_job() for _ in range(3)]
    make_job("failed")
    told = _told(admin_client, "delete")
    Job.objects.filter(pk__in=[job.pk for job in older]).update(state="failed")
    data = {"action": "delete", "confirmed": "delete", "_selected_action": "0", "select_across": "1"}
    text = text_of(admin_client.post(FAILED, data | told))
    assert "Meanwhile more jobs match" in text
    assert "Delete: <strong>4 jobs</strong>" in text
    assert Job.objects.count() == 4


def test_a_job_of_the_list_that_was_not_counted_is_left_alone(admin_client: Client) -> None:
    older, asked, other = make_job(), make_job("failed"), make_job("failed")
    told = _told(admin_client, "retry")
    asked.retry()
    Job.objects.filter(pk=older.pk).update(state="failed")
    confirm(admin_client, "retry", url=FAILED, select_across="1", **told)
    assert [entries_of(job) for job in (older, other)] == [[], ["Retry: failed → waiting"]]


def test_a_form_that_does_not_bring_the_number_back_changes_nothing(admin_client: Client) -> None:
    make_job("failed")
    data = {"action": "retry", "confirmed": "retry", "_selected_action": "0", "select_across": "1"}
    assert "are you sure?" in text_of(admin_client.post(FAILED, data))
    assert Job.objects.failed().count() == 1


def test_of_selected_jobs_those_that_were_left_alone_are_asked_about_anew(admin_client: Client) -> None:
    failed, running = make_job("failed"), make_job("active")
    text = text_of(choose(admin_client, "retry", failed, running))
    [counted] = re.findall(r'name="counted" value="([^"]*)"', text)
    Job.objects.filter(pk=running.pk).update(state="failed")
    data = {"action": "retry", "confirmed": "retry", "_selected_action": [failed.pk, running.pk]}
    text = text_of(admin_client.post(JOBS, data | {"counted": counted}))
    assert "Retry: <strong>2 jobs</strong>" in text
    assert Job.objects.failed().count() == 2


# What an app guards -----------------------------------------------------------------------------------

DELAYED = f"{JOBS}?state=delayed"
ACROSS = {"action": "run_now", "confirmed": "run_now", "_selected_action": "0", "select_across": "1"}


@pytest.fixture
def guarded() -> Iterator[None]:
    """An app is to be asked of each job, and allows it."""

    def allow(sender: object, **_: object) -> None:
        """Say nothing against it."""

    signals.job_moving.connect(allow)
    yield
    signals.job_moving.disconnect(allow)


def _is_delayed(job: Job) -> bool:
    return Job.objects.get(pk=job.pk).run_at > database_now("default") + timedelta(hours=1)


def test_a_guarded_job_that_was_not_counted_is_left_alone(admin_client: Client, guarded: None) -> None:
    older, asked = make_job("completed"), make_job("delayed")
    told = _told(admin_client, "run_now", DELAYED)
    tomorrow = database_now("default") + timedelta(days=1)
    Job.objects.filter(pk=older.pk).update(state="waiting", run_at=tomorrow)
    text = text_of(admin_client.post(DELAYED, ACROSS | told))
    assert "Meanwhile more jobs match" in text
    assert _is_delayed(older) and _is_delayed(asked)


def test_guarded_jobs_are_not_changed_without_their_number(admin_client: Client, guarded: None) -> None:
    job = make_job("delayed")
    assert "are you sure?" in text_of(admin_client.post(DELAYED, ACROSS))
    assert _is_delayed(job)
