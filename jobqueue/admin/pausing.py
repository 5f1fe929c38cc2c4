"""Pause and resume of a queue by one button, and a pause in words."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any

from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from jobqueue.admin.asked import refused_text
from jobqueue.admin.moments import YEARS, ComesTwice, typed_moment
from jobqueue.admin.reasons import kept_reason
from jobqueue.admin.words import time_tag
from jobqueue.exceptions import InvalidPause, UnknownQueue
from jobqueue.models import Queue
from jobqueue.operating.pausing import pause_and_log, resume_and_log
from jobqueue.operating.reading import shown_text
from jobqueue.operating.rights import Right, demand, may, permissions_of
from jobqueue.operating.words import printable
from jobqueue.sql.clock import database_now

TO_OVERVIEW = "overview"
SEEN = "_jobqueue_overview"
"""Where a request keeps what its page has read of the queues already."""
_LONGEST_TYPED = 2_000
"""Characters that are shown again of what was typed into a form."""
_TOMORROW, _AT = "tomorrow", time(8)
OFFERED = (
    ("", gettext_lazy("until somebody resumes it")),
    ("15", gettext_lazy("for 15 minutes")),
    ("60", gettext_lazy("for 1 hour")),
    ("240", gettext_lazy("for 4 hours")),
    (_TOMORROW, gettext_lazy("until tomorrow, 08:00")),
)
_MINUTES = {text: timedelta(minutes=int(text)) for text, _label in OFFERED if text.isdecimal()}


@dataclass(frozen=True, slots=True)
class ShownPause:
    """A pause in words."""

    queue: str
    by: str
    reason: str
    since: SafeString | str
    until: SafeString | str
    holds: int | None = None
    """How many jobs wait; None if it is not known."""


def shown(queue: Queue, now: datetime, request: HttpRequest, holds: int | None = None) -> ShownPause | None:
    """The pause of a queue, as this user may read its reason; None if it is not paused."""
    if not queue.is_paused_at(now):
        return None
    return ShownPause(
        printable(queue.name),
        printable(queue.paused_by),
        shown_text(queue.pause_reason, request),
        time_tag(queue.paused_at, now) if queue.paused_at else "",
        time_tag(queue.paused_until, now) if queue.paused_until else "",
        holds,
    )


def allowed_buttons(request: HttpRequest) -> set[str]:
    """Which of the two buttons are for this user."""
    rights = {"pause": Right.PAUSE_QUEUE, "resume": Right.RESUME_QUEUE}
    return {name for name, right in rights.items() if may(request, right)}


def button(queue: Queue, number: str, now: datetime, allowed: set[str], request: HttpRequest) -> SafeString:
    """The button on the row of a queue; it sends the form with this number, which stands elsewhere."""
    values = {
        "switches": allowed,
        "form_id": f"jq-switch-{number}",
        "pause": shown(queue, now, request),
        "name": printable(queue.name),
        "number": number,
        "pauses": OFFERED,
    }
    return render_to_string("admin/jobqueue/switch.html", values)


# The buttons ------------------------------------------------------------------------------------------


def pause_view(request: HttpRequest, pages: ModelAdmin[Any]) -> HttpResponse:
    """Pause the queue of the form; whoever comes second is told that it is so already.

    What cannot be is answered with the form as it was filled in.
    """
    name = _asked(request, Right.PAUSE_QUEUE)
    if name is None:
        return HttpResponseNotAllowed(["POST"])
    try:
        until = _until(request.POST.get("for", ""), request.POST.get("until", ""))
        reason = request.POST.get("reason", "").strip()
        changed = pause_and_log(request, name, reason, until)
    except UnknownQueue as error:
        _refuse(request, error)
    except InvalidPause as error:
        _refuse(request, error)
        return _ask_again(request, pages, name)
    else:
        if changed:
            messages.success(request, _("%(queue)s is paused.") % {"queue": name})
        else:
            messages.warning(request, _("%(queue)s is paused already.") % {"queue": name})
    return _back(request)


def _refuse(request: HttpRequest, error: Exception) -> None:
    messages.error(request, _("Nothing was paused: %(error)s.") % {"error": refused_text(error, request)})


def _ask_again(request: HttpRequest, pages: ModelAdmin[Any], name: str) -> HttpResponse:
    """The form on a page of its own, with what was typed."""
    typed = {field: request.POST.get(field, "")[:_LONGEST_TYPED] for field in ("reason", "until", "back")}
    context = {
        **pages.admin_site.each_context(request),
        **typed,
        "title": _("Pause %(name)s") % {"name": printable(name)},
        "opts": pages.opts,
        "media": pages.media,
        "queue": name,
        "name": printable(name),
        "length": request.POST.get("for", ""),
        "pauses": OFFERED,
        "back_url": _back_url(request),
    }
    return TemplateResponse(request, "admin/jobqueue/pause_queue.html", context)


def resume_view(request: HttpRequest) -> HttpResponse:
    """Resume the queue of the form."""
    name = _asked(request, Right.RESUME_QUEUE)
    if name is None:
        return HttpResponseNotAllowed(["POST"])
    reason = kept_reason(request)
    if reason is None:
        return _back(request)
    if resume_and_log(request, name, reason):
        messages.success(request, _("%(queue)s is resumed.") % {"queue": name})
    else:
        messages.warning(request, _("%(queue)s is not paused.") % {"queue": name})
    return _back(request)


def _asked(request: HttpRequest, right: Right) -> str | None:
    """The queue that the form names; None if none was sent. Raises PermissionDenied for who may not."""
    demand(request, *permissions_of(right))
    return request.POST.get("queue", "") if request.method == "POST" else None


def _until(length: str, moment: str) -> datetime | None:
    """When the pause is to end, by the choice of a length or by a time that was typed."""
    if moment and length:
        raise InvalidPause(_("a pause has one end: choose how long it lasts, or until when, not both"))
    if moment:
        return _typed(moment)
    if length in _MINUTES:
        return database_now(Queue.objects.db) + _MINUTES[length]
    if length == _TOMORROW:
        day = timezone.localdate() + timedelta(days=1)
        return timezone.make_aware(datetime.combine(day, _AT))
    if length:
        raise InvalidPause(_("a pause lasts for 15, 60 or 240 minutes, until tomorrow, or until a time"))
    return None


def _typed(moment: str) -> datetime:
    try:
        found = typed_moment(moment)
    except ComesTwice as error:
        raise InvalidPause(f"{error} {_('Choose a time outside that hour.')}") from error
    if found is None:
        text = _("the end of a pause must be a time such as 2030-01-31 08:00, before the year %(year)s")
        raise InvalidPause(text % {"year": YEARS.stop})
    return found


def _back(request: HttpRequest) -> HttpResponse:
    return HttpResponseRedirect(_back_url(request))


def _back_url(request: HttpRequest) -> str:
    """The page whose button it was."""
    site: Any = getattr(request, "current_app", None)
    if request.POST.get("back") == TO_OVERVIEW:
        try:
            return reverse("admin:app_list", args=["jobqueue"], current_app=site)
        except NoReverseMatch:
            pass
    return reverse("admin:jobqueue_queue_changelist", current_app=site)
