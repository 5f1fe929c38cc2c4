"""What a page shows of a job's payload and of its errors: in full to those who may read them."""

from __future__ import annotations

import json

from django.http import HttpRequest

from jobqueue.masking import mask_addresses, mask_payload
from jobqueue.models import Attempt, Job


def may_read(request: HttpRequest) -> bool:
    """Whether the user may read payloads, errors and tracebacks as they are."""
    return bool(request.user.has_perm("jobqueue.view_payload"))


def shown_payload(job: Job, request: HttpRequest) -> str:
    """The payload as indented JSON; its form alone for whoever may not read it."""
    payload = job.payload if may_read(request) else mask_payload(job.payload)
    return json.dumps(payload, indent=2, ensure_ascii=False, sort_keys=True)


def shown_text(text: str, request: HttpRequest) -> str:
    """An error or a reason, without addresses for whoever may not read payloads."""
    return text if may_read(request) else mask_addresses(text)


def shown_attempts(job: Job, request: HttpRequest) -> list[Attempt]:
    """The failed attempts, the newest first."""
    attempts = list(job.attempts.order_by("-number"))
    for attempt in attempts:
        attempt.message = shown_text(attempt.message, request)
        attempt.traceback = shown_text(attempt.traceback, request)
    return attempts
