"""How far a job says it is, from a real worker to the pages and the API, while it runs."""

from __future__ import annotations

import pytest
from django.test import Client

from jobqueue.jobs import enqueue
from tests.conftest import StartWorker, wait_until
from tests.jobqueue.admin.steps import page_of, text_of
from tests.jobqueue.api.steps import get
from tests.workload.fixtures import Workload, wait_until_done

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])
RUNNING = "/admin/jobqueue/job/running/"
SHOWN = "3 of 4 (75 %): rows"


def test_the_pages_and_the_api_show_how_far_a_job_is_until_it_ends(
    rqworker: StartWorker, workload: Workload, admin_client: Client
) -> None:
    rqworker("--processes", "1")
    job = enqueue("workload.report", name="import", done=3, total=4)
    workload.wait_for_start("import")

    wait_until(lambda: SHOWN in text_of(admin_client.get(RUNNING)))
    assert SHOWN in text_of(admin_client.get(page_of(job)))
    progress = {"done": 3, "total": 4, "share": 0.75, "text": "rows"}
    assert get(admin_client, f"jobs/{job.pk}/")["progress"] == progress

    workload.open_gate("import")
    wait_until_done()

    assert SHOWN not in text_of(admin_client.get(RUNNING))
    assert SHOWN not in text_of(admin_client.get(page_of(job)))
    assert get(admin_client, f"jobs/{job.pk}/")["progress"] is None
