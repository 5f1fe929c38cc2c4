"""Who runs the jobs: one row for each executor process, alive or silent, with what it runs and its orders."""

from __future__ import annotations

import uuid
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.db.models import Count, F, Window
from django.db.models.functions import RowNumber
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _

from jobqueue.admin import live
from jobqueue.admin.bounded_search import BoundedSearch
from jobqueue.admin.keyed_list import KeyedChangeList
from jobqueue.admin.listing import BoundedPaginator
from jobqueue.admin.not_found import FramedNotFound
from jobqueue.admin.words import NOTHING, badge, time_tag, worker_badge, worker_word
from jobqueue.conf import get_settings
from jobqueue.models import Job, Worker
from jobqueue.operating.rights import may
from jobqueue.operating.words import grouped, printable
from jobqueue.operating.workers import ORDERS, is_silent
from jobqueue.sql.clock import database_now

if TYPE_CHECKING:
    WorkerModelAdmin = admin.ModelAdmin[Worker]
else:
    WorkerModelAdmin = admin.ModelAdmin

MOST_NAMED = 3
"""Running jobs that are named in the row of their worker."""


@dataclass(frozen=True, slots=True)
class Runs:
    """What a worker runs: how many jobs, and those that began first."""

    number: int = 0
    named: tuple[Job, ...] = ()

    @property
    def others(self) -> int:
        """How many are not named."""
        return self.number - len(self.named)


class WorkerChangeList(KeyedChangeList):
    """The workers, seen by the database's clock."""

    def get_results(self, request: HttpRequest) -> None:
        """Read the workers and what time it is."""
        super().get_results(request)
        now = database_now(Worker.objects.db)
        self.result_list = list(self.result_list)
        running = _running_jobs([worker.pk for worker in self.result_list])
        may_look = request.user.has_perm("jobqueue.view_job")
        orders = _orders_of(request)
        families = _families(now) if orders else Counter[tuple[str, int]]()
        for worker in self.result_list:
            runs = running.get(worker.pk, Runs())
            vars(worker)["_now"] = now
            vars(worker)["_running"] = runs if may_look else Runs(runs.number)
            vars(worker)["_orders"] = orders
            family = (worker.hostname, worker.supervisor_pid or 0)
            vars(worker)["_processes"] = families[family] if worker.supervisor_pid is not None else 1


def _families(now: datetime) -> Counter[tuple[str, int]]:
    """How many living processes each worker has, by what they have in common: an order is for all of them."""
    since = now - timedelta(seconds=get_settings().worker_silence)
    alive = Worker.objects.filter(heartbeat_at__gte=since, supervisor_pid__isnull=False)
    rows = alive.order_by().values_list("hostname", "supervisor_pid")
    return Counter((host, pid or 0) for host, pid in rows)


def _running_jobs(workers: list[uuid.UUID]) -> dict[uuid.UUID, Runs]:
    """By worker, in one question: the database counts them and chooses those that are named."""
    of_one: dict[str, Any] = {"partition_by": F("worker_id")}
    active = Job.objects.active().filter(worker_id__in=workers).only("pk", "processor", "worker_id")
    placed = active.annotate(
        number=Window(Count("pk"), **of_one),
        place=Window(RowNumber(), order_by=("started_at", "pk"), **of_one),
    )
    found: dict[uuid.UUID, Runs] = {}
    for job in placed.filter(place__lte=MOST_NAMED).order_by("place"):
        assert job.worker_id is not None
        named = found.get(job.worker_id, Runs()).named
        found[job.worker_id] = Runs(vars(job)["number"], (*named, job))
    return found


def _orders_of(request: HttpRequest) -> set[str]:
    """What this user may tell workers to do."""
    return {name for name, order in ORDERS.items() if may(request, order.right)}


@admin.register(Worker)
class WorkerAdmin(FramedNotFound, BoundedSearch, WorkerModelAdmin):
    """Workers write themselves in and are forgotten a day after their last sign of life."""

    empty_value_display = NOTHING
    list_display = (
        "hostname",
        "shown_name",
        "state",
        "pid",
        "version",
        "memory_in_use",
        "serves",
        "threads",
        "running",
        "heartbeat",
        "started",
    )
    list_display_links = None
    sortable_by = ("shown_name", "hostname")
    search_fields = ("name", "hostname")
    show_full_result_count = False
    paginator = BoundedPaginator
    # Two processes of a host may have begun at the same moment.
    ordering = ("hostname", "started_at", "id")

    class Media:
        css = {"all": ["jobqueue/admin.css"]}

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Workers write themselves in."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nothing to change."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Without its row a worker's jobs would count as lost."""
        return False

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The workers."""
        context: dict[str, Any] = {"title": capfirst(self.opts.verbose_name_plural)}
        if request.user.has_perm("jobqueue.view_job"):
            context["running_url"] = reverse(f"{self.admin_site.name}:jobqueue_job_running")
        return live.answer(request, super().changelist_view(request, context | (extra_context or {})))

    def get_list_display(self, request: HttpRequest) -> Any:
        """The columns; for who may order workers about also the buttons."""
        columns = super().get_list_display(request)
        return [*columns, "orders"] if _orders_of(request) else columns

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[WorkerChangeList]:
        """The list that knows the time."""
        return WorkerChangeList

    @admin.display(description=_("memory"), empty_value=NOTHING)
    def memory_in_use(self, worker: Worker) -> str | None:
        """How much memory it had in use at its last sign of life; nothing of an older worker's."""
        return None if worker.memory is None else f"{grouped(round(worker.memory / 2**20))} MB"

    @admin.display(description=_("name"), ordering="name")
    def shown_name(self, worker: Worker) -> SafeString:
        """What the worker is called."""
        return worker_word(worker.name)

    @admin.display(description=_("state"))
    def state(self, worker: Worker) -> SafeString:
        """Alive or silent by the last heartbeat, and what it was told to do."""
        return worker_badge(worker, vars(worker)["_now"])

    @admin.display(description=_("queues"))
    def serves(self, worker: Worker) -> str:
        """The queues, in the order the worker serves them."""
        return ", ".join(printable(queue) for queue in worker.served)

    @admin.display(description=_("running jobs"))
    def running(self, worker: Worker) -> SafeString:
        """The jobs that the worker runs, the first of them by name, and how many more.

        What a silent one ran is stuck.
        """
        runs = vars(worker)["_running"]
        is_lost = runs.number and is_silent(worker, vars(worker)["_now"])
        shown = {"runs": runs, "stuck": badge("stuck") if is_lost else ""}
        return render_to_string("admin/jobqueue/worker_runs.html", shown)

    @admin.display(description=_("orders"))
    def orders(self, worker: Worker) -> SafeString:
        """The buttons that tell it what to do: in the form of the list, with an address of their own."""
        silent = is_silent(worker, vars(worker)["_now"])
        context = {"worker": worker, "may_order": vars(worker)["_orders"], "is_silent": silent}
        context["processes"] = vars(worker)["_processes"]
        return render_to_string("admin/jobqueue/worker_orders.html", context)

    @admin.display(description=_("last heartbeat"))
    def heartbeat(self, worker: Worker) -> SafeString | str:
        """When the worker last gave a sign of life."""
        return time_tag(worker.heartbeat_at, vars(worker)["_now"])

    @admin.display(description=_("started"))
    def started(self, worker: Worker) -> SafeString | str:
        """Since when the worker runs."""
        return time_tag(worker.started_at, vars(worker)["_now"])
