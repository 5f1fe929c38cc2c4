"""The links that lead to the jobs of a day."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client

from jobqueue.sql.clock import database_now
from tests.jobqueue.admin.steps import (
    JOBS,
    ids_of,
    make_job,
    text_of,
)

pytestmark = pytest.mark.django_db(databases=["default", "other"])


def test_the_dates_lead_to_the_jobs_of_a_day(admin_client: Client) -> None:
    now = database_now("default")
    old = make_job(created_at=now - timedelta(days=400))
    make_job()
    day = (now - timedelta(days=400)).date()
    text = text_of(admin_client.get(JOBS))
    assert f"created_at__year={day.year}" in text
    text = text_of(admin_client.get(JOBS, {"created_at__year": day.year, "created_at__month": day.month}))
    assert f"created_at__day={day.day}" in text
    found = admin_client.get(
        JOBS, {"created_at__year": day.year, "created_at__month": day.month, "created_at__day": day.day}
    )
    assert ids_of(found) == {old.pk}


@pytest.mark.parametrize(
    "query",
    [
        {"year": "9999"},
        {"year": "9999", "month": "12"},
        {"year": "9999", "month": "12", "day": "31"},
        {"year": "1"},
        {"year": "0"},
        {"year": "9" * 5000},
        {"year": "2026", "month": "13"},
        {"month": "2"},
        {"gte": "2026-01-01"},
        {"gte": "9999-12-31T23:59:59-14:00"},
    ],
    ids=lambda query: ",".join(f"{name} {text[:12]}" for name, text in query.items()),
)
def test_dates_that_the_list_does_not_offer_are_refused(admin_client: Client, query: dict[str, str]) -> None:
    make_job()
    words = {f"created_at__{part}": text for part, text in query.items()}
    page = admin_client.get(JOBS, words, follow=True)
    assert page.redirect_chain == [(f"{JOBS}?e=1", 302)]
    assert page.status_code == 200


def test_the_last_day_that_every_zone_has_finds_nothing(admin_client: Client) -> None:
    make_job()
    query = {"created_at__year": "9998", "created_at__month": "12", "created_at__day": "30"}
    assert ids_of(admin_client.get(JOBS, query)) == set()


@pytest.mark.parametrize("day", ["31", "x", "0"])
def test_a_day_that_does_not_exist_does_no_harm(admin_client: Client, day: str) -> None:
    make_job()
    query = {"created_at__year": "2026", "created_at__month": "2", "created_at__day": day}
    assert admin_client.get(JOBS, query, follow=True).status_code == 200


@pytest.mark.parametrize(("chosen", "is_shown"), [({}, False), ({"created_at__year": "2026"}, True)])
def test_a_search_shows_the_date_that_narrows_it_and_offers_none(
    admin_client: Client, chosen: dict[str, str], is_shown: bool
) -> None:
    context = admin_client.get("/admin/jobqueue/job/", {"q": "queue:email", **chosen}).context
    assert ("dates" in context) is is_shown
