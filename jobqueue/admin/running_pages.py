"""Who runs what now, by worker; and the pages that stop a job, and quiet, resume or stop a worker."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from jobqueue.admin import live
from jobqueue.admin.asked import refusal_of
from jobqueue.admin.listing import listed, prepare
from jobqueue.admin.reasons import kept_reason
from jobqueue.admin.subjects import Subject
from jobqueue.admin.words import badge, time_tag, worker_badge
from jobqueue.broker.running import Run
from jobqueue.conf import get_settings
from jobqueue.exceptions import JobTransitionRefused, WorkerOrderRefused
from jobqueue.models import Job, Worker, stopping
from jobqueue.operating.explain import Facts
from jobqueue.operating.reading import shown_text
from jobqueue.operating.rights import VIEW_JOB, VIEW_WORKER, Right, demand, may, permissions_of
from jobqueue.operating.running import progress_words, runs_of
from jobqueue.operating.stops import LONGEST_STOP_REASON, stop_and_log
from jobqueue.operating.words import exact_span, grouped, printable
from jobqueue.operating.workers import ORDERS, Order, is_silent, order_and_log
from jobqueue.sql.clock import database_now

REFRESH_SECONDS = 2
"""So often this page is refreshed, and that of a job which runs."""
MOST_JOBS = 100
"""Rows that the page shows: 500 were 33,000 pixels long."""
MOST_NAMED = 8
"""Processes that the answer to an order names, and jobs that the question before a stop does."""
_FEW = 2
TO_WORKERS = "workers"
"""Says that an order was given on the list of workers, so that it leads back there."""


@dataclass(frozen=True, slots=True)
class ShownProgress:
    """How far a job says that it is, as a bar with its words."""

    share: float | None
    words: str
    text: str


@dataclass(frozen=True, slots=True)
class RunningJob:
    """One running job as a row."""

    job: Job
    about: Subject
    since: SafeString | str
    ran: str
    seconds: float
    """How long it has run, of its limit in `job.timeout`; never more, as a bar shows it."""
    is_stuck: bool
    stop_reason: str
    thread: str
    """The number of its thread in its process; empty if its worker has not told it yet."""
    progress: ShownProgress | None


@dataclass(frozen=True, slots=True)
class RunningWorker:
    """One process with the jobs that it runs. Without a row (`worker` is None) it is gone."""

    worker: Worker | None
    state: SafeString
    jobs: list[RunningJob]
    is_alive: bool = False
    """Whether it gives signs of life; without these its jobs do not run, and no order reaches it."""


def urls_of(pages: ModelAdmin[Any]) -> list[URLPattern]:
    """The addresses of these pages, below the list of jobs."""
    view = pages.admin_site.admin_view
    return [
        path("running/", view(_bound(_running, pages)), name="jobqueue_job_running"),
        path("<str:object_id>/stop/", view(_bound(_stop, pages)), name="jobqueue_job_stop"),
        path(
            "worker/<uuid:worker_id>/order/",
            view(_bound(_order, pages, VIEW_WORKER)),
            name="jobqueue_worker_order",
        ),
    ]


def _bound(
    page: Callable[..., HttpResponse], pages: ModelAdmin[Any], look: str = VIEW_JOB
) -> Callable[..., HttpResponse]:
    def bound(request: HttpRequest, **values: Any) -> HttpResponse:
        demand(request, look)
        return page(pages, request, **values)

    return bound


def stop_url(job: Job, facts: Facts, request: HttpRequest, pages: ModelAdmin[Any]) -> str:
    """Where the job is stopped; empty if it does not run, is being stopped, or this user may not.

    Nor can what nobody runs, or a worker that knows no stops.
    """
    if job.state != Job.State.ACTIVE or job.stop_asked_at or not may(request, Right.STOP):
        return ""
    if facts.worker is None or is_silent(facts.worker, facts.now) or not facts.worker.takes_orders:
        return ""
    return reverse(f"{pages.admin_site.name}:jobqueue_job_stop", args=[job.pk])


# Who runs what --------------------------------------------------------------------------------------


def _running(pages: ModelAdmin[Any], request: HttpRequest) -> HttpResponse:
    active = Job.objects.active()
    found = list(active.order_by("started_at", "id")[: MOST_JOBS + 1])
    jobs = prepare(found[:MOST_JOBS], request, pages.admin_site)
    is_cut = len(found) > MOST_JOBS
    groups = _groups(jobs, request)
    lost = sum(len(group.jobs) for group in groups if not group.is_alive)
    return _page(
        pages,
        request,
        "running.html",
        title=_("Running"),
        groups=groups,
        number=len(jobs),
        running=len(jobs) - lost,
        lost=lost,
        all=active.count() if is_cut else len(jobs),
        is_cut=is_cut,
        claimed=0 if is_cut else _only_claimed(groups),
        list_url=reverse(f"{pages.admin_site.name}:jobqueue_job_changelist", query={"state": "active"}),
        seconds=REFRESH_SECONDS,
        stuck=badge("stuck"),
        stuck_url=reverse(f"{pages.admin_site.name}:jobqueue_stuckjob_changelist"),
        may_stop=may(request, Right.STOP),
        may_order={name for name, order in ORDERS.items() if may(request, order.right)},
    )


def _groups(jobs: list[Job], request: HttpRequest) -> list[RunningWorker]:
    """The workers that are alive, and those that seem to run one of these jobs."""
    now = database_now(Job.objects.db)
    known = list(Worker.objects.order_by("name", "pk"))
    by_worker: dict[uuid.UUID | None, list[RunningJob]] = {}
    runs = runs_of(jobs)
    for job in jobs:
        by_worker.setdefault(job.worker_id, []).append(_row(job, now, runs.get(job.pk), request))
    groups = [
        RunningWorker(
            worker, worker_badge(worker, now), by_worker.pop(worker.pk, []), not is_silent(worker, now)
        )
        for worker in known
        if not is_silent(worker, now) or worker.pk in by_worker
    ]
    strangers = [row for rows in by_worker.values() for row in rows]
    if strangers:
        groups.append(RunningWorker(None, badge("silent", _("gone")), strangers))
    return groups


def _only_claimed(groups: list[RunningWorker]) -> int:
    """How many jobs cannot run yet: short ones are claimed many at a time, and a thread runs one of them."""
    alive = [(len(one.jobs), one.worker.threads) for one in groups if one.worker and one.is_alive]
    return sum(max(0, jobs - threads) for jobs, threads in alive)


def shown_progress(run: Run | None, request: HttpRequest) -> ShownProgress | None:
    """How far the job says that it is; None if it says nothing, or what was told is not of this run."""
    if run is None or run.progress is None:
        return None
    told = run.progress
    return ShownProgress(told.share, progress_words(told), shown_text(told.text, request))


def running_facts(job: Job, request: HttpRequest) -> dict[str, Any]:
    """Of a job's page: the number of its thread and how far it says that it is, as far as it runs."""
    run = runs_of([job]).get(job.pk)
    return {"thread": "" if run is None else str(run.thread), "progress": shown_progress(run, request)}


