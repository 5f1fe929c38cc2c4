"""Moving, cancelling, holding and releasing what is on the calendar, with its consequences told before.

One job is changed at once. A kind and a day are changed in the background, as a bulk action: it says on its
page how far it is and which jobs were left out, and it can be stopped there.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.db.models import Count
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from jobqueue.admin.asked import refusal_of, refused_text
from jobqueue.admin.bulk_rate import rate_field, rate_of, trouble_with_rate
from jobqueue.admin.calendar_shown import confirmed_by, facts_of, trouble_with_number, why_nothing_is_meant
from jobqueue.admin.moments import YEARS, NotOnce, as_field, parse_moment, typed_moment
from jobqueue.admin.reasons import trouble_with
from jobqueue.admin.words import time_tag
from jobqueue.exceptions import JobTransitionRefused, NothingLeft, PastRunAt
from jobqueue.models import Job, JobQuerySet
from jobqueue.models.audit import LONGEST_REASON
from jobqueue.models.holding import due_time
from jobqueue.operating.bulk_plans import TYPED_ABOVE
from jobqueue.operating.concerned import concerned
from jobqueue.operating.consequences import count_emails
from jobqueue.operating.day_jobs import FURTHEST, RIGHTS, OfADay, begin_and_log
from jobqueue.operating.holds import cancel_and_log, hold_and_log, release_and_log
from jobqueue.operating.kinds import bounds_of_moves
from jobqueue.operating.moves import shift_and_log
from jobqueue.operating.rights import demand, permissions_of
from jobqueue.operating.words import grouped, typed_number
from jobqueue.operating.workers import is_a_worker_alive
from jobqueue.sql.clock import about_now

_ONE: dict[str, Callable[..., None]] = {
    "cancel": cancel_and_log,
    "hold": hold_and_log,
    "release": release_and_log,
}
_SHIFT = re.compile(r"-?[1-9][0-9]{0,2}", re.ASCII)


def page(pages: ModelAdmin[Any], request: HttpRequest, title: str, **more: Any) -> dict[str, Any]:
    """What every page of the calendar is drawn with."""
    return {
        **pages.admin_site.each_context(request),
        "title": title,
        "opts": pages.opts,
        "media": pages.media,
        "zone": timezone.get_current_timezone_name(),
        **more,
    }


def change(pages: ModelAdmin[Any], request: HttpRequest, asked: OfADay, verb: str) -> HttpResponse:
    """Ask whether these are to be changed, or change them."""
    if verb not in RIGHTS:
        text = _("What is on the calendar can be moved, cancelled, held or released, not %(verb)s.")
        raise Http404(text % {"verb": verb[:20]})
    demand(request, *permissions_of(RIGHTS[verb]))
    if verb in ("move", "cancel") and asked.job is not None and asked.held().exists():
        jobs = asked.held()
    else:
        jobs = asked.meant_by(verb)
    newest = request.POST.get("newest", "")
    if newest.isascii() and newest.isdecimal() and len(newest) < 19:
        jobs = jobs.filter(pk__lte=int(newest))  # nobody was asked about what came after
    facts = facts_of(jobs)
    if not facts["number"]:
        return _nothing_is_meant(pages, request, asked)
    problems: list[str] = []
    not_ahead = ""
    if request.method == "POST":
        moment, problems = _answer(request, asked, verb, facts)
        if not problems:
            try:
                return _carry_out(pages, request, asked, verb, facts, moment)
            except NothingLeft:
                return _nothing_is_meant(pages, request, asked)
            except PastRunAt as error:
                not_ahead = refusal_of(error, request)
            except JobTransitionRefused as error:
                problems = [_left_alone(asked, error, request)]  # another time may do: what was entered stays
    return _ask(pages, request, asked, verb, jobs, facts, problems, not_ahead)


def _nothing_is_meant(pages: ModelAdmin[Any], request: HttpRequest, asked: OfADay) -> HttpResponse:
    pages.message_user(request, why_nothing_is_meant(asked, pages.admin_site), messages.WARNING)
    return HttpResponseRedirect(_url_of_day(pages, asked))


# Asking ---------------------------------------------------------------------------------------------


def _ask(
    pages: ModelAdmin[Any],
    request: HttpRequest,
    asked: OfADay,
    verb: str,
    jobs: JobQuerySet,
    facts: dict[str, Any],
    problems: list[str],
    not_ahead: str,
) -> HttpResponse:
    first = jobs.first()
    first_at = due_time(first) if first is not None else timezone.now()
    label = {"move": _("Move"), "cancel": _("Cancel"), "hold": _("Hold"), "release": _("Release")}[verb]
    context = page(
        pages, request, _("%(verb)s: are you sure?") % {"verb": label}, asked=asked, verb=verb, label=label
    )
    context |= _consequences(jobs, request)
    context |= {
        "number": facts["number"],
        "newest": facts["newest"],
        "shown": facts["shown"],
        "is_large": asked.job is None and facts["number"] > TYPED_ABOVE,
        "typed": request.POST.get("typed", "")[:20],
        "first": time_tag(first_at, about_now()),
        "is_held": asked.job is not None and first is not None and first.held_run_at is not None,
        "seen": first_at.isoformat(),
        "problems": problems,
        "not_ahead": not_ahead,
        "reason": request.POST.get("reason", "")[:LONGEST_REASON],
        **rate_field(request),
        "nobody_walks": asked.job is None and not is_a_worker_alive(Job.objects.db),
        "to": request.POST.get("to", as_field(first_at))[:30],
        "days": request.POST.get("days", "7")[:5],
        "back_url": _url_of_day(pages, asked),
    }
    return TemplateResponse(request, "admin/jobqueue/calendar_change.html", context)


def _consequences(jobs: JobQuerySet, request: HttpRequest) -> dict[str, Any]:
    """What it means: how many e-mails to how many people, and to which times these jobs may move."""
    rows = jobs.order_by()
    by_processor = dict(rows.values_list("processor").annotate(number=Count("pk")))
    emails = count_emails(Counter(by_processor))
    text = ngettext("up to %(n)s e-mail", "up to %(n)s e-mails", emails) % {"n": grouped(emails)}
    return {
        "emails": text if emails else "",
        "concerned": concerned(rows, request, sum(by_processor.values())),
        "bounds": bounds_of_moves(sorted(by_processor)),
    }


def _answer(
    request: HttpRequest, asked: OfADay, verb: str, facts: dict[str, Any]
) -> tuple[datetime | None, list[str]]:
    """To when one job is to move, and what is wrong with the answer."""
    number, problems = facts["number"], []
    if asked.job is None and (trouble := trouble_with_number(request, facts)):
        problems.append(trouble)
    reason = request.POST.get("reason", "").strip()
    if trouble := trouble_with(reason, LONGEST_REASON):
        problems.append(trouble)
    typed = typed_number(request.POST.get("typed", ""))
    if asked.job is None and number > TYPED_ABOVE and typed != str(number):
        problems.append(_("Type the number of jobs, %(number)s, to begin.") % {"number": grouped(number)})
    if asked.job is None and (trouble := trouble_with_rate(request)):
        problems.append(trouble)
    if verb != "move":
        return None, problems
    if asked.job is not None:
        return _moment_of(request, problems), problems
    days = request.POST.get("days", "").strip()
    if not _SHIFT.fullmatch(days) or abs(int(days)) > FURTHEST:
        problems.append(_("Days: a whole number from -366 to 366, but not 0."))
    return None, problems


def _moment_of(request: HttpRequest, problems: list[str]) -> datetime | None:
    """The time that one job is to have, unless what is wrong with it was added to the problems."""
    words = request.POST
    try:
        moment = typed_moment(words.get("to", ""), shown=parse_moment(words.get("seen", "")))
    except NotOnce as error:
        problems.append(f"{error} {_('Choose a time outside that hour.')}")
        return None
    if moment is None:
        text = _("To: a date and a time, such as 2026-01-31T09:00, before the year %(year)s.")
        problems.append(text % {"year": YEARS.stop})
    return moment


def _carry_out(
    pages: ModelAdmin[Any],
    request: HttpRequest,
    asked: OfADay,
    verb: str,
    facts: dict[str, Any],
    moment: datetime | None,
) -> HttpResponse:
    """Change what is meant. Raises NothingLeft; PastRunAt; JobTransitionRefused where a move is refused."""
    if asked.job is None:
        return _begin(pages, request, asked, verb, facts)
    _change_one(pages, request, asked, verb, moment)
    return HttpResponseRedirect(_url_of_day(pages, asked))


# Doing: one job -------------------------------------------------------------------------------------


def _change_one(
    pages: ModelAdmin[Any], request: HttpRequest, asked: OfADay, verb: str, moment: datetime | None
) -> None:
    """Change the job, or leave it alone, and say so. Raises JobTransitionRefused where a move is refused."""
    job = Job.objects.filter(pk=asked.job or 0).first()
    if job is None:
        raise Http404
    try:
        _do(job, verb, moment, request)
    except JobTransitionRefused as error:
        if verb == "move":
            raise
        pages.message_user(request, _left_alone(asked, error, request), messages.WARNING)
        return
    done = {
        "move": _("1 job moved."),
        "cancel": _("1 job cancelled."),
        "hold": _("1 job is held: it does not go out until somebody releases it."),
        "release": _("1 job released."),
    }
    pages.message_user(request, done[verb], messages.SUCCESS)


def _left_alone(asked: OfADay, error: Exception, request: HttpRequest) -> str:
    why = f"#{asked.job}: {refused_text(error, request)}"
    return _("The job was left alone: %(why)s.") % {"why": why}


def _do(job: Job, verb: str, moment: datetime | None, request: HttpRequest) -> None:
    """Change the job and write it down. Raises JobTransitionRefused, and PastRunAt."""
    reason = request.POST["reason"].strip()
    if moment is not None:
        seen = parse_moment(request.POST.get("seen", ""))
        shift_and_log(job, request, moment, seen=seen, reason=reason)
    else:
        _ONE[verb](job, request, reason=reason)


# Doing: a kind or a day, in the background ----------------------------------------------------------


def _begin(
    pages: ModelAdmin[Any], request: HttpRequest, asked: OfADay, verb: str, facts: dict[str, Any]
) -> HttpResponse:
    """Write the bulk action down, with one entry in the audit, or lead to the same that is under way."""
    action, is_new = begin_and_log(
        request,
        asked,
        verb,
        number=facts["number"],
        newest=facts["newest"],
        confirmed=confirmed_by(request),
        reason=request.POST["reason"].strip(),
        per_second=rate_of(request),
        days=int(request.POST["days"]) if verb == "move" else 0,
    )
    if not is_new:
        text = _("The same is under way already: %(who)s began it.") % {"who": action.asked_by}
        pages.message_user(request, text, messages.WARNING)
    name = f"{pages.admin_site.name}:jobqueue_bulkaction_change"
    return HttpResponseRedirect(reverse(name, args=[action.pk]))


def _url_of_day(pages: ModelAdmin[Any], asked: OfADay) -> str:
    words = {name: text for name, text in asked.words.items() if name != "job"}
    name = f"{pages.admin_site.name}:jobqueue_job_calendar_day"
    return reverse(name, args=[asked.day.isoformat()], query=words)
