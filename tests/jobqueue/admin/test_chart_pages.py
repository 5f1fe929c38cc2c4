"""The page of the charts."""

from __future__ import annotations

import re
import time
from datetime import datetime, timedelta
from html import unescape
from typing import Any

import pytest
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.test import Client, RequestFactory
from pytest_django import DjangoAssertNumQueries

from jobqueue.admin import chart_marks, chart_of_a_day, chart_pages
from jobqueue.admin.charts import completed_url, failed_url
from jobqueue.broker import queues
from jobqueue.broker.chart import PERIOD, Group, records_of
from jobqueue.broker.tallies import Tally
from jobqueue.charting import reading
from jobqueue.charting.reading import Chosen, Column, Span, columns_of
from jobqueue.models import BulkAction, ChartHour, Job, Queue, VersionStart
from jobqueue.sql.clock import database_now
from tests.jobqueue.admin.steps import add_attempt, make_job
from tests.jobqueue.broker.steps import WORKER

pytestmark = pytest.mark.django_db(databases=["default", "other"])
CHARTS = "/admin/jobqueue/charts/"
SPANS = ("day", "two_days", "week", "quarter", "quarter_by_hour")


@pytest.fixture(autouse=True)
def _nothing_remembered() -> None:
    reading._settled_columns.cache_clear()
    reading._settled_hours.cache_clear()


