"""Failures by cause: all of them, filtered by when and where, with what can be done about each cause."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.conf import settings as django_settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from jobqueue.admin import live
from jobqueue.admin.bounded_search import shorten
from jobqueue.admin.own_pages import OnePage
from jobqueue.admin.reasons import kept_reason
from jobqueue.admin.shown_causes import ShownCause
from jobqueue.models import UNKNOWN_CAUSE, Cause, Job
from jobqueue.models.cause_names import LONGEST_CAUSE
from jobqueue.models.failures import FailuresByCause, by_cause
from jobqueue.operating.causes import set_muted
from jobqueue.operating.concerned import KEPT_SECONDS, few_by_cause, kept_by_cause, many_by_cause
from jobqueue.operating.concerns import MOST_SUBJECTS, Total, can_add_up, in_words
from jobqueue.operating.failing_times import AGE, AGES, FROM, TO
from jobqueue.operating.failures import Question, question
from jobqueue.operating.rights import Right, demand, may, permissions_of
from jobqueue.operating.words import grouped
from jobqueue.registry import all_processors
from jobqueue.sql.clock import database_now

Totals = dict[str, Total] | None
ASKED = (AGE, FROM, TO, "queue", "processor")
_OFFERED_AGES = ("quarter", "hour", "two_hours", "day")
# Whom more failed jobs concern is added up apart, when the page is there: of 100,000 that takes 0.4 s.
_MOST_CONCERNED = MOST_SUBJECTS
_MUTE, _UNMUTE = "mute", "unmute"


@dataclass(frozen=True, slots=True)
class Chip:
    """One choice of a filter: a link, or what is chosen."""

    label: Any
    query: str
    is_chosen: bool


@admin.register(Cause)
class CauseAdmin(OnePage):
    """All failures by cause; there are no pages of single causes."""

    # The page ------------------------------------------------------------------------------------

    def get_urls(self) -> list[URLPattern]:
        """With whom the failures of each cause concern, however many they are: the page asks for it there."""
        view = self.admin_site.admin_view(self.concerned_view)
        return [path("concerned/", view, name="jobqueue_cause_concerned"), *super().get_urls()]

    def concerned_view(self, request: HttpRequest) -> HttpResponse:
        """Whom the failures of each cause are about and what it is worth.

        The script of the page of causes puts that into the page; without a script its links lead here.
        """
        if not self.has_view_permission(request):
            raise PermissionDenied
        asked = _asked(request)
        found = question(asked)
        by = FailuresByCause([], 0) if found.problem else by_cause(found.jobs)
        totals = many_by_cause(found.jobs, by.groups, request).totals if by.groups else {}
        causes, muted = _shown(by, asked, totals)
        context = {
            "title": gettext("Whom failures concern"),
            "problem": found.problem,
            "concerned": sorted(_in_words(totals).items()),
            "causes": [*causes, *muted],
            "back_url": _with(reverse(f"{self.admin_site.name}:jobqueue_cause_changelist"), asked),
            **_apart(asked, self),
        }
        is_for_the_script = live.ASKED in request.headers
        template = "causes_concerned_regions.html" if is_for_the_script else "causes_concerned.html"
        return self.page(request, template, context)

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The causes; with POST one of them is muted, or not any more."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        if request.method == "POST":
            return self._mute(request)
        asked = _asked(request)
        context = {
            **_choices(asked),
            **_found(question(asked), asked, request, self),
            "may_retry": may(request, Right.RETRY),
            "may_discard": may(request, Right.DELETE),
            "may_mute": may(request, Right.MUTE_CAUSE),
            "may_unmute": may(request, Right.UNMUTE_CAUSE),
            **(extra_context or {}),
        }
        return self.page(request, "causes.html", context)

    def _mute(self, request: HttpRequest) -> HttpResponse:
        name = request.POST.get("cause", "")
        is_to_be = request.POST.get("action") == _MUTE
        demand(request, *permissions_of(Right.MUTE_CAUSE if is_to_be else Right.UNMUTE_CAUSE))
        reason = kept_reason(request)
        if reason is None:
            return HttpResponseRedirect(request.get_full_path())
        if not 0 < len(name) <= LONGEST_CAUSE or name == UNKNOWN_CAUSE or "\x00" in name:
            self.message_user(request, gettext("No cause was chosen."), messages.WARNING)
        elif request.POST.get("action") not in (_MUTE, _UNMUTE):
            self.message_user(request, gettext("A cause can be muted or unmuted."), messages.WARNING)
        elif set_muted(name, is_to_be, request, reason):
            done = gettext("%(cause)s is muted.") if is_to_be else gettext("%(cause)s is not muted any more.")
            self.message_user(request, done % {"cause": name}, messages.SUCCESS)
        else:
            self.message_user(request, gettext("Nothing was changed: that was so already."), messages.WARNING)
        return HttpResponseRedirect(request.get_full_path())


# What is asked and found ------------------------------------------------------------------------------


def _asked(request: HttpRequest) -> dict[str, str]:
    shorten(request)
    return {name: request.GET[name] for name in ASKED if request.GET.get(name)}


def _with(address: str, asked: dict[str, str]) -> str:
    return f"{address}?{urlencode(asked)}" if asked else address


def _found(
    asked_for: Question, asked: dict[str, str], request: HttpRequest, pages: CauseAdmin
) -> dict[str, Any]:
    if asked_for.problem:
        return {"problem": asked_for.problem, "causes": [], "muted": [], "others": 0}
    found = by_cause(asked_for.jobs)
    total = sum(group.jobs for group in found.groups) + found.others
    are_few = total <= _MOST_CONCERNED
    if are_few or not can_add_up():
        totals: Totals = few_by_cause(asked_for.jobs, request) if are_few else {}
    else:
        told = kept_by_cause(asked_for.jobs, found.groups, request)
        totals = told.totals if told else None
    causes, muted = _shown(found, asked, totals)
    newest = asked_for.jobs.order_by("-pk").values_list("pk", flat=True).first()
    return {
        "causes": causes,
        "muted": muted,
        "others": found.others,
        "total": sum(cause.number for cause in causes) + found.others,
        "shown_total": grouped(sum(cause.number for cause in causes) + found.others),
        "newest": newest or 0,
        "shown_at": database_now(Job.objects.db).isoformat(),
        **({} if are_few or not can_add_up() else _apart(asked, pages)),
    }


def _apart(asked: dict[str, str], pages: CauseAdmin) -> dict[str, Any]:
    """Where the page asks whom so many failures concern, and how often."""
    address = reverse(f"{pages.admin_site.name}:jobqueue_cause_concerned")
    return {"concerned_url": _with(address, asked), "concerned_seconds": KEPT_SECONDS}


def _in_words(totals: Totals) -> dict[str, str]:
    return {cause: in_words(total) for cause, total in (totals or {}).items()}


def _shown(
    found: FailuresByCause, asked: dict[str, str], totals: Totals
) -> tuple[list[ShownCause], list[ShownCause]]:
    """The causes, and apart from them those that are muted; None for totals that are not there yet."""
    concerned = _in_words(totals)
    now = database_now(Job.objects.db)
    muted_by = dict(Cause.objects.filter(muted_at__isnull=False).values_list("name", "muted_by"))
    shown = [
        ShownCause(
            group,
            now,
            asked,
            muted_by.get(group.cause, ""),
            group.cause in muted_by,
            concerned.get(group.cause, ""),
            totals is not None,
        )
        for group in found.groups
    ]
    return [cause for cause in shown if not cause.is_muted], [cause for cause in shown if cause.is_muted]


def _choices(asked: dict[str, str]) -> dict[str, Any]:
    """The filters, with what is chosen in them."""
    ages = [("", _("All"))] + [(age, AGES[age][0]) for age in _OFFERED_AGES]
    times = (AGE, FROM, TO)
    is_range = bool(asked.get(FROM) or asked.get(TO))
    others = {name: text for name, text in asked.items() if name not in times}
    return {
        "asked": asked,
        "ages": [
            Chip(
                label,
                urlencode({**others, AGE: age} if age else others),
                asked.get(AGE, "") == age and not (is_range and not age),
            )
            for age, label in ages
        ],
        "queues": _and_chosen(list(django_settings.RQ_QUEUES), asked.get("queue", "")),
        "processors": _and_chosen([entry.name for entry in all_processors()], asked.get("processor", "")),
        "is_range": is_range,
    }


def _and_chosen(names: list[str], chosen: str) -> list[str]:
    return names if not chosen or chosen in names else [*names, chosen]
