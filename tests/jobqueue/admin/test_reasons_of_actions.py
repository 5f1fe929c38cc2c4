"""Actions on chosen jobs: whom they concern, why they are done, and which jobs they changed."""

from __future__ import annotations

import re

import pytest
from django.test import Client

from jobqueue.admin import actions
from jobqueue.models import AuditEntry
from tests.jobqueue.admin.steps import FAILED, JOBS, choose, confirm, entries_of, ids_of, make_job, text_of

pytestmark = pytest.mark.django_db


def test_the_question_says_whom_it_is_about_and_what_that_is_worth(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(actions, "concerned", lambda jobs, _request: f"{jobs.count()} people, 7.00 EUR")
    question = text_of(
        choose(admin_client, "retry", make_job("failed"), make_job("failed"), make_job("active"))
    )
    assert "They are about 2 people, 7.00 EUR." in question


@pytest.mark.parametrize(
    ("action", "state"), [("retry", "failed"), ("cancel", "waiting"), ("fail", "stuck"), ("delete", "failed")]
)
def test_the_reason_stands_in_the_audit(admin_client: Client, action: str, state: str) -> None:
    confirm(admin_client, action, make_job(state), reason=" the server is back ")
    assert AuditEntry.objects.get().reason == "the server is back"


def test_one_reason_stands_in_the_audit_for_jobs_that_were_in_different_states(admin_client: Client) -> None:
    jobs = make_job("failed"), make_job("cancelled")
    confirm(admin_client, "retry", *jobs, reason="the server is back")
    assert AuditEntry.objects.get().reason == "the server is back"
    assert entries_of(jobs[1]) == ["Retry: cancelled → waiting. Reason: the server is back"]


@pytest.mark.parametrize(
    ("action", "said"),
    [("cancel", "cancelled by admin: the text is wrong"), ("hold", "held by admin: the text is wrong")],
)
def test_a_job_says_itself_why_it_does_not_run(admin_client: Client, action: str, said: str) -> None:
    job = make_job("delayed")
    confirm(admin_client, action, job, reason="the text is wrong")
    job.refresh_from_db()
    assert job.reason == said


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("x" * 501, "Say why, in at most 500 characters."),
        ("a\x00b", "A reason cannot have the character U+0000."),
    ],
)
def test_a_reason_that_cannot_be_kept_is_asked_for_again(
    admin_client: Client, reason: str, said: str
) -> None:
    job = make_job("failed")
    data = {"action": "retry", "confirmed": "retry", "_selected_action": [job.pk], "reason": reason}
    page = text_of(admin_client.post(JOBS, data))
    job.refresh_from_db()
    assert said in page and job.state == "failed"


def test_the_message_leads_to_exactly_the_jobs_that_were_retried(admin_client: Client) -> None:
    jobs = [make_job("failed") for _ in range(3)]
    data = {"action": "retry", "confirmed": "retry", "_selected_action": [job.pk for job in jobs[:2]]}
    page = text_of(admin_client.post(FAILED, data, follow=True))
    found = re.search(r'2 jobs retried\. <a href="([^"]+)">', page)
    assert found is not None
    assert ids_of(admin_client.get(found[1])) == {jobs[0].pk, jobs[1].pk}
