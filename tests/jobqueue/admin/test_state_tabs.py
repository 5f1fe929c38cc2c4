"""The states above the lists of jobs: where they lead, and numbers that are true or not there."""

from __future__ import annotations

import re
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from django.db import connection
from django.http import HttpResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext

from jobqueue.admin import listing
from jobqueue.admin.state_tabs import Tab
from jobqueue.counts.states import read_states
from jobqueue.models import Job
from jobqueue.searching import OF_ANY_STATE, STATES
from jobqueue.sql.clock import database_now
from tests.jobqueue.admin.steps import FAILED, JOBS, LISTS, STUCK, make_job, rows_of, text_of
from tests.jobqueue.reading import add_open_jobs, work_of

pytestmark = pytest.mark.django_db(databases=["default", "other"])
ALL_STATES = ("waiting", "delayed", "active", "stuck", "completed", "skipped", "failed", "cancelled")


def tabs(response: HttpResponse) -> dict[str, Tab]:
    assert response.status_code == 200
    return {tab.label: tab for tab in response.context["tabs"]}


def numbers(response: HttpResponse) -> dict[str, str]:
    return {label: tab.number for label, tab in tabs(response).items()}


def make_one_of_each() -> None:
    for state in ALL_STATES:
        make_job(state)
    make_job("delayed", run_at="9500-01-01T00:00Z", held_run_at=database_now("default"), queue="reminders")


# Numbers ------------------------------------------------------------------------------------------


def test_each_state_says_how_many_jobs_its_list_has(admin_client: Client) -> None:
    make_one_of_each()
    make_job("failed", queue="reminders")
    shown = numbers(admin_client.get(JOBS))
    assert shown.pop("All") == "10"
    words = [word for word in STATES if word not in OF_ANY_STATE]
    listed = {word: len(rows_of(admin_client.get(JOBS, {"state": word}))) for word in words}
    assert {label.lower(): int(number) for label, number in shown.items()} == listed


def test_the_numbers_are_asked_for_by_one_statement(admin_client: Client) -> None:
    make_one_of_each()
    for query in ({}, {"state": "failed"}, {"state": "waiting", "queue": "email"}):
        with CaptureQueriesContext(connection) as captured:
            admin_client.get(JOBS, query)
        asked = [entry["sql"] for entry in captured.captured_queries if "jobqueue_jobtally" in entry["sql"]]
        of_any_page = [sql for sql in asked if "jobqueue_queue" in sql]
        assert (len(asked), len(of_any_page)) == (2, 1)


def test_of_a_queue_the_numbers_that_are_kept_by_queue_are_shown(admin_client: Client) -> None:
    make_one_of_each()
    make_job("failed", queue="reminders")
    shown = numbers(admin_client.get(JOBS, {"queue": "email"}))
    assert {label: number for label, number in shown.items() if number} == {
        "All": "8", "Waiting": "1", "Delayed": "1", "Active": "2", "Failed": "1",
    }  # fmt: skip


@pytest.mark.parametrize("query", [{"q": "id:1"}, {"processor": "sample.succeed"}, {"age": "day"}])
def test_with_a_search_or_a_filter_only_the_list_that_is_shown_has_a_number(
    admin_client: Client, query: dict[str, str]
) -> None:
    make_one_of_each()
    page = admin_client.get(JOBS, {"state": "failed", **query})
    shown = {label: number for label, number in numbers(page).items() if number}
    assert shown == {"Failed": str(len(rows_of(page)))}


def test_what_was_not_counted_to_its_end_says_so(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "COUNT_LIMIT", 2)
    for state in ("cancelled", "stuck", "completed") * 3:
        make_job(state)
    shown = numbers(admin_client.get(JOBS))
    assert {label: number for label, number in shown.items() if number} == {
        "All": "9", "Waiting": "0", "Delayed": "0", "Held": "0", "Active": "3", "Failed": "0",
        "Stuck": "2+", "Cancelled": "2+",
    }  # fmt: skip


@pytest.mark.parametrize("url", LISTS)
def test_the_numbers_are_kept_up_to_date(admin_client: Client, url: str) -> None:
    make_one_of_each()
    regions = text_of(admin_client.get(url, headers={"X-Jobqueue-Live": "1"}))
    assert 'id="jq-tabs"' in regions
    assert 'aria-label="By state"' in regions


def test_to_count_reads_no_more_where_more_jobs_are_over() -> None:
    add_over(30)
    add_open_jobs(50)
    few = work_of(lambda: read_states("default", 20))
    add_over(900)
    assert work_of(lambda: read_states("default", 20)) < 1.5 * few + 100


def add_over(number: int) -> None:
    fields = {"processor": "sample.succeed", "queue": "email", "timeout": 1}
    ended = database_now("default") - timedelta(minutes=1)
    for state in ("completed", "cancelled"):
        Job.objects.bulk_create(Job(state=state, finished_at=ended, **fields) for _ in range(number))


# Where they lead ----------------------------------------------------------------------------------


def test_a_state_keeps_search_and_filters_but_neither_page_nor_order(admin_client: Client) -> None:
    query = {"state": "failed", "q": "id:1", "queue": "email", "age": "day", "o": "1", "p": "2"}
    url = tabs(admin_client.get(JOBS, query))["Delayed"].url
    assert parse_qs(urlsplit(url).query) == {
        "state": ["delayed"], "q": ["id:1"], "queue": ["email"], "age": ["day"],
    }  # fmt: skip


def test_all_of_them_have_no_state(admin_client: Client) -> None:
    url = tabs(admin_client.get(JOBS, {"state": "failed", "queue": "email"}))["All"].url
    assert parse_qs(urlsplit(url).query) == {"queue": ["email"]}


@pytest.mark.parametrize(
    ("url", "query", "label"),
    [
        (JOBS, {}, "All"),
        *((JOBS, {"state": word}, word.capitalize()) for word in STATES),
        (FAILED, {}, "Failed"),
        (STUCK, {}, "Stuck"),
    ],
)
def test_the_state_of_the_list_is_marked(
    admin_client: Client, url: str, query: dict[str, str], label: str
) -> None:
    page = admin_client.get(url, query)
    assert [tab.label for tab in tabs(page).values() if tab.is_current] == [label]
    links = re.findall(r'<a class="jq-tab"[^>]*>', text_of(page))
    assert (len(links), sum('aria-current="page"' in link for link in links)) == (len(tabs(page)), 1)


@pytest.mark.parametrize("url", [FAILED, STUCK])
def test_from_a_list_of_one_state_the_others_lead_to_the_list_of_all_jobs(
    admin_client: Client, url: str
) -> None:
    make_one_of_each()
    page = admin_client.get(url, {"queue": "email", "q": "processor:sample.succeed"})
    for label, tab in tabs(page).items():
        there = admin_client.get(tab.url if tab.url.startswith("/") else f"{url}{tab.url}")
        assert [one.label for one in tabs(there).values() if one.is_current] == [label]
        assert {job.queue for job in rows_of(there)} <= {"email"}


def test_the_filter_beside_the_list_does_not_repeat_the_states(admin_client: Client) -> None:
    beside = text_of(admin_client.get(JOBS)).partition('id="changelist-filter"')[2]
    assert "queue=email" in beside
    assert "state=failed" not in beside
