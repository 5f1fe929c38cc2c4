"""What pages and the API answer while the database is away, or takes no changes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import psycopg
import pytest
from django.db import OperationalError, connection
from django.test import Client, RequestFactory

from jobqueue.jobs import enqueue
from spendsync_site import errors
from tests.jobqueue.api.steps import ask

pytestmark = pytest.mark.django_db(databases=["default", "other"])

PAGES = [
    "/admin/",
    "/admin/jobqueue/",
    "/admin/jobqueue/job/",
    "/admin/auth/user/",
    "/admin/settlements/settlement/",
]


def _refuse(*_: Any) -> NoReturn:
    raise OperationalError("connection refused") from psycopg.OperationalError("connection refused")


@pytest.fixture
def operator(admin_client: Client) -> Client:
    """Somebody who is logged in and may do everything."""
    admin_client.raise_request_exception = False
    return admin_client


@pytest.fixture
def away(operator: Client) -> Iterator[None]:
    """The database that people are in has gone."""
    with connection.execute_wrapper(_refuse):
        yield


@contextmanager
def _taking_no_changes() -> Iterator[None]:
    """On PostgreSQL until the transaction of the test ends."""
    is_file = connection.vendor == "sqlite"
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA query_only = 1" if is_file else "SET LOCAL transaction_read_only = on")
        yield
        if is_file:
            cursor.execute("PRAGMA query_only = 0")


@pytest.mark.parametrize("path", PAGES)
def test_a_page_says_that_the_database_does_not_answer(path: str, operator: Client, away: None) -> None:
    answer = operator.get(path)

    assert (answer.status_code, answer["Retry-After"]) == (503, "5")
    assert "<h1>The database default does not answer</h1>" in answer.content.decode()


def test_the_page_says_what_that_means_and_offers_to_look_again(operator: Client, away: None) -> None:
    text = operator.get("/admin/jobqueue/job/?q=a%26b").content.decode()

    assert "none of its jobs can be run" in text
    assert '<a href="/admin/jobqueue/job/?q=a%26b">' in text
    assert "may have been done" not in text


def test_the_only_database_has_no_name(operator: Client, away: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobqueue.operating.outages.databases", lambda: ["default"])

    assert "<h1>The database does not answer</h1>" in operator.get("/admin/").content.decode()


def test_it_is_said_in_the_language_of_who_looks(operator: Client, away: None) -> None:
    text = operator.get("/admin/", headers={"Accept-Language": "de"}).content.decode()

    assert "<h1>Die Datenbank default antwortet nicht</h1>" in text


def test_after_a_form_nothing_is_claimed_of_what_became_of_it(operator: Client, away: None) -> None:
    text = operator.post("/admin/jobqueue/job/", {"action": "retry"}).content.decode()

    assert "What was asked for may have been done" in text


def test_it_says_so_where_no_view_was_reached(rf: RequestFactory) -> None:
    try:
        _refuse()
    except OperationalError:
        answer = errors.server_error(rf.get("/admin/"))

    assert (answer.status_code, answer["Retry-After"]) == (503, "5")


def test_under_the_api_that_is_a_problem_document(rf: RequestFactory) -> None:
    try:
        _refuse()
    except OperationalError:
        answer = errors.server_error(rf.get("/api/jobs/"))

    assert (answer.status_code, answer["Retry-After"]) == (503, "5")
    assert b'"code": "unavailable"' in answer.content


def test_the_api_says_that_the_database_does_not_answer(operator: Client, away: None) -> None:
    answer = operator.get("/api/jobs/", headers={"Accept-Language": "de"})
    body = answer.json()

    assert (answer.status_code, answer["Retry-After"], body["code"]) == (503, "5", "unavailable")
    assert body["detail"].startswith("The database default does not answer. ")
    assert body["detail"].endswith("may have been done: look before you ask for it again.")


def test_a_verb_of_the_api_says_that_the_database_takes_no_changes(operator: Client) -> None:
    job = enqueue("workload.wait", name="slow", delay=600)
    with _taking_no_changes():
        answer = ask(operator, "POST", f"jobs/{job.pk}/cancel/", {"reason": "no longer wanted"})

    assert (answer.status_code, answer["Retry-After"]) == (503, "5")
    assert answer.json()["detail"].startswith("The database default takes no changes for now. ")


def test_a_verb_on_a_page_says_that_the_database_takes_no_changes(operator: Client) -> None:
    job = enqueue("workload.wait", name="slow", delay=600)
    with _taking_no_changes():
        answer = operator.post(
            "/admin/jobqueue/job/",
            {"action": "cancel", "confirmed": "cancel", "_selected_action": [f"{job.pk}"]},
        )

    assert answer.status_code == 503
    assert "<h1>The database default takes no changes for now</h1>" in answer.content.decode()


def test_the_overview_names_a_database_that_takes_no_changes(operator: Client) -> None:
    with _taking_no_changes():
        text = operator.get("/admin/jobqueue/").content.decode()

    # Of a file that is not told.
    assert ("The database default takes no changes." in text) == (connection.vendor == "postgresql")
