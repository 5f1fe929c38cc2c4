"""What operators did, read a page at a time: from the audit, and what is older from Django's log."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.contrib.admin.models import LogEntry
from django.contrib.auth import get_user_model
from django.db.models import Q

from jobqueue.conf import get_settings
from jobqueue.models import AuditEntry, Queue
from jobqueue.operating.admins_log import object_type_of
from jobqueue.operating.audit_entry import is_about_jobs, said_by, verb_of
from jobqueue.operating.audit_questions import Question, in_audit
from jobqueue.sql.clock import database_now

PAGE = 50
_BEFORE_THE_AUDIT = "log-"
_LONGEST_NUMBER = 18


@dataclass(frozen=True, slots=True)
class Page:
    """Actions, the latest first; `older` and `newer` are the places where the pages beside this one begin."""

    entries: list[AuditEntry]
    older: str = ""
    newer: str = ""


def read(asked: Question, before: str = "", after: str = "") -> Page:
    """A page of what is asked for: older than the entry `before`, or newer than `after`."""
    if asked.problem:
        return Page([])
    if after:
        return _newer(asked, after)
    if before.startswith(_BEFORE_THE_AUDIT):
        rows, is_more = _cut(_of_the_log(asked, _number(before.removeprefix(_BEFORE_THE_AUDIT)), PAGE + 1))
        return _with_places(rows, is_more=is_more, is_first=False)
    entries = in_audit(asked)
    if before:
        entries = entries.filter(pk__lt=_number(before))
    rows = list(entries.order_by("-pk")[: PAGE + 1])
    if len(rows) <= PAGE:
        rows += _of_the_log(asked, None, PAGE + 1 - len(rows))
    rows, is_more = _cut(rows)
    return _with_places(rows, is_more=is_more, is_first=not before)


def _newer(asked: Question, after: str) -> Page:
    """The page before; from what is older than the audit the way back leads to its beginning."""
    found = list(in_audit(asked).filter(pk__gt=_number(after)).order_by("pk")[: PAGE + 1])
    if len(found) < PAGE:
        return read(asked)
    rows = found[:PAGE][::-1]
    return _with_places(rows, is_more=True, is_first=len(found) <= PAGE)


def _with_places(rows: list[AuditEntry], *, is_more: bool, is_first: bool) -> Page:
    older = _place(rows[-1]) if rows and is_more else ""
    newer = "" if is_first or not rows else _place(rows[0])
    return Page(rows, older, newer)


def _place(entry: AuditEntry) -> str:
    return str(entry.pk) if entry.pk else f"{_BEFORE_THE_AUDIT}{entry.log_entry}"


def _cut(rows: list[AuditEntry]) -> tuple[list[AuditEntry], bool]:
    return rows[:PAGE], len(rows) > PAGE


def _number(text: str) -> int:
    """A place in the audit; the beginning for what is none."""
    is_one = text.isascii() and text.isdecimal() and len(text) <= _LONGEST_NUMBER
    return int(text) if is_one else 0


# What is older than the audit -----------------------------------------------------------------------


def _of_the_log(asked: Question, below: int | None, most: int) -> list[AuditEntry]:
    """What was written down before there was an audit, in its form; the rows are not saved."""
    entries = LogEntry.objects.select_related("user").order_by("-pk")
    first = AuditEntry.objects.exclude(log_entry=None).order_by("pk").values_list("log_entry", flat=True)[:1]
    bounds = [number for number in (below, *first) if number is not None]
    if bounds:
        entries = entries.filter(pk__lt=min(bounds))
    kept_since = database_now(AuditEntry.objects.db) - get_settings().keep_audit
    entries = entries.filter(_meant_in_log(asked.words), action_time__gte=kept_since)
    if asked.begin is not None:
        entries = entries.filter(action_time__gte=asked.begin, action_time__lt=asked.end)
    return [_as_entry(entry) for entry in entries[:most]]


def _meant_in_log(words: Mapping[str, str]) -> Q:
    queue = Queue._meta.label_lower
    condition = Q()
    for name, text in words.items():
        app, _dot, model = (queue if name == "queue" else text).partition(".")
        condition &= {
            "who": Q(**{f"user__{get_user_model().USERNAME_FIELD}": text}),
            "verb": Q(change_message__startswith=f"{text}:"),
            "type": Q(content_type__app_label=app, content_type__model=model),
            "object": Q(object_id=text),
            "queue": Q(content_type__app_label=app, content_type__model=model, object_id=text),
        }[name]
    return condition


def _as_entry(entry: LogEntry) -> AuditEntry:
    user: Any = entry.user
    message = entry.get_change_message()
    what, reason = said_by(message)
    kind = object_type_of(entry)
    is_job = is_about_jobs(kind)
    return AuditEntry(
        at=entry.action_time,
        who=user.get_username(),
        verb=verb_of(message, entry.action_flag),
        text=what,
        reason=reason,
        object_type=kind,
        object_id=entry.object_id or "",
        object_name=entry.object_repr,
        jobs=1 if is_job else 0,
        log_entry=entry.pk,
    )
