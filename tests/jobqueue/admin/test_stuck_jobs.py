"""The list of stuck jobs."""

from __future__ import annotations

import pytest
from django.test import Client

from tests.jobqueue.admin.steps import (
    STUCK,
    ids_of,
    make_job,
    make_worker,
    text_of,
)

pytestmark = pytest.mark.django_db(databases=["default", "other"])


def test_stuck_jobs_are_listed_alone_with_their_worker(admin_client: Client) -> None:
    worker = make_worker(silent_for=100, name="worker-gone")
    job = make_job("stuck", worker_id=worker.pk)
    make_job("active")
    response = admin_client.get(STUCK)
    assert ids_of(response) == {job.pk}
    assert "worker-gone" in text_of(response)
