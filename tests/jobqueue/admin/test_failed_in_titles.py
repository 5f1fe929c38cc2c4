"""How many jobs are failed stands before the title of every page, for who may see jobs."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.db import OperationalError, connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from jobqueue.models import Job
from jobqueue.models.pauses import pause
from settlements.models import Settlement
from tests.browser import scene
from tests.jobqueue.admin.steps import make_job, operator, page_of, text_of

pytestmark = pytest.mark.django_db(databases=["default", "other"])
USERS = "/admin/auth/user/"
OVERVIEW = "/admin/jobqueue/"
POPUP = "/admin/auth/user/?_popup=1"
TITLE = re.compile(r"<title>(.*?)</title>", re.DOTALL)
TOLD = re.compile(r'data-region-seconds="\d+"[^>]*? data-region-title="([^"]*)"')
LIVE = re.compile(r"data-region-seconds=")


@pytest.fixture(autouse=True)
def _one_database(settings: LazySettings) -> None:
    settings.JOBQUEUE = {"DATABASES": ["default"]}


def _title(client: Client, page: str) -> str:
    return _title_in(client.get(page, follow=True).content.decode())


def _title_in(text: str) -> str:
    [found] = TITLE.findall(text.partition("</head>")[0])
    return str(found).strip()


@pytest.mark.one_database
def test_every_page_begins_its_title_with_it_and_so_does_all_that_is_refreshed(
    settlement: Settlement, payer: User, admin_client: Client
) -> None:
    pages = scene.pages_of(scene.build(settlement, payer))
    begins = f"({Job.objects.failed().count()}) "
    wrong: dict[str, object] = {}
    for name, address in pages.items():
        text = text_of(admin_client.get(address, follow=True))
        title = _title_in(text)
        if not title.startswith(begins) or title.count(begins) != 1:
            wrong[name] = title
        elif set(TOLD.findall(text)) - {begins} or len(TOLD.findall(text)) != len(LIVE.findall(text)):
            wrong[name] = TOLD.findall(text)
    assert wrong == {}


@pytest.mark.parametrize("page", [OVERVIEW, USERS, "/admin/jobqueue/job/", f"{OVERVIEW}job/1234/change/"])
def test_the_number_is_that_of_the_moment(admin_client: Client, page: str) -> None:
    assert not _title(admin_client, page).startswith("(")
    make_job("failed")
    make_job("failed", queue="reminders")
    assert _title(admin_client, page).startswith("(2) ")
    Job.objects.all().delete()
    assert not _title(admin_client, page).startswith("(")


def test_who_may_not_see_jobs_is_told_nothing() -> None:
    make_job("failed")
    client = operator("view_queue", "settlements.view_settlement")
    for page in ("/admin/", OVERVIEW, "/admin/jobqueue/queue/", "/admin/settlements/settlement/"):
        assert not _title(client, page).startswith("("), page
    assert "(1)" not in text_of(client.get("/admin/jobqueue/queue/counts/", headers={"X-Jobqueue-Live": "1"}))


def test_a_popup_and_the_form_to_log_in_have_no_number(admin_client: Client) -> None:
    make_job("failed")
    assert not _title(admin_client, POPUP).startswith("(")
    assert not _title(Client(), "/admin/login/").startswith("(")


def test_where_another_database_may_have_more_the_number_says_so(
    admin_client: Client, settings: LazySettings
) -> None:
    settings.JOBQUEUE = {"DATABASES": ["default", "other"]}
    make_job("failed")
    assert _title(admin_client, USERS).startswith("(1+) ")
    assert _title(admin_client, OVERVIEW).startswith("(1) ")


def _asked_for(ask: Callable[[], Any]) -> list[str]:
    with CaptureQueriesContext(connection) as captured:
        ask()
    return [query["sql"] for query in captured.captured_queries if "jobqueue_" in query["sql"]]


def test_a_page_asks_once_for_it_and_for_what_is_paused(admin_client: Client) -> None:
    make_job("failed")
    assert len(_asked_for(lambda: admin_client.get(USERS))) == 1
    pause("email")
    asked = _asked_for(lambda: admin_client.get(USERS))
    assert len(asked) == 1, asked  # and how many wait


def test_a_page_is_shown_though_nothing_can_be_told(admin_client: Client, settlement: Settlement) -> None:
    def away(execute: Any, sql: str, *arguments: Any) -> Any:
        if "jobqueue_jobtally" in sql:
            raise OperationalError("it is away")
        return execute(sql, *arguments)

    make_job("failed")
    with connection.execute_wrapper(away):
        for page in (USERS, "/admin/settlements/settlement/", page_of(Job.objects.failed().get())):
            assert not _title(admin_client, page).startswith("("), page
