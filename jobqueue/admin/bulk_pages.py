"""Bulk actions: a list of them, and the page of each with its progress and the button that stops it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import BadRequest, PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from jobqueue.admin import bulk_jobs, bulk_left_out, bulk_start, live
from jobqueue.admin.keyed_list import KeyedChangeList
from jobqueue.admin.listing import BoundedPaginator
from jobqueue.admin.own_pages import OwnPage
from jobqueue.admin.reasons import kept_reason
from jobqueue.admin.words import NOTHING, badge, time_tag
from jobqueue.models import BulkAction, Job, bulk
from jobqueue.operating import bulk_plans
from jobqueue.operating.audit_entry import by_days
from jobqueue.operating.left_out import left_out, stop_reasons
from jobqueue.operating.reading import shown_text
from jobqueue.operating.retelling import retold
from jobqueue.operating.rights import Right, demand, may, permissions_of
from jobqueue.operating.stops import stop_bulk_and_log
from jobqueue.operating.verbs import BULK_VERBS
from jobqueue.operating.words import exact_span, grouped, mask_text, printable, span
from jobqueue.operating.workers import is_a_worker_alive
from jobqueue.sql.clock import about_now, database_now

REFRESH_SECONDS = 1
_LONGEST_LEFT = 1e10
_CONFIRMED = ("verb", "confirmed", "newest", "shown", "shown_at", "seen", "typed", "reason", "per_second")
_OF_A_START = frozenset((*bulk_plans.WORDS, *_CONFIRMED, "csrfmiddlewaretoken"))
_SHORTEST_WITH_RATE = timedelta(seconds=1)


@admin.register(BulkAction)
class BulkActionAdmin(OwnPage):
    """What was asked for in bulk, who asked, how far it is."""

    list_display = ("what", "state", "progress", "which", "asked_by", "asked", "shown_reason")
    list_display_links = ("what",)
    sortable_by = ()
    actions = None
    show_full_result_count = False
    paginator = BoundedPaginator
    list_per_page = 50

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[KeyedChangeList]:
        """The list whose pages begin behind a row."""
        return KeyedChangeList

    # Pages ----------------------------------------------------------------------------------------

    def get_urls(self) -> list[URLPattern]:
        """The pages, and where actions are begun and stopped."""
        view = self.admin_site.admin_view
        return [
            path("start/", view(self.start_view), name="jobqueue_bulkaction_start"),
            path("<int:number>/stop/", view(self.stop_view), name="jobqueue_bulkaction_stop"),
            *super().get_urls(),
        ]

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The list of them, the latest first."""
        title = capfirst(self.opts.verbose_name_plural)
        return live.answer(
            request, super().changelist_view(request, {"title": title, **(extra_context or {})})
        )

    def start_view(self, request: HttpRequest) -> HttpResponse:
        """Begin an action on the failed jobs that the words of a form mean."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        verb = bulk_plans.verb_of(request.POST.get("verb", ""))
        if verb is None:
            raise BadRequest(f"a bulk action on failed jobs is one of {', '.join(bulk_plans.OF_FAILURES)}")
        if others := set(request.POST) - _OF_A_START:
            # A filter that nobody knows would mean more jobs than whoever asks thinks.
            return self._unknown(request, others)
        words = {name: request.POST[name] for name in bulk_plans.WORDS if request.POST.get(name)}
        planned = bulk_plans.plan(
            verb, words, request.POST.get("newest", ""), request.POST.get("shown_at", "")
        )
        at_once = request.POST.get("shown") == str(planned.number)
        return bulk_start.begin(self, request, planned, at_once=at_once)

    def _unknown(self, request: HttpRequest, names: set[str]) -> HttpResponse:
        words = {"names": ", ".join(sorted(names))[:200], "known": ", ".join(bulk_plans.WORDS)}
        text = gettext("Nothing was begun: unknown %(names)s. Failed jobs are meant by %(known)s.")
        self.message_user(request, text % words, messages.WARNING)
        return HttpResponseRedirect(reverse(f"{self.admin_site.name}:jobqueue_cause_changelist"))

    def stop_view(self, request: HttpRequest, number: int) -> HttpResponse:
        """Let an action end after its batch."""
        demand(request, *permissions_of(Right.STOP_BULK_ACTION))
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        action = BulkAction.objects.filter(pk=number).first()
        if action is None:
            self.raise_not_found(number)
        reason = kept_reason(request)
        if reason is not None and stop_bulk_and_log(request, action, reason):
            self.message_user(request, gettext("It is stopped."), messages.SUCCESS)
        elif reason is not None:
            self.message_user(request, gettext("It had ended already."), messages.WARNING)
        return HttpResponseRedirect(
            reverse(f"{self.admin_site.name}:jobqueue_bulkaction_change", args=[number])
        )

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """How far it is."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        is_number = object_id.isascii() and object_id.isdecimal() and len(object_id) < 19
        action = BulkAction.objects.filter(pk=object_id).first() if is_number else None
        if action is None:
            self.raise_not_found(object_id)
        now = database_now(Job.objects.db)
        jobs = bulk_jobs.shown(action, request, self.admin_site, now)
        context = {
            "title": _title(action),
            "action": action,
            "badge": self.state(action),
            "which": shown_text(bulk_plans.which(action), request) or NOTHING,
            "reason": shown_text(action.reason, request),
            "stop_reason": shown_text(stop_reasons([action]).get(action.pk, ""), request),
            "asked": time_tag(action.asked_at, now),
            "sentence": _sentence(action, now),
            "nobody_walks": action.is_open and not is_a_worker_alive(Job.objects.db),
            "may_stop": action.is_open and may(request, Right.STOP_BULK_ACTION),
            "came_from": self._came_from(action),
            "left_out": bulk_left_out.shown(action, request, self.admin_site),
            "jobs": jobs,
            **_moved_by(action),
            "done": action.changed,
            "of": max(action.expected, action.changed, 1),
            "said": _said(action, jobs),
            "seconds": REFRESH_SECONDS if action.is_open else jobs.get("seconds", 0),
            **(extra_context or {}),
        }
        return self.page(request, "bulk_action.html", context)

    def _came_from(self, action: BulkAction) -> tuple[str, str]:
        """The address and the name of the page where such actions are begun."""
        if action.verb in bulk_plans.OF_FAILURES:
            name, text = "cause_changelist", gettext("Failures by cause")
        elif action.is_listed:
            name, text = "job_changelist", str(capfirst(Job._meta.verbose_name_plural))
        else:
            name, text = "job_calendar", gettext("Calendar")
        return reverse(f"{self.admin_site.name}:jobqueue_{name}"), text

    # Columns --------------------------------------------------------------------------------------

    @admin.display(description=_("bulk action"))
    def what(self, action: BulkAction) -> str:
        """Verb and number."""
        return str(action)

    @admin.display(description=_("state"))
    def state(self, action: BulkAction) -> SafeString:
        """Where it is on its way."""
        if action.ended_at is None:
            return (
                badge("active", gettext("under way"))
                if action.began_at
                else badge("waiting", gettext("waits"))
            )
        return (
            badge("cancelled", gettext("stopped"))
            if action.stopped_by
            else badge("completed", gettext("done"))
        )

    @admin.display(description=_("jobs"))
    def progress(self, action: BulkAction) -> str:
        """How many are done, of how many, and how many were left alone, with the way to these."""
        done = f"{grouped(action.changed)} / {grouped(action.expected)}"
        number = sum(reason.number for reason in left_out(action))
        if not number:
            return done
        text = gettext("%(number)s left alone") % {"number": grouped(number)}
        url = bulk_left_out.url_of(action, self.admin_site) or reverse(
            f"{self.admin_site.name}:jobqueue_bulkaction_change", args=[action.pk]
        )
        return format_html('{}, <a href="{}">{}</a>', done, url, text)

    @admin.display(description=_("which jobs"))
    def which(self, action: BulkAction) -> str:
        """Which jobs were meant, without addresses and what was searched in payloads; its page shows them."""
        return printable(mask_text(bulk_plans.which(action))) or NOTHING

    @admin.display(description=_("asked for"))
    def asked(self, action: BulkAction) -> SafeString | str:
        """When it was asked for."""
        return time_tag(action.asked_at, about_now())

    @admin.display(description=_("reason"))
    def shown_reason(self, action: BulkAction) -> str:
        """Why it was asked for, without addresses; its page shows them to who may read payloads."""
        return printable(mask_text(action.reason))