def _row(job: Job, now: datetime, run: Run | None, request: HttpRequest) -> RunningJob:
    ran = now - (job.started_at or now)
    return RunningJob(
        job=job,
        about=listed(job).subject,
        since=time_tag(job.started_at, now),
        ran=exact_span(ran),
        seconds=min(max(0.0, ran.total_seconds()), job.timeout),
        is_stuck=listed(job).is_stuck,
        stop_reason=shown_text(job.stop_reason, request),
        thread="" if run is None else str(run.thread),
        progress=shown_progress(run, request),
    )


# Stop a job -----------------------------------------------------------------------------------------


def _stop(pages: ModelAdmin[Any], request: HttpRequest, object_id: str) -> HttpResponse:
    demand(request, *permissions_of(Right.STOP))
    job = pages.get_object(request, object_id)
    if job is None:
        raise Http404
    if request.method == "POST":
        reason = kept_reason(request, LONGEST_STOP_REASON)
        if reason is None:
            return HttpResponseRedirect(request.path)
        _stop_and_tell(pages, request, job, reason)
        return HttpResponseRedirect(_job_url(pages, job))
    refusal = stopping.why_not(job, Job.objects.db)
    if refusal is not None:
        pages.message_user(request, refusal_of(refusal, request), messages.WARNING)
        return HttpResponseRedirect(_job_url(pages, job))
    grace = get_settings().timeout_grace
    return _page(
        pages,
        request,
        "stop_job.html",
        title=_("Stop job #%(number)d") % {"number": job.pk},
        job=job,
        grace=f"{grace:g}",
        beside=_beside(job),
        back_url=_job_url(pages, job),
        longest=LONGEST_STOP_REASON,
    )


