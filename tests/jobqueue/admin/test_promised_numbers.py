"""The numbers that pages promise, as who looks at them sees them: no test sets them to something smaller."""

from __future__ import annotations

import math
import re
from datetime import timedelta

import pytest
from django.contrib.staticfiles import finders
from django.http import HttpResponse
from django.test import Client

from jobqueue.broker import queues
from jobqueue.broker.chart import PERIOD, Group, records_of
from jobqueue.broker.tallies import BOUNDS, Tally
from jobqueue.charting import reading
from jobqueue.models import BulkAction, Job
from jobqueue.sql.clock import database_now
from tests.jobqueue.admin.bulk_steps import BULK, SMTP, forms_on
from tests.jobqueue.admin.steps import (
    CAUSES,
    FAILED,
    JOBS,
    QUEUES,
    WORKERS,
    make_job,
    make_worker,
    page_of,
    text_of,
)
from tests.jobqueue.broker.steps import WORKER as ONE

pytestmark = pytest.mark.django_db(databases=["default", "other"])
CHARTS = "/admin/jobqueue/charts/"
OVERVIEW = "/admin/jobqueue/"
SECONDS_OF = {"ms": 0.001, "s": 1.0, "min": 60.0}


@pytest.fixture(autouse=True)
def _nothing_remembered() -> None:
    reading._settled_columns.cache_clear()
    reading._settled_hours.cache_clear()


def ended(tally: Tally, hours_ago: float = 0.0) -> None:
    """These jobs ended then."""
    moment = database_now("default") - timedelta(hours=hours_ago)
    at = int(moment.timestamp()) // PERIOD, Group("email", "email.work", "completed")
    queues.finish([], ONE, {}, None, records_of({at: tally}))


def buckets(**jobs_up_to: int) -> list[int]:
    """So many jobs in the buckets that end there: `s30=5` is 5 of more than 10 s and at most 30."""
    found = [0] * (len(BOUNDS) + 1)
    for name, jobs in jobs_up_to.items():
        unit, length = re.match(r"(ms|s)(\d+)", name).groups()  # type: ignore[union-attr]
        found[BOUNDS.index(int(length) * SECONDS_OF[unit])] = jobs
    return found


@pytest.fixture
def hundred(admin_client: Client) -> str:
    """The page of charts after 100 jobs, whose waits and runs are far apart."""
    tally = Tally(100)
    tally.waits = buckets(s10=50, s30=45, s60=5)
    tally.runs = buckets(ms100=50, ms500=45, s5=5)
    ended(tally)
    return text_of(admin_client.get(CHARTS))


def _drawn(page: str, figure: str) -> dict[str, float]:
    """What each line of a figure shows, in seconds, read off its own grid."""
    section = page.partition(f">{figure}</h2>")[2].partition("</section>")[0]
    heights = [float(y) for y in re.findall(r'class="jq-chart-grid"[^>]* y1="([\d.]+)"', section)]
    labels = re.findall(r'class="jq-chart-value"[^>]*>([\d.,]+) (\w+)<', section)
    grid = [math.log10(float(number.replace(",", "")) * SECONDS_OF[unit]) for number, unit in labels]
    a_decade = (heights[0] - heights[-1]) / (grid[-1] - grid[0])
    dots = re.findall(r'class="jq-chart-line jq-chart-(p\d\d)" d="M[\d.]+ ([\d.]+)h', section)
    return {name: 10 ** (grid[0] + (heights[0] - float(y)) / a_decade) for name, y in dots}


@pytest.mark.parametrize(
    ("figure", "seconds"),
    [
        ("Wait, from due to started", {"p50": 10.0, "p95": 30.0, "p99": 54.0}),
        ("Run time", {"p50": 0.1, "p95": 0.5, "p99": 4.5}),
    ],
)
def test_the_lines_of_a_figure_are_the_percentiles_of_what_it_is_called(
    hundred: str, figure: str, seconds: dict[str, float]
) -> None:
    assert _drawn(hundred, figure) == pytest.approx(seconds, rel=0.02)


def test_the_table_beside_the_figures_has_the_same_percentiles(hundred: str) -> None:
    row = hundred.partition('class="jq-chart-table"')[2].partition("<tbody>")[2].partition("</tr>")[0]
    cells = re.findall(r"<td>([^<]*)</td>", row)
    assert cells[-6:] == ["10 s", "30 s", "54 s", "100 ms", "500 ms", "4.5 s"]


@pytest.mark.parametrize(("hours_ago", "jobs"), [(47, 3), (49, 0)])
def test_48_hours_are_charted_by_5_minutes(admin_client: Client, hours_ago: int, jobs: int) -> None:
    ended(Tally(3, buckets(s1=3), buckets(s1=3)), hours_ago)
    address = re.findall(
        r'<a href="([^"]+)" class="jq-chip"[^>]*>48 hours<', text_of(admin_client.get(CHARTS))
    )
    page = text_of(admin_client.get(CHARTS + address[0]))
    assert f"{jobs} completed, 0 failed" in page
    assert re.search(r'class="jq-chart-tick"[^>]*>\d\d:\d\d<', page)  # a longer span has dates there


