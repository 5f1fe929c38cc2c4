"""What a question about the calendar showed, held against what is there when it is answered."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from django.contrib.admin import AdminSite
from django.db.models import BigIntegerField, Count, ExpressionWrapper, F, Max, Sum
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from jobqueue.models import Job, JobQuerySet
from jobqueue.models.holding import due_time
from jobqueue.operating.day_jobs import Confirmed, OfADay
from jobqueue.operating.words import absolute, grouped
from jobqueue.sql.clock import about_now

_SHOWN = re.compile(r"([0-9]{1,18})\.(-?[0-9]{1,24})", re.ASCII)
# The ids of a day are added up so: another day of as many jobs has another sum, however large the ids are.
_MODULUS = 1_000_003
# Up to so many are named: a sum does not tell whether fewer are all of those that were shown.
_MOST_NAMED = 500
_MOST_CONFIRMED = 2**31 - 1
_NAMED = re.compile(r"[0-9]{1,18}(,[0-9]{1,18}){0,499}", re.ASCII)


def facts_of(jobs: JobQuerySet) -> dict[str, Any]:
    """How many jobs are meant, and which: one statement, or two where they are many."""
    ids = sorted(jobs.order_by().values_list("pk", flat=True)[: _MOST_NAMED + 1])
    if len(ids) > _MOST_NAMED:
        return _facts_of_many(jobs)
    return {
        "number": len(ids),
        "newest": max(ids, default=None),
        "ids": ids,
        "shown": ",".join(map(str, ids)),
    }


def _facts_of_many(jobs: JobQuerySet) -> dict[str, Any]:
    part = ExpressionWrapper(F("pk") % _MODULUS, BigIntegerField())
    facts = jobs.order_by().aggregate(number=Count("pk"), newest=Max("pk"), parts=Sum(part))
    return facts | {"shown": f"{facts['number']}.{int(facts['parts'] or 0)}"}


def trouble_with_number(request: HttpRequest, facts: dict[str, Any]) -> str:
    """Why what is meant by now is not what was shown; empty if it is that, or less."""
    shown = request.POST.get("shown", "")
    if _NAMED.fullmatch(shown):
        return _trouble_with_ids(set(map(int, shown.split(","))), facts)
    found = _SHOWN.fullmatch(shown)
    number, parts = (int(found[1]), int(found[2])) if found else (0, 0)
    if facts["number"] > number:
        return _more_than(number, facts)
    if facts["number"] == number and int(facts.get("parts") or 0) != parts:
        return _others()
    return ""


def confirmed_by(request: HttpRequest) -> Confirmed:
    """What was shown and is confirmed: the number, and of few the ids, whatever became of them since."""
    shown = request.POST.get("shown", "")
    if _NAMED.fullmatch(shown):
        ids = sorted(set(map(int, shown.split(","))))
        return Confirmed(len(ids), ids)
    found = _SHOWN.fullmatch(shown)
    return Confirmed(min(int(found[1]), _MOST_CONFIRMED) if found else 0)


def _trouble_with_ids(shown: set[int], facts: dict[str, Any]) -> str:
    if facts["number"] > len(shown):
        return _more_than(len(shown), facts)
    return "" if shown.issuperset(facts["ids"]) else _others()


def _more_than(number: int, facts: dict[str, Any]) -> str:
    text = ngettext(
        "Nothing was changed: %(number)s job is meant by now, and %(shown)s were shown. Confirm it anew.",
        "Nothing was changed: %(number)s jobs are meant by now, and %(shown)s were shown. Confirm them anew.",
        facts["number"],
    )
    return text % {"number": grouped(facts["number"]), "shown": grouped(number)}


def _others() -> str:
    return _("Nothing was changed: other jobs are meant by now than were shown. Confirm them anew.")


def why_nothing_is_meant(asked: OfADay, site: AdminSite) -> str:
    """What is said where nothing of what was asked for is on that day; of one job where it went."""
    if asked.job is None:
        return _("Nothing was changed: nothing of it waits for that day any more.")
    job = Job.objects.filter(pk=asked.job).first()
    words = {"job": asked.name}
    if job is None:
        return _("Nothing was changed: %(job)s is not there any more.") % words
    url = reverse(f"{site.name}:jobqueue_job_change", args=[job.pk])
    return format_html('{} <a href="{}">{}</a>', _where(job, words, about_now()), url, asked.name)


def _where(job: Job, words: dict[str, str], now: datetime) -> str:
    words = words | {"moment": absolute(due_time(job)), "state": job.get_state_display()}
    if job.state != Job.State.WAITING:
        return _("Nothing was changed: %(job)s is %(state)s by now.") % words
    if job.held_run_at is not None:
        return _("Nothing was changed: %(job)s is held by now; it was to run %(moment)s.") % words
    if due_time(job) <= now:
        return _("Nothing was changed: %(job)s is due by now.") % words
    return _("Nothing was changed: %(job)s waits, and runs %(moment)s by now.") % words
