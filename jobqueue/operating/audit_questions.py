"""Which actions of operators are asked for: by person, verb, day, object and queue."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta

from django.db.models import QuerySet
from django.utils import timezone
from django.utils.dateparse import parse_date
from django.utils.translation import gettext

from jobqueue.models import AuditEntry
from jobqueue.models.audit import about_object
from jobqueue.operating.failing_times import YEARS

ASKED = ("who", "verb", "day", "type", "object", "queue")
_COLUMNS = {"who": "who", "verb": "verb", "type": "object_type", "queue": "queue"}
_LONGEST_WORD = 255


@dataclass(frozen=True, slots=True)
class Question:
    """Which actions are asked for; `problem` says what of it cannot be read."""

    words: Mapping[str, str] = field(default_factory=dict)
    begin: datetime | None = None
    end: datetime | None = None
    problem: str = ""


def question(address: Mapping[str, str]) -> Question:
    """What the words of an address ask for: who, verb, day, type and key of the object, queue."""
    words = {name: address[name][:_LONGEST_WORD] for name in ASKED if address.get(name)}
    if "\x00" in "".join(words.values()):
        return Question(problem=gettext("no filter has the character U+0000"))
    day = words.pop("day", "")
    if not day:
        return Question(words)
    moment = _day(day)
    if moment is None:
        return Question(
            words, problem=gettext("day must be one such as 2026-11-26, not %(day)s") % {"day": day[:40]}
        )
    return Question(words, _start(moment), _start(moment + timedelta(days=1)))


def _day(text: str) -> date | None:
    try:
        day = parse_date(text)
    except ValueError:
        return None
    return day if day is not None and day.year in YEARS else None


def _start(day: date) -> datetime:
    return timezone.make_aware(datetime.combine(day, time()))


def in_audit(asked: Question) -> QuerySet[AuditEntry]:
    """The entries that are meant, without the ids of their jobs; an object may be one of several."""
    words = {_COLUMNS[name]: text for name, text in asked.words.items() if name in _COLUMNS}
    key = asked.words.get("object")
    # The type of an object narrows what is about it: a job's last bulk action is no entry of that type.
    kind = words.pop("object_type", "") if key else ""
    entries: QuerySet[AuditEntry] = AuditEntry.objects.filter(**words)
    if key:
        entries = about_object(entries, key, kind)
    if asked.begin is not None:
        entries = entries.filter(at__gte=asked.begin, at__lt=asked.end)
    return entries.defer("job_ids")
