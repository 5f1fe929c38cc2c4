"""What is set aside is counted without a new connection for each page."""

from __future__ import annotations

import pytest
from django.db import connections
from django.test import Client
from django.test.utils import CaptureQueriesContext

from jobqueue.monitoring import set_aside
from tests.jobqueue.admin.steps import make_job

pytestmark = pytest.mark.django_db(databases=["default", "other"], transaction=True)
PAGES = ("/admin/", "/admin/jobqueue/", "/admin/jobqueue/job/", "/admin/jobqueue/failedjob/")


@pytest.mark.parametrize("page", PAGES)
def test_a_page_asks_its_own_database_on_its_own_connection(page: str, admin_client: Client) -> None:
    with CaptureQueriesContext(connections["default"]) as asked:
        assert admin_client.get(page).status_code == 200
    assert [one["sql"] for one in asked if "set_aside" in one["sql"].lower() and "COUNT(" in one["sql"]]


@pytest.mark.parametrize("page", ["/admin/", "/admin/jobqueue/", "/admin/jobqueue/job/"])
def test_a_page_counts_those_of_all_databases(page: str, admin_client: Client) -> None:
    aside = make_job("failed", set_aside="nobody knows its processor")
    for _number in range(2):
        aside.pk = None
        aside.save(using="other", force_insert=True)
    assert "3 jobs" in admin_client.get(page).content.decode()


def test_all_databases_are_counted() -> None:
    make_job("failed", set_aside="nobody knows its processor")
    assert set_aside.counts(1)["job"] == 1
    assert set_aside.finish(set_aside.begin()).counts["job"] == 1
    assert set_aside.finish(set_aside.begin_on_page()).counts["job"] == 1


def test_what_was_counted_last_is_told_while_the_databases_are_away() -> None:
    make_job("failed", set_aside="nobody knows its processor")
    set_aside.counts(1)
    said = set_aside.finish(set_aside.begin_in_redis(), has_databases=False)
    assert said.counts["job"] == 1
