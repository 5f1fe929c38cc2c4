"""The search language as the API reads it: what cannot be read is named, what one may not ask is refused."""

from __future__ import annotations

from rest_framework import serializers
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request

from jobqueue.api.problems import BadQuery, InvalidBody
from jobqueue.models import Job, JobQuerySet
from jobqueue.searching import Found, Unreadable, find_jobs, parse
from jobqueue.searching.query import why_refused


def found_by(
    text: str,
    request: Request,
    jobs: JobQuerySet | None = None,
    refuse: type[BadQuery | InvalidBody] = BadQuery,
) -> Found:
    """Those of the jobs that the search finds; `refuse` says which word cannot be read, and what can."""
    search = parse(text)
    if isinstance(search, Unreadable):
        raise refuse({"search": [serializers.ErrorDetail(str(search), "unreadable_search")]})
    refused = why_refused(search, request.user)
    if refused:
        raise PermissionDenied(str(refused))
    found = find_jobs(Job.objects.all() if jobs is None else jobs, search, request.user)
    assert isinstance(found, Found)  # that was asked above
    return found
