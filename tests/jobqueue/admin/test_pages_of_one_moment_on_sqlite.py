"""How SQLite reads a page of a moment that many rows share.

Collected on SQLite only (conftest.py): PostgreSQL chooses no index among so few rows.
"""

from __future__ import annotations

import pytest
from django.db import connection
from django.db.models.functions import Now
from django.test import Client
from django.test.utils import CaptureQueriesContext

from jobqueue.admin.job_lists import JobList
from jobqueue.models import Job
from tests.jobqueue.admin.steps import FAILED, make_job


@pytest.mark.django_db(databases=["default", "other"])
def test_a_page_of_one_moment_is_read_from_the_index_of_its_list(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(JobList, "list_per_page", 3)
    for _ in range(5):
        make_job("failed", cause="OSError")
    Job.objects.update(finished_at=Now())
    older = admin_client.get(FAILED).context["cl"].ways[-2].url
    with CaptureQueriesContext(connection) as captured:
        admin_client.get(f"{FAILED}{older}")
    [asked] = [entry["sql"] for entry in captured if 'finished_at" < ' in entry["sql"]]
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN QUERY PLAN {asked}")
        plan = " ".join(row[-1] for row in cursor.fetchall())
    assert ("USING INDEX" in plan, "TEMP B-TREE" in plan) == (True, False), plan
