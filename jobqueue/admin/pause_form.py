"""The form that pauses a queue or changes its pause: how it is filled, and the end that it asks for."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import Any

from django.contrib.admin import ModelAdmin
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from jobqueue.admin.moments import YEARS, NotOnce, typed_moment
from jobqueue.exceptions import InvalidPause
from jobqueue.models import Queue
from jobqueue.operating.words import printable
from jobqueue.sql.clock import database_now

TO_OVERVIEW = "overview"
CHANGED = "changed"
"""What the filled form sends: a page on which the queue still ran overwrites no decision of a colleague."""
FIELDS = ("reason", "until", "for")
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


def typed(request: HttpRequest) -> dict[str, str]:
    """What was typed and chosen, to be shown again."""
    return {field: request.POST.get(field, "")[:_LONGEST_TYPED] for field in FIELDS}


def ask(
    request: HttpRequest, pages: ModelAdmin[Any], name: str, filled: dict[str, str], shown: str = ""
) -> HttpResponse:
    """The form on a page of its own, filled; where a pause is to be changed with what is `shown` of it."""
    title = _("Change the pause of %(name)s") if shown else _("Pause %(name)s")
    context = {
        **pages.admin_site.each_context(request),
        "reason": filled.get("reason", ""),
        "until": filled.get("until", ""),
        "length": filled.get("for", ""),
        "shown": shown,
        "back": request.POST.get("back", "")[:_LONGEST_TYPED],
        "title": title % {"name": printable(name)},
        "opts": pages.opts,
        "media": pages.media,
        "queue": name,
        "name": printable(name),
        "pauses": OFFERED,
        "back_url": back_url(request),
    }
    return TemplateResponse(request, "admin/jobqueue/pause_queue.html", context)


def until_of(length: str, moment: str) -> datetime | None:
    """When the pause is to end, by the choice of a length or by a time that was typed."""
    if moment and length:
        raise InvalidPause(_("a pause has one end: choose how long it lasts, or until when, not both"))
    if moment:
        return _typed_end(moment)
    if length in _MINUTES:
        return database_now(Queue.objects.db) + _MINUTES[length]
    if length == _TOMORROW:
        day = timezone.localdate() + timedelta(days=1)
        return timezone.make_aware(datetime.combine(day, _AT))
    if length:
        raise InvalidPause(_("a pause lasts for 15, 60 or 240 minutes, until tomorrow, or until a time"))
    return None


def _typed_end(moment: str) -> datetime:
    try:
        found = typed_moment(moment)
    except NotOnce as error:
        text = f"{error} {_('Choose a time outside that hour.')}"
        raise InvalidPause(text.removesuffix(".")) from error  # who shows it makes a sentence of it
    if found is None:
        text = _("the end of a pause must be a time such as 2030-01-31 08:00, before the year %(year)s")
        raise InvalidPause(text % {"year": YEARS.stop})
    return found


def back_url(request: HttpRequest) -> str:
    """The page whose button it was."""
    site: Any = getattr(request, "current_app", None)
    if request.POST.get("back") == TO_OVERVIEW:
        try:
            return reverse("admin:app_list", args=["jobqueue"], current_app=site)
        except NoReverseMatch:
            pass
    return reverse("admin:jobqueue_queue_changelist", current_app=site)
