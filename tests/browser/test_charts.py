"""The charts in a real browser: throughput and failures of 24 hours, with real workers."""

from __future__ import annotations

import math
import os
import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from playwright.sync_api import expect

from jobqueue.broker import queues
from jobqueue.broker.chart import PERIOD, Group, records_of
from jobqueue.broker.tallies import Tally, bucket_of
from jobqueue.jobs import enqueue, enqueue_many
from jobqueue.models import Queue
from jobqueue.sql.clock import database_now
from tests.browser import looks
from tests.browser.keyboard import press, skip
from tests.conftest import StartWorker, wait_until
from tests.integration.test_charts import charted
from tests.workload.fixtures import Workload, wait_until_done

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True, databases=["default", "other"]),
]
CHARTS = "/admin/jobqueue/charts/"


def _a_day(user: User) -> None:
    """What a day may look like: with the hours, a bad one among them, and a pause."""
    now = database_now("default")
    period = int(now.timestamp()) // PERIOD
    records = {}
    for back in range(576):
        busy = 40 + 30 * math.sin(back / 46)
        for outcome, jobs in (
            ("completed", int(busy)),
            ("failed", 9 if 90 < back < 110 else back % 7 == 0),
            ("retried", 14 if 80 < back < 110 else 0),
            ("stopped", 6 if 100 < back < 110 else 0),
        ):
            tally = Tally(int(jobs))
            for part, seconds in ((0.6, 0.02), (0.3, 0.2), (0.1, 3.0 if 80 < back < 110 else 0.8)):
                tally.runs[bucket_of(seconds)] += round(jobs * part)
                tally.waits[bucket_of(seconds * 2)] += round(jobs * part)
            if jobs:
                records[period - back, Group("email", "email.notification", outcome)] = tally
    queues.finish([], "0" * 32, {}, None, records_of(records))
    entry = LogEntry.objects.create(
        user=user,
        content_type=ContentType.objects.get_for_model(Queue),
        object_id="email",
        object_repr="email",
        action_flag=CHANGE,
        change_message="Pause: running → paused",
    )
    LogEntry.objects.filter(pk=entry.pk).update(action_time=now - timedelta(hours=8))


def test_throughput_and_failures_of_24_hours(
    open_page: Any,
    rqworker: StartWorker,
    workload: Workload,
) -> None:
    for _ in range(2):
        rqworker("--processes", "1")
    enqueue_many([("workload.note.email", {"name": f"job {number}"}) for number in range(300)])
    for number in range(3):
        enqueue("workload.fail_fast", name=f"bad {number}")
    wait_until_done()
    wait_until(lambda: charted() == {"completed": 300, "failed": 3, "retried": 9})
    page = open_page(CHARTS)

    expect(page.locator(".jq-sum")).to_contain_text("300 completed, 3 failed, 9 retried")
    skip(page)
    press(page, page.get_by_text("The same as a table"))
    press(page, page.locator(".jq-chart-table th a").first)
    expect(page.locator(".jq-chart-part")).to_contain_text("Back to 24 hours")
    skip(page)
    press(page, page.get_by_text("The same as a table"))
    failed = page.locator(".jq-chart-table td:nth-child(3) a").first
    number = int(failed.inner_text())
    press(page, failed)
    expect(page.locator("#result_list tbody tr")).to_have_count(number)


def test_on_a_phone_all_that_bars_lead_to_is_in_a_table_for_thumbs(open_page: Any, admin_user: User) -> None:
    _a_day(admin_user)
    page = open_page(CHARTS, width=looks.NARROW)
    page.get_by_text("The same as a table").click()
    assert page.locator(".jq-chart-table a").count() > 10
    assert looks.small(page, looks.NARROW) == []


def test_a_bar_is_pressed_where_its_column_is_empty(open_page: Any, admin_user: User) -> None:
    _a_day(admin_user)
    page = open_page(CHARTS, width=1280)
    bar = page.locator("svg.jq-chart").first.locator("a").last
    place = bar.bounding_box()
    assert place and place["height"] > 60
    page.mouse.click(place["x"] + place["width"] / 2, place["y"] + 2)
    expect(page).to_have_url(re.compile("from="))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_the_charts_fit_their_width(
    open_page: Any,
    admin_user: User,
    width: int,
    scheme: str,
) -> None:
    _a_day(admin_user)
    page = open_page(CHARTS, width=width, scheme=scheme)
    expect(page.locator("svg.jq-chart")).to_have_count(4)
    if folder := os.environ.get("SCREENSHOTS"):
        page.screenshot(path=f"{folder}/charts-{width}-{scheme}.png", full_page=True)
    assert looks.fits(page.locator("svg.jq-chart").first)
    page.get_by_text("The same as a table").click()
    assert looks.fits(page.locator(".jq-chart-table").first)
    page.locator(".jq-chart-table th a").first.click()
    expect(page.locator(".jq-chart-part")).to_be_visible()
    page.get_by_text("The same as a table").click()
    if folder:
        page.screenshot(path=f"{folder}/charts-part-{width}-{scheme}.png", full_page=True)
    assert looks.fits(page.locator(".jq-chart-table").first)
