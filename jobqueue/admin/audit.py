"""Who did what: into the log of Django's admin, record by record, and into the audit, action by action."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from django.contrib.admin.models import ADDITION, CHANGE, DELETION, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db import models
from django.db.models.signals import post_save
from django.dispatch import receiver
from django.http import HttpRequest

from jobqueue.admin.verbs import Verb
from jobqueue.models import AuditEntry, BulkAction, Job, Queue, SetAsideJob
from jobqueue.models.audit import LONGEST_REASON, MOST_JOBS_NAMED

_MOST_ENTRIES = 50
_REASON = "Reason: "
_VERB = re.compile(r"([A-Z][\w ]{0,40}):")
# What a form says of the fields that it changed, and what that is called.
_FIELDS = {"Rate limit": "Limits", "Concurrency limit": "Limits"}
_FLAGS = {ADDITION: "Add", CHANGE: "Change", DELETION: "Delete"}


def log_change(request: HttpRequest, record: models.Model, message: str) -> None:
    """Write down who changed this record and how."""
    _entry(request, record, message).save(force_insert=True)


def entry_of(verb: Verb, job: Job, request: HttpRequest) -> LogEntry:
    """Who does this to the job, not written yet."""
    flag = DELETION if verb.name == "delete" else CHANGE
    return _entry(request, job, f"{verb.label}: {verb.before(job)} → {verb.after}", flag)


def write_down(entries: Iterable[LogEntry]) -> None:
    """Write many entries at once, and one in the audit for all that one operator did by one verb."""
    written = LogEntry.objects.bulk_create(entries)
    together: dict[tuple[Any, str], list[LogEntry]] = {}
    for entry in written:
        together.setdefault((entry.user_id, verb_of(entry)), []).append(entry)
    for some in together.values():
        _audited(some).save(force_insert=True)


def log_together(request: HttpRequest, jobs: Iterable[Job], message: str) -> None:
    """Write down one change that several jobs have a part in: an entry for each, and one in the audit."""
    write_down([_entry(request, job, message) for job in jobs])


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
    entry = LogEntry(
        user_id=operator,
        content_type=ContentType.objects.get_for_model(record),
        object_id=str(record.pk),
        object_repr=str(record)[:200],
        action_flag=flag,
        change_message=message,
    )
    vars(entry)["_facts"] = {"who": request.user.get_username(), **_facts_of(record)}
    return entry


def history_of(job: Job) -> list[LogEntry]:
    """What operators did to this job, the latest first."""
    entries = LogEntry.objects.filter(
        content_type=ContentType.objects.get_for_model(Job), object_id=str(job.pk)
    )
    return list(entries.select_related("user").order_by("-action_time")[:_MOST_ENTRIES])


# The audit ------------------------------------------------------------------------------------------


@receiver(post_save, sender=LogEntry, dispatch_uid="jobqueue.admin.audit")
def audit(sender: Any, instance: LogEntry, created: bool, raw: bool, **_others: Any) -> None:
    """Whatever writes one entry into the log of Django's admin, its action stands in the audit."""
    if created and not raw:
        _audited([instance]).save(force_insert=True)


def verb_of(entry: LogEntry) -> str:
    """What was done, in a word: what stands before the colon, or what Django calls it."""
    found = _VERB.match(entry.get_change_message())
    word = found[1] if found else _FLAGS.get(entry.action_flag, "Change")
    return _FIELDS.get(word, word)


def said_by(entry: LogEntry) -> tuple[str, str]:
    """What was done, and the reason; empty if none was given."""
    what, _word, reason = entry.get_change_message().partition(_REASON)
    return what.strip(), reason.strip()


def object_type_of(entry: LogEntry) -> str:
    """The label of the model of what was changed; empty where nobody knows it any more."""
    kind = ContentType.objects.get_for_id(entry.content_type_id) if entry.content_type_id else None
    return f"{kind.app_label}.{kind.model}" if kind else ""


def is_about_jobs(object_type: str) -> bool:
    """Whether the objects are single jobs."""
    return object_type == Job._meta.label_lower


def _audited(entries: Sequence[LogEntry]) -> AuditEntry:
    """One row for what one operator did by one verb."""
    first = entries[0]
    facts: dict[str, Any] = vars(first).get("_facts", {})
    kind = object_type_of(first)
    texts = {said_by(entry) for entry in entries}
    text, reason = texts.pop() if len(texts) == 1 else (verb_of(first), "")
    numbers = [int(entry.object_id or 0) for entry in entries] if is_about_jobs(kind) else []
    is_one = len(entries) == 1
    queues = {vars(entry).get("_facts", {}).get("queue", "") for entry in entries}
    return AuditEntry(
        who=(facts.get("who") or first.user.get_username())[:200],
        verb=verb_of(first),
        text=text,
        reason=reason[:LONGEST_REASON],
        object_type=kind[:200],
        object_id=str(first.object_id or "")[:255] if is_one else "",
        object_name=first.object_repr[:200] if is_one else "",
        queue=queues.pop()[:100] if len(queues) == 1 else "",
        jobs=facts.get("jobs") or len(numbers),
        job_ids=numbers[:MOST_JOBS_NAMED],
        log_entry=first.pk,
    )


def _facts_of(record: models.Model) -> dict[str, Any]:
    """What the audit says of the record beside its name; nothing of it is read from the database."""
    if isinstance(record, BulkAction):
        queue = record.selection.get("queue", "") if isinstance(record.selection, dict) else ""
        return {"jobs": record.expected, "queue": queue}
    if isinstance(record, Queue):
        return {"queue": str(record.pk)}
    return {"queue": vars(record).get("queue", "")} if isinstance(record, Job) else {}
