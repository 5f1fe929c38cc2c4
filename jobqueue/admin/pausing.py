"""Pause, its change and resume of a queue by one button each, and a pause in words."""

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
from jobqueue.admin.moments import YEARS, NotOnce, typed_moment
from jobqueue.admin.reasons import kept_reason
from jobqueue.admin.words import time_tag
from jobqueue.exceptions import InvalidPause, UnknownQueue
from jobqueue.models import Queue
from jobqueue.operating.pausing import change_pause_and_log, pause_and_log, resume_and_log
from jobqueue.operating.reading import shown_text
from jobqueue.operating.rights import Right, demand, may, permissions_of
from jobqueue.operating.words import absolute, printable
from jobqueue.sql.clock import database_now

TO_OVERVIEW = "overview"
SEEN = "_jobqueue_overview"
"""Where a request keeps what its page has read of the queues already."""
CHANGING = "change"
"""What a row's button sends to have the form filled with the pause that there is."""
_CHANGED = "changed"
"""What that form sends: a page on which the queue still ran must not overwrite what a colleague decided."""
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
    """Pause the queue of the form, or change its pause if that is what the form is for.

    Whoever pauses as the second is told that it is so already, and who changes what it was before. What
    cannot be is answered with the form as it was filled in, and who asks to change with the filled one.
    """
    name = _asked(request, Right.PAUSE_QUEUE)
    if name is None:
        return HttpResponseNotAllowed(["POST"])
    now = _paused_now(name)
    if now is not None and CHANGING in request.POST:
        return _ask(
            request, pages, name, {"reason": shown_text(now.pause_reason, request), "until": _local(now)}
        )
    try:
        until, reason = _asked_for(request, now)
        if pause_and_log(request, name, reason, until):
            messages.success(request, _("%(queue)s is paused.") % {"queue": name})
        elif _CHANGED in request.POST:
            _change(request, name, reason, until)
        else:
            messages.warning(request, _("%(queue)s is paused already.") % {"queue": name})
    except UnknownQueue as error:
        _refuse(request, error)
    except InvalidPause as error:
        _refuse(request, error)
        return _ask_again(request, pages, name)
    return _back(request)


def _change(request: HttpRequest, name: str, reason: str, until: datetime | None) -> None:
    """Change the pause, and say what it was before: somebody else may have begun it meanwhile."""
    before = change_pause_and_log(request, name, reason=reason, until=until)
    if before is None:
        messages.warning(request, _("%(queue)s is paused already.") % {"queue": name})
        return
    end = absolute(before.paused_until) if before.paused_until else str(OFFERED[0][1])
    words = {
        "queue": name,
        "end": end,
        "who": printable(before.paused_by),
        "reason": shown_text(before.pause_reason, request),
    }
    text = (
        _("The pause of %(queue)s is changed. Before, by %(who)s: %(end)s, “%(reason)s”.")
        if before.pause_reason
        else _("The pause of %(queue)s is changed. Before, by %(who)s: %(end)s.")
    )
    messages.success(request, text % words)


def _paused_now(name: str) -> Queue | None:
    """The row of the queue if it is paused."""
    queue = Queue.objects.filter(pk=name).first() if "\x00" not in name else None
    return queue if queue is not None and queue.is_paused_at(database_now(Queue.objects.db)) else None


def _local(queue: Queue) -> str:
    """The end of its pause as the form has it; empty if it has none."""
    return f"{timezone.localtime(queue.paused_until):%Y-%m-%dT%H:%M}" if queue.paused_until else ""


def _asked_for(request: HttpRequest, now: Queue | None) -> tuple[datetime | None, str]:
    """The end and the reason that the form asks for.

    What the filled form showed and was left stays as it is: a reason with addresses that are masked for this
    user, an end to the second. And a length that is chosen counts more than the end that stood there before.
    """
    length, typed = request.POST.get("for", ""), request.POST.get("until", "")
    reason = request.POST.get("reason", "").strip()
    if now is None:
        return _until(length, typed), reason
    if reason == shown_text(now.pause_reason, request):
        reason = now.pause_reason
    if typed and typed == _local(now):
        return (_until(length, "") if length else now.paused_until), reason
    return _until(length, typed), reason


def _refuse(request: HttpRequest, error: Exception) -> None:
    messages.error(request, _("Nothing was paused: %(error)s.") % {"error": refused_text(error, request)})


def _ask_again(request: HttpRequest, pages: ModelAdmin[Any], name: str) -> HttpResponse:
    """The form on a page of its own, with what was typed."""
    typed = {field: request.POST.get(field, "")[:_LONGEST_TYPED] for field in ("reason", "until")}
    return _ask(request, pages, name, typed)


def _ask(request: HttpRequest, pages: ModelAdmin[Any], name: str, filled: dict[str, str]) -> HttpResponse:
    """The form on a page of its own, filled."""
    is_change = not {CHANGING, _CHANGED}.isdisjoint(request.POST)
    title = _("Change the pause of %(name)s") if is_change else _("Pause %(name)s")
    context = {
        **pages.admin_site.each_context(request),
        **filled,
        "back": request.POST.get("back", "")[:_LONGEST_TYPED],
        "title": title % {"name": printable(name)},
        "opts": pages.opts,
        "media": pages.media,
        "queue": name,
        "name": printable(name),
        "is_change": is_change,
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
    except NotOnce as error:
        text = f"{error} {_('Choose a time outside that hour.')}"
        raise InvalidPause(text.removesuffix(".")) from error  # who shows it makes a sentence of it
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
