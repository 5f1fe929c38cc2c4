"""The letters of one person on one page: what was sent, failed and skipped, why, and what will come."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.translation import gettext as _

from jobqueue.admin import FramedNotFound, address_of, badge, live_answer, mask_addresses, time_tag
from jobqueue.models import Job, subject_of
from jobqueue.operating import (
    demand,
    grouped,
    may_read,
    shown_address,
    state_word,
    told_reason,
    would_be_skipped,
)
from jobqueue.searching import read_together
from settlements import foreseen
from settlements.admin import person_asking, person_jobs
from settlements.admin.base import link_to
from settlements.admin.delivery_pages import PERSON, name_of
from settlements.admin.letter_times import error_of, time_of, with_ends
from settlements.admin.notices import barred_text
from settlements.admin.person_jobs import VIEW_JOB, jobs_of, moment_of
from settlements.admin.ways_to_people import demand_to_see
from settlements.asking import why_no_reminders_to
from settlements.letter_words import letter_word
from settlements.models import BarredAddress, EmailDelivery, ReminderType, Settlement
from settlements.operating import people
from settlements.operating.owing import Owing
from settlements.operating.people import barred_of
from settlements.operating.rights import may
from settlements.rows import email_of, letters_to
from settlements.searching import LETTERS
from settlements.truth import barred_because

BARRED = "barred_address"
"""Where a person that a page was asked for has why nothing is sent to the address, or None."""
MOST = people.MOST_SETTLEMENTS
MOST_NAMED = 5
MOST_AT_A_GLANCE = 3
_NEWEST = 20
"""Of so many letters at a glance the last are shown: one that was tried for long came after newer ones."""


def urls_of(pages: FramedNotFound) -> list[URLPattern]:
    """The address of a person's letters, below the page of the user."""

    def letters(request: HttpRequest, object_id: str) -> HttpResponse:
        person = pages.get_object(request, unquote(object_id))
        demand_to_see(person, request, pages)
        if person is None:
            pages.raise_not_found(unquote(object_id))
        return _change(request, pages, person) if request.method == "POST" else _show(request, pages, person)

    view = pages.admin_site.admin_view(letters)
    return [path("<path:object_id>/letters/", view, name=LETTERS.name)]


# Looking ------------------------------------------------------------------------------------------


def at_a_glance(person: Any, request: HttpRequest, barred: BarredAddress | None) -> dict[str, Any]:
    """For the page of the user: what keeps letters back, which come next, which were last, what can be done.

    Seven questions at most, however many letters there are.
    """
    newest, owing = people.settlements_of(person)
    settlements = people.looked_at(newest, owing)
    names, jobs = _names(settlements, request), jobs_of(person, settlements, owing.settlements, request)
    sent, unsent = read_together([_letters_sent(person)[:_NEWEST], _letters_not_sent(person)[:_NEWEST]])
    last = sorted(sent, key=time_of, reverse=True)[:MOST_AT_A_GLANCE]
    return {
        "troubles": people.troubles(person, owing, request),
        "address": _address(person, request),
        "barred": barred_text(barred, request) if barred else "",
        "missing": "" if request.user.has_perm(VIEW_JOB) else VIEW_JOB,
        "coming": _rows_of(jobs.coming[:MOST_AT_A_GLANCE], names, settlements, person, barred),
        "sent": [_letter_row(one, names) for one in last],
        "unsent": _unsent(unsent, jobs, names)[:MOST_AT_A_GLANCE],
        "may_remind": person_asking.may_remind(_why_no_reminders(owing, jobs, barred), request),
        **_may_change(person, barred, request),
    }


def _show(request: HttpRequest, pages: ModelAdmin[Any], person: Any) -> HttpResponse:
    newest, owing = people.settlements_of(person)
    settlements = people.looked_at(newest, owing)
    names, jobs = _names(settlements, request), jobs_of(person, settlements, owing.settlements, request)
    barred = vars(person)[BARRED]
    context = {
        **pages.admin_site.each_context(request),
        "title": _("Letters of %(name)s") % {"name": name_of(person)},
        "opts": pages.opts,
        "person": person,
        "has_own_page": pages.has_view_permission(request, person),
        "troubles": people.troubles(person, owing, request),
        "left_out": _left_out(len(newest) > MOST or owing.are_more, jobs.are_more),
        "all_url": _all_jobs(pages, person, request),
        "missing": "" if request.user.has_perm(VIEW_JOB) else VIEW_JOB,
        "sharing": _sharing_in_words(people.sharing(person, MOST_NAMED)),
        "address": _address(person, request),
        "barred": barred_text(barred, request) if barred else "",
        "to_end": people.to_end(barred),
        "longest_reason": people.longest_reason(request, people.PAUSE if barred is None else ""),
        "coming": _rows_of(jobs.coming, names, settlements, person, barred),
        "owed": person_asking.owed_by(owing.settlements, _why_no_reminders(owing, jobs, barred), request),
        **_may_change(person, barred, request),
        **_held(person, jobs, names),
        **_letters(pages, person, names),
    }
    return live_answer(request, TemplateResponse(request, "admin/settlements/person.html", context))


