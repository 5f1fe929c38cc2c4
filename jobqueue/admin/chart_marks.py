"""What happened meanwhile, as marks on charts: what operators did to queues, bulk actions, versions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db.models import QuerySet
from django.utils.translation import gettext, ngettext

from jobqueue.admin.words import mask_addresses
from jobqueue.charting.folding import home
from jobqueue.charting.reading import Chosen
from jobqueue.models import BulkAction, ProcessorLimits, Queue, VersionStart
from jobqueue.operating.audit_entry import verb_of
from jobqueue.operating.retelling import retold_message
from jobqueue.operating.words import grouped
from jobqueue.registry import all_processors

MOST = 50
"""So many of each kind are shown, the newest."""
_MOST_ASKED = 500
"""So many bulk actions are looked at, for what is charted: the row's text says that."""
_LONGEST = 160
_KINDS = {"Pause": "pause", "Resume": "pause"}
"""What was done to a queue, by its verb in the audit; all else that can be changed of one are limits."""


@dataclass(frozen=True, slots=True)
class Happened:
    """One of these: when, of which kind, in words."""

    at: datetime
    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Marks:
    """What happened, the oldest first; `is_cut` where there was more of a kind than is shown."""

    shown: list[Happened]
    is_cut: bool = False


def happened(begin: datetime, end: datetime | None, chosen: Chosen) -> Marks:
    """What happened from then to then, or since then, to what is charted."""
    kinds = [
        _to_queues(begin, end, chosen),
        _to_processors(begin, end, chosen),
        _bulk_actions(begin, end, chosen),
        _versions(begin, end),
    ]
    found = sorted((one for kind in kinds for one in kind[:MOST]), key=lambda one: one.at)
    return Marks(found, any(len(kind) > MOST for kind in kinds))


def _within(rows: QuerySet[Any], field: str, begin: datetime, end: datetime | None) -> QuerySet[Any]:
    rows = rows.filter(**{f"{field}__gte": begin})
    return rows if end is None else rows.filter(**{f"{field}__lt": end})


def _entries(model: type[Any], begin: datetime, end: datetime | None) -> QuerySet[LogEntry]:
    of_model = LogEntry.objects.filter(content_type=ContentType.objects.get_for_model(model))
    return _within(of_model, "action_time", begin, end).order_by("-action_time")


def _told(entries: QuerySet[LogEntry]) -> list[tuple[datetime, str, str]]:
    rows = entries.values_list("action_time", "object_id", "change_message")[: MOST + 1]
    return [(at, key or "", mask_addresses(message)) for at, key, message in rows]


def _to_queues(begin: datetime, end: datetime | None, chosen: Chosen) -> list[Happened]:
    entries = _entries(Queue, begin, end)
    if chosen.queue:
        entries = entries.filter(object_id=chosen.queue)
    return [
        Happened(at, _KINDS.get(verb_of(message), "limit"), f"{name}: {retold_message(message)}"[:_LONGEST])
        for at, name, message in _told(entries)
    ]


def _to_processors(begin: datetime, end: datetime | None, chosen: Chosen) -> list[Happened]:
    """Changes of limits; for one queue those of the processors whose jobs go there."""
    entries = _entries(ProcessorLimits, begin, end)
    if chosen.queue:
        names = [each.name for each in all_processors() if each.queue == chosen.queue]
        entries = entries.filter(object_id__in=names)
    if chosen.processor:
        entries = entries.filter(object_id=chosen.processor)
    return [
        Happened(at, "limit", f"{name}: {retold_message(message)}"[:_LONGEST])
        for at, name, message in _told(entries)
    ]


def _bulk_actions(begin: datetime, end: datetime | None, chosen: Chosen) -> list[Happened]:
    actions = _within(BulkAction.objects.order_by("-pk"), "asked_at", begin, end)[:_MOST_ASKED]
    concerning = (action for action in actions if _concerns(action, chosen))
    return [Happened(action.asked_at, "bulk", _words_of(action)) for action in islice(concerning, MOST + 1)]


def _concerns(action: BulkAction, chosen: Chosen) -> bool:
    """Whether it may be about what is charted: also one that names no queue, or no processor."""
    selection: Any = action.selection if isinstance(action.selection, dict) else {}
    named = [str(selection.get(word) or "") for word in ("queue", "processor")]
    return named[0] in ("", chosen.queue or named[0]) and named[1] in ("", chosen.processor or named[1])


def _words_of(action: BulkAction) -> str:
    """How many it changed by now, of how many that were expected, as its page and the audit have it."""
    jobs = ngettext("%(done)s of %(all)s job", "%(done)s of %(all)s jobs", action.expected)
    return gettext("bulk action %(number)s: %(verb)s, %(jobs)s, by %(who)s") % {
        "number": action.pk,
        "verb": action.get_verb_display(),
        "jobs": jobs % {"done": grouped(action.changed), "all": grouped(action.expected)},
        "who": action.asked_by,
    }


def _versions(begin: datetime, end: datetime | None) -> list[Happened]:
    starts = _within(VersionStart.objects.using(home()).order_by("-pk"), "began_at", begin, end)
    return [
        Happened(start.began_at, "version", gettext("version %(version)s") % {"version": start.version})
        for start in starts[: MOST + 1]
    ]
