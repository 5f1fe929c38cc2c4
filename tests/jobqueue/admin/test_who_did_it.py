"""A job that an operator took off the road says who it was, wherever that was asked for."""

from __future__ import annotations

import pytest
from django.test import Client

from tests.jobqueue.admin.steps import confirm, make_job
from tests.jobqueue.api.steps import full_operator, post

pytestmark = pytest.mark.django_db(databases=["default", "other"])


@pytest.mark.parametrize(("verb", "reason"), [("cancel", "cancelled by admin"), ("hold", "held by admin")])
def test_a_job_of_a_list_says_it(admin_client: Client, verb: str, reason: str) -> None:
    job = make_job("delayed")
    confirm(admin_client, verb, job)
    job.refresh_from_db()
    assert job.reason == reason


def test_a_job_that_was_cancelled_over_http_says_it() -> None:
    job = make_job("delayed")
    assert post(full_operator(), f"jobs/{job.pk}/cancel/")["reason"] == "cancelled by operator"
