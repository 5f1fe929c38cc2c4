"""The page of one job."""

from __future__ import annotations

import pytest
from django.test import Client

from jobqueue.models import Job, subject_of
from settlements.models import Settlement
from tests.jobqueue.admin.steps import (
    add_attempt,
    confirm,
    make_job,
    make_worker,
    operator,
    page_of,
    text_of,
)

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    "state", ["waiting", "delayed", "active", "stuck", "completed", "skipped", "failed", "cancelled"]
)
def test_a_job_in_any_state_has_a_page(admin_client: Client, state: str) -> None:
    assert f"jq-badge jq-{state}" in text_of(admin_client.get(page_of(make_job(state))))


def test_the_page_shows_the_payload_pretty_printed(admin_client: Client) -> None:
    job = make_job(payload={"b": [1], "a": "ü"})
    text = text_of(admin_client.get(page_of(job)))
    assert "{\n  &quot;a&quot;: &quot;ü&quot;,\n  &quot;b&quot;: [\n    1\n  ]\n}</pre>" in text


def test_the_page_says_why_the_job_does_not_run(admin_client: Client) -> None:
    assert "no worker serves it" in text_of(admin_client.get(page_of(make_job())))


def test_the_page_shows_every_failed_attempt_with_its_traceback(admin_client: Client) -> None:
    job = make_job("failed")
    for number in (1, 2, 3, 4):
        add_attempt(
            job, number, f"Error{number}", message=f"message {number}", traceback=f"Traceback {number}"
        )
    text = text_of(admin_client.get(page_of(job)))
    for number in (1, 2, 3, 4):
        assert f"Error{number}" in text
        assert f"message {number}" in text
        assert f'<pre class="jq-pre" tabindex="0">Traceback {number}</pre>' in text


def test_the_page_leads_to_the_record_and_its_other_jobs(
    admin_client: Client, settlement: Settlement
) -> None:
    job, other, *_rest = Job.objects.about(settlement)
    text = text_of(admin_client.get(page_of(job)))
    assert f'href="/admin/settlements/settlement/{settlement.pk}/change/"' in text
    assert f'href="{page_of(other)}"' in text
    assert f'href="{page_of(job)}"' not in text


def test_jobs_about_nothing_are_no_relatives(admin_client: Client) -> None:
    job, other = make_job(), make_job()
    assert page_of(other) not in text_of(admin_client.get(page_of(job)))


def test_the_page_shows_what_operators_did(admin_client: Client) -> None:
    job = make_job("failed")
    confirm(admin_client, "retry", job)
    text = text_of(admin_client.get(page_of(job)))
    assert "<strong>admin</strong> Retry: failed → waiting" in text


def test_the_page_escapes_everything(admin_client: Client) -> None:
    evil = "<script>alert(1)</script>"
    worker = make_worker(silent_for=60, name=evil, hostname=evil)
    job = make_job(
        "stuck", payload={evil: evil}, reason=evil, subject=evil, unique_key=evil, processor=evil, queue=evil,
        worker_id=worker.pk,
    )  # fmt: skip
    make_job("failed", subject=evil, reason=evil, processor=evil)
    add_attempt(job, 1, evil, message=evil * 10, traceback=evil, worker_name=evil)
    assert evil not in text_of(admin_client.get(page_of(job)))


def test_nothing_on_the_page_can_be_edited(admin_client: Client) -> None:
    job = make_job()
    admin_client.post(page_of(job), {"processor": "other", "state": "failed"})
    job.refresh_from_db()
    assert (job.processor, job.state) == ("sample.succeed", "waiting")


@pytest.mark.parametrize(
    ("state", "verbs"),
    [
        ("waiting", {"cancel", "delete"}),
        ("delayed", {"cancel", "run_now", "delete"}),
        ("active", set()),
        ("stuck", {"release", "fail"}),
        ("completed", {"delete"}),
        ("failed", {"retry", "delete"}),
        ("cancelled", {"retry", "delete"}),
    ],
)
def test_the_page_offers_what_the_state_allows(admin_client: Client, state: str, verbs: set[str]) -> None:
    offered = admin_client.get(page_of(make_job(state))).context["verbs"]
    assert {verb.name for verb in offered} == verbs


def test_the_page_offers_nothing_to_who_may_only_look() -> None:
    response = operator("view_job").get(page_of(make_job("failed")))
    assert response.context["verbs"] == []
    assert 'name="action"' not in text_of(response)


def test_a_payload_with_an_address_is_shown_here_and_only_here(admin_client: Client) -> None:
    job = make_job(payload={"email": "anna@example.com"}, subject=subject_of(make_worker()))
    assert "anna@example.com" in text_of(admin_client.get(page_of(job)))
