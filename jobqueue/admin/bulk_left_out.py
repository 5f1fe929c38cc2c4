"""Where the jobs that a bulk action left out are told of, and listed."""

from __future__ import annotations

from typing import Any

from django.contrib.admin import AdminSite
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse

from jobqueue.admin.asked import refused_text
from jobqueue.models import BulkAction
from jobqueue.operating.left_out import left_out, left_out_ids


def shown(action: BulkAction, request: HttpRequest, site: AdminSite) -> dict[str, Any]:
    """What the page of the action says of it: the reasons, and where the jobs are listed."""
    reasons = [refused_text(reason.text, request) for reason in left_out(action)]
    return {"reasons": reasons, "url": url_of(action, site)} if reasons else {}


def url_of(action: BulkAction, site: AdminSite) -> str:
    """Where these jobs are listed; empty if none is known by its id."""
    url = reverse(f"{site.name}:jobqueue_job_changelist", query={"left_out": action.pk})
    return url if left_out_ids(action) else ""


def jobs_left_out_by(number: int, jobs: QuerySet[Any]) -> QuerySet[Any]:
    """Those of the jobs that this action left out, or waits for; none where there is no such action."""
    action = BulkAction.objects.filter(pk=number).first()
    return jobs.filter(pk__in=left_out_ids(action) if action is not None else [])