def test_the_columns_of_48_hours_are_5_minutes(admin_client: Client) -> None:
    ended(Tally(3, buckets(s1=3), buckets(s1=3)), hours_ago=1)
    page = text_of(admin_client.get(CHARTS, {"span": "two_days"}))
    assert "An hour leads to its 5 minutes." in page
    width = re.findall(r'<rect class="jq-chart-completed"[^>]* width="([\d.]+)"', page)
    assert float(width[0]) == pytest.approx(700 / (48 * 12) * 0.86, abs=0.01)


def test_failures_of_the_last_15_minutes_are_a_click_away(admin_client: Client) -> None:
    now = database_now("default")
    for minutes in (14, 16):
        make_job("failed", cause=SMTP, finished_at=now - timedelta(minutes=minutes))
    chips = re.findall(r'<a href="([^"]+)" class="jq-chip">([^<]+)<', text_of(admin_client.get(CAUSES)))
    assert [label for _address, label in chips] == [
        "Last 15 minutes", "Last hour", "Last 2 hours", "Last 24 hours",
    ]  # fmt: skip
    assert "1 cause, 1 failed job<" in text_of(admin_client.get(CAUSES + chips[0][0]))


def test_60_runs_stand_on_the_page_of_a_job(admin_client: Client) -> None:
    jobs = [make_job("completed") for _ in range(61)]
    page = text_of(admin_client.get(page_of(jobs[0])))
    assert "60 runs: 60 completed." in page
    assert page.count('tabindex="-1"><rect class="jq-chart-completed') == 60


def test_a_bar_of_a_running_job_is_as_long_as_it_ran_of_its_limit(admin_client: Client) -> None:
    worker, now = make_worker(takes_orders=True), database_now("default")
    for seconds in (300, 100):
        make_job("active", worker_id=worker.pk, started_at=now - timedelta(seconds=seconds), timeout=1_000)
    page = text_of(admin_client.get("/admin/jobqueue/job/running/"))
    bars = re.findall(r'<progress [^>]*value="([\d.]+)" max="([\d.]+)"', page)
    (longer, limit), (shorter, _limit) = [tuple(map(float, bar)) for bar in bars]
    assert limit == 1_000
    assert 100 <= shorter < 200
    assert longer - shorter == pytest.approx(200)


@pytest.mark.parametrize("address", [OVERVIEW, JOBS, FAILED, CAUSES, QUEUES, WORKERS])
def test_a_page_is_looked_at_again_every_4_seconds_and_says_so(admin_client: Client, address: str) -> None:
    page = text_of(admin_client.get(address))
    assert min(map(int, re.findall(r' data-region-seconds="(\d+)"', page))) == 4
    assert ' data-runs="Refreshes every {} s."' in page


@pytest.mark.parametrize("address", ["/admin/", OVERVIEW, "/admin/login/"])
def test_every_page_has_an_icon_for_its_tab(client: Client, admin_client: Client, address: str) -> None:
    page = text_of((client if "login" in address else admin_client).get(address))
    found = re.search(r'<link rel="icon" href="/static/([^"]+)"', page)
    assert found is not None
    assert finders.find(found[1]) is not None


def _retry(client: Client, jobs: int) -> HttpResponse:
    """So many jobs of one cause failed, and one click asks for their retry."""
    now = database_now("default")
    failed = {"processor": "sample.succeed", "queue": "email", "timeout": 30, "attempt": 4, "failures": 4}
    rows = (
        Job(**failed, state="failed", cause=SMTP, reason=SMTP, run_at=now, finished_at=now)
        for _ in range(jobs)
    )
    Job.objects.bulk_create(rows)
    form = forms_on(text_of(client.get(CAUSES)))[0]
    form.pop("csrfmiddlewaretoken", None)
    return client.post(f"{BULK}start/", {**form, "verb": "retry"})


def test_a_thousand_jobs_are_retried_by_one_click(admin_client: Client) -> None:
    assert _retry(admin_client, 1_000).status_code == 302
    assert BulkAction.objects.get().expected == 1_000


def test_the_number_is_typed_above_a_thousand_jobs(admin_client: Client) -> None:
    assert "Type 1,001 to begin" in text_of(_retry(admin_client, 1_001))
    assert not BulkAction.objects.exists()


def test_the_pace_of_a_bulk_action_is_told_where_none_is_named(admin_client: Client) -> None:
    assert "2,500" in text_of(_retry(admin_client, 1_001))
