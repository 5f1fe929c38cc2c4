"""Every configured queue with its counts, its switch and its limits."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from jobqueue.admin import live, pausing, set_aside
from jobqueue.admin.limits import LimitsForm, limits_of, shown_use, use_of
from jobqueue.admin.live_record import LiveRecordMixin
from jobqueue.admin.offered_lookups import OfferedLookups
from jobqueue.admin.own_changes import OwnChangesPage
from jobqueue.admin.queue_rows import with_all_configured
from jobqueue.admin.queue_views import QueueViews, live_counts
from jobqueue.admin.reasons import ActionWithReason, kept_reason
from jobqueue.admin.words import NOTHING, badge
from jobqueue.models import Queue
from jobqueue.operating.limits import LIMITS, change_limits, starts_of
from jobqueue.operating.pausing import pause_and_log, resume_and_log
from jobqueue.operating.processors import processors_in_use, running_by_processor
from jobqueue.operating.rights import Right, demand, may, permissions_of
from jobqueue.sql.clock import database_now


class QueueChangeList(OfferedLookups):
    """The queues with their counts of this moment."""

    def get_results(self, request: HttpRequest) -> None:
        """Read the queues, and their counts once for all."""
        super().get_results(request)
        counts, self.notice = live_counts()
        self.result_list = with_all_configured(self.result_list)
        self.result_count = len(self.result_list)
        now = database_now(Queue.objects.db)
        allowed = pausing.allowed_buttons(request)
        starts, running = starts_of(self.result_list), running_by_processor()
        limited = [use for use in processors_in_use(running) if use.is_limited]
        for number, queue in enumerate(self.result_list, 1):
            vars(queue)["_running"] = running.get(queue.pk, [])
            vars(queue)["_limited"] = [use for use in limited if use.queue == queue.pk]
            vars(queue)["_starts"] = starts.get(queue.pk)
            vars(queue)["_counts"] = counts.get(queue.pk, {})
            vars(queue)["_pause"] = pausing.shown(queue, now, request)
            button = pausing.button(queue, str(number), now, allowed, request) if allowed else ""
            vars(queue)["_button"] = button


@admin.register(Queue)
class QueueAdmin(LiveRecordMixin, OwnChangesPage, QueueViews):
    """Counts, pause and resume, limits. Queues are configured in RQ_QUEUES, not here."""

    list_display = (
        "name",
        "switch",
        "limits",
        "used",
        "processors",
        "workers",
        "waiting",
        "active",
        "delayed",
        "failed",
        "completed",
    )
    form = LimitsForm
    fieldsets = (
        (
            None,
            {
                "fields": LIMITS,
                "description": _("A change is in force within a second. Jobs that run are left alone."),
            },
        ),
    )
    sortable_by = ()
    actions = ("pause", "resume")
    action_form = ActionWithReason
    form_permissions = {"change": Right.LIMIT_QUEUE}
    show_full_result_count = False

    class Media:
        css = {"all": ["jobqueue/admin.css", "jobqueue/overview.css"]}

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Queues are added in the settings."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Whether this user may change limits. Pausing has a permission of its own."""
        return may(request, Right.LIMIT_QUEUE)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Queues are removed in the settings."""
        return False

    def has_pause_permission(self, request: HttpRequest) -> bool:
        """Whether this user may pause queues."""
        return may(request, Right.PAUSE_QUEUE)

    def has_resume_permission(self, request: HttpRequest) -> bool:
        """Whether this user may resume queues."""
        return may(request, Right.RESUME_QUEUE)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[QueueChangeList]:
        """The list that brings the counts."""
        return QueueChangeList

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The queues, refreshed while the page is looked at."""
        asked = {"pause": Right.PAUSE_QUEUE, "resume": Right.RESUME_QUEUE}
        demand(request, *(asked[name] for name in request.POST.getlist("action") if name in asked))
        title = capfirst(self.opts.verbose_name_plural)
        response = super().changelist_view(request, {"title": title, **(extra_context or {})})
        context = getattr(response, "context_data", None) or {}
        if "cl" in context:
            context["notice"] = context["cl"].notice
            context["processors_url"] = reverse(f"{self.admin_site.name}:jobqueue_processorlimits_changelist")
            context["set_aside"] = set_aside.notice(request, self.admin_site)
            context["switched"] = context["cl"].result_list if pausing.allowed_buttons(request) else []
        return live.answer(request, response)

    # Limits ---------------------------------------------------------------------------------------

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """The limits of one queue."""
        if request.method == "POST":
            demand(request, *permissions_of(Right.LIMIT_QUEUE))
        context = {"title": _("Limits"), "show_save_and_continue": False, **(extra_context or {})}
        return super().change_view(request, object_id, form_url, context)

    def save_model(self, request: HttpRequest, obj: Queue, form: Any, change: bool) -> None:
        """Change what was changed in the form, as the API does it, and write it down."""
        asked = {name: form.cleaned_data[name] for name in form.changed_data if name in LIMITS}
        change_limits(request, obj.name, asked, form.cleaned_data["reason"], seen=form.seen)
        obj.refresh_from_db()  # somebody may have changed the others meanwhile

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """It is written down already; what changed nothing is none."""

    def response_change(self, request: HttpRequest, obj: Queue) -> HttpResponse:
        """Back to the queues, with what is in force now."""
        words = {"queue": obj.name, "limits": limits_of(obj) or gettext("none")}
        self.message_user(request, gettext("Limits of %(queue)s: %(limits)s.") % words, messages.SUCCESS)
        return HttpResponseRedirect(reverse(f"{self.admin_site.name}:jobqueue_queue_changelist"))

    # Columns --------------------------------------------------------------------------------------

    @admin.display(description=_("state"))
    def switch(self, queue: Queue) -> SafeString:
        """Whether jobs of the queue are started, with the button that changes it."""
        pause = vars(queue)["_pause"]
        details = render_to_string("admin/jobqueue/pause_details.html", {"pause": pause}) if pause else ""
        return format_html(
            '{} <span class="jq-pause-details">{}</span>{}',
            badge("paused") if pause else badge("running"),
            details,
            vars(queue)["_button"],
        )

    @admin.display(description=_("limits"), empty_value=NOTHING)
    def limits(self, queue: Queue) -> str | None:
        """How many of its jobs may start in a second, and run at once."""
        return limits_of(queue) or None

    @admin.display(description=_("in use"), empty_value=NOTHING)
    def used(self, queue: Queue) -> SafeString | None:
        """How much of its limits is used up now."""
        return use_of(queue, vars(queue)["_counts"].get("active", NOTHING), vars(queue)["_starts"]) or None

    @admin.display(description=_("by processor"), empty_value=NOTHING)
    def processors(self, queue: Queue) -> SafeString | None:
        """Whose jobs run now: the processors of most of them, with how many each."""
        return shown_use(vars(queue)["_running"], vars(queue)["_limited"]) or None

    @admin.display(description=_("workers"))
    def workers(self, queue: Queue) -> SafeString:
        """How many living workers serve the queue."""
        return _live(queue, "workers")

    @admin.display(description=_("waiting"))
    def waiting(self, queue: Queue) -> SafeString:
        """Jobs that are due."""
        return self._linked(queue, "waiting")

    @admin.display(description=_("active"))
    def active(self, queue: Queue) -> SafeString:
        """Jobs that run."""
        return self._linked(queue, "active")

    @admin.display(description=_("delayed"))
    def delayed(self, queue: Queue) -> SafeString:
        """Jobs whose time lies ahead."""
        return self._linked(queue, "delayed")

    @admin.display(description=_("failed"))
    def failed(self, queue: Queue) -> SafeString:
        """Jobs that need attention."""
        return self._linked(queue, "failed")

    @admin.display(description=_("completed"))
    def completed(self, queue: Queue) -> SafeString:
        """Jobs completed since Redis counts them."""
        return self._linked(queue, "completed")

    def _linked(self, queue: Queue, state: str) -> SafeString:
        name = f"{self.admin_site.name}:jobqueue_job_changelist"
        url = reverse(name, query={"queue": queue.pk, "state": state})
        return format_html('<a href="{}">{}</a>', url, _live(queue, state))

    # Actions --------------------------------------------------------------------------------------

    @admin.action(description=_("Pause"), permissions=["pause"])
    def pause(self, request: HttpRequest, queues: QuerySet[Queue]) -> None:
        """Start no more jobs of these queues; what runs ends as usual."""
        self._switch(request, queues, paused=True)

    @admin.action(description=_("Resume"), permissions=["resume"])
    def resume(self, request: HttpRequest, queues: QuerySet[Queue]) -> None:
        """Start jobs of these queues again."""
        self._switch(request, queues, paused=False)

    def _switch(self, request: HttpRequest, queues: QuerySet[Queue], *, paused: bool) -> None:
        reason = kept_reason(request)
        if reason is None:
            return
        switch = pause_and_log if paused else resume_and_log
        names = ", ".join(queue.name for queue in queues if switch(request, queue.name, reason))
        if names:
            text = gettext("Paused: %(names)s.") if paused else gettext("Resumed: %(names)s.")
            self.message_user(request, text % {"names": names}, messages.SUCCESS)
        else:
            already = gettext("Nothing to do: already paused.")
            text = already if paused else gettext("Nothing to do: already running.")
            self.message_user(request, text, messages.WARNING)


def _live(queue: Queue, what: str) -> SafeString:
    text = vars(queue)["_counts"].get(what, NOTHING)
    return format_html(
        '<span class="jq-count" data-count="{}/{}" data-value="{}">{}</span>', queue.pk, what, text, text
    )
