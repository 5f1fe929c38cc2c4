"""Times, states and texts as the pages show them. Everything that reaches HTML is escaped here."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import datetime, timedelta

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString

from jobqueue.models import Job

NOTHING = "–"
_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"))
_UNIT_FROM = 2
_MOST_SECONDS_WITH_TENTHS = 10

_MADE_UP = re.compile(r"^([0-9a-f]{8})[0-9a-f]{24}(?=\.|$)")


def span(length: timedelta) -> str:
    """A length of time in its largest sensible unit: `4 s`, `90 s`, `12 min`, `3 h`, `5 d`."""
    seconds = abs(length.total_seconds())
    for size, unit in _UNITS:
        if seconds >= _UNIT_FROM * size:
            return f"{seconds // size:.0f} {unit}"
    return f"{seconds:.0f} s"


def exact_span(length: timedelta) -> str:
    """Like `span`, but short ones with a tenth of a second."""
    seconds = abs(length.total_seconds())
    return f"{seconds:.1f} s" if seconds < _MOST_SECONDS_WITH_TENTHS else span(length)


def relative(moment: datetime, now: datetime) -> str:
    """How far a moment is from now: `in 3 h`, `2 min ago`, `now`."""
    distance = moment - now
    if abs(distance) < timedelta(seconds=1):
        return "now"
    return f"in {span(distance)}" if distance > timedelta(0) else f"{span(distance)} ago"


def absolute(moment: datetime) -> str:
    """A moment in the current time zone, to the second."""
    # At the ends of the calendar not every zone has the moment.
    with suppress(OverflowError, ValueError):
        moment = timezone.localtime(moment)
    return date_format(moment, "Y-m-d H:i:s T")


def time_tag(moment: datetime | None, now: datetime) -> SafeString | str:
    """`in 3 h`, with the exact time for whoever points at it."""
    if moment is None:
        return NOTHING
    return format_html(
        '<time class="jq-time" datetime="{}" title="{}">{}</time>',
        moment.isoformat(),
        absolute(moment),
        relative(moment, now),
    )


def moment_tag(moment: datetime, now: datetime) -> SafeString:
    """`2026-11-26 16:00:00 UTC, in 3 h`: both are read, none has to be pointed at."""
    return format_html(
        '<time class="jq-moment" datetime="{}">{}<small>{}</small></time>',
        moment.isoformat(),
        absolute(moment),
        relative(moment, now),
    )


def state_word(job: Job, now: datetime, *, is_stuck: bool = False) -> str:
    """The job's state in the words of the pages: also delayed, held, stuck, skipped, which are no states."""
    if is_stuck:
        return "stuck"
    if job.state == Job.State.WAITING and job.held_run_at is not None:
        return "held"
    if job.state == Job.State.WAITING and job.run_at > now:
        return "delayed"
    return "skipped" if job.is_skipped else job.state


def printable(text: str) -> str:
    """`text` as a page can carry it: a payload may hold half of a character (a lone surrogate)."""
    return text.encode("utf-8", "backslashreplace").decode()


def badge(word: str, label: str = "") -> SafeString:
    """A state as coloured text in a frame; the word says it too."""
    return format_html('<span class="jq-badge jq-{}">{}</span>', word, label or word)


def worker_word(name: str) -> SafeString:
    """A worker's name; of 32 digits that RQ made up the first eight, all of them where it is pointed at."""
    short = _MADE_UP.sub(r"\1", name)
    return format_html('<span title="{}">{}</span>', printable(name), printable(short))
