"""What one operator does to one object, as it is written down, and what its message says."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jobqueue.models import AuditEntry, Job
from jobqueue.models.audit import LONGEST_REASON, MOST_JOBS_NAMED

# As in `django.contrib.admin.models`, which can be imported only where the admin is installed.
ADDITION, CHANGE, DELETION = 1, 2, 3
REASON = "Reason: "
_VERB = re.compile(r"([A-Z][\w ]{0,40}):")
# What a form says of the fields that it changed, and what that is called.
_FIELDS = {"Rate limit": "Limits", "Concurrency limit": "Limits", "Late after": "Limits"}
_FLAGS = {ADDITION: "Add", CHANGE: "Change", DELETION: "Delete"}
LONGEST_NAME = 200
_MOST_NAMED = 20
"""Objects of one action that its entry names; the keys of more are kept, as those of jobs are."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What one operator does to one object, not written yet."""

    operator: Any
    """The key of the user."""
    who: str
    object_type: str
    """The label of the object's model."""
    object_id: str
    object_name: str
    message: str
    flag: int = CHANGE
    queue: str = ""
    jobs: int = 0


def verb_of(message: str, flag: int = CHANGE) -> str:
    """What was done, in a word: what stands before the colon, or what Django calls it."""
    found = _VERB.match(message)
    word = found[1] if found else _FLAGS.get(flag, "Change")
    return _FIELDS.get(word, word)


def counted(number: int, thing: str, things: str) -> str:
    """`1 job`, `2 jobs`: as it is written down, in English."""
    return f"{number} {thing if number == 1 else things}"


def by_days(days: int) -> str:
    """`2 days`, or `1 day back`: by how far jobs are moved, as it is written down."""
    back = " back" if days < 0 else ""
    return f"{counted(abs(days), 'day', 'days')}{back}"


def said_by(message: str) -> tuple[str, str]:
    """What was done, and the reason; empty if none was given."""
    what, _word, reason = message.partition(REASON)
    return what.strip(), reason.strip()


def because(what: str, reason: str) -> str:
    """A message that says both, as `said_by` reads it."""
    reason = reason.strip()
    return f"{what}. {REASON}{reason}" if reason else what


def is_about_jobs(object_type: str) -> bool:
    """Whether the objects are single jobs."""
    return object_type == Job._meta.label_lower


def audited(entries: Sequence[Entry], log_entry: int | None) -> AuditEntry:
    """One row for what one operator did by one verb."""
    first = entries[0]
    said = [said_by(entry.message) for entry in entries]
    texts, reasons = {text for text, _reason in said}, {reason for _text, reason in said}
    text = texts.pop() if len(texts) == 1 else verb_of(first.message, first.flag)
    # Jobs differ by what they were before; the reason was given once for all of them.
    reason = reasons.pop() if len(reasons) == 1 else ""
    is_single = is_about_jobs(first.object_type)
    numbers = [int(entry.object_id or 0) for entry in entries] if is_single else []
    is_one = len(entries) == 1
    keys = [] if is_single or is_one else [entry.object_id[:255] for entry in entries]
    if keys:
        what = text or verb_of(first.message, first.flag)
        text = _naming(what, [entry.object_name for entry in entries])
    queues = {entry.queue for entry in entries}
    return AuditEntry(
        who=first.who[:200],
        verb=verb_of(first.message, first.flag),
        text=text,
        reason=reason[:LONGEST_REASON],
        object_type=first.object_type[:200],
        object_id=first.object_id[:255] if is_one else "",
        object_name=first.object_name[:LONGEST_NAME] if is_one else "",
        queue=queues.pop()[:100] if len(queues) == 1 else "",
        jobs=first.jobs or len(numbers),
        job_ids=(numbers or keys)[:MOST_JOBS_NAMED],
        log_entry=log_entry,
    )


def _naming(text: str, names: Sequence[str]) -> str:
    """What was done to several objects that are no jobs, with what they are called."""
    named = ", ".join(name[:LONGEST_NAME] for name in names[:_MOST_NAMED])
    if len(names) > _MOST_NAMED:
        named = f"{named} and {len(names) - _MOST_NAMED} more"
    return f"{text} ({named})" if ":" in text else f"{text}: {named}"