def _may_change(person: Any, barred: BarredAddress | None, request: HttpRequest) -> dict[str, bool]:
    """What this user can do about the letters: hold them back, or let them go out again."""
    return {
        "may_pause": bool(email_of(person)) and barred is None and may(request, "pause", BarredAddress),
        "may_end": barred is not None and may(request, people.to_end(barred), BarredAddress),
    }


def _why_no_reminders(owing: Owing, jobs: person_jobs.Jobs, barred: BarredAddress | None) -> dict[Any, str]:
    return why_no_reminders_to(owing.settlements, jobs.lately, is_barred=barred is not None)


def _address(person: Any, request: HttpRequest) -> str:
    """Where letters go; empty where nothing is sent."""
    return shown_address(email_of(person), request) if getattr(person, "is_active", True) else ""


def _names(settlements: list[Settlement], request: HttpRequest) -> dict[str, Settlement]:
    """The settlements by what their jobs and letters are about, for who may see any."""
    return {subject_of(one): one for one in settlements} if may(request, "view", Settlement) else {}


def _left_out(are_more_settlements: bool, are_more_jobs: bool) -> str:
    """What the page does not show of the person; empty if it shows all."""
    if are_more_settlements:
        text = _(
            "Only jobs about the newest %(n)s settlements of the person, and about the newest %(n)s that the "
            "person owes, were looked at."
        )
        return text % {"n": MOST}
    if are_more_jobs:
        text = _("Only %(n)s jobs about the person's settlements were looked at: the next and the newest.")
        return text % {"n": person_jobs.MOST_JOBS}
    return ""


def _sharing_in_words(sharing: list[Any]) -> str:
    """Who else gets no letters while the address is paused."""
    if not sharing:
        return ""
    names = ", ".join(mask_addresses(one.get_username()) for one in sharing[:MOST_NAMED])
    more = ", …" if len(sharing) > MOST_NAMED else ""
    text = _("It is the address that is paused: these have the same, and get no letters either: %(names)s.")
    return text % {"names": names + more}


def _all_jobs(pages: ModelAdmin[Any], person: Any, request: HttpRequest) -> str:
    """Where all jobs that name the person are found; empty for who may not search payloads."""
    if not may_read(request):
        return ""
    return address_of(Job, "changelist", site=pages.admin_site, q=f"args.user_id:{person.pk}")


def _letters_sent(person: Any) -> QuerySet[EmailDelivery]:
    """The letters that went out to the person, or perhaps did, and did not come back, the newest first."""
    status = EmailDelivery.Status
    rows = with_ends(EmailDelivery.objects.filter(letters_to(person)))
    went_out = Q(status__in=[status.SENT, status.COMPLAINED])
    perhaps = EmailDelivery.perhaps_sent() & ~Q(job__state=Job.State.WAITING)  # that one will come
    return rows.filter(went_out | perhaps).order_by("-id")


def _letters_not_sent(person: Any) -> QuerySet[EmailDelivery]:
    """The letters that did not reach the person, the newest first."""
    status = EmailDelivery.Status
    rows = with_ends(EmailDelivery.objects.filter(letters_to(person)))
    return rows.filter(status__in=[status.FAILED, status.SKIPPED, status.BOUNCED]).order_by("-id")


def _held(person: Any, jobs: person_jobs.Jobs, names: dict[str, Settlement]) -> dict[str, Any]:
    """All that was not sent as rows; where there are more letters of it than are shown, that it is so."""
    letters = list(_letters_not_sent(person)[: MOST + 1])
    text = _("Of the letters among them these are the newest %(n)s.") % {"n": MOST}
    return {
        "held": _unsent(letters[:MOST], jobs, names),
        "held_left_out": text if len(letters) > MOST else "",
    }


def _unsent(
    letters: Iterable[EmailDelivery], jobs: person_jobs.Jobs, names: dict[str, Settlement]
) -> list[dict[str, Any]]:
    """The jobs that led to no letter, and the letters that did not arrive, as rows, the newest first."""
    unsent = [
        *((moment_of(job), _job_row(job, names)) for job in jobs.not_sent),
        *((time_of(one), _letter_row(one, names)) for one in letters),
    ]
    return [row for _moment, row in sorted(unsent, key=lambda one: one[0], reverse=True)]