def _title(action: BulkAction) -> str:
    words = {"number": action.pk, "verb": _label(action)}
    return gettext("Bulk action #%(number)s: %(verb)s") % words


def _moved_by(action: BulkAction) -> dict[str, str]:
    """By how many days a move leads, as the audit has it, and in which zone; nothing of another verb."""
    details = action.details if isinstance(action.details, dict) else {}
    days = details.get("days")
    if not isinstance(days, int) or not days:
        return {}
    return {"by": retold(by_days(days)), "zone": str(details.get("zone", ""))}


def _label(action: BulkAction) -> str:
    """What its verb is called; newer code may ask for others."""
    if action.verb in BULK_VERBS:
        return str(BULK_VERBS[action.verb].label)
    return capfirst(action.get_verb_display())


def _said(action: BulkAction, jobs: Mapping[str, Any]) -> str:
    """What is read out of it: each per cent, as the page is looked at, then what became of its jobs."""
    if not action.is_open:
        if jobs.get("go_on"):
            return gettext("It has ended; its jobs go on.")
        became = ", ".join(f"{state.number} {state.label}" for state in jobs.get("states", ()))
        return " ".join(filter(None, [gettext("It has ended."), became]))
    return gettext("%(percent)s %% done") % {"percent": 100 * action.changed // max(action.expected, 1)}


def _who_stopped(action: BulkAction) -> str:
    """Whose name is kept, or what stands in its place."""
    return gettext(bulk.UNREADABLE) if action.stopped_by == bulk.UNREADABLE else action.stopped_by


def _sentence(action: BulkAction, now: datetime) -> str:
    """How far it is, how fast, and how it ended."""
    done = ngettext("%(done)s of %(all)s job", "%(done)s of %(all)s jobs", action.expected) % {
        "done": grouped(action.changed),
        "all": grouped(action.expected),
    }
    if action.began_at is None:
        return (
            done
            if action.is_open
            else gettext("Stopped by %(who)s before it began.") % {"who": _who_stopped(action)}
        )
    length = (action.ended_at or now) - action.began_at
    rate = action.changed / max(length.total_seconds(), 0.1)
    took = gettext("for %(time)s") if action.is_open else gettext("took %(time)s")
    parts = [done]
    if length >= _SHORTEST_WITH_RATE:
        parts.append(gettext("%(rate)s a second") % {"rate": grouped(round(rate))})
    parts.append(took % {"time": exact_span(length)})
    if action.stopped_by:
        parts.append(gettext("stopped by %(who)s") % {"who": _who_stopped(action)})
    elif action.is_open and rate and action.expected > action.changed:
        left = timedelta(seconds=min((action.expected - action.changed) / rate, _LONGEST_LEFT))
        parts.append(gettext("about %(time)s to go") % {"time": span(left)})
    return ", ".join(parts)
