"""What a page shows of a job's payload and of its errors: in full to those who may read them."""

from __future__ import annotations

import json
from typing import Any

from django.http import HttpRequest

from jobqueue.masking import mask_payload
from jobqueue.models import Job
from jobqueue.operating.reading import may_read
from jobqueue.operating.words import printable
from jobqueue.payloads import DEEPEST
from jobqueue.sql.tolerant import unreadable


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
