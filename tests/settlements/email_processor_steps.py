"""E-mails that the processor sends."""

from __future__ import annotations

from typing import Any

from jobqueue import jobs
from jobqueue.models import Job
from jobqueue.testing import run_job
from settlements.models import Settlement


def run_again(job: Job) -> Any:
    """Run a job that is done as if its message had come a second time."""
    Job.objects.filter(pk=job.pk).update(state=Job.State.WAITING, attempt=job.attempt + 1)
    return run_job(job)


def letter(settlement: Settlement, template_type: str = "settlement_updated", **changes: Any) -> Job:
    """A letter that the system decided on; with `email` among the changes a caller's own."""
    data = {"settlement_id": str(settlement.pk)}
    values = {"user_id": settlement.payer_id, "template_type": template_type, "template_data": data}
    return jobs.enqueue("email.notification", subject=settlement, **values | changes)
