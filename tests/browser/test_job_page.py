"""The page of a job in a browser: copied with another payload, moved to a time, its runs looked at."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import expect

from jobqueue.models import AttemptLog, Job
from jobqueue.sql.clock import database_now
from tests.browser.looks import faults
from tests.jobqueue.admin.steps import add_attempt, make_job, page_of

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True, databases=["default", "other"]),
]


def test_a_job_is_copied_with_another_payload(open_page: Any) -> None:
    job = make_job("failed", processor="settlement.periodic_reminder", payload={"settlement_id": "a"})
    add_attempt(job, 4, message="refused", traceback="Traceback …")
    page = open_page(page_of(job))
    expect(page.locator(".jq-steps")).to_contain_text("Attempt 4")
    page.click("text=Copy …")
    page.fill("#jq-json", '{"settlement_id": }')
    page.fill("#jq-reason", "wrong settlement")
    page.click("text=Enqueue the copy")
    expect(page.locator("#jq-json-error")).to_contain_text("line 1, column 19")
    expect(page.locator("#jq-json")).to_have_value('{"settlement_id": }')
    page.fill("#jq-json", '{"settlement_id": "b"}')
    page.click("text=Enqueue the copy")
    expect(page.locator(".messagelist .success")).to_contain_text(f"as a copy of job #{job.pk}")
    assert Job.objects.get(copied_from=job.pk).payload == {"settlement_id": "b"}
    page.click(f".jq-facts a:has-text('#{job.pk}')")
    expect(page.locator(".jq-step-action")).to_contain_text("Reason: wrong settlement")


def test_a_delayed_job_is_moved(open_page: Any) -> None:
    job = make_job("delayed")
    page = open_page(page_of(job), width=390)
    page.click("text=Move to a time …")
    page.fill("#jq-to", "2020-01-01T09:00:00")
    page.fill("#jq-reason", "on leave")
    page.click("button:has-text('Move')")
    expect(page.locator("#jq-to-error")).to_contain_text("is past")
    page.fill("#jq-to", "2090-07-01T09:00:00")
    page.click("button:has-text('Move')")
    expect(page.locator(".jq-why")).to_contain_text("Delayed until 2090-07-01 09:00:00")


def test_a_bar_leads_to_its_job(open_page: Any) -> None:
    job, other = make_job("completed"), make_job("failed")
    page = open_page(page_of(job))
    page.click(".jq-runs svg .jq-chart-failed")
    expect(page.locator("h1").last).to_contain_text(f"Job #{other.pk}")


def test_the_lines_of_an_attempt_open_below_it(open_page: Any) -> None:
    job = make_job("completed")
    lines = [
        [0.0, "INFO", "shop", "first"],
        [0.2, "WARNING", "shop", "long " * 80],
        [1.5, "ERROR", "shop", "<b>"],
    ]
    AttemptLog.objects.create(job=job, number=1, lines=lines, left_out=412, left_out_after=1)
    page = open_page(page_of(job))
    page.click("text=Log: 415 lines")
    expect(page.locator(".jq-log li")).to_have_text(
        [re.compile("first"), "412 lines left out", re.compile("long"), re.compile("<b>")]
    )
    assert faults(page) == []


def test_the_page_of_a_running_job_says_when_it_has_ended(open_page: Any) -> None:
    job = make_job("active", stop_asked_at=database_now("default"), stop_reason="stopped by anna: wrong")
    page = open_page(page_of(job))
    expect(page.locator(".jq-why")).to_contain_text("Stopping")
    assert faults(page) == []
    cancelled = {"state": "cancelled", "finished_at": database_now("default"), "reason": job.stop_reason}
    Job.objects.filter(pk=job.pk).update(**cancelled)
    expect(page.locator("#jq-job-state")).to_have_text("cancelled", timeout=10_000)
    expect(page.locator(".jq-why")).to_contain_text("stopped by anna")
