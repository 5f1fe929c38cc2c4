"""The queues' views beside their list: counts as JSON, the overview's region, pause and resume."""

from __future__ import annotations

from collections.abc import Mapping

from django.conf import settings as django_settings
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from jobqueue.admin import live, overview, pausing
from jobqueue.admin.queue_rows import QueueRows
from jobqueue.admin.words import NOTHING
from jobqueue.broker import counters, neighbours
from jobqueue.counts.reading import QueueCounts, queue_counts
from jobqueue.exceptions import BrokerUnavailable
from jobqueue.models import Queue
from jobqueue.operating.rights import VIEW_JOB, demand
from jobqueue.operating.words import grouped
from jobqueue.operating.workers import serving_workers

NO_REDIS = _("Redis cannot be reached: the numbers of completed jobs are unknown, and due jobs wait.")


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
        texts = {state: grouped(number) for state, number in counts.as_dict().items()}
        texts["completed"] = NOTHING if completed is None else grouped(completed.get(name, 0))
        texts["workers"] = f"{len(serving.get(name, []))}"
        shown[name] = texts
    notices = [str(NO_REDIS) if completed is None else _said_by_redis(), *_unserved(all_counts)]
    return shown, " ".join(filter(None, notices))


def _unserved(all_counts: Mapping[str, QueueCounts]) -> list[str]:
    """Names the queues that were renamed or removed while jobs waited on them."""
    text = gettext(
        "RQ_QUEUES has no queue %(queue)s, on which %(number)s jobs wait: no worker can serve it. "
        "Add it again until it is empty, or move its jobs to another queue."
    )
    return [
        text % {"queue": name, "number": grouped(counts.waiting + counts.delayed)}
        for name, counts in sorted(all_counts.items())
        if name not in django_settings.RQ_QUEUES and counts.waiting + counts.delayed
    ]


def _said_by_redis() -> str:
    """What else Redis tells operators: that another installation uses it."""
    try:
        return neighbours.warning()
    except BrokerUnavailable:
        return str(NO_REDIS)


class QueueViews(QueueRows):
    """What the list of queues and the overview are refreshed from, and what their buttons call."""

    def get_urls(self) -> list[URLPattern]:
        """With these views, whose names no queue may have."""
        views = {
            "counts": self.counts_view,
            "overview": self.overview_view,
            "chart": self.chart_view,
            "pause": self.pause_view,
            "resume": pausing.resume_view,
        }
        own = [
            path(f"{name}/", self.admin_site.admin_view(view), name=f"jobqueue_queue_{name}")
            for name, view in views.items()
        ]
        return [*own, *super().get_urls()]

    def counts_view(self, request: HttpRequest) -> HttpResponse:
        """The counts as JSON, for who may see the page."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        counts, notice = live_counts()
        return JsonResponse({"queues": counts, "notice": notice})

    def pause_view(self, request: HttpRequest) -> HttpResponse:
        """Pause a queue, as a form says."""
        return pausing.pause_view(request, self)

    def overview_view(self, request: HttpRequest) -> HttpResponse:
        """What changes on the overview, alone, for the script that keeps it up to date."""
        if not overview.may_look(request):
            raise PermissionDenied
        context = self.admin_site.each_context(request) | overview.context_of(request)
        response = TemplateResponse(request, "admin/jobqueue/overview_region.html", context)
        return live.answer(request, response)

    def chart_view(self, request: HttpRequest) -> HttpResponse:
        """The overview's chart alone, for the same script."""
        demand(request, VIEW_JOB)
        context = self.admin_site.each_context(request) | overview.chart_of(request)
        return live.answer(request, TemplateResponse(request, "admin/jobqueue/chart_region.html", context))
