"""Every configured queue with its counts, its switch and its limits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from django.conf import settings as django_settings
from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _

from jobqueue.admin import set_aside
from jobqueue.admin.audit import log_change
from jobqueue.admin.explain import serving_workers
from jobqueue.admin.limits import LimitsForm, limits_of
from jobqueue.admin.words import NOTHING, badge
from jobqueue.broker import counters, neighbours
from jobqueue.counts.reading import QueueCounts, queue_counts
from jobqueue.exceptions import BrokerUnavailable
from jobqueue.models import Queue
from jobqueue.sql.writing import writing

if TYPE_CHECKING:
    QueueModelAdmin = admin.ModelAdmin[Queue]
else:
    QueueModelAdmin = admin.ModelAdmin

REFRESH_SECONDS = 4
NO_REDIS = "Redis cannot be reached: the numbers of completed jobs are unknown, and due jobs wait."


def live_counts() -> tuple[dict[str, dict[str, str]], str]:
    """What the page shows of each queue, and what is to be said about all of them; empty if nothing is."""
    try:
        completed: dict[str, int] | None = counters.completed("probe")
    except BrokerUnavailable:
        completed = None
    serving = serving_workers(Queue.objects.db)
    shown = {}
    all_counts = queue_counts()
    for name, counts in all_counts.items():
        texts = {state: f"{number:,}" for state, number in counts.as_dict().items()}
        texts["completed"] = NOTHING if completed is None else f"{completed.get(name, 0):,}"
        texts["workers"] = f"{len(serving.get(name, []))}"
        shown[name] = texts
    notices = [NO_REDIS if completed is None else _said_by_redis(), *_unserved(all_counts)]
    return shown, " ".join(filter(None, notices))


def _unserved(all_counts: Mapping[str, QueueCounts]) -> list[str]:
    """Names the queues that were renamed or removed while jobs waited on them."""
    return [
        f"RQ_QUEUES has no queue {name}, on which {counts.waiting + counts.delayed:,} jobs wait: no worker "
        "can serve it. Add it again until it is empty, or move its jobs to another queue."
        for name, counts in sorted(all_counts.items())
        if name not in django_settings.RQ_QUEUES and counts.waiting + counts.delayed
    ]


def _said_by_redis() -> str:
    """What else Redis tells operators: that another installation uses it."""
    try:
        return neighbours.warning()
    except BrokerUnavailable:
        return NO_REDIS


class QueueChangeList(ChangeList):
    """The queues with their counts of this moment."""

    def get_results(self, request: HttpRequest) -> None:
        """Read the queues, and their counts once for all."""
        super().get_results(request)
        counts, self.notice = live_counts()
        self.result_list = list(self.result_list)
        for queue in self.result_list:
            vars(queue)["_counts"] = counts.get(queue.pk, {})


@admin.register(Queue)
class QueueAdmin(QueueModelAdmin):
    """Counts, pause and resume, limits. Queues are configured in RQ_QUEUES, not here."""

    list_display = (
        "name",
        "switch",
        "limits",
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
                "fields": ("rate_limit", "concurrency_limit"),
                "description": _("A change is in force within a second. Jobs that run are left alone."),
            },
        ),
    )
    sortable_by = ()
    actions = ("pause", "resume")
    show_full_result_count = False

    class Media:
        css = {"all": ["jobqueue/admin.css"]}
        js = ["jobqueue/live.js"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Queues are added in the settings."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Whether this user may change limits. Pausing has a permission of its own."""
        return request.user.has_perm("jobqueue.limit_queue") or super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Queues are removed in the settings."""
        return False

    def has_pause_permission(self, request: HttpRequest) -> bool:
        """Whether this user may pause and resume queues."""
        return request.user.has_perm("jobqueue.pause_queue")

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[QueueChangeList]:
        """The list that brings the counts."""
        return QueueChangeList

    def get_queryset(self, request: HttpRequest) -> QuerySet[Queue]:
        """The configured queues; those without a row get one."""
        queues = super().get_queryset(request).filter(name__in=django_settings.RQ_QUEUES)
        missing = set(django_settings.RQ_QUEUES) - set(queues.values_list("name", flat=True))
        if missing:
            Queue.objects.bulk_create([Queue(name=name) for name in sorted(missing)], ignore_conflicts=True)
        return queues

    def get_urls(self) -> list[URLPattern]:
        """With the counts that the page fetches every few seconds."""
        counts = path("counts/", self.admin_site.admin_view(self.counts_view), name="jobqueue_queue_counts")
        return [counts, *super().get_urls()]

    def counts_view(self, request: HttpRequest) -> HttpResponse:
        """The counts as JSON, for who may see the page."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        counts, notice = live_counts()
        return JsonResponse({"queues": counts, "notice": notice})

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The queues, refreshed while the page is looked at."""
        wants_pause = {"pause", "resume"} & set(request.POST.getlist("action"))
        if wants_pause and not self.has_pause_permission(request):
            raise PermissionDenied
        live = {
            "url": reverse(f"{self.admin_site.name}:jobqueue_queue_counts"),
            "seconds": REFRESH_SECONDS,
        }
        response = super().changelist_view(
            request, {"title": capfirst(self.opts.verbose_name_plural), "live": live, **(extra_context or {})}
        )
        context = getattr(response, "context_data", None) or {}
        if "cl" in context:
            context["live"]["notice"] = context["cl"].notice
            context["set_aside"] = set_aside.notice(request, self.admin_site)
        return response

    # Limits ---------------------------------------------------------------------------------------

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """The limits of one queue."""
        context = {"title": _("Limits"), "show_save_and_continue": False, **(extra_context or {})}
        return super().change_view(request, object_id, form_url, context)

    def save_model(self, request: HttpRequest, obj: Queue, form: Any, change: bool) -> None:
        """Write the limits and nothing else: somebody may pause the queue at the same time."""
        obj.save(update_fields=["rate_limit", "concurrency_limit"])

    def construct_change_message(
        self, request: HttpRequest, form: Any, formsets: Any, add: bool = False
    ) -> Any:
        """What was changed, for the audit entry; nothing if nothing was."""
        return "; ".join(
            f"{capfirst(name.replace('_', ' '))}: "
            f"{_or_none(form.initial[name])} → {_or_none(form.cleaned_data[name])}"
            for name in form.changed_data
        )

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """Write a change down; what changed nothing is none."""
        if message:
            log_change(request, obj, message)

    def response_change(self, request: HttpRequest, obj: Queue) -> HttpResponse:
        """Back to the queues, with what is in force now."""
        self.message_user(request, f"Limits of {obj.name}: {limits_of(obj) or 'none'}.", messages.SUCCESS)
        return HttpResponseRedirect(reverse(f"{self.admin_site.name}:jobqueue_queue_changelist"))

    # Columns --------------------------------------------------------------------------------------

    @admin.display(description=_("state"))
    def switch(self, queue: Queue) -> SafeString:
        """Whether jobs of the queue are started."""
        return badge("paused") if queue.paused else badge("running")

    @admin.display(description=_("limits"), empty_value=NOTHING)
    def limits(self, queue: Queue) -> str | None:
        """How many of its jobs may start in a second, and run at once."""
        return limits_of(queue) or None

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

    @admin.action(description=_("Resume"), permissions=["pause"])
    def resume(self, request: HttpRequest, queues: QuerySet[Queue]) -> None:
        """Start jobs of these queues again."""
        self._switch(request, queues, paused=False)

    def _switch(self, request: HttpRequest, queues: QuerySet[Queue], *, paused: bool) -> None:
        before, after = ("running", "paused") if paused else ("paused", "running")
        with writing(queues.db):
            changing = list(queues.filter(paused=not paused).select_for_update())
            Queue.objects.filter(pk__in=[queue.pk for queue in changing]).update(paused=paused)
            for queue in changing:
                log_change(request, queue, f"{'Pause' if paused else 'Resume'}: {before} → {after}")
        names = ", ".join(queue.name for queue in changing)
        if names:
            self.message_user(request, f"{'Paused' if paused else 'Resumed'}: {names}.", messages.SUCCESS)
        else:
            self.message_user(request, f"Nothing to do: already {after}.", messages.WARNING)


def _or_none(limit: int | None) -> str:
    return "none" if limit is None else f"{limit:,}"


def _live(queue: Queue, what: str) -> SafeString:
    text = vars(queue)["_counts"].get(what, NOTHING)
    return format_html(
        '<span class="jq-count" data-count="{}/{}" data-value="{}">{}</span>', queue.pk, what, text, text
    )
