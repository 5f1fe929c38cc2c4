"""The chart on the overview is kept up to date like the rest of it, by a region of its own."""

from __future__ import annotations

import re

import pytest
from django.test import Client
from django.urls import reverse

from jobqueue.admin import live
from jobqueue.broker.chart import PERIOD
from jobqueue.charting.folding import home
from jobqueue.sql.clock import database_now
from tests.jobqueue.admin.steps import operator, text_of
from tests.jobqueue.broker.test_chart import SENT, tally, tell

pytestmark = pytest.mark.django_db(databases=["default", "other"])
URL = "/admin/jobqueue/queue/chart/"
ASKED = {live.ASKED: "1"}


def _tell(jobs: int) -> None:
    tell(int(database_now(home()).timestamp()) // PERIOD, SENT, tally(jobs))


@pytest.fixture
def _empty(_empty_redis: None) -> None:
    """Nothing was told yet."""


@pytest.mark.usefixtures("_empty")
def test_the_overview_says_where_its_chart_is_asked_for_and_how_often(admin_client: Client) -> None:
    page = admin_client.get("/admin/jobqueue/").content.decode()
    region = re.search(r'<div id="jq-day" data-region-seconds="(\d+)" data-region-url="([^"]+)"', page)
    assert region is not None
    assert (region[1], region[2]) == ("20", reverse("admin:jobqueue_queue_chart"))


@pytest.mark.usefixtures("_empty")
def test_what_ended_since_is_in_the_region_and_what_did_not_is_not_sent_again(admin_client: Client) -> None:
    _tell(3)
    first = admin_client.get(URL, headers=ASKED)
    assert "3 completed" in text_of(first)
    again = admin_client.get(URL, headers={**ASKED, "If-None-Match": first["ETag"]})
    assert again.status_code == 304
    _tell(4)
    assert "7 completed" in text_of(admin_client.get(URL, headers=ASKED))


def test_who_may_see_no_jobs_is_not_shown_how_many_end() -> None:
    client = operator("view_queue")
    assert client.get(URL).status_code == 403
    assert 'id="jq-day"' not in client.get("/admin/jobqueue/").content.decode()
