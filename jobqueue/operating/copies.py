"""Copies of jobs as operators make them: who may, and what is written down of it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.http import HttpRequest

from jobqueue.copying import copy_job
from jobqueue.masking import shown_keys
from jobqueue.models import Job, alias_of
from jobqueue.operating.audit import log_together
from jobqueue.operating.audit_entry import because
from jobqueue.operating.reading import VIEW_PAYLOAD
from jobqueue.operating.rights import Right, demand
from jobqueue.sql.writing import writing


def copy_and_log(
    job: Job,
    request: HttpRequest,
    *,
    payload: dict[str, Any] | None = None,
    run_at: datetime | None = None,
    copies_seen: int | None = None,
    reason: str = "",
) -> Job:
    """Copy the job, as `copy_job` does, and write down on both who did it and why.

    Raises PermissionDenied for who may not copy jobs, or sends another payload and may not read the job's.
    """
    demand(request, Right.COPY, *(() if payload is None else (VIEW_PAYLOAD,)))
    with writing(alias_of(job)):
        copy = copy_job(job, payload, run_at=run_at, copies_seen=copies_seen)
        text = f"Copy: job #{job.pk} → job #{copy.pk}, {_changed(job.payload, copy.payload)}"
        log_together(request, [job, copy], because(text, reason))
    return copy


def _changed(before: Any, after: dict[str, Any]) -> str:
    """Which arguments differ, by their names: what they say is for those who may read payloads."""
    if not isinstance(before, dict):
        return "with another payload"
    names = [name for name in {**before, **after} if before.get(name, _NOTHING) != after.get(name, _NOTHING)]
    return f"with another {', '.join(shown_keys(names))}" if names else "with the same payload"


_NOTHING = object()
