"""The pages of the lists of jobs: without an end, nothing twice, nothing left out, whatever is chosen."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.http import HttpResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext

from jobqueue.admin import listing
from jobqueue.admin.job_lists import JobList
from jobqueue.models import Job
from jobqueue.sql.clock import database_now
from tests.jobqueue.admin.steps import FAILED, JOBS, STUCK, make_job, rows_of, text_of

pytestmark = pytest.mark.django_db(databases=["default", "other"])

LISTED = [
    (JOBS, {}),
    (JOBS, {"o": "1"}),
    *((JOBS, {"state": state}) for state in ("waiting", "delayed", "active", "stuck", "completed")),
    *((JOBS, {"state": state}) for state in ("skipped", "failed", "cancelled")),
    *((JOBS, {"state": "failed", "o": order}) for order in ("6", "-6")),
    *((JOBS, {"state": "cancelled", "o": order}) for order in ("5", "-5")),
    (JOBS, {"state": "waiting", "o": "-1"}),
    (JOBS, {"state": "waiting", "queue": "email"}),
    (JOBS, {"state": "delayed", "processor": "sample.succeed"}),
    (JOBS, {"state": "failed", "age": "day", "queue": "email"}),
    (JOBS, {"q": "queue:email"}),
    (JOBS, {"q": "queue:email", "state": "failed"}),
    (FAILED, {}),
    (FAILED, {"o": "6"}),
    (FAILED, {"cause": "OSError 5"}),
    (FAILED, {"error": "OSError"}),
    (FAILED, {"q": "state:failed", "queue": "email"}),
    (STUCK, {}),
    (STUCK, {"o": "-6"}),
]


@pytest.fixture(autouse=True)
def few_rows_on_a_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(JobList, "list_per_page", 4)


def make_jobs() -> None:
    """Jobs in every state; some of a time, some of none."""
    now = database_now("default")
    for state in ("waiting", "delayed", "active", "stuck", "completed", "skipped", "failed", "cancelled"):
        for number in range(6):
            moment = now - timedelta(minutes=number // 2)
            times: dict[str, Any] = {"finished_at": moment} if state in ("failed", "cancelled") else {}
            if state == "waiting":
                times = {"published_at": moment} if number % 3 else {"run_at": moment}
            elif state == "delayed":
                times = {"run_at": moment + timedelta(hours=5)}
            elif state == "stuck":
                times = {"started_at": moment - timedelta(hours=5)}
            elif number == 5 and times:
                times = {"finished_at": None}
            make_job(state, **times, **({"cause": "OSError 5"} if state == "failed" else {}))


def forwards(page: HttpResponse) -> str:
    """The address of the page that follows in the order of the list."""
    ways = page.context["cl"].ways
    return ways[-2].url if page.context["cl"].keyed_page.older else ""


def backwards(page: HttpResponse) -> str:
    """The address of the page before."""
    return page.context["cl"].ways[1].url if page.context["cl"].keyed_page.newer else ""


def walk(client: Client, url: str, query: dict[str, str]) -> Iterator[HttpResponse]:
    """Every page from the first on."""
    page = client.get(url, query)
    yield page
    while address := forwards(page):
        page = client.get(f"{url}{address}")
        yield page


def ids(page: HttpResponse) -> list[int]:
    return [job.pk for job in rows_of(page)]


def ids_after(client: Client, url: str, query: dict[str, str]) -> list[int]:
    return [pk for page in walk(client, url, query) for pk in ids(page)]


@pytest.mark.parametrize(("url", "query"), LISTED)
def test_every_job_of_a_list_is_on_one_of_its_pages_in_the_order_of_the_list(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch, url: str, query: dict[str, str]
) -> None:
    make_jobs()
    walked = ids_after(admin_client, url, query)
    monkeypatch.setattr(JobList, "list_per_page", 100)
    assert walked == ids(admin_client.get(url, query))
    assert len(walked) >= 5


@pytest.mark.parametrize(("url", "query"), LISTED[::4])
def test_the_way_back_leads_over_the_same_pages(
    admin_client: Client, url: str, query: dict[str, str]
) -> None:
    make_jobs()
    *before, page = walk(admin_client, url, query)
    found = [ids(page)]
    while address := backwards(page):
        page = admin_client.get(f"{url}{address}")
        found.append(ids(page))
    assert found[::-1] == [*map(ids, before), found[0]]


@pytest.mark.parametrize(("url", "query"), LISTED[2::4])
def test_the_last_page_is_reached_at_once(admin_client: Client, url: str, query: dict[str, str]) -> None:
    make_jobs()
    *_others, last = walk(admin_client, url, query)
    page = admin_client.get(url, {**query, "p": "last"})
    assert ids(page)[-len(ids(last)) :] == ids(last)
    assert (len(ids(page)), forwards(page)) == (4, "")


@pytest.mark.parametrize(
    ("query", "state"), [({}, "waiting"), ({"state": "failed"}, "failed"), ({"q": "queue:email"}, "waiting")]
)
def test_nothing_is_seen_twice_or_left_out_while_jobs_are_added(
    admin_client: Client, query: dict[str, str], state: str
) -> None:
    there = [make_job(state).pk for _ in range(9)][::-1]
    found = []
    for page in walk(admin_client, JOBS, query):
        found += ids(page)
        for _ in range(4):
            make_job(state)
    assert found == there


def test_a_list_behind_what_is_counted_goes_on(admin_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "COUNT_LIMIT", 4)
    there = [make_job().pk for _ in range(11)][::-1]
    for query in ({}, {"q": "queue:email"}):
        assert ids_after(admin_client, JOBS, query) == there


def test_a_link_to_a_page_keeps_filters_search_and_order(admin_client: Client) -> None:
    make_jobs()
    query = {"queue": "email", "q": "state:failed", "o": "1"}
    address = forwards(admin_client.get(JOBS, query))
    assert all(text in address for text in ("queue=email", "q=state%3Afailed", "o=1"))


def test_a_filter_leads_to_the_first_page_of_what_it_leaves(admin_client: Client) -> None:
    make_jobs()
    page = admin_client.get(f"{JOBS}{forwards(admin_client.get(JOBS))}")
    assert "&amp;p=" not in text_of(page).partition('id="changelist-filter"')[2]


def test_no_page_is_found_by_reading_what_is_before_it(admin_client: Client) -> None:
    make_jobs()
    for url, query in ((JOBS, {}), (JOBS, {"state": "waiting"}), (FAILED, {"cause": "OSError 5"})):
        with CaptureQueriesContext(connection) as captured:
            assert len(list(walk(admin_client, url, query))) > 1
        assert [entry["sql"] for entry in captured.captured_queries if "OFFSET" in entry["sql"]] == []


def test_a_bookmark_leads_to_the_same_jobs_once_those_before_are_gone(admin_client: Client) -> None:
    jobs = [make_job() for _ in range(8)][::-1]
    address = forwards(admin_client.get(JOBS))
    Job.objects.filter(pk__in=[job.pk for job in jobs[:4]]).delete()
    make_job()
    assert ids(admin_client.get(f"{JOBS}{address}")) == [job.pk for job in jobs[4:8]]


def test_a_bookmark_behind_the_last_job_that_is_left_leads_to_the_last_page(admin_client: Client) -> None:
    jobs = [make_job() for _ in range(5)][::-1]
    address = forwards(admin_client.get(JOBS))
    Job.objects.filter(pk__in=[job.pk for job in jobs[4:]]).delete()
    assert ids(admin_client.get(f"{JOBS}{address}")) == [job.pk for job in jobs[:4]]


def test_the_way_to_newer_jobs_from_the_newest_leads_to_the_first_page(admin_client: Client) -> None:
    jobs = [make_job() for _ in range(5)][::-1]
    second = admin_client.get(f"{JOBS}{forwards(admin_client.get(JOBS))}")
    Job.objects.filter(pk__in=[job.pk for job in jobs[:4]]).delete()
    assert ids(admin_client.get(f"{JOBS}{backwards(second)}")) == [job.pk for job in jobs[4:]]


def test_a_page_that_had_a_number_is_found_by_it(admin_client: Client) -> None:
    jobs = [make_job().pk for _ in range(10)][::-1]
    pages = [ids(admin_client.get(JOBS, {"p": number})) for number in ("1", "2", "3", "0", "-1")]
    assert pages == [jobs[:4], jobs[4:8], jobs[8:], jobs[:4], jobs[:4]]


def _place(*values: Any) -> str:
    return "after." + base64.urlsafe_b64encode(json.dumps(values).encode()).decode()


@pytest.mark.parametrize(
    "text",
    [
        *("after.", "before.x", "after.!!!", "between.WzAsMV0", "99999999999999999999", "²", "after"),
        *(_place(*values) for values in ((), (0,), (1, 5), (-1, 5), (0, 5, 5), (0, "a"), (0, [5]), (0, {}))),
        *(_place(0, value) for value in (2**70, -(2**70), 1e400, "\x00", "\ud800", "2026-01-01T00:00:00")),
        "after." + "A" * 3_000,
    ],
)
@pytest.mark.parametrize("query", [{}, {"q": "queue:email"}])
def test_a_place_that_no_list_has_is_the_first_page(
    admin_client: Client, query: dict[str, str], text: str
) -> None:
    jobs = [make_job().pk for _ in range(5)][::-1]
    assert ids(admin_client.get(JOBS, {**query, "p": text})) == jobs[:4]


@pytest.mark.parametrize(
    "moment", ["soon", "2026-01-01T00:00:00", "0001-01-01T00:00:00+14:00", 5, True, None]
)
def test_a_time_that_no_list_has_does_no_harm(admin_client: Client, moment: Any) -> None:
    make_jobs()
    page = admin_client.get(JOBS, {"state": "failed", "p": _place(0, moment, 5)})
    assert ids(page)


def test_the_number_of_jobs_is_told_on_every_page(admin_client: Client) -> None:
    make_jobs()
    numbers = {page.context["cl"].result_count for page in walk(admin_client, JOBS, {"q": "queue:email"})}
    assert numbers == {48}


def test_a_list_on_one_page_counts_nothing_and_has_no_ways(admin_client: Client) -> None:
    make_job()
    with CaptureQueriesContext(connection) as captured:
        page = admin_client.get(JOBS, {"queue": "email"})
    counts = [sql for sql in (entry["sql"] for entry in captured.captured_queries) if "COUNT(" in sql]
    assert (page.context["cl"].ways, [sql for sql in counts if '"queue" = ' in sql]) == ([], [])


@pytest.mark.parametrize(
    ("query", "labels"),
    [
        ({}, ["Older", "Oldest"]),
        ({"o": "1"}, ["Newer", "Newest"]),
        ({"state": "failed"}, ["Older", "Oldest"]),
        ({"state": "delayed"}, ["Later", "Latest"]),
    ],
)
def test_ways_are_called_by_what_they_lead_to(
    admin_client: Client, query: dict[str, str], labels: list[str]
) -> None:
    make_jobs()
    assert [one.label for one in admin_client.get(JOBS, query).context["cl"].ways] == labels


# The order ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "query", "column", "way"),
    [
        (JOBS, {}, "number", "desc"),
        (JOBS, {"state": "completed"}, "number", "desc"),
        (JOBS, {"state": "delayed"}, "due", "asc"),
        (JOBS, {"state": "active"}, "running_for", "asc"),
        (JOBS, {"state": "failed"}, "failed_at", "desc"),
        (JOBS, {"state": "cancelled"}, "ended", "desc"),
        (JOBS, {"state": "failed", "o": "6"}, "failed_at", "asc"),
        (JOBS, {"state": "failed", "o": "1"}, "number", "asc"),
        (FAILED, {}, "failed_at", "desc"),
        (STUCK, {}, "running_for", "asc"),
    ],
)
def test_the_arrow_is_at_the_column_by_which_the_list_is_ordered(
    admin_client: Client, url: str, query: dict[str, str], column: str, way: str
) -> None:
    make_jobs()
    changes = admin_client.get(url, query).context["cl"]
    shown = changes.get_ordering_field_columns()
    assert {changes.list_display[number]: which for number, which in shown.items()} == {column: way}


def test_waiting_jobs_are_in_an_order_that_no_column_has(admin_client: Client) -> None:
    make_jobs()
    assert admin_client.get(JOBS, {"state": "waiting"}).context["cl"].get_ordering_field_columns() == {}


@pytest.mark.parametrize("order", ["3", "-3", "2.3", "99", "x", "-", "٣", "6"])
def test_no_list_is_sorted_by_what_no_index_has(admin_client: Client, order: str) -> None:
    jobs = [make_job(queue=queue).pk for queue in ("b", "a", "c")][::-1]
    page = admin_client.get(JOBS, {"o": order})
    assert (ids(page), page.context["cl"].get_ordering_field_columns()) == (jobs, {1: "desc"})
