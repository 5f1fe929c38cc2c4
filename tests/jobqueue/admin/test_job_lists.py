"""The lists of jobs: order, columns, and no question that reads a million rows."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from jobqueue.admin import listing
from jobqueue.admin.all_jobs import JobAdmin
from jobqueue.admin.job_lists import JobList
from jobqueue.models import Job, subject_of
from jobqueue.sql.clock import database_now
from settlements.models import Settlement
from tests.jobqueue.admin.steps import (
    COUNTS,
    FAILED,
    JOBS,
    LISTS,
    QUEUES,
    STUCK,
    add_attempt,
    ids_of,
    make_job,
    make_worker,
    operator,
    page_of,
    rows_of,
    text_of,
)
from tests.jobqueue.reading import add_open_jobs, work_of

pytestmark = pytest.mark.django_db(databases=["default", "other"])
STATES = ("waiting", "delayed", "active", "stuck", "completed", "skipped", "failed", "cancelled")


# Order, columns -----------------------------------------------------------------------------------


def test_the_newest_comes_first(admin_client: Client) -> None:
    ids = [make_job().pk for _ in range(3)]
    assert [job.pk for job in rows_of(admin_client.get(JOBS))] == ids[::-1]


def test_of_the_delayed_that_which_runs_next_comes_first(admin_client: Client) -> None:
    now = database_now("default")
    late, soon = (make_job("delayed", run_at=now + timedelta(hours=hours)) for hours in (5, 1))
    assert [job.pk for job in rows_of(admin_client.get(JOBS, {"state": "delayed"}))] == [soon.pk, late.pk]


def test_a_time_is_told_from_now(admin_client: Client) -> None:
    make_job("delayed", run_at=database_now("default") + timedelta(hours=3, seconds=30))
    assert ">in 3 h</small></time>" in text_of(admin_client.get(JOBS))


def test_a_subject_leads_to_its_record(admin_client: Client, settlement: Settlement) -> None:
    text = text_of(admin_client.get(JOBS))
    assert re.search(
        rf'<a href="/admin/settlements/settlement/{settlement.pk}/change/"[^>]*>Dinner in Lisbon<', text
    )


def test_a_record_is_not_named_to_who_may_not_see_it(settlement: Settlement) -> None:
    text = text_of(operator("view_job").get(JOBS))
    assert "Dinner in Lisbon" not in text
    assert f"/admin/settlements/settlement/{settlement.pk}" not in text


def test_a_subject_whose_record_is_gone_says_so(admin_client: Client) -> None:
    make_job(subject="settlements.settlement:3f2a9c1e-0000-4000-8000-000000000001")
    assert "settlement 3f2a9c1e (deleted)" in text_of(admin_client.get(JOBS))


@pytest.mark.parametrize(
    "subject", ["no record", "unknown.model:7", "settlements.settlement:not-a-key", "a:b:c", ":"]
)
def test_a_subject_that_is_no_record_is_shown_as_it_is(admin_client: Client, subject: str) -> None:
    make_job(subject=subject)
    assert text_of(admin_client.get(JOBS))


@pytest.mark.parametrize("url", LISTS)
def test_lists_show_no_address_and_no_payload(admin_client: Client, url: str) -> None:
    person = User.objects.create_user("anna@example.com", "anna@example.com")
    for state in ("waiting", "stuck", "failed"):
        make_job(
            state,
            payload={"email": "anna@example.com", "secret": "payload-value"},
            reason="SMTPError: 550 <anna@example.com> is unknown",
            subject=subject_of(person),
        )
    text = text_of(admin_client.get(url))
    assert "anna@example.com" not in text
    assert "payload-value" not in text


@pytest.mark.parametrize("url", LISTS)
def test_lists_escape_what_they_show(admin_client: Client, url: str, settlement: Settlement) -> None:
    evil = "<script>alert(1)</script>"
    Settlement.objects.update(description=evil)
    worker = make_worker(silent_for=100, name=evil)
    for state in ("waiting", "stuck", "failed"):
        values = {"reason": evil, "subject": subject_of(settlement), "processor": evil, "queue": evil}
        job = make_job(state, **values | ({"worker_id": worker.pk} if state == "stuck" else {}))
        make_job(state, subject=evil)
        add_attempt(job, error=evil)
    filters = {"queue": evil, "processor": evil} | ({"error": evil} if url == FAILED else {})
    for query in ({}, filters, {"q": evil}):
        text = text_of(admin_client.get(url, query))
        assert evil not in text
        assert not query or "&lt;script&gt;" in text or "%3Cscript" in text


# Pages of their jobs -----------------------------------------------------------------------------


@pytest.mark.parametrize(("url", "state"), [(JOBS, "waiting"), (FAILED, "failed"), (STUCK, "stuck")])
def test_a_row_leads_to_the_page_of_the_job(admin_client: Client, url: str, state: str) -> None:
    job = make_job(state)
    assert f'href="{page_of(job)}' in text_of(admin_client.get(url))


@pytest.mark.parametrize(("url", "state"), [(FAILED, "failed"), (STUCK, "stuck")])
def test_the_page_of_a_failed_or_stuck_job_is_that_of_the_job(
    admin_client: Client, url: str, state: str
) -> None:
    job = make_job(state)
    response = admin_client.get(f"{url}{job.pk}/change/")
    assert (response.status_code, response.headers["Location"]) == (302, page_of(job))


# Order --------------------------------------------------------------------------------------------


def test_waiting_jobs_are_listed_in_the_order_of_their_publication_with_those_to_publish_first(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(JobAdmin, "list_per_page", 3)
    now = database_now("default")
    unpublished = [make_job(run_at=now - timedelta(minutes=number)) for number in range(4)]
    published = [make_job(published_at=now - timedelta(minutes=number)) for number in range(3)]
    make_job("delayed")
    pages = [admin_client.get(JOBS, {"state": "waiting", "p": str(number)}) for number in (1, 2, 3)]
    listed = [[job.pk for job in rows_of(page)] for page in pages]
    expected = [job.pk for job in [*unpublished, *published]]
    assert listed == [expected[:3], expected[3:6], expected[6:]]


def test_a_page_past_those_to_publish_is_the_next_of_the_published(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(JobAdmin, "list_per_page", 1)
    now = database_now("default")
    make_job()
    jobs = [make_job(published_at=now - timedelta(minutes=number)) for number in range(3)]
    assert ids_of(admin_client.get(JOBS, {"state": "waiting", "p": "4"})) == {jobs[2].pk}


@pytest.mark.parametrize("state", ["active", "stuck"])
def test_of_the_running_jobs_that_which_runs_longest_is_first(admin_client: Client, state: str) -> None:
    now = database_now("default")
    jobs = [make_job(state, started_at=now - timedelta(hours=hours)) for hours in (1, 3, 2)]
    shown = [job.pk for job in rows_of(admin_client.get(JOBS, {"state": state}))]
    assert shown == [jobs[1].pk, jobs[2].pk, jobs[0].pk]


@pytest.mark.parametrize("state", ["waiting", "delayed", "failed"])
@pytest.mark.parametrize("query", [{}, {"queue": "email"}, {"processor": "sample.succeed"}, {"age": "day"}])
def test_the_number_of_jobs_is_that_of_the_rows(
    admin_client: Client, state: str, query: dict[str, str]
) -> None:
    for queue in ("email", "email", "reminders"):
        make_job(state, queue=queue)
    make_job("completed")
    response = admin_client.get(JOBS, {"state": state, **query})
    assert response.context["cl"].result_count == len(rows_of(response)) == (2 if "queue" in query else 3)


# Size ---------------------------------------------------------------------------------------------


def _statements(client: Client, url: str, query: dict[str, str]) -> list[str]:
    with CaptureQueriesContext(connection) as captured:
        assert client.get(url, query).status_code == 200
    return [entry["sql"] for entry in captured.captured_queries]


@pytest.mark.parametrize("url", LISTS)
@pytest.mark.parametrize(
    "query", [{}, {"queue": "email"}, {"state": "completed"}, {"q": "sample"}, {"p": "1"}]
)
def test_no_list_counts_further_than_its_bound(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch, url: str, query: dict[str, str]
) -> None:
    monkeypatch.setattr(JobList, "list_per_page", 1)
    for state in STATES * 2:
        make_job(state)
    counts = [
        sql for sql in _statements(admin_client, url, query) if "COUNT(" in sql and "jobqueue_job" in sql
    ]
    assert counts or (url, query) == (STUCK, {"state": "completed"})  # which is empty
    assert [sql for sql in counts if " LIMIT " not in sql] == []


def test_no_list_asks_for_the_distinct_values_of_a_column(admin_client: Client) -> None:
    make_job()
    for url in LISTS:
        assert [sql for sql in _statements(admin_client, url, {}) if "DISTINCT" in sql.upper()] == []


def test_the_failures_are_grouped_once_for_a_page(admin_client: Client) -> None:
    make_job("failed")
    statements = _statements(admin_client, FAILED, {})
    assert len([sql for sql in statements if "GROUP BY" in sql and '"cause"' in sql]) == 1


PAGES_WITH_FEW_ROWS: list[tuple[str, dict[str, str]]] = [
    (JOBS, {}),
    (JOBS, {"queue": "email"}),
    *((JOBS, {"state": state}) for state in ("waiting", "delayed", "failed", "active", "stuck")),
    *((JOBS, {"state": state, "queue": "email"}) for state in ("delayed", "failed")),
    (STUCK, {}),
    (QUEUES, {}),
    (COUNTS, {}),
]
if connection.vendor == "sqlite":
    # PostgreSQL reads a few thousand rows as a whole here, though not a million: `make bench` times that.
    PAGES_WITH_FEW_ROWS += [
        (JOBS, {"state": "waiting", "queue": "email"}),
        (FAILED, {}),
        (FAILED, {"queue": "email"}),
        (FAILED, {"cause": "(unknown cause)"}),
    ]


@pytest.mark.parametrize(("url", "query"), PAGES_WITH_FEW_ROWS)
def test_a_page_reads_no_more_rows_where_there_are_more_jobs(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch, url: str, query: dict[str, str]
) -> None:
    monkeypatch.setattr(listing, "COUNT_LIMIT", 100)
    for state in STATES:
        make_job(state)
    add_open_jobs(150)
    admin_client.get(url, query)  # what only the first request reads
    few = work_of(lambda: admin_client.get(url, query))
    add_open_jobs(1_000)

    assert work_of(lambda: admin_client.get(url, query)) < 1.5 * few + 100


def test_a_list_takes_the_same_number_of_queries_for_one_row_and_for_fifty(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch, make_settlement: Callable[..., Settlement]
) -> None:
    make_settlement()
    admin_client.get(JOBS)
    monkeypatch.setattr(JobAdmin, "list_per_page", 2)
    few = len(_statements(admin_client, JOBS, {}))
    for number in range(5):
        make_settlement(description=f"Dinner {number}")
    assert len(_statements(admin_client, JOBS, {})) == few


def test_a_long_list_says_where_counting_stopped(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "COUNT_LIMIT", 60)
    Job.objects.bulk_create([Job(processor="sample.succeed", queue="email", timeout=1) for _ in range(80)])
    response = admin_client.get(JOBS, {"queue": "email"})
    text = text_of(response)
    assert "60+ results" in text
    assert "60+ jobs" in text
    assert "Select all 60+ jobs" in text
    assert response.context["cl"].paginator.num_pages == 2


def test_a_short_list_says_its_number(admin_client: Client) -> None:
    make_job()
    assert re.search(r"\b1 job\b", text_of(admin_client.get(JOBS)))


def test_every_filter_and_search_at_once_does_no_harm(admin_client: Client) -> None:
    make_job()
    query = {"state": "stuck", "queue": "x", "processor": "y", "age": "hour", "q": "z", "o": "1", "p": "1"}
    assert admin_client.get(JOBS, query).status_code == 200
