"""Failures by cause: all of them, filtered by when and where, with what can be done about each cause."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.conf import settings as django_settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from jobqueue.admin.own_pages import OnePage
from jobqueue.admin.shown_causes import ShownCause
from jobqueue.models import UNKNOWN_CAUSE, Cause, Job
from jobqueue.models.cause_names import LONGEST_CAUSE
from jobqueue.models.failures import FailuresByCause, by_cause, subjects_by_cause
from jobqueue.operating.causes import set_muted
from jobqueue.operating.concerns import MOST_SUBJECTS, Sum, concerns_of, is_anybody_asked
from jobqueue.operating.failing_times import AGE, AGES, FROM, TO
from jobqueue.operating.failures import Question, question
from jobqueue.operating.words import grouped
from jobqueue.registry import all_processors
from jobqueue.sql.clock import database_now

ASKED = (AGE, FROM, TO, "queue", "processor")
_OFFERED_AGES = ("quarter", "hour", "two_hours", "day")
# Of more failed jobs it is told where an action on one cause is confirmed.
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

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The causes; with POST one of them is muted, or not any more."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        if request.method == "POST":
            return self._mute(request)
        asked = {name: request.GET[name] for name in ASKED if request.GET.get(name)}
        context = {
            **_choices(asked),
            **_found(question(asked), asked, request),
            "may_retry": request.user.has_perm("jobqueue.retry_job"),
            "may_discard": request.user.has_perm("jobqueue.delete_job"),
            "may_mute": request.user.has_perm("jobqueue.mute_cause"),
            **(extra_context or {}),
        }
        return self.page(request, "causes.html", context)

    def _mute(self, request: HttpRequest) -> HttpResponse:
        if not request.user.has_perm("jobqueue.mute_cause"):
            raise PermissionDenied
        name = request.POST.get("cause", "")
        is_to_be = request.POST.get("action") == _MUTE
        if not 0 < len(name) <= LONGEST_CAUSE or name == UNKNOWN_CAUSE or "\x00" in name:
            self.message_user(request, gettext("No cause was chosen."), messages.WARNING)
        elif request.POST.get("action") not in (_MUTE, _UNMUTE):
            self.message_user(request, gettext("A cause can be muted or unmuted."), messages.WARNING)
        elif set_muted(name, is_to_be, request):
            done = gettext("%(cause)s is muted.") if is_to_be else gettext("%(cause)s is not muted any more.")
            self.message_user(request, done % {"cause": name}, messages.SUCCESS)
        else:
            self.message_user(request, gettext("Nothing was changed: that was so already."), messages.WARNING)
        return HttpResponseRedirect(request.get_full_path())


# What is asked and found ------------------------------------------------------------------------------


def _found(asked_for: Question, asked: dict[str, str], request: HttpRequest) -> dict[str, Any]:
    if asked_for.problem:
        return {"problem": asked_for.problem, "causes": [], "muted": [], "others": 0}
    found = by_cause(asked_for.jobs)
    causes, muted = _shown(found, asked, _concerned(asked_for, found, request))
    total = sum(cause.number for cause in causes) + found.others
    newest = asked_for.jobs.order_by("-pk").values_list("pk", flat=True).first()
    return {
        "causes": causes,
        "muted": muted,
        "others": found.others,
        "total": total,
        "shown_total": grouped(total),
        "newest": newest or 0,
        "shown_at": database_now(Job.objects.db).isoformat(),
    }


def _concerned(asked_for: Question, found: FailuresByCause, request: HttpRequest) -> dict[str, str]:
    """Whom the failures of each cause are about, and what it is worth, unless they are too many."""
    number = sum(group.jobs for group in found.groups) + found.others
    if number > _MOST_CONCERNED or not is_anybody_asked():
        return {}
    subjects = subjects_by_cause(asked_for.jobs, _MOST_CONCERNED)
    known = concerns_of(set().union(*subjects.values()), request)
    return {
        cause: Sum.of(known[subject] for subject in some if subject in known).in_words()
        for cause, some in subjects.items()
    }


def _shown(
    found: FailuresByCause, asked: dict[str, str], concerned: dict[str, str]
) -> tuple[list[ShownCause], list[ShownCause]]:
    """The causes, and apart from them those that are muted."""
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
