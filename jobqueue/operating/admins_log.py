"""The log of Django's admin: what is done stands there too, and what others write there, in the audit.

To be imported only where `django.contrib.admin` is installed.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import wraps
from typing import Any

from django.apps import apps
from django.contrib.admin.models import LogEntry, LogEntryManager
from django.contrib.contenttypes.models import ContentType
from django.db import router
from django.db.models.signals import post_save
from django.dispatch import receiver

from jobqueue.operating.audit_entry import Entry, audited
from jobqueue.operating.language import in_english
from jobqueue.sql.writing import writing

_OURS = "_jobqueue_audits_it"
"""Marks what stands in the audit already, or will."""


def write(entries: Sequence[Entry]) -> int | None:
    """Write these, and return the id of the first; whoever calls it writes the audit."""
    rows = [_row(entry) for entry in entries]
    if len(rows) == 1:  # whoever listens to the log is told
        rows[0].save(force_insert=True)
    else:
        rows = LogEntry.objects.bulk_create(rows)
    first: int | None = rows[0].pk
    return first


def messages_of(numbers: Collection[int], object_id: str) -> dict[int, str]:
    """What the entries of these numbers say; of those that are about another object nothing."""
    entries = LogEntry.objects.filter(pk__in=list(numbers), object_id=object_id)
    return {entry.pk: entry.get_change_message() for entry in entries}


def object_type_of(entry: LogEntry) -> str:
    """The label of the model of what was changed; empty where nobody knows it any more."""
    kind = ContentType.objects.get_for_id(entry.content_type_id) if entry.content_type_id else None
    return f"{kind.app_label}.{kind.model}" if kind else ""


def _row(entry: Entry) -> LogEntry:
    model: Any = apps.get_model(entry.object_type)
    row = LogEntry(
        user_id=entry.operator,
        content_type=ContentType.objects.get_for_model(model, for_concrete_model=False),
        object_id=entry.object_id,
        object_repr=entry.object_name,
        action_flag=entry.flag,
        change_message=entry.message,
    )
    vars(row)[_OURS] = True
    return row


@receiver(post_save, sender=LogEntry, dispatch_uid="jobqueue.operating.admins_log")
def audit(sender: Any, instance: LogEntry, created: bool, raw: bool, **_others: Any) -> None:
    """Whatever writes one entry into the log of Django's admin, its action stands in the audit."""
    if created and not raw and _OURS not in vars(instance):
        _audit([instance])


def listen() -> None:
    """Hear also of what Django writes down for several objects at once: "Delete selected", say.

    It sends no signal for that, and every app's pages write it by this one method.
    """
    plain = LogEntryManager.log_actions
    if hasattr(plain, _OURS):
        return

    @wraps(plain)
    def log_actions(self: Any, *args: Any, **kwargs: Any) -> Any:
        with writing(router.db_for_write(LogEntry)):
            written = plain(self, *args, **kwargs)
            many = written if isinstance(written, list) else []
            _audit([one for one in many if _OURS not in vars(one)])
        return written

    setattr(log_actions, _OURS, True)
    LogEntryManager.log_actions = log_actions  # type: ignore[method-assign]


def _audit(entries: Sequence[LogEntry]) -> None:
    """Write one action of one operator into the audit; objects of several kinds are an action for each."""
    by_kind: dict[str, list[LogEntry]] = {}
    for entry in entries:
        vars(entry)[_OURS] = True
        by_kind.setdefault(object_type_of(entry), []).append(entry)
    for kind, some in by_kind.items():
        who = some[0].user.get_username()
        audited([_as_entry(entry, kind, who) for entry in some], some[0].pk).save(force_insert=True)


def _as_entry(entry: LogEntry, kind: str, who: str) -> Entry:
    with in_english():  # what is kept has many readers
        message = entry.get_change_message()
    return Entry(
        operator=entry.user_id,
        who=who,
        object_type=kind,
        object_id=str(entry.object_id or ""),
        object_name=entry.object_repr,
        message=message,
        flag=entry.action_flag,
    )