def _beside(job: Job) -> str:
    """The jobs that run in the same process, some by name; all that it claimed, if it does not tell.

    What only is claimed does not begin anew: it has not begun.
    """
    if job.worker_id is None:
        return ""
    of_process = Job.objects.active().filter(worker_id=job.worker_id).exclude(pk=job.pk)
    columns = ("pk", "state", "worker_id", "attempt", "processor")
    others = list(of_process.only(*columns).order_by("started_at", "pk")[:MOST_JOBS])
    told = runs_of([job, *others])
    running = [other for other in others if other.pk in told] if told else others
    names = ", ".join(f"#{other.pk} {printable(other.processor)}" for other in running[:MOST_NAMED])
    more = len(running) - MOST_NAMED
    return _("%(names)s and %(number)s more") % {"names": names, "number": more} if more > 0 else names


def _stop_and_tell(pages: ModelAdmin[Any], request: HttpRequest, job: Job, reason: str) -> None:
    try:
        stop_and_log(request, job, reason)
    except JobTransitionRefused as error:
        pages.message_user(request, refusal_of(error, request), messages.WARNING)
        return
    pages.message_user(
        request, _("Its stop is asked for: this page says when it has ended."), messages.SUCCESS
    )


def _job_url(pages: ModelAdmin[Any], job: Job) -> str:
    return reverse(f"{pages.admin_site.name}:jobqueue_job_change", args=[job.pk])


# Order a worker -------------------------------------------------------------------------------------


def _order(pages: ModelAdmin[Any], request: HttpRequest, worker_id: uuid.UUID) -> HttpResponse:
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    order = ORDERS.get(request.POST.get("order", ""))
    if order is None:
        raise Http404(f"a worker is told one of: {', '.join(ORDERS)}")
    demand(request, *permissions_of(order.right))
    worker = Worker.objects.filter(Q(pk=worker_id)).first()
    if worker is None:
        raise Http404
    to_workers = request.GET.get("back") == TO_WORKERS or not request.user.has_perm(VIEW_JOB)
    page = "worker_changelist" if to_workers else "job_running"
    after = HttpResponseRedirect(reverse(f"{pages.admin_site.name}:jobqueue_{page}"))
    reason = kept_reason(request)
    if reason is None:
        return after
    try:
        changed = order_and_log(request, worker, order, reason)
    except WorkerOrderRefused as error:
        pages.message_user(request, refusal_of(error, request), messages.WARNING)
    else:
        text = _("%(what)s is asked for.") if changed else _("%(what)s was asked for already.")
        level = messages.SUCCESS if changed else messages.WARNING
        pages.message_user(request, text % {"what": _what_of(order, worker, changed)}, level)
    return after


def _what_of(order: Order, worker: Worker, changed: list[Worker]) -> str:
    """What was ordered: the order is for all processes of the worker, and names those that it changed."""
    if len(changed) < _FEW:
        return f"{order.label}: {(changed or [worker])[0].title}"
    words = {
        "n": grouped(len(changed)),
        "names": ", ".join(sorted(one.title for one in changed)[:MOST_NAMED]),
    }
    more = "" if len(changed) <= MOST_NAMED else ", …"
    named = _("%(n)s processes of the worker (%(names)s)") % {**words, "names": f"{words['names']}{more}"}
    return f"{order.label}: {named}"


def _page(pages: ModelAdmin[Any], request: HttpRequest, template: str, **context: Any) -> HttpResponse:
    head = {
        **pages.admin_site.each_context(request),
        "opts": pages.opts,
        "media": pages.media,
    }
    return live.answer(request, TemplateResponse(request, f"admin/jobqueue/{template}", head | context))
