"""Who did what, written into the log of Django's admin and read from it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib.admin.models import CHANGE, DELETION, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db import models
from django.http import HttpRequest

from jobqueue.admin.verbs import Verb
from jobqueue.models import Job, SetAsideJob

_MOST_ENTRIES = 50


def log_change(request: HttpRequest, record: models.Model, message: str) -> None:
    """Write down who changed this record and how."""
    _entry(request, record, message).save(force_insert=True)


def entry_of(verb: Verb, job: Job, request: HttpRequest) -> LogEntry:
    """Who does this to the job, not written yet."""
    flag = DELETION if verb.name == "delete" else CHANGE
    return _entry(request, job, f"{verb.label}: {verb.before(job)} → {verb.after}", flag)


def write_down(entries: Iterable[LogEntry]) -> None:
    """Write many entries at once."""
    LogEntry.objects.bulk_create(entries)


def log_change_in_redis(request: HttpRequest, name: str, message: str) -> None:
    """Write down who changed what stands in Redis, where no record is."""
    operator: Any = request.user.pk
    LogEntry.objects.create(
        user_id=operator,
        content_type=ContentType.objects.get_for_model(SetAsideJob, for_concrete_model=False),
        object_id=name,
        object_repr=name[:200],
        action_flag=CHANGE,
        change_message=message,
    )


def _entry(request: HttpRequest, record: models.Model, message: str, flag: int = CHANGE) -> LogEntry:
    operator: Any = request.user.pk  # admin views let nobody in who has none
    return LogEntry(
        user_id=operator,
        content_type=ContentType.objects.get_for_model(record),
        object_id=str(record.pk),
        object_repr=str(record)[:200],
        action_flag=flag,
        change_message=message,
    )


def history_of(job: Job) -> list[LogEntry]:
    """What operators did to this job, the latest first."""
    entries = LogEntry.objects.filter(
        content_type=ContentType.objects.get_for_model(Job), object_id=str(job.pk)
    )
    return list(entries.select_related("user").order_by("-action_time")[:_MOST_ENTRIES])