def _letters(pages: ModelAdmin[Any], person: Any, names: dict[str, Settlement]) -> dict[str, Any]:
    """The newest letters as rows; where there are more, how many there are, and where all are listed."""
    rows = with_ends(EmailDelivery.objects.filter(letters_to(person)))
    found = list(rows.select_related("job").order_by("-id")[: MOST + 1])
    by_time = sorted(found[:MOST], key=time_of, reverse=True)
    shown = {"letters": [_letter_row(one, names) for one in by_time]}
    if len(found) <= MOST:
        return shown
    words = {"n": MOST, "all": grouped(rows.count())}
    site, query = pages.admin_site, {PERSON: str(person.pk)}
    return shown | {
        "letters_left_out": _("These are the newest %(n)s of %(all)s letters.") % words,
        "all_letters_url": address_of(EmailDelivery, "changelist", site=site, **query),
    }


def _rows_of(
    jobs: list[Job],
    names: dict[str, Settlement],
    settlements: list[Settlement],
    person: Any,
    barred: BarredAddress | None,
) -> list[dict[str, Any]]:
    """The jobs as rows; of what would be skipped the row says so, and why."""
    known = {email_of(person).lower(): barred.cause if barred else None}
    skips = foreseen.skips_of(jobs, Job.objects.db, known, settlements, [person])
    if barred is not None:  # then no news leads to a letter either
        waiting = (job for job in jobs if job.state == Job.State.WAITING)
        skips = {job.pk: barred_because(barred.cause) for job in waiting if foreseen.leads_on(job)} | skips
    return [_job_row(job, names, skips.get(job.pk, "")) for job in jobs]


def _job_row(job: Job, names: dict[str, Settlement], skip: str = "") -> dict[str, Any]:
    said = [told_reason(job), would_be_skipped(skip) if skip else ""]
    return {
        "job": job,
        "url": address_of(Job, "change", job.pk),
        "what": _what(job),
        "settlement": link_to(names.get(job.subject)),
        "time": time_tag(moment_of(job), timezone.now()),
        "state": badge(state_word(job, timezone.now())),
        "reason": mask_addresses("; ".join(filter(None, said))),
    }


def _what(job: Job) -> str:
    """Which letter it is, or leads to: `overdue 2`, as the plan counts its steps, or `payment received`."""
    stage = str(job.payload.get("reminder_type") or "")
    if not stage:
        template = job.payload.get("template_type") or job.payload.get("event")
        return letter_word(str(template)) if template else _("news of the settlement")
    named = dict(ReminderType.choices).get(stage, stage)
    return f"{named} {job.payload.get('step') or ''}".strip()


def _letter_row(letter: EmailDelivery, names: dict[str, Settlement]) -> dict[str, Any]:
    return {
        "letter": letter,
        "url": address_of(EmailDelivery, "change", letter.pk),
        "what": letter_word(letter.template_type),
        "time": time_tag(time_of(letter), timezone.now()),
        "settlement": link_to(names.get(letter.about)),
        "state": badge(letter.status, letter.status_in_words),
        "reason": mask_addresses(error_of(letter)),
    }


# Pausing ------------------------------------------------------------------------------------------


def _change(request: HttpRequest, pages: ModelAdmin[Any], person: Any) -> HttpResponse:
    """Hold letters to the person's address back, let them go out again, or send a reminder."""
    verb, reason = request.POST.get("verb", ""), request.POST.get("reason", "").strip()
    remind_of = request.POST.get("remind")
    if remind_of is None and verb not in (people.PAUSE, people.RESUME, people.CLEAR):
        raise PermissionDenied
    demand(request, *([people.permission_of(verb)] if remind_of is None else person_asking.RIGHTS))
    most = people.longest_reason(request, verb)
    if "\x00" in reason:
        messages.error(request, _("A reason cannot have the character U+0000."))
    elif not reason or len(reason) > most:
        messages.error(request, _("Say why, in at most %(most)s characters.") % {"most": most})
    elif remind_of is not None:
        person_asking.remind(request, person, remind_of, reason)
    elif people.change_letters(request, person, verb, reason):
        messages.success(request, _changed(person, verb))
    else:
        messages.warning(request, _unchanged(person, verb))
    return HttpResponseRedirect(request.path)


def _changed(person: Any, verb: str) -> str:
    """What was done; an address that is free brings no letters to who gets none at all."""
    if verb == people.PAUSE:
        return _("Letters to this address are paused.")
    if not getattr(person, "is_active", True):
        return _("The address is free again; to this person nothing is sent, for the person is inactive.")
    return _("Letters go out again.")


def _unchanged(person: Any, verb: str) -> str:
    """Why nothing was changed: who ends a pause does not clear what somebody has said since."""
    if verb != people.PAUSE and barred_of(person) is not None:
        return _("Nothing was changed: letters are held back for another reason now.")
    return _("Nothing was changed: that was so already.")