def count(jobs: int, outcome: str = "completed", hours_ago: float = 1, queue: str = "email") -> None:
    """So many jobs ended then."""
    tally = Tally(jobs)
    tally.runs[5] = tally.waits[9] = jobs
    moment = database_now("default") - timedelta(hours=hours_ago)
    group = Group(queue, f"{queue}.work", outcome)
    queues.finish([], WORKER, {}, None, records_of({(int(moment.timestamp()) // PERIOD, group): tally}))


def kept(jobs: int, days_ago: int, **fields: Any) -> None:
    """So many jobs ended in an hour that the database keeps."""
    now = database_now("default")
    tally = Tally(jobs)
    tally.runs[5] = tally.waits[9] = jobs
    values = {"queue": "email", "processor": "email.work", "outcome": "completed"} | fields
    hour = (now - timedelta(days=days_ago)).replace(minute=0, second=0, microsecond=0)
    ChartHour.objects.create(hour=hour, jobs=jobs, runs=tally.runs, waits=tally.waits, **values)


def page(client: Client, **asked: str) -> str:
    """What the page says."""
    response = client.get(CHARTS, asked)
    assert response.status_code == 200
    return response.content.decode()


@pytest.mark.parametrize("span", SPANS)
def test_each_span_says_how_many_ended(admin_client: Client, span: str) -> None:
    count(1_234)
    count(5, "failed")
    count(2, "retried")
    count(3, "stopped")
    count(7, "skipped")
    count(9, "of a later version")

    assert "1,241 completed, 5 failed, 2 retried, 3 stopped" in page(admin_client, span=span)


def test_numbers_on_axes_in_bars_and_in_tables_are_written_as_the_page_is(admin_client: Client) -> None:
    count(18_240)
    text = admin_client.get(CHARTS, headers={"Accept-Language": "de"}).content.decode()

    axis = re.findall(r'<text class="jq-chart-value"[^>]*>([^<]*)</text>', text)
    shares = re.findall(r"<td>([\d.,]+ (?:ms|s))</td>", text)
    assert {"10.000", "20.000"} <= set(axis)
    assert "18.240" in text and "18,240" not in text
    assert any("," in each for each in shares) and not any("." in each for each in shares)


def test_a_queue_or_a_processor_can_be_chosen(admin_client: Client) -> None:
    count(3)
    count(4, queue="reminders")

    assert "4 completed" in page(admin_client, queue="reminders")
    assert "3 completed" in page(admin_client, processor="email.work")
    assert "0 completed" in page(admin_client, queue="email", processor="reminders.work")


@pytest.mark.parametrize("span", ["quarter", "quarter_by_hour"])
def test_ninety_days_come_from_the_database(admin_client: Client, span: str) -> None:
    kept(7, days_ago=80)
    kept(5, days_ago=10)
    kept(100, days_ago=95)
    kept(4, days_ago=10, outcome="stopped")
    count(1)

    assert "13 completed, 0 failed, 0 retried, 4 stopped" in page(admin_client, span=span)


def test_settled_hours_are_read_once_a_day_whatever_is_chosen_and_whichever_hour_it_is(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    kept(7, days_ago=80)
    kept(5, days_ago=10, queue="reminders")
    noon = database_now("default").replace(hour=12).timestamp()
    by_hour, by_day = chart_pages.SPANS["quarter_by_hour"][1], chart_pages.SPANS["quarter"][1]

    def looked(span: Span, hours: int, chosen: Chosen) -> int:
        return sum(one.completed for one in columns_of(span, noon + 3600 * hours, {}, chosen))

    with django_assert_num_queries(2):
        assert looked(by_hour, 0, Chosen()) == 12
    for span, hours, chosen, completed in (
        (by_hour, 1, Chosen(), 12),
        (by_hour, 2, Chosen(queue="reminders"), 5),
        (by_hour, 2, Chosen(processor="nobody"), 0),
        (by_day, 3, Chosen(queue="email"), 7),
    ):
        with django_assert_num_queries(1):
            assert looked(span, hours, chosen) == completed


def test_what_lies_before_the_first_hour_of_a_chart_is_left_out() -> None:
    now = database_now("default").replace(hour=12, minute=30)
    for hours in (0, 1):
        tally = Tally(1 + hours)
        hour = (now - timedelta(days=90, hours=hours - 1)).replace(minute=0, second=0, microsecond=0)
        ChartHour.objects.create(
            hour=hour, queue="a", processor="b", outcome="completed", jobs=tally.jobs, runs=tally.runs,
            waits=tally.waits,
        )  # fmt: skip
    columns = columns_of(chart_pages.SPANS["quarter_by_hour"][1], now.timestamp(), {}, Chosen())
    assert sum(column.completed for column in columns) == 1


def test_an_hour_that_redis_lost_is_shown_as_the_database_kept_it(admin_client: Client) -> None:
    kept(50, days_ago=1)
    count(2, hours_ago=24)

    assert "50 completed" in page(admin_client, span="week")


def test_nothing_in_the_pictures_has_a_style_of_its_own(admin_client: Client) -> None:
    count(3)
    text = page(admin_client)

    assert "<svg" in text
    assert "style=" not in text.partition("<svg")[2]


def test_a_bar_leads_to_the_list_of_what_it_counts(admin_client: Client) -> None:
    now = database_now("default")
    wanted = make_job("completed", finished_at=now)
    make_job("completed", finished_at=now - timedelta(hours=3))
    column = Column(int(now.timestamp()) // PERIOD * PERIOD, PERIOD)

    listed = admin_client.get(completed_url(column, Chosen(queue="email"))).context["cl"].result_list

    assert [job.pk for job in listed] == [wanted.pk]


def test_a_bar_of_failures_leads_to_what_failed_then(admin_client: Client) -> None:
    now = database_now("default")
    wanted = make_job("failed", finished_at=now)
    make_job("failed", finished_at=now - timedelta(hours=3))
    column = Column(int(now.timestamp()) // PERIOD * PERIOD, PERIOD)

    listed = admin_client.get(failed_url(column, Chosen())).context["cl"].result_list

    assert [job.pk for job in listed] == [wanted.pk]


def test_each_part_of_a_bar_of_mixed_outcomes_leads_to_the_list_that_it_counts(
    admin_client: Client,
) -> None:
    now = database_now("default")
    for state, number in (("completed", 2), ("skipped", 1), ("failed", 2), ("cancelled", 4)):
        for _ in range(number):
            asked = {"stop_asked_at": now, "started_at": now} if state == "cancelled" else {}
            make_job(state, finished_at=now, **asked)
            count(1, "stopped" if state == "cancelled" else state, hours_ago=0)
    for _ in range(5):
        add_attempt(make_job("delayed"), finished_at=now, is_retried=True)
        count(1, "retried", hours_ago=0)
    make_job("cancelled", finished_at=now)  # while it waited: no chart counts that
    make_job("cancelled", finished_at=now, started_at=now, attempt=2)  # before its retry
    figure = page(admin_client).partition('<svg class="jq-chart"')[2].partition("</svg>")[0]
    parts = re.findall(r'<a href="([^"]+)" tabindex="-1"><rect class="jq-chart-(\w+)"', figure)
    listed = {kind: len(admin_client.get(unescape(url)).context["cl"].result_list) for url, kind in parts}
    assert listed == {"completed": 3, "failed": 2, "stopped": 4, "retried": 5}


def _links(text: str, begins: str) -> set[str]:
    return {unescape(url) for url in re.findall(rf'{begins}<a href="([^"]+)"', text)}


@pytest.mark.parametrize("span", SPANS)
def test_every_list_that_a_bar_leads_to_is_reached_by_links_of_tables(
    admin_client: Client, span: str
) -> None:
    for hours_ago in (0, 0.5, 1, 20):
        for outcome in ("completed", "failed", "retried", "stopped"):
            count(1, outcome, hours_ago)
    kept(3, days_ago=6)
    text = page(admin_client, span=span)
    of_bars = {unescape(url) for url in re.findall(r'<a href="([^"]+)" tabindex="-1"', text)}
    rows = _links(text, r'<th scope="row">')
    tables = [text, *(admin_client.get(f"{CHARTS}{row}").content.decode() for row in rows)]
    assert of_bars <= {url for table in tables for url in _links(table, "<td>")}
    assert bool(rows) == (span != "quarter")


def test_a_part_has_its_own_time_alone_and_a_way_back(admin_client: Client) -> None:
    count(3, hours_ago=2)
    count(4, hours_ago=20)
    hour = (database_now("default") - timedelta(hours=20)).replace(minute=0, second=0, microsecond=0)
    VersionStart.objects.create(version="later", began_at=hour + timedelta(hours=1))
    VersionStart.objects.create(version="meanwhile", began_at=hour + timedelta(minutes=59))
    text = page(admin_client, part=f"{hour:%Y-%m-%dT%H:%M:%SZ}", queue="email")

    assert "4 completed" in text
    assert "version meanwhile" in text and "version later" not in text
    assert f"{hour:%Y-%m-%d %H:%M} UTC – {hour + timedelta(hours=1):%Y-%m-%d %H:%M} UTC" in text
    assert '<a href="?span=day&amp;queue=email">Back to 24 hours</a>' in text
    assert "data-region-seconds" not in text  # it is over


def test_the_hour_that_lasts_is_kept_up_to_date(admin_client: Client) -> None:
    text = page(admin_client, part=f"{database_now('default'):%Y-%m-%dT%H:%M:%SZ}")
    assert "Back to 24 hours" in text and "data-region-seconds" in text


@pytest.mark.parametrize(
    "part", ["soon", "", "2001-01-01T00:00:00Z", "8999-01-01T00:00:00Z", "\x00", "9" * 5_000]
)
@pytest.mark.parametrize("span", ["day", "quarter", "quarter_by_hour"])
def test_a_part_that_is_none_of_the_span_shows_all_of_it(admin_client: Client, part: str, span: str) -> None:
    count(3)
    text = page(admin_client, span=span, part=part)
    assert "3 completed" in text and "jq-chart-part" not in text


def test_a_time_that_cannot_be_read_lists_nothing(admin_client: Client) -> None:
    make_job("completed")
    response = admin_client.get("/admin/jobqueue/job/", {"ended_from": "soon"})

    assert response.status_code == 200
    assert not response.context["cl"].result_list


def test_pauses_limits_bulk_actions_and_versions_are_marked(admin_client: Client, admin_user: User) -> None:
    for message in ("Pause: running → paused", "Rate limit: none → 5"):
        LogEntry.objects.create(
            user=admin_user,
            content_type=ContentType.objects.get_for_model(Queue),
            object_id="email",
            object_repr="email",
            action_flag=CHANGE,
            change_message=message,
        )
    BulkAction.objects.create(verb="retry", key="k", highest_id=1, expected=412, asked_by="ann")
    VersionStart.objects.create(version="2026.11.26")

    text = page(admin_client)

    for words in ("Pause: running", "Rate limit: none", "412 jobs, by ann", "version 2026.11.26"):
        assert text.count(words) == 5, words  # in four pictures and in the list
    for kind in ("pause", "limit", "bulk", "version"):
        assert f"jq-chart-mark-{kind}" in text


def test_that_only_the_newest_of_a_kind_are_marked_is_said(admin_client: Client) -> None:
    for number in range(chart_marks.MOST):
        VersionStart.objects.create(version=str(number))
    assert "newest 50 are marked" not in page(admin_client)
    VersionStart.objects.create(version="one more")
    text = page(admin_client)
    assert "Of each kind only the newest 50 are marked." in text
    assert "version one more" in text and "version 0<" not in text


@pytest.mark.parametrize(
    ("selection", "is_marked"),
    [
        ({"processor": "email.work"}, True),
        ({"processor": "email.other"}, False),
        ({"processor": "email.work", "queue": "reminders"}, False),
        ({"listed": "of all"}, True),
        ({}, True),
        ("somebody else's", True),
    ],
)
def test_of_bulk_actions_those_are_marked_that_may_be_about_what_is_charted(
    admin_client: Client, selection: Any, is_marked: bool
) -> None:
    BulkAction.objects.create(
        verb="retry", key="k", highest_id=1, expected=412, asked_by="ann", selection=selection
    )
    text = page(admin_client, queue="email", processor="email.work")
    assert ("412 jobs, by ann" in text) == is_marked


@pytest.mark.parametrize("span", SPANS)
def test_the_page_takes_few_queries(
    admin_client: Client, django_assert_max_num_queries: DjangoAssertNumQueries, span: str
) -> None:
    for days in range(1, 90):
        kept(1, days)
    with django_assert_max_num_queries(15):
        page(admin_client, span=span)


@pytest.mark.parametrize("span", SPANS)
def test_without_redis_the_page_is_there_in_time_and_says_so(
    admin_client: Client, redis_outage: str, span: str
) -> None:
    started = time.monotonic()
    text = page(admin_client, span=span)

    assert time.monotonic() - started < 2
    assert "Redis does not answer" in text and "No job is lost with it" in text
    is_unknown = chart_pages.SPANS[span][1].is_of_redis
    assert ("How many jobs ended is not known." in text) is is_unknown
    assert ("0 completed" not in text) is is_unknown


@pytest.mark.parametrize(
    "asked",
    [
        {"span": "for ever"},
        {"queue": "\x00"},
        {"queue": "<script>alert(1)</script>"},
        {"processor": "x" * 5_000},
        {"queue": "\u202e{{ 1 }}"},
    ],
)
def test_strange_questions_are_answered(admin_client: Client, asked: dict[str, str]) -> None:
    assert "<script>alert(1)" not in page(admin_client, **asked)


def test_rows_that_somebody_else_wrote_are_left_out(admin_client: Client) -> None:
    hour: datetime = database_now("default").replace(minute=0, second=0, microsecond=0)
    for number, buckets in enumerate(([], {"a": 1}, ["x"] * 24, None, "text")):
        ChartHour.objects.create(
            hour=hour,
            queue=f"q{number}",
            processor="p",
            outcome="completed",
            jobs=5,
            runs=buckets or [],
            waits=[],
        )

    assert "0 failed" in page(admin_client, span="week")


def test_the_page_is_for_who_may_see_jobs(client: Client) -> None:
    client.force_login(User.objects.create_user("nobody", is_staff=True))

    assert client.get(CHARTS).status_code == 403


def test_looking_writes_nothing(admin_client: Client) -> None:
    count(3)
    page(admin_client, span="week")

    assert not ChartHour.objects.exists()


def test_the_overview_gets_a_chart_of_a_day(admin_user: User, rf: RequestFactory) -> None:
    count(3)
    request = rf.get("/")
    request.user = admin_user

    text = chart_of_a_day(request)

    assert "3 completed" in text and "<svg" in text
    assert Job.objects.count() == 0


def test_the_page_says_of_no_list_that_it_has_more_than_its_bar(admin_client: Client) -> None:
    assert "has also what was cancelled" not in admin_client.get(CHARTS).content.decode()
