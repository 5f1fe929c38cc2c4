"""What of the calendar an address asks for: one job, those of a kind, or all of a day."""

from __future__ import annotations

from datetime import date
from typing import Any

from django.http import Http404
from django.utils.translation import gettext as _

from jobqueue.admin.moments import YEARS
from jobqueue.operating.day_jobs import OfADay


def asked_by(day: str, words: Any) -> OfADay:
    """What an address asks for. Raises Http404 if that can be nothing."""
    try:
        chosen = date.fromisoformat(day)
        job = int(words["job"]) if words.get("job") else None
    except ValueError:
        raise Http404(_("A day is written as 2026-01-31, and a job is a number.")) from None
    text = words.get("processor", "") + words.get("kind", "")
    if chosen.year not in YEARS or "\x00" in text or (job is not None and abs(job) >= 2**63):
        raise Http404(_("There is no such day, kind or job."))
    asked = OfADay(chosen, words.get("processor", ""), words.get("kind", ""), job)
    if asked.has_no_such_kind:
        raise Http404(_("There is no such day, kind or job."))
    return asked
