"""The stop of a running job, or of a bulk action, by an operator, with what is written down of it."""

from __future__ import annotations

from django.http import HttpRequest

from jobqueue.delivery import orders
from jobqueue.models import BulkAction, Job, bulk
from jobqueue.operating.audit import log_change
from jobqueue.operating.audit_entry import because
from jobqueue.sql.writing import writing

LONGEST_STOP_REASON = 300


def stop_and_log(request: HttpRequest, job: Job, reason: str = "") -> None:
    """Ask for the stop of the job in the name of this user, with an entry in the audit.

    Raises JobTransitionRefused, which says why, where it cannot be stopped or is being stopped already.
    """
    with writing(Job.objects.db):
        orders.stop_job(job, who=request.user.get_username(), why=reason)
        log_change(request, job, because("Stop: active → stopping", reason))


def stop_bulk_and_log(request: HttpRequest, action: BulkAction, reason: str = "") -> bool:
    """Let the action end after its batch, with an entry in the audit. False if it had ended already.

    The instance is as its row afterwards.
    """
    using = Job.objects.db
    with writing(using):
        if not bulk.stop(action, request.user.get_username(), using):
            return False
        action.refresh_from_db(using=using)
        changed = "job was changed" if action.expected == 1 else "jobs were changed"
        text = f"Stop: {action.changed} of {action.expected} {changed}"
        log_change(request, action, because(text, reason))
    return True
