"""What a page shows of a job's payload and of its errors: in full to those who may read them."""

from __future__ import annotations

import json
from typing import Any

from django.http import HttpRequest

from jobqueue.admin.words import printable
from jobqueue.masking import mask_addresses, mask_payload
from jobqueue.models import Job
from jobqueue.payloads import DEEPEST
from jobqueue.sql.tolerant import unreadable


def may_read(request: HttpRequest) -> bool:
    """Whether the user may read payloads, errors and tracebacks as they are."""
    return bool(request.user.has_perm("jobqueue.view_payload"))


def shown_payload(job: Job, request: HttpRequest) -> str:
    """The payload as indented JSON; its form alone for whoever may not read it."""
    payload = job.payload if may_read(request) else mask_payload(job.payload)
    if isinstance(payload, str) and unreadable(job):
        return printable(payload)
    try:
        text = json.dumps(payload, indent=2, ensure_ascii=False, sort_keys=True)
    except RecursionError:
        text = json.dumps(_cut(payload), indent=2, ensure_ascii=False, sort_keys=True)
    return printable(text)


def _cut(value: Any, depth: int = 0) -> Any:
    """The value without what is nested deeper than any payload that `enqueue` takes."""
    if depth > DEEPEST and isinstance(value, dict | list):
        return "…"
    if isinstance(value, dict):
        return {key: _cut(inner, depth + 1) for key, inner in value.items()}
    return [_cut(inner, depth + 1) for inner in value] if isinstance(value, list) else value


def shown_text(text: str, request: HttpRequest) -> str:
    """An error or a reason, without addresses for whoever may not read payloads."""
    return printable(text if may_read(request) else mask_addresses(text))
