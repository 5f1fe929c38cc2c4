"""What pages ask the database, where no transaction of the request is around them."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from settlements.models import Settlement
from tests.jobqueue.admin.steps import make_job


@pytest.mark.django_db(transaction=True)
def test_a_page_opens_no_transaction_to_name_what_its_job_is_about(
    settlement: Settlement, admin_client: Client
) -> None:
    job = make_job("failed", subject=f"settlements.settlement:{settlement.pk}")
    with CaptureQueriesContext(connection) as asked:
        admin_client.get(reverse("admin:jobqueue_job_change", args=[job.pk]))
    opened = [query["sql"] for query in asked if query["sql"].startswith(("BEGIN", "COMMIT", "SAVEPOINT"))]
    assert opened == []
