"""What else an operator does at 3 a.m., by keyboard alone and with a real worker."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from playwright.sync_api import expect

from jobqueue.jobs import enqueue
from jobqueue.models import BulkAction, Job, Queue
from jobqueue.sql.clock import database_now
from settlements.models import Settlement
from tests.browser.keyboard import go, press, reach, skip, write
from tests.conftest import StartWorker
from tests.jobqueue.admin.steps import make_job
from tests.workload.fixtures import Workload, wait_until_done

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True, databases=["default", "other"]),
]
MANY = 50_000


def test_jobs_about_a_settlement(
    open_page: Any,
    settlement: Settlement,
) -> None:
    page = open_page("/admin/settlements/settlement/?q=Lisbon")
    press(page, page.locator("#result_list tbody th a"))
    press(page, page.locator(".object-tools").get_by_role("link", name="Jobs"))
    assert page.url.endswith("#jobs")
    rows = page.locator("#jobs tbody tr")
    assert rows.count() == Job.objects.about(settlement).count() > 5
    job = Job.objects.about(settlement).order_by("pk").first()
    assert job is not None
    press(page, page.locator("#jobs").get_by_role("link", name=f"#{job.pk}", exact=True))
    expect(page.locator("h1")).to_contain_text(f"Job #{job.pk}")
    expect(page.locator(".jq-why")).not_to_be_empty()


def test_what_did_my_colleague_do(
    open_page: Any,
) -> None:
    job = make_job("failed", reason="ConnectionError: no route")
    colleague = User.objects.create_superuser("carla")
    client = Client()
    client.force_login(colleague)
    client.post("/admin/jobqueue/queue/pause/", {"queue": "email", "reason": "their server refuses"})
    retry = {"action": "retry", "confirmed": "retry", "_selected_action": [str(job.pk)]}
    client.post("/admin/jobqueue/job/", retry)

    page = open_page("/admin/jobqueue/")
    press(page, page.locator("#content").get_by_role("link", name="What operators did", exact=True))
    reach(page, page.get_by_label("Who"))
    page.keyboard.type("carla")
    press(page, page.get_by_role("button", name="Show"))

    rows = page.locator(".jq-audit-list tbody tr")
    expect(rows).to_have_count(2)
    expect(rows.filter(has_text="Pause")).to_contain_text("their server refuses")
    retried = rows.filter(has_text="Retry")
    expect(retried).to_contain_text(f"#{job.pk}")
    expect(retried).to_contain_text("carla")


def test_stop_this_running_job(
    open_page: Any,
    rqworker: StartWorker,
    workload: Workload,
) -> None:
    job = enqueue("workload.loop_for_long", name="endless")
    rqworker("--processes", "1")
    workload.wait_for_start("endless")
    page = open_page("/admin/jobqueue/job/running/")
    row = page.locator("#jq-running-now tbody tr")
    expect(row).to_contain_text(f"#{job.pk}", timeout=15_000)
    press(page, row.get_by_role("link", name="Stop"))
    reach(page, page.get_by_label("Reason"))
    page.keyboard.type("it goes to the wrong people")
    with page.expect_navigation():  # else the next page is asked for while this one is on its way
        press(page, page.get_by_role("button", name="Stop: yes, this job"))
    wait_until_done(60)
    page.goto(f"/admin/jobqueue/job/{job.pk}/change/")
    expect(page.locator("h1 .jq-cancelled")).to_be_visible()
    expect(page.locator("#content-main")).to_contain_text("it goes to the wrong people")


def test_retry_50_000(
    open_page: Any,
    rqworker: StartWorker,
) -> None:
    now = database_now("default")
    Queue.objects.create(name="email", paused=True)
    failed = {
        "processor": "workload.note.email",
        "queue": "email",
        "payload": {"name": "many"},
        "state": Job.State.FAILED,
        "cause": "TimeoutError",
        "reason": "TimeoutError",
        "attempt": 4,
        "timeout": 30,
        "run_at": now - timedelta(hours=1),
        "finished_at": now - timedelta(minutes=10),
    }
    Job.objects.bulk_create((Job(**failed) for _ in range(MANY)), batch_size=5_000)
    rqworker("--processes", "1")
    page = open_page("/admin/jobqueue/cause/")
    skip(page)
    go(page, page.get_by_role("button", name="Retry 50,000"))
    skip(page)
    write(page, page.get_by_label("Reason"), "the mail server is back")
    write(page, page.get_by_label("Type 50,000 to begin"), "50000")
    press(page, page.get_by_role("button", name="yes, 50,000 jobs"))

    progress = page.locator("#jq-bulk-progress")
    expect(progress).to_contain_text("of 50,000 jobs")
    expect(progress.locator("progress")).to_be_visible()
    expect(progress.get_by_role("button", name="Stop")).to_be_visible()
    expect(progress).to_contain_text("50,000 of 50,000 jobs", timeout=60_000)
    expect(progress.locator(".jq-completed")).to_be_visible()
    assert BulkAction.objects.get().changed == MANY
    assert Job.objects.due().count() == MANY
