"""What an operator does at 3 a.m.: is anything wrong, pause e-mail, who runs what."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from jobqueue.jobs import enqueue
from jobqueue.models import Job, Queue, Worker
from settlements.models import Settlement
from tests.browser.keyboard import choose, go, press, skip, write
from tests.conftest import StartWorker
from tests.jobqueue.admin.steps import make_job, make_worker
from tests.workload.fixtures import Workload, note

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True, databases=["default", "other"]),
]
OVERVIEW = "/admin/jobqueue/"
PAGES = (OVERVIEW, "/admin/jobqueue/queue/", "/admin/jobqueue/worker/")


def _serious(page: Page) -> list[str]:
    """What axe finds serious or critical on the page."""
    found = Axe().run(page).response["violations"]
    return [
        f"{each['id']}: {[node['html'][:200] for node in each['nodes']][:3]}"
        for each in found
        if each["impact"] in ("serious", "critical")
    ]


def _have_a_worker() -> None:
    """One that is alive for as long as the test may take."""
    make_worker(silent_for=-timedelta(hours=1).total_seconds())


def test_is_anything_wrong_right_now(open_page: Any) -> None:
    _have_a_worker()
    page = open_page(OVERVIEW)
    expect(page.locator("#jq-sentence")).to_have_text("All is well.")
    Worker.objects.update(queues=["email", "reminders"])
    make_job(queue="settlement")

    expect(page.locator("#jq-sentence")).to_have_text("1 thing is wrong.", timeout=15_000)
    expect(page.locator("[data-live-said]")).to_have_text("1 thing is wrong.")
    expect(page.locator(".jq-finding")).to_contain_text("Start one: manage.py rqworker settlement")
    skip(page)
    press(page, page.get_by_role("link", name="1 job waits on settlement"))
    expect(page.locator("h1")).to_have_text("Workers")


def test_the_number_of_failed_jobs_in_the_title_is_kept_up_to_date(open_page: Any) -> None:
    page = open_page(OVERVIEW)
    expect(page).to_have_title(re.compile("^Overview"))
    make_job("failed")
    expect(page).to_have_title(re.compile(r"^\(1\) Overview"), timeout=15_000)
    Job.objects.all().delete()
    expect(page).to_have_title(re.compile("^Overview"), timeout=15_000)


def test_pause_e_mail_now(open_page: Any, rqworker: StartWorker, workload: Workload) -> None:
    page = open_page(OVERVIEW)
    skip(page)
    press(page, page.get_by_label("Pause email").first)
    write(page, page.get_by_label("Reason").first, "the mail server refuses")
    choose(page, page.get_by_label("How long").first, "60")
    go(page, page.get_by_role("button", name="Pause email"))
    expect(page.locator(".messagelist")).to_contain_text("Email is paused.")
    assert Queue.objects.get(pk="email").pause_reason == "the mail server refuses"

    letter = note("letter", "email")
    rqworker("--processes", "1", "--threads", "1")  # one that runs already sees the pause within a second
    for number in (1, 2, 3):  # the one thread that would take the letter takes what comes after it
        note(f"other-{number}", "settlement")
        workload.wait_for_effects(number)
    assert "letter" not in workload.effects()
    assert Job.objects.get(pk=letter.pk).state == "waiting"
    page.goto("/admin/auth/user/")
    expect(page.locator("#jq-banner")).to_contain_text("email is paused by admin")
    expect(page.locator("#jq-banner")).to_contain_text("1 job waits.")

    page.goto("/admin/jobqueue/queue/")
    skip(page)
    press(page, page.get_by_role("button", name="Resume email"))
    expect(page.locator(".messagelist")).to_contain_text("Email is resumed.")
    expect(page.locator("#jq-banner")).to_have_count(0)
    assert workload.wait_for_effects(4)["letter"] == 1


def test_who_runs_what_now(
    open_page: Any, rqworker: StartWorker, workload: Workload, settlement: Settlement
) -> None:
    Job.objects.all().delete()
    job = enqueue("workload.wait", name="gated", subject=settlement)
    rqworker("--processes", "1", "--threads", "1")
    workload.wait_for_start("gated")
    page = open_page(OVERVIEW)
    skip(page)
    press(page, page.locator("#content-main .module").get_by_role("link", name="Running", exact=True))

    worker = Worker.objects.get()
    group = page.locator("#jq-running-now section")
    expect(group.locator("h2")).to_contain_text(f"{worker.hostname} ")
    expect(group.locator("h2")).to_contain_text(f"process {worker.pid}")
    row = group.locator("tbody tr")
    expect(row.locator("th")).to_have_text(f"#{job.pk} workload.wait")
    expect(row.get_by_role("link", name="Dinner in Lisbon")).to_be_visible()
    expect(row.locator(".jq-thread")).to_have_text(re.compile(r"^\d+$"), timeout=15_000)
    began = Job.objects.get(pk=job.pk).started_at
    assert began is not None
    moment = row.locator("time").get_attribute("datetime")
    assert moment is not None
    assert datetime.fromisoformat(moment) == began

    workload.open_gate("gated")
    expect(page.locator("#jq-running-now")).to_contain_text("0 jobs run now.", timeout=15_000)
    expect(row).to_have_count(0)


def test_workers_are_listed_with_what_they_serve(open_page: Any, rqworker: StartWorker) -> None:
    rqworker("--processes", "1")
    page = open_page(OVERVIEW)
    skip(page)
    press(page, page.locator("#content-main .module").get_by_role("link", name="Workers", exact=True))
    row = page.locator("#result_list tbody tr")
    expect(row.locator(".field-memory_in_use")).to_contain_text("MB")
    expect(row.locator(".field-version")).not_to_be_empty()
    expect(row.locator(".field-serves")).to_contain_text("email")


def test_nothing_is_refreshed_while_somebody_types_a_reason(open_page: Any) -> None:
    _have_a_worker()
    page = open_page(OVERVIEW)
    page.get_by_label("Pause email").first.click()
    page.get_by_label("Reason").first.fill("half a")
    make_job(queue="settlement")
    expect(page.locator("[data-live-state]")).to_contain_text("waits while", timeout=15_000)
    expect(page.locator("#jq-sentence")).to_have_text("All is well.")
    assert page.get_by_label("Reason").first.input_value() == "half a"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_the_pages_fit_and_axe_finds_nothing_serious(
    open_page: Any,
    width: int,
    scheme: str,
) -> None:
    Queue.objects.create(name="email", paused=True, pause_reason="a reason that is not short at all " * 3)
    Queue.objects.create(name="reminders", rate_limit=10, concurrency_limit=5)
    make_job()
    make_job("stuck")
    page = open_page("/admin/", width=width, scheme=scheme)
    for address in PAGES:
        page.goto(address)
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), address
        assert _serious(page) == [], address
