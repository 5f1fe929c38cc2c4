"""The list of what was retried: by when that was, as the bars of the charts count it."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from html import unescape

import pytest
from django.test import Client

from jobqueue.admin.charts import retried_url
from jobqueue.broker.chart import PERIOD, Group
from jobqueue.charting.reading import Chosen, Column
from jobqueue.models import Job
from jobqueue.sql.clock import database_now
from tests.jobqueue.admin.steps import JOBS, add_attempt, ids_of, make_job
from tests.jobqueue.processors_for_tests import FAIL, FAIL_WITHOUT_RETRY
from tests.jobqueue.reading import charted
from tests.jobqueue.steps import claimed, run

pytestmark = pytest.mark.django_db(databases=["default", "other"])
CHARTS = "/admin/jobqueue/charts/"


def test_what_was_retried_is_listed_by_the_end_of_that_attempt(admin_client: Client) -> None:
    now = database_now("default")
    wanted, later, at_both = (make_job("completed", finished_at=now) for _ in range(3))
    column = Column(int(now.timestamp()) // PERIOD * PERIOD - PERIOD, PERIOD)
    begin = datetime.fromtimestamp(column.begin, UTC)
    within, behind = begin + timedelta(seconds=1), begin + timedelta(seconds=PERIOD + 1)
    ends = ((wanted, 1, within), (later, 1, behind), (at_both, 1, begin - timedelta(1)), (at_both, 2, behind))
    for job, number, end in ends:
        add_attempt(job, number, finished_at=end, is_retried=True)
    page = admin_client.get(retried_url(column, Chosen(queue="email")))
    assert [job.pk for job in page.context["cl"].result_list] == [wanted.pk]
    assert [(tab.label, tab.number) for tab in page.context["tabs"] if tab.is_current] == [("Retried", "1")]


def test_a_bar_of_what_real_jobs_did_has_as_many_as_its_list(admin_client: Client) -> None:
    for processor in (FAIL, FAIL, FAIL_WITHOUT_RETRY):
        run(claimed(processor))
    Job.objects.failed().retry_all()
    page = admin_client.get(CHARTS).content.decode()
    found = re.findall(r'<a href="([^"]+)" tabindex="-1"><rect class="jq-chart-retried"', page)
    lists = [admin_client.get(unescape(url)).context["cl"].result_list for url in found]
    assert sum(map(len, lists)) == charted()[Group("email", FAIL, "retried")].jobs == 2


@pytest.mark.parametrize(
    "query",
    [
        {"state": "retried"},
        {"state": "retried", "age": "day"},
        {"state": "retried", "q": "since:1d"},
        {"q": "state:retried", "age": "day"},
        {"q": "state:retried since:1d", "ended_from": "2001-01-01", "ended_to": "2099-01-01"},
    ],
)
def test_what_was_retried_is_listed_by_when_that_was(admin_client: Client, query: dict[str, str]) -> None:
    now = database_now("default")
    young, old = (make_job("completed", finished_at=now) for _ in range(2))
    add_attempt(young, finished_at=now, is_retried=True)
    add_attempt(old, finished_at=now - timedelta(days=3), is_retried=True)
    make_job("completed", finished_at=now)
    expected = {young.pk} if len(query) > 1 else {young.pk, old.pk}
    assert ids_of(admin_client.get(JOBS, query)) == expected


def test_all_that_were_retried_can_be_acted_on_whatever_their_state(admin_client: Client) -> None:
    add_attempt(make_job("failed"), is_retried=True)
    verbs = admin_client.get(JOBS, {"state": "retried"}).context["all_matching"]["verbs"]
    assert {"retry", "cancel"} <= {verb.name for verb in verbs}


def test_the_tabs_offer_them_only_where_they_are_listed(admin_client: Client) -> None:
    labels = [tab.label for tab in admin_client.get(JOBS).context["tabs"]]
    assert "Retried" not in labels
