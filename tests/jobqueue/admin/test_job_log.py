"""The lines that a job's attempts logged, on its page and over HTTP: to those who may read payloads."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from jobqueue.models import AttemptLog, Job
from jobqueue.operating.logs import MOST_LINES, MOST_LOGS
from jobqueue.sql.clock import database_now
from tests.jobqueue.admin.steps import add_attempt, make_job, operator, page_of, text_of
from tests.jobqueue.api.steps import ask, get, viewer

pytestmark = pytest.mark.django_db(databases=["default", "other"])


def add_log(job: Job, number: int = 1, *messages: str, level: str = "INFO", **fields: Any) -> AttemptLog:
    """What the attempt logged, a line every tenth of a second."""
    lines = [[place / 10, level, "shop.orders", message] for place, message in enumerate(messages)]
    return AttemptLog.objects.create(job=job, number=number, lines=lines, **fields)


def labels_with_logs(client: Client, job: Job) -> list[tuple[str, int]]:
    """The attempts of the page's timeline that have lines, and how many."""
    steps = client.get(page_of(job)).context["timeline"]
    return [(step.label, step.log.count) for step in steps if step.log]


def test_each_attempt_shows_its_own_lines(admin_client: Client) -> None:
    begin = database_now("default") - timedelta(minutes=5)
    job = make_job("completed", attempt=3, failures=1, created_at=begin)
    add_attempt(job, 1, started_at=begin, finished_at=begin)
    for number in (1, 2, 3):
        add_log(job, number, *(f"line {number}-{place}" for place in range(number)))

    assert labels_with_logs(admin_client, job) == [("Attempt 1", 1), ("Attempt 2", 2), ("Attempt 3", 3)]
    page = text_of(admin_client.get(page_of(job)))
    assert "Log: 1 line<" in page and "Log: 3 lines<" in page
    assert "+0.200 s" in page and "line 3-2" in page


def test_attempts_without_a_failure_stand_in_their_place(admin_client: Client) -> None:
    now = database_now("default")
    job = make_job("waiting", attempt=5, started_at=now)
    add_log(job, 3, "asked again", written_at=now - timedelta(minutes=1))
    steps = admin_client.get(page_of(job)).context["timeline"]

    told = [step.label or step.text.split(" left")[0] for step in steps]
    assert [one for one in told if one.startswith("Attempt")] == ["Attempts 1 to 2", "Attempt 3", "Attempt 4"]


def test_runs_that_met_an_outage_show_their_lines_though_they_share_a_row(admin_client: Client) -> None:
    job = make_job("completed", attempt=3)
    add_attempt(job, 2, "DatabaseUnavailable")
    for number in (1, 2, 3):
        add_log(job, number, "here")

    found = labels_with_logs(admin_client, job)

    assert sorted(found) == [("Attempt 1", 1), ("Attempt 3", 1), ("Up to attempt 2", 1)]
    assert "asked for another time" not in text_of(admin_client.get(page_of(job)))


def test_the_page_says_what_was_left_out(admin_client: Client) -> None:
    job = make_job("completed")
    add_log(job, 1, "first", "last", left_out=412, left_out_after=1)

    page = text_of(admin_client.get(page_of(job)))

    assert page.index("first</span>") < page.index("412 lines left out") < page.index("last</span>")
    assert "Log: 414 lines" in page


def test_lines_are_for_those_who_may_read_payloads() -> None:
    job = make_job("completed")
    add_log(job, 1, "3,000.00 EUR to pia@example.com", level="WARNING")

    masked = text_of(operator("view_job").get(page_of(job)))
    full = text_of(operator("view_job", "view_payload", username="reader").get(page_of(job)))

    assert "pia@" not in masked and "3,000.00" not in masked
    assert "WARNING" in masked and "•••" in masked
    assert "3,000.00 EUR to pia@example.com" in full


def test_a_hostile_line_is_text(admin_client: Client) -> None:
    job = make_job("completed")
    add_log(job, 1, "<script>alert(1)</script>", "{{ settings.SECRET_KEY }}", level='"><b>')

    page = text_of(admin_client.get(page_of(job)))

    assert "<script>alert(1)" not in page and "&lt;script&gt;alert(1)" in page
    assert "{{ settings.SECRET_KEY }}" in page


@pytest.mark.parametrize(
    "lines", [{"a": 1}, "text", 5, [1, [], [0, 1, 2, 3], ["a", "b", "c", "d"], [1, 2, 3, 4]]]
)
def test_a_row_that_nobody_should_have_written_is_shown_as_far_as_it_goes(
    admin_client: Client, lines: Any
) -> None:
    job = make_job("completed")
    AttemptLog.objects.create(job=job, number=1, lines=lines)

    assert labels_with_logs(admin_client, job) == [("Attempt 1", 0)]
    assert get(operator("view_job"), f"jobs/{job.pk}/")["logs"][0]["lines"] == []


def test_a_thousand_attempts_cost_one_query_and_the_newest_are_shown(admin_client: Client) -> None:
    job = make_job("failed", attempt=40, failures=40)
    for number in range(1, 41):
        add_attempt(job, number)
        add_log(job, number, "here")

    assert [label for label, _count in labels_with_logs(admin_client, job)] == [
        f"Attempt {number}" for number in range(41 - MOST_LOGS, 41)
    ]


def test_a_page_has_room_for_so_many_lines_and_the_newest_attempts_have_it() -> None:
    job = make_job("failed", attempt=3, failures=3)
    for number in (1, 2, 3):
        add_log(job, number, *map(str, range(900)), left_out=7 * (number == 1), left_out_after=450)
    reader = operator("view_job", "view_payload")

    newest, second, oldest = get(reader, f"jobs/{job.pk}/")["logs"]

    assert [len(log["lines"]) for log in (newest, second, oldest)] == [900, 900, MOST_LINES - 1800]
    assert (second["left_out"], oldest["left_out"], oldest["left_out_after"]) == (0, 707, 100)
    assert [line["message"] for line in oldest["lines"]] == [*map(str, (*range(100), *range(800, 900)))]


# Over HTTP ----------------------------------------------------------------------------------------


def test_the_api_has_the_lines_of_each_attempt_the_newest_first() -> None:
    job = make_job("completed", attempt=2, failures=1)
    add_log(job, 1, "first try")
    add_log(job, 2, "second", "try", left_out=7, left_out_after=1)

    logs = get(operator("view_job", "view_payload"), f"jobs/{job.pk}/")["logs"]

    assert [log["attempt"] for log in logs] == [2, 1]
    assert (logs[0]["left_out"], logs[0]["left_out_after"]) == (7, 1)
    assert logs[0]["lines"][1] == {
        "seconds": 0.1,
        "level": "INFO",
        "logger": "shop.orders",
        "message": "try",
    }


def test_the_api_hides_the_lines_from_who_may_not_read_payloads() -> None:
    job = make_job("completed")
    add_log(job, 1, "3,000.00 EUR to pia@example.com")

    answer = ask(viewer(), "GET", f"jobs/{job.pk}/").content.decode()

    assert "pia@" not in answer and "3,000.00" not in answer and "•••" in answer
