"""What happened meanwhile, as marks on charts: what operators did to queues, bulk actions, versions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.utils.translation import gettext

from jobqueue.charting.folding import home
from jobqueue.models import BulkAction, ProcessorLimits, Queue, VersionStart
from jobqueue.operating.retelling import retold_message
from jobqueue.operating.words import grouped
from jobqueue.registry import all_processors

_MOST = 50
_LONGEST = 160


@dataclass(frozen=True, slots=True)
class Happened:
    """One of these: when, of which kind, in words."""

    at: datetime
    kind: str
    text: str


def happened(begin: datetime, queue: str) -> list[Happened]:
    """What happened since then, the oldest first; of queues to that one, or to any."""
    found = [
        *_to_queues(begin, queue),
        *_to_processors(begin, queue),
        *_bulk_actions(begin, queue),
        *_versions(begin),
    ]
    return sorted(found, key=lambda one: one.at)


def _to_queues(begin: datetime, queue: str) -> list[Happened]:
    entries = LogEntry.objects.filter(
        content_type=ContentType.objects.get_for_model(Queue), action_time__gte=begin
    )
    if queue:
        entries = entries.filter(object_id=queue)
    rows = entries.order_by("-action_time").values_list("action_time", "object_id", "change_message")[:_MOST]
    return [
        Happened(
            at, "limit" if _is_limit(message) else "pause", f"{name}: {retold_message(message)}"[:_LONGEST]
        )
        for at, name, message in rows
    ]


def _to_processors(begin: datetime, queue: str) -> list[Happened]:
    """Changes of limits; for one queue those of the processors whose jobs go there."""
    entries = LogEntry.objects.filter(
        content_type=ContentType.objects.get_for_model(ProcessorLimits), action_time__gte=begin
    )
    if queue:
        names = [each.name for each in all_processors() if each.queue == queue]
        entries = entries.filter(object_id__in=names)
    rows = entries.order_by("-action_time").values_list("action_time", "object_id", "change_message")[:_MOST]
    return [
        Happened(at, "limit", f"{name}: {retold_message(message)}"[:_LONGEST]) for at, name, message in rows
    ]


def _is_limit(message: str) -> bool:
    return "limit" in message.lower()


def _bulk_actions(begin: datetime, queue: str) -> list[Happened]:
    actions = BulkAction.objects.filter(asked_at__gte=begin).order_by("-pk")[:_MOST]
    return [
        Happened(action.asked_at, "bulk", _words_of(action))
        for action in actions
        if not queue or _queue_of(action) in ("", queue)
    ]


def _queue_of(action: BulkAction) -> str:
    selection: Any = action.selection
    return str(selection.get("queue", "")) if isinstance(selection, dict) else ""


def _words_of(action: BulkAction) -> str:
    text = gettext("bulk action %(number)s: %(verb)s, %(jobs)s jobs, by %(who)s")
    return text % {
        "number": action.pk,
        "verb": action.get_verb_display(),
        "jobs": grouped(action.expected),
        "who": action.asked_by,
    }


def _versions(begin: datetime) -> list[Happened]:
    starts = VersionStart.objects.using(home()).filter(began_at__gte=begin)[:_MOST]
    return [
        Happened(start.began_at, "version", gettext("version %(version)s") % {"version": start.version})
        for start in starts
    ]
