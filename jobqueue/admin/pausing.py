"""Pause, its change and resume of a queue by one button each, and a pause in words."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.loader import render_to_string
from django.utils.dateparse import parse_datetime
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from jobqueue.admin.pause_changes import ask_filled, change_pause, paused_now, refuse
from jobqueue.admin.pause_form import CHANGED, OFFERED, ask, back_url, typed, until_of
from jobqueue.admin.reasons import kept_reason
from jobqueue.admin.words import time_tag
from jobqueue.exceptions import InvalidPause, UnknownQueue
from jobqueue.models import Queue
from jobqueue.operating.pausing import pause_and_log, resume_and_log
from jobqueue.operating.reading import shown_text
from jobqueue.operating.rights import Right, demand, may, permissions_of
from jobqueue.operating.words import printable

SEEN = "_jobqueue_overview"
"""Where a request keeps what its page has read of the queues already."""
_NEVER = datetime(1970, 1, 1, tzinfo=UTC)
CHANGING = "change"
"""What a row's button sends to have the form filled with the pause that there is."""


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
    began: str = ""
    """When, as "Resume" sends it along: another pause is not ended by it."""


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
        queue.paused_at.isoformat() if queue.paused_at else "",
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
    """Pause the queue of the form, or change its pause if that is what the form is for.

    Whoever pauses as the second is told that it is so already. What cannot be is answered with the form as
    it was filled in, and who asks to change with the filled one.
    """
    name = _asked(request, Right.PAUSE_QUEUE)
    if name is None:
        return HttpResponseNotAllowed(["POST"])
    try:
        if CHANGING in request.POST:
            return _ask_to_change(request, pages, name)
        if CHANGED in request.POST:
            return change_pause(request, pages, name)
        until = until_of(request.POST.get("for", ""), request.POST.get("until", ""))
        if pause_and_log(request, name, request.POST.get("reason", "").strip(), until):
            messages.success(request, _("%(queue)s is paused.") % {"queue": name})
        else:
            messages.warning(request, _("%(queue)s is paused already.") % {"queue": name})
    except UnknownQueue as error:
        refuse(request, error)
    except InvalidPause as error:
        refuse(request, error)
        return ask(request, pages, name, typed(request))
    return _back(request)


def _ask_to_change(request: HttpRequest, pages: ModelAdmin[Any], name: str) -> HttpResponse:
    """The filled form; a page on which it was still paused begins no other pause."""
    now = paused_now(name)
    if now is not None:
        return ask_filled(request, pages, now)
    messages.warning(request, _("%(queue)s is not paused.") % {"queue": printable(name)})
    return _back(request)


def resume_view(request: HttpRequest) -> HttpResponse:
    """Resume the queue of the form."""
    name = _asked(request, Right.RESUME_QUEUE)
    if name is None:
        return HttpResponseNotAllowed(["POST"])
    reason = kept_reason(request)
    if reason is None:
        return _back(request)
    if resume_and_log(request, name, reason, _seen(request)):
        messages.success(request, _("%(queue)s is resumed.") % {"queue": name})
    elif (other := paused_now(name)) is not None:
        text = _("%(queue)s was paused anew meanwhile, by %(who)s, and stays so: nothing was resumed.")
        messages.warning(request, text % {"queue": name, "who": printable(other.paused_by) or _("a program")})
    else:
        messages.warning(request, _("%(queue)s is not paused.") % {"queue": name})
    return _back(request)


def _seen(request: HttpRequest) -> datetime | None:
    """When the pause began that the page showed, if that is said; none began at what is no time."""
    sent = request.POST.get("seen", "")
    if not sent:
        return None
    with suppress(ValueError, OverflowError):
        moment = parse_datetime(sent)
        if moment is not None and moment.tzinfo is not None:
            return moment.astimezone(UTC)
    return _NEVER


def _asked(request: HttpRequest, right: Right) -> str | None:
    """The queue that the form names; None if none was sent. Raises PermissionDenied for who may not."""
    demand(request, *permissions_of(right))
    return request.POST.get("queue", "") if request.method == "POST" else None


def _back(request: HttpRequest) -> HttpResponse:
    return HttpResponseRedirect(back_url(request))
