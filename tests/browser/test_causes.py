"""Failures by cause in a real browser, with a real worker: what an operator does at night."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from playwright.sync_api import expect

from jobqueue.jobs import enqueue_many
from jobqueue.models import BulkAction, Job, Queue
from jobqueue.sql.clock import database_now
from tests.browser import looks
from tests.browser.keyboard import go, press, skip
from tests.conftest import StartWorker
from tests.workload.fixtures import Workload, wait_until_done

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True, databases=["default", "other"]),
]
CAUSES = "/admin/jobqueue/cause/"
SMTP = "EmailNotSent: SMTPRecipientsRefused 550"


def _fail(cause: str, number: int, minutes_ago: float, queue: str = "email") -> list[str]:
    """So many jobs that failed then."""
    now = database_now("default")
    names = [f"{cause[:5]}-{minutes_ago}-{count}" for count in range(number)]
    later = now + timedelta(hours=1)
    jobs = enqueue_many([(f"workload.note.{queue}", {"name": name}) for name in names], run_at=later)
    Job.objects.filter(pk__in=[job.pk for job in jobs]).update(
        state=Job.State.FAILED,
        cause=cause,
        reason=cause,
        attempt=4,
        created_at=now - timedelta(days=9),
        finished_at=now - timedelta(minutes=minutes_ago),
    )
    return names


def test_retry_the_smtp_failures_of_the_last_two_hours_only_those_in_two_clicks(
    open_page: Any,
    rqworker: StartWorker,
    workload: Workload,
) -> None:
    wanted = _fail(SMTP, 40, 30) + _fail(SMTP, 20, 110)
    _fail(SMTP, 25, 130)
    _fail("ConnectionError: no route to #", 10, 30)
    rqworker("--processes", "1")
    page = open_page(CAUSES)

    skip(page)
    go(page, page.get_by_role("link", name="Last 2 hours"))
    skip(page)
    press(page, page.get_by_role("row", name=SMTP).get_by_role("button", name="Retry 60"))

    expect(page.locator("#jq-bulk-progress")).to_contain_text("60 of 60 jobs")
    expect(page.locator("#jq-bulk-progress .jq-completed")).to_be_visible()
    wait_until_done()
    assert workload.effects() == dict.fromkeys(wanted, 1)
    assert Job.objects.failed().count() == 35


def test_a_bulk_retry_above_the_limit_is_typed_watched_and_stopped(
    open_page: Any,
    rqworker: StartWorker,
    workload: Workload,
) -> None:
    Queue.objects.create(name="email", paused=True)
    _fail(SMTP, 1_500, 30)
    rqworker("--processes", "1")
    page = open_page(CAUSES)
    page.get_by_role("button", name="Retry 1,500").click()
    page.get_by_label("Type 1,500 to begin").fill("1500")
    page.get_by_label("Reason").fill("the mail server is back")
    page.get_by_label("At most so many a second").fill("200")
    page.get_by_role("button", name="yes, 1,500 jobs").click()

    expect(page.locator("#jq-bulk-progress .jq-active")).to_be_visible()
    page.get_by_role("button", name="Stop").click()

    expect(page.locator("#jq-bulk-progress")).to_contain_text("stopped by admin")
    action = BulkAction.objects.get()
    assert action.changed < 1_500
    assert Job.objects.failed().count() == 1_500 - action.changed


def test_a_reason_beside_the_buttons_fits_and_goes_with_the_one_that_is_pressed(open_page: Any) -> None:
    _fail(SMTP, 3, 30)
    _fail("ConnectionError: no route to # of a host with a rather long name in the middle of nowhere", 2, 90)
    page = open_page(CAUSES, width=1280)
    row = page.get_by_role("row", name=SMTP)
    row.get_by_text("with a reason").click()
    reason = row.get_by_label("Reason")
    reason.fill("the mail server is back")
    assert page.locator(".jq-cause-list").evaluate("(list) => list.scrollWidth <= list.clientWidth")

    reason.press("Enter")
    page.locator("h1").click()
    assert page.url.endswith(CAUSES) and not BulkAction.objects.exists()
    row.get_by_role("button", name="Retry 3").click()
    expect(page.locator(".jq-facts")).to_contain_text("the mail server is back")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_the_pages_fit_their_width(
    open_page: Any,
    width: int,
    scheme: str,
) -> None:
    _fail(SMTP, 3, 30)
    _fail("ConnectionError: no route to # of a host with a rather long name in the middle of nowhere", 2, 90)
    _fail("", 1, 5, "reminders")
    page = open_page(CAUSES, width=width, scheme=scheme)
    page.locator("summary").first.click()
    discard = page.get_by_role("row", name=SMTP).get_by_role("button", name="Discard")
    assert looks.fits(discard)
    discard.click()
    begin = page.get_by_role("button", name="yes, 3 jobs")
    assert looks.fits(begin)
    begin.click()
    assert looks.fits(page.locator("#jq-bulk-progress").get_by_text("No worker is alive"))
