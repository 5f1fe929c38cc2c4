"""The panel that shows, on any record's own page, every job about that record."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.contrib.admin.utils import unquote
from django.db import models
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString
from django.utils.translation import gettext

from jobqueue.admin.listing import listed, prepare_alone, seen, state_of
from jobqueue.admin.subjects import Subject
from jobqueue.admin.ways import address_of
from jobqueue.admin.words import badge, mask_addresses, time_tag
from jobqueue.exceptions import UnknownProcessor
from jobqueue.models import Job, subject_text
from jobqueue.models.holding import due_time
from jobqueue.operating.retelling import told_reason
from jobqueue.operating.words import printable
from jobqueue.registry import get_processor

if TYPE_CHECKING:
    from django.contrib.admin import AdminSite, ModelAdmin

    _Base = ModelAdmin[Any]
else:
    _Base = object

MOST_JOBS = 100


@dataclass(frozen=True, slots=True)
class JobRow:
    """One job as a line of a table."""

    pk: int
    url: str
    processor: str
    kind: str
    state: SafeString
    time: SafeString | str
    attempt: int
    reason: str


@dataclass(frozen=True, slots=True)
class JobsPanel:
    """The jobs about one record: what is to come, what runs and what was."""

    coming: list[JobRow]
    running: list[JobRow]
    past: list[JobRow]
    all_url: str
    is_cut: bool

    @property
    def groups(self) -> list[tuple[str, str, list[JobRow]]]:
        """The groups that have jobs, each with its title and what its times mean."""
        groups = [
            (gettext("Running"), gettext("started"), self.running),
            (gettext("To come"), gettext("runs"), self.coming),
            (gettext("Past"), gettext("finished"), self.past),
        ]
        return [group for group in groups if group[2]]


def panel_for(subject: str, request: HttpRequest, site: AdminSite) -> JobsPanel:
    """The newest jobs of a subject, in the order an operator reads them."""
    return panel_of(jobs_about(subject, request), subject, site)


def newest_about(subject: str, *, without: int | None = None) -> list[Job]:
    """The newest jobs of a subject, one more than a panel shows."""
    rows = Job.objects.about(subject).exclude(pk=without) if without else Job.objects.about(subject)
    return list(seen(rows).order_by("-id")[: MOST_JOBS + 1])


def panel_of(jobs: list[Job], subject: str, site: AdminSite) -> JobsPanel:
    """The panel of these prepared jobs of a subject."""
    shown = jobs[:MOST_JOBS]
    coming = [job for job in shown if job.state == Job.State.WAITING]
    past = [job for job in shown if job.state not in (Job.State.WAITING, Job.State.ACTIVE)]
    return JobsPanel(
        coming=_rows(sorted(coming, key=due_time), "run_at", site),
        running=_rows([job for job in shown if job.state == Job.State.ACTIVE], "started_at", site),
        past=_rows(sorted(past, key=_ended_at, reverse=True), "finished_at", site),
        all_url=address_of(Job, "changelist", site=site, q=subject),
        is_cut=len(jobs) > MOST_JOBS,
    )


def jobs_about(subject: str, request: HttpRequest) -> list[Job]:
    """The newest jobs of a subject, one more than are shown, prepared; read once in a request."""
    read: dict[str, list[Job]] = vars(request).setdefault("_jobs_about", {})
    if subject not in read:
        read[subject] = prepare_alone(newest_about(subject), Subject(subject, subject))
    return read[subject]


def _ended_at(job: Job) -> datetime:
    return job.finished_at or job.created_at


def _rows(jobs: Iterable[Job], moment: str, site: AdminSite) -> list[JobRow]:
    return [
        JobRow(
            pk=job.pk,
            url=address_of(Job, "change", job.pk, site=site),
            processor=job.processor,
            kind=kind_of(job),
            state=badge(state_of(job)),
            time=time_tag(due_time(job) if moment == "run_at" else getattr(job, moment), listed(job).now),
            attempt=job.attempt,
            reason=printable(mask_addresses(told_reason(job))),
        )
        for job in jobs
    ]


def kind_of(job: Job) -> str:
    """Which of its processor's types a job is (`final`, `payment_failed`), where its counter knows types."""
    try:
        counter = get_processor(job.processor).counter
    except UnknownProcessor:
        return ""
    has_kind = counter and counter.payload_key and isinstance(job.payload, dict)
    return printable(counter.type_of(job.payload)) if counter and has_kind else ""


class JobsPanelMixin(_Base):
    """For the ModelAdmin of anything jobs are about: the panel below its form, for who may view jobs."""

    change_form_template = "admin/jobqueue/change_form_with_jobs.html"

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """The record's page with its jobs."""
        context = {**(extra_context or {}), **self.panel_of_jobs(request, object_id)}
        return super().change_view(request, object_id, form_url, context)

    def panel_of_jobs(self, request: HttpRequest, object_id: str) -> dict[str, Any]:
        """What the page shows of its jobs; nothing to who may not view them."""
        if not request.user.has_perm("jobqueue.view_job"):
            return {}
        return {"jobs_panel": panel_for(_subject(self.model, object_id), request, self.admin_site)}


def _subject(model: type[models.Model], object_id: str) -> str:
    return subject_text(f"{model._meta.label_lower}:{unquote(object_id)}")
