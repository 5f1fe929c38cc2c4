"""The columns of the lists of jobs: each state has those that an operator asks of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from jobqueue.admin.listing import listed, state_of
from jobqueue.admin.panel import kind_of
from jobqueue.admin.running_pages import shown_progress
from jobqueue.admin.words import (
    NOTHING,
    badge,
    breakable,
    length_tag,
    mask_addresses,
    time_tag,
    worker_word,
)
from jobqueue.models import Job, Worker
from jobqueue.models.holding import due_time
from jobqueue.operating.explain import explain
from jobqueue.operating.explain_many import facts_of_waiting
from jobqueue.operating.kinds import name_of
from jobqueue.operating.retelling import told_reason
from jobqueue.operating.running import runs_of
from jobqueue.operating.words import exact_span

_WHICH = ("number", "shown_processor", "queue", "about")
_TO_COME = ("number", "what", "queue", "about")
OF_ALL = ("number", "shown_processor", "queue", "shown_state", "about", "runs", "attempt", "shown_reason")
COLUMNS = {
    "waiting": (*_WHICH, "waits_since", "why", "attempt"),
    "delayed": (*_TO_COME, "due", "why"),
    "held": (*_TO_COME, "was_to_run", "shown_reason"),
    "active": (*_WHICH, "on_worker", "running_for", "of_limit", "progress", "attempt"),
    "stuck": (*_WHICH, "on_worker", "running_for", "time_limit", "attempt"),
    "failed": (*_WHICH, "error", "failed_at", "attempt"),
    "completed": (*_WHICH, "ended", "waited", "ran", "by_worker", "attempt"),
    "skipped": (*_WHICH, "ended", "shown_reason"),
    "cancelled": (*_WHICH, "ended", "shown_reason"),
}
"""The columns by the state that a list is of."""


def read_details(changes: ChangeList, request: HttpRequest) -> None:
    """What the columns of this page show beside its rows, read at once for all of them."""
    columns, jobs = changes.list_display, changes.result_list
    if {"on_worker", "by_worker"}.intersection(columns):
        # No constraint keeps the rows of workers.
        workers = Worker.objects.in_bulk({job.worker_id for job in jobs if job.worker_id})
        _note(jobs, "_worker", {job.pk: workers.get(job.worker_id) for job in jobs})
    if "why" in columns and jobs:
        _note(jobs, "_facts", facts_of_waiting(jobs, listed(jobs[0]).now, Job.objects.db))
    if "progress" in columns:
        runs = runs_of(jobs)
        _note(jobs, "_progress", {job.pk: shown_progress(runs.get(job.pk), request) for job in jobs})


def _note(jobs: Sequence[Job], name: str, found: dict[int, Any]) -> None:
    for job in jobs:
        vars(job)[name] = found.get(job.pk)


class JobColumns:
    """One method a column; `read_details` has read what a row does not have itself."""

    # Which job ------------------------------------------------------------------------------------

    @admin.display(description=_("job"), ordering="id")
    def number(self, job: Job) -> str:
        """The job's id."""
        return f"#{job.pk}"

    @admin.display(description=_("processor"))
    def shown_processor(self, job: Job) -> SafeString:
        """The processor's name, with places where a narrow column may break it."""
        return breakable(job.processor)

    @admin.display(description=_("state"))
    def shown_state(self, job: Job) -> SafeString:
        """The state in colour and in words."""
        return badge(state_of(job))

    @admin.display(description=_("about"))
    def about(self, job: Job) -> SafeString | str:
        """The record the job is about."""
        return listed(job).subject.as_html()

    @admin.display(description=_("runs"), ordering="run_at")
    def runs(self, job: Job) -> SafeString | str:
        """When the job runs, or was to run."""
        return time_tag(due_time(job), listed(job).now)

    @admin.display(description=_("ended"), ordering="finished_at")
    def ended(self, job: Job) -> SafeString | str:
        """When the job was over."""
        return time_tag(job.finished_at, listed(job).now)

    @admin.display(description=_("reason"), empty_value="")
    def shown_reason(self, job: Job) -> SafeString | str:
        """Why the job is in its state, without addresses."""
        return (
            format_html('<span class="jq-reason">{}</span>', mask_addresses(told_reason(job)))
            if job.reason
            else ""
        )

    @admin.display(description=_("what"))
    def what(self, job: Job) -> SafeString:
        """What the job does, and which of its kind: the step of a reminder, say."""
        return breakable(name_of(job.processor, kind_of(job)))

    # What is to come ------------------------------------------------------------------------------

    @admin.display(description=_("waits since"), ordering="run_at")
    def waits_since(self, job: Job) -> SafeString | str:
        """Since when the job could run."""
        return time_tag(job.run_at, listed(job).now)

    @admin.display(description=_("due"), ordering="run_at")
    def due(self, job: Job) -> SafeString | str:
        """When the job runs, and in how long; of a held one when it was to run."""
        return time_tag(due_time(job), listed(job).now)

    @admin.display(description=_("was to run"))
    def was_to_run(self, job: Job) -> SafeString | str:
        """When a held job was to run: then it runs if it is released in time."""
        return time_tag(due_time(job), listed(job).now)

    @admin.display(description=_("why it waits"))
    def why(self, job: Job) -> SafeString | str:
        """The sentence of the job's own page, without addresses."""
        facts = vars(job).get("_facts")
        said = mask_addresses(explain(job, facts)) if facts is not None else ""
        return format_html('<span class="jq-reason">{}</span>', said) if said else ""

    # What runs ------------------------------------------------------------------------------------

    @admin.display(description=_("worker"))
    def on_worker(self, job: Job) -> SafeString | str:
        """Who claimed the job; of a stuck one since when it is silent."""
        worker: Worker | None = vars(job).get("_worker")
        if worker is None:
            return gettext("gone")
        if not listed(job).is_stuck:
            return format_html("{} <small>{}</small>", worker_word(worker.name), worker.hostname)
        silence = length_tag(worker.heartbeat_at, listed(job).now)
        said = format_html(gettext("last sign of life %(span)s ago").replace("%(span)s", "{}"), silence)
        return format_html("{} <small>{}</small>", worker_word(worker.name), said)

    @admin.display(description=_("running for"), ordering="started_at")
    def running_for(self, job: Job) -> SafeString | str:
        """How long ago the job was started."""
        return length_tag(job.started_at, listed(job).now) if job.started_at else NOTHING

    @admin.display(description=_("of its limit"))
    def of_limit(self, job: Job) -> SafeString | str:
        """How much of its time the job has used, in tenths: the page changes as often and no more."""
        if job.started_at is None:
            return NOTHING
        used = (listed(job).now - job.started_at).total_seconds() / max(job.timeout, 0.001)
        return format_html(
            '<progress class="jq-progress" value="{}" max="10" aria-label="{}"></progress> {}',
            int(10 * min(max(used, 0.0), 1.0)),
            gettext("Time used of its limit"),
            self.time_limit(job),
        )

    @admin.display(description=_("time limit"))
    def time_limit(self, job: Job) -> str:
        """Seconds the job may take."""
        return f"{job.timeout:.0f} s"

    @admin.display(description=_("progress"))
    def progress(self, job: Job) -> SafeString | str:
        """How far the job says that it is."""
        shown = vars(job).get("_progress")
        return render_to_string("admin/jobqueue/progress.html", {"shown": shown}) if shown else NOTHING

    # What is over ---------------------------------------------------------------------------------

    @admin.display(description=_("error"))
    def error(self, job: Job) -> SafeString:
        """Error class and message, without addresses."""
        name, colon, message = mask_addresses(job.reason).partition(": ")
        if not colon or " " in name:
            name, message = "", name + colon + message
        return format_html('<span class="jq-reason"><strong>{}</strong> {}</span>', name, message)

    @admin.display(description=_("failed"), ordering="finished_at")
    def failed_at(self, job: Job) -> SafeString | str:
        """When the job gave up."""
        return time_tag(job.finished_at, listed(job).now)

    @admin.display(description=_("waited"))
    def waited(self, job: Job) -> str:
        """How long the job waited for its last run, from when it was due."""
        if job.started_at is None:
            return NOTHING
        return exact_span(max(job.started_at - max(job.run_at, job.created_at), timedelta(0)))

    @admin.display(description=_("ran"))
    def ran(self, job: Job) -> str:
        """How long its last run took."""
        if job.started_at is None or job.finished_at is None:
            return NOTHING
        return exact_span(max(job.finished_at - job.started_at, timedelta(0)))

    @admin.display(description=_("worker"))
    def by_worker(self, job: Job) -> SafeString | str:
        """Who ran it; workers are forgotten a day after their last sign of life."""
        worker: Worker | None = vars(job).get("_worker")
        return worker_word(worker.name) if worker is not None else NOTHING
