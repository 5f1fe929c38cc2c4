"""The log of Django's admin: what is done stands there too, and what others write there, in the audit.

To be imported only where `django.contrib.admin` is installed.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from django.apps import apps
from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db.models.signals import post_save
from django.dispatch import receiver

from jobqueue.operating.audit_entry import Entry, audited

_OURS = "_jobqueue_audits_it"


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
    if not created or raw or _OURS in vars(instance):
        return
    entry = Entry(
        operator=instance.user_id,
        who=instance.user.get_username(),
        object_type=object_type_of(instance),
        object_id=str(instance.object_id or ""),
        object_name=instance.object_repr,
        message=instance.get_change_message(),
        flag=instance.action_flag,
    )
    audited([entry], instance.pk).save(force_insert=True)
