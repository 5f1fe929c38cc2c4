"""Who did what: into the audit, action by action, and into the log of Django's admin if there is one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import ModuleType
from typing import Any

from django.apps import apps
from django.db import models
from django.http import HttpRequest
from django.utils.text import capfirst

from jobqueue.models import AuditEntry, BulkAction, Job, Queue, SetAsideJob, bulk
from jobqueue.models.audit import MOST_JOBS_NAMED, MOST_TOGETHER, entries_of_job
from jobqueue.operating.audit_entry import (
    ADDITION,
    CHANGE,
    DELETION,
    LONGEST_NAME,
    REASON,
    Entry,
    audited,
    because,
    verb_of,
)
from jobqueue.operating.language import in_english
from jobqueue.operating.verbs import Verb

_MOST_ENTRIES = 50


@dataclass(frozen=True, slots=True)
class Done:
    """What an operator did to a job."""

    at: datetime
    who: str
    what: str


def log_change(request: HttpRequest, record: models.Model, message: str) -> None:
    """Write down who changed this record and how."""
    _write([_entry(request, record, message)])


def log_addition(request: HttpRequest, record: models.Model, message: str) -> None:
    """Write down who added this record; without a colon in the message it is the verb of the admin's own."""
    _write([_entry(request, record, message, ADDITION)])


def entry_of(verb: Verb, job: Job, request: HttpRequest, reason: str = "") -> Entry:
    """Who does this to the job and why, not written yet."""
    flag = DELETION if verb.name == "delete" else CHANGE
    with in_english():
        message = f"{verb.label}: {verb.before(job)} → {verb.after_of(job)}"
    return _entry(request, job, because(message, reason), flag)


def entries_of(verb: Verb, jobs: Sequence[Job], request: HttpRequest, reason: str = "") -> dict[int, Entry]:
    """The same of many jobs, by their keys; what was not loaded of them is read by one statement."""
    _know_facts(jobs)
    return {job.pk: entry_of(verb, job, request, reason) for job in jobs}


def write_down(entries: Iterable[Entry]) -> list[int]:
    """Write many entries at once, and one in the audit for all that one operator did by one verb.

    Returns the ids of those in the audit that stand for all of their jobs.
    """
    together: dict[tuple[Any, str], list[Entry]] = {}
    for entry in entries:
        together.setdefault((entry.operator, verb_of(entry.message, entry.flag)), []).append(entry)
    return [number for some in together.values() if (number := _write(some)) is not None]


def log_together(request: HttpRequest, jobs: Iterable[Job], message: str) -> None:
    """Write down one change that several jobs have a part in: an entry for each, and one in the audit."""
    several = list(jobs)
    _know_facts(several)
    write_down([_entry(request, job, message) for job in several])


def log_change_in_redis(request: HttpRequest, name: str, message: str) -> None:
    """Write down who changed what stands in Redis, where no record is."""
    label = SetAsideJob._meta.label_lower
    _write([Entry(request.user.pk, request.user.get_username(), label, name, name[:LONGEST_NAME], message)])


def history_of(job: Job, last_in_bulk: BulkAction | None = None) -> list[Done]:
    """What operators did to this job since there is an audit, the latest first.

    Of bulk actions that is the last one, which the row of the job names; it is read if it is not given.
    """
    entries = entries_of_job(job, _MOST_ENTRIES, MOST_TOGETHER)
    in_full = _said_of_each(entries, job)
    done = [Done(entry.at, entry.who, in_full.get(entry.pk) or _told(entry)) for entry in entries]
    action = last_in_bulk or bulk.of_job(job, Job.objects.db)
    if action is not None:
        done.append(_in_bulk(action))
    return sorted(done, key=lambda one: one.at, reverse=True)


def _in_bulk(action: BulkAction) -> Done:
    """What an operator asked for of a job among others: the audit has one entry for all of them."""
    with in_english():
        what = f"{capfirst(action.get_verb_display())}, by bulk action #{action.pk}"
    return Done(action.asked_at, action.asked_by, because(what, action.reason))


def _said_of_each(entries: Sequence[AuditEntry], job: Job) -> dict[int, str]:
    """By entry what the log of the admin says of this job, where the audit has one word for many jobs.

    The log has an entry for each job, in the order of their ids in the audit: it is read by its key.
    """
    log = _admins_log()
    places = {
        entry.log_entry + entry.job_ids.index(job.pk): entry.pk
        for entry in entries
        if entry.text == entry.verb and entry.log_entry and job.pk in _ids_of(entry)
    }
    said = log.messages_of(places, str(job.pk)) if log is not None and places else {}
    return {places[number]: text for number, text in said.items()}


def _ids_of(entry: AuditEntry) -> list[Any]:
    return entry.job_ids if isinstance(entry.job_ids, list) else []


def _told(entry: AuditEntry) -> str:
    return f"{entry.text} {REASON}{entry.reason}" if entry.reason else entry.text


def _entry(request: HttpRequest, record: models.Model, message: str, flag: int = CHANGE) -> Entry:
    queue, jobs = _facts_of(record)
    return Entry(
        operator=request.user.pk,  # the faces let nobody in who has none
        who=request.user.get_username(),
        object_type=(record._meta.concrete_model or type(record))._meta.label_lower,
        object_id=str(record.pk),
        object_name=_name_of(record)[:LONGEST_NAME],
        message=message,
        flag=flag,
        queue=queue,
        jobs=jobs,
    )


def _name_of(record: models.Model) -> str:
    with in_english():
        return str(record)


def _write(entries: Sequence[Entry]) -> int | None:
    """Write what one operator did by one verb; the id of its entry in the audit, where it has one for all."""
    log = _admins_log()
    if log is not None:
        entry = audited(entries, log.write(entries))
        entry.save(force_insert=True)
        return None if len(entries) > MOST_JOBS_NAMED else entry.pk
    # The history of a job stands nowhere else: a row for each.
    AuditEntry.objects.bulk_create([audited([one], None) for one in entries])
    return None


def _admins_log() -> ModuleType | None:
    """The log of Django's admin; its table is there only in a project that has the admin."""
    if not apps.is_installed("django.contrib.admin"):
        return None
    from jobqueue.operating import admins_log

    return admins_log


def _facts_of(record: models.Model) -> tuple[str, int]:
    """What the audit says of the record beside its name: queue and number of jobs, whatever was loaded."""
    if isinstance(record, BulkAction):
        queue = record.selection.get("queue", "") if isinstance(record.selection, dict) else ""
        return queue, record.expected
    if isinstance(record, Queue):
        return str(record.pk), 0
    return (record.queue, 0) if isinstance(record, Job) else ("", 0)


def _know_facts(jobs: Sequence[Job]) -> None:
    """Read of all of these what `_facts_of` asks, where a list loaded them without it: not job by job."""
    unknown = [job for job in jobs if "queue" in job.get_deferred_fields()]
    if not unknown:
        return
    rows = Job.objects.using(unknown[0]._state.db).filter(pk__in=[job.pk for job in unknown])
    known = dict(rows.values_list("pk", "queue"))
    for job in unknown:
        job.queue = known.get(job.pk, "")
