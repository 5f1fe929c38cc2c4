"""The filters of the lists of jobs."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client

from jobqueue.admin import filters
from jobqueue.sql.clock import database_now
from tests.jobqueue.admin.steps import (
    CAUSES,
    FAILED,
    JOBS,
    LISTS,
    ids_of,
    make_job,
    text_of,
)

pytestmark = pytest.mark.django_db(databases=["default", "other"])
STATES = ("waiting", "delayed", "active", "stuck", "completed", "skipped", "failed", "cancelled")


@pytest.mark.parametrize("state", STATES)
def test_the_state_filter_shows_that_state_only(admin_client: Client, state: str) -> None:
    jobs = {name: make_job(name) for name in STATES}
    expected = {jobs[state].pk}
    if state == "active":
        expected.add(jobs["stuck"].pk)
    if state == "completed":
        expected.add(jobs["skipped"].pk)
    assert ids_of(admin_client.get(JOBS, {"state": state})) == expected


LATER_TO_EARLIER = "2026-11-28T10:00", "2026-11-27T10:00"


@pytest.mark.parametrize(
    ("page", "words", "said"),
    [
        (JOBS, {"state": "zzz"}, "state may be waiting, delayed, held, active, stuck"),
        (JOBS, {"stopped": "zzz"}, "stopped may be running, not zzz."),
        (JOBS, {"audit": "zzz"}, "audit may be a number, such as 12, not zzz."),
        (JOBS, {"left_out": "zzz"}, "left_out may be a number, such as 12, not zzz."),
        (JOBS, {"finding": "zzz"}, "finding may be late_reminders, not_muted, to_retry, unknown, not zzz."),
        (
            JOBS,
            dict(zip(("ended_from", "ended_to"), LATER_TO_EARLIER, strict=True)),
            "must begin before it ends",
        ),
        (FAILED, dict(zip(("from", "to"), LATER_TO_EARLIER, strict=True)), "must begin before it ends"),
        (CAUSES, dict(zip(("from", "to"), LATER_TO_EARLIER, strict=True)), "must begin before it ends"),
        (CAUSES, {"age": "quarter", "to": "2026-11-27T10:00"}, "must begin before it ends"),
    ],
)
def test_of_a_filter_that_cannot_be_read_it_is_said_what_is_allowed(
    admin_client: Client, page: str, words: dict[str, str], said: str
) -> None:
    make_job("failed")
    text = text_of(admin_client.get(page, words))
    assert "Nothing was looked for: " in text
    assert said in text


@pytest.mark.parametrize("state", STATES)
def test_a_row_says_its_state_in_words(admin_client: Client, state: str) -> None:
    make_job(state)
    assert f'<span class="jq-badge jq-{state}">{state}</span>' in text_of(admin_client.get(JOBS))


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        ({"queue": "reminders"}, {"queue": "reminders"}),
        ({"processor": "sample.skip"}, {"processor": "sample.skip"}),
    ],
)
def test_queue_and_processor_are_filters(
    admin_client: Client, query: dict[str, str], fields: dict[str, str]
) -> None:
    wanted = make_job(**fields)
    make_job()
    assert ids_of(admin_client.get(JOBS, query)) == {wanted.pk}


def test_a_state_that_does_not_exist_shows_nothing(admin_client: Client) -> None:
    make_job()
    assert ids_of(admin_client.get(JOBS, {"state": "lost"})) == set()


@pytest.mark.parametrize(
    ("age", "old", "young"), [("hour", 2, 0.5), ("day", 30, 20), ("week", 200, 100), ("month", 800, 600)]
)
def test_the_age_filter_shows_what_is_not_older(
    admin_client: Client, age: str, old: float, young: float
) -> None:
    now = database_now("default")
    wanted = make_job(created_at=now - timedelta(hours=young))
    make_job(created_at=now - timedelta(hours=old))
    assert ids_of(admin_client.get(JOBS, {"age": age})) == {wanted.pk}


@pytest.mark.parametrize("query", [{"state": "{}"}, {"q": "state:{}"}], ids=["state", "search"])
@pytest.mark.parametrize("state", ["failed", "completed", "skipped", "cancelled"])
def test_of_jobs_that_are_over_the_age_is_that_of_their_end(
    admin_client: Client, state: str, query: dict[str, str]
) -> None:
    now = database_now("default")
    long_ago, lately = now - timedelta(days=9), now - timedelta(minutes=5)
    ended_lately = make_job(state, created_at=long_ago, finished_at=lately)
    ended_long_ago = make_job(state, created_at=long_ago, finished_at=now - timedelta(days=8))
    asked = {name: text.format(state) for name, text in query.items()}
    page = admin_client.get(JOBS, {**asked, "age": "hour"})
    assert ids_of(page) == {ended_lately.pk}
    assert "By time of end" in text_of(page)
    before = {"to": (now - timedelta(days=1)).isoformat()}
    assert ids_of(admin_client.get(JOBS, {**asked, **before})) == {ended_long_ago.pk}


def test_among_what_completed_the_newest_are_looked_at_by_their_end_and_that_is_said(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = {"state": "completed", "age": "hour"}
    make_job("completed")
    newest = make_job("completed")
    text = "was looked for among the newest"
    assert text not in text_of(admin_client.get(JOBS, asked))
    monkeypatch.setattr(filters, "_NEWEST", 1)
    page = admin_client.get(JOBS, asked)
    assert ids_of(page) == {newest.pk}
    assert text_of(page).count(text) == 1


def test_the_age_filter_shows_what_is_older(admin_client: Client) -> None:
    wanted = make_job(created_at=database_now("default") - timedelta(days=40))
    make_job()
    assert ids_of(admin_client.get(JOBS, {"age": "older"})) == {wanted.pk}


@pytest.mark.parametrize("name", ["queue", "processor", "cause", "error", "age", "reason"])
def test_a_filter_with_a_nul_is_a_bad_request(admin_client: Client, name: str) -> None:
    for url in LISTS:
        assert admin_client.get(url, {name: "a\x00"}).status_code == 400
