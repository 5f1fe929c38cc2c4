"""Jobs as the API shows them: payloads, errors and reasons in full only to those who may read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from rest_framework import serializers
from rest_framework.request import Request

from jobqueue.api.schema import NamedChoice
from jobqueue.api.shapes import AnyJSON, Moment, presentable
from jobqueue.broker.running import Run
from jobqueue.copying import copies_of
from jobqueue.masking import mask_payload
from jobqueue.models import Attempt, Job, Worker
from jobqueue.models.holding import due_time
from jobqueue.models.parking import is_parked
from jobqueue.operating.audit import Done, history_of
from jobqueue.operating.explain import explain, gather
from jobqueue.operating.logs import MOST_LINES, MOST_LOGS, ShownLog, shown_logs
from jobqueue.operating.reading import carried_text, may_read
from jobqueue.operating.running import runs_of
from jobqueue.operating.words import carried, state_word
from jobqueue.searching import OF_ANY_STATE, STATES
from jobqueue.sql.clock import database_now

JOB_STATES = [word for word in STATES if word not in OF_ANY_STATE]


CLAIMED_AT = (
    "When a worker claimed it. Short jobs are claimed many at a time: it may have waited behind others in "
    "its process before it ran."
)


class JobLine(serializers.Serializer[Any]):
    """A job as lists show it."""

    id = serializers.IntegerField()
    processor = serializers.CharField()
    queue = serializers.CharField()
    state = NamedChoice("JobState", JOB_STATES, help_text="Also delayed, held, stuck and skipped.")
    about = serializers.CharField(allow_blank=True, help_text="The record that it is about: app.model:key.")
    run_at = Moment(help_text="When it runs; of a held one when it was to run.")
    attempt = serializers.IntegerField(help_text="Number of the run that it is in, or that would be next.")
    failures = serializers.IntegerField(
        help_text="Failed runs that count against its retries: since it was retried by hand, and without "
        "those that cost none."
    )
    time_limit = serializers.FloatField(help_text="Seconds.")
    reason = serializers.CharField(allow_blank=True, help_text="Of its last failure, skip or cancellation.")
    cause = serializers.CharField(allow_blank=True, help_text="By what its failure is counted.")
    set_aside = serializers.CharField(allow_blank=True)
    unique_key = serializers.CharField(allow_null=True)
    worker = serializers.CharField(allow_null=True, help_text="The name of the worker that runs or ran it.")
    worker_id = serializers.UUIDField(
        allow_null=True, help_text="Its id: `/api/workers/{id}/`; null where it has no row any more."
    )
    bulk_action = serializers.IntegerField(allow_null=True)
    copied_from = serializers.IntegerField(allow_null=True, help_text="The job that it was made from.")
    created_at = Moment()
    published_at = Moment(allow_null=True, help_text="Since when workers are told of it.")
    started_at = Moment(allow_null=True, help_text=CLAIMED_AT)
    finished_at = Moment(allow_null=True, help_text="When its outcome was written down.")
    stop_asked_at = Moment(allow_null=True, help_text="Since when a running job is to end.")


class AttemptLine(serializers.Serializer[Any]):
    """A failed run of a job."""

    number = serializers.IntegerField()
    error_class = serializers.CharField()
    message = serializers.CharField(allow_blank=True)
    traceback = serializers.CharField(allow_blank=True)
    worker = serializers.CharField(allow_blank=True)
    started_at = Moment(allow_null=True, help_text=CLAIMED_AT)
    finished_at = Moment(help_text="When its failure was written down.")


class LogLineShape(serializers.Serializer[Any]):
    """A line that a processor logged."""

    seconds = serializers.FloatField(help_text="Since the attempt began.")
    level = serializers.CharField(allow_blank=True)
    logger = serializers.CharField(allow_blank=True)
    message = serializers.CharField(allow_blank=True)


class LogShape(serializers.Serializer[Any]):
    """What one attempt logged: its first lines and its last ones."""

    attempt = serializers.IntegerField()
    written_at = Moment()
    lines = LogLineShape(many=True)
    left_out = serializers.IntegerField(help_text="How many lines were too many to be kept, or to be shown.")
    left_out_after = serializers.IntegerField(help_text="Behind how many of the lines those stood.")


class HistoryLine(serializers.Serializer[Any]):
    """What an operator did."""

    at = Moment()
    who = serializers.CharField()
    what = serializers.CharField(allow_blank=True)


class ProgressShape(serializers.Serializer[Any]):
    """How far a running job says that it is."""

    done = serializers.FloatField(allow_null=True)
    total = serializers.FloatField(allow_null=True)
    share = serializers.FloatField(
        allow_null=True, help_text="From 0 to 1; null where it said no share and no total."
    )
    text = serializers.CharField(allow_blank=True)


class JobInFull(JobLine):
    """A job with all that is known of it."""

    why = serializers.CharField(help_text="What it waits for, who runs it, or how it ended: a sentence.")
    thread = serializers.IntegerField(
        allow_null=True, help_text="The number of the thread that runs it, in its worker's process."
    )
    progress = ProgressShape(
        allow_null=True, help_text="What it last reported, while it runs; null if it reported nothing."
    )
    payload = AnyJSON()
    is_masked = serializers.BooleanField(
        help_text="Whether the payload's values, what was logged and e-mail addresses are hidden from this "
        "user; what else errors and reasons say is not."
    )
    attempts = AttemptLine(many=True)
    logs = LogShape(
        many=True,
        help_text=f"Of the last {MOST_LOGS} attempts that logged anything, the newest first, also of those "
        f"that did not fail; at most {MOST_LINES} lines in all.",
    )
    history = HistoryLine(many=True)
    copies = serializers.IntegerField(help_text="How many jobs were made from it.")


def lines(jobs: Sequence[Job], request: Request) -> list[dict[str, Any]]:
    """The jobs of a page, at the cost of three queries in all."""
    if not jobs:
        return []
    now = database_now(Job.objects.db)
    active = [job.pk for job in jobs if job.state == Job.State.ACTIVE]
    stuck = set(Job.objects.stuck().filter(pk__in=active).values_list("pk", flat=True)) if active else set()
    names = _names_of_workers(jobs)
    return [_line(job, state_word(job, now, is_stuck=job.pk in stuck), names, request, now) for job in jobs]


def _line(job: Job, state: str, names: Mapping[Any, str], request: Request, now: datetime) -> dict[str, Any]:
    return {
        "id": job.pk,
        "processor": carried(job.processor),
        "queue": carried(job.queue),
        "state": state,
        "about": carried_text(job.subject, request),
        "run_at": Moment().to_representation(due_time(job)),
        "attempt": job.attempt,
        "failures": job.failures,
        "time_limit": job.timeout,
        "reason": carried_text(job.reason, request),
        "cause": carried_text(job.cause, request),
        "set_aside": carried_text(job.set_aside, request),
        "unique_key": None if job.unique_key is None else carried_text(job.unique_key, request),
        "worker": names.get(job.worker_id),
        "worker_id": str(job.worker_id) if job.worker_id in names else None,
        "bulk_action": job.bulk_action,
        "copied_from": job.copied_from,
        **{
            name: Moment().to_representation(getattr(job, name))
            for name in ("created_at", "started_at", "finished_at", "stop_asked_at")
        },
        # Of what the limits of its processor hold back no worker is told.
        "published_at": Moment().to_representation(None if is_parked(job, now) else job.published_at),
    }


def _names_of_workers(jobs: Sequence[Job]) -> dict[Any, str]:
    keys = {job.worker_id for job in jobs if job.worker_id}
    found = Worker.objects.in_bulk(keys) if keys else {}
    return {key: carried(worker.name) for key, worker in found.items()}


def in_full(job: Job, request: Request) -> dict[str, Any]:
    """One job with its attempts, its history and why it is where it is."""
    facts = gather(job)
    names = {} if facts.worker is None else {facts.worker.pk: carried(facts.worker.name)}
    line = _line(job, state_word(job, facts.now, is_stuck=facts.is_stuck), names, request, facts.now)
    is_masked = not may_read(request)
    payload = mask_payload(job.payload) if is_masked else job.payload
    return {
        **line,
        "why": carried_text(explain(job, facts), request),
        **run_line(runs_of([job]).get(job.pk), request),
        "payload": presentable(payload),
        "is_masked": is_masked,
        "attempts": [_attempt(one, request) for one in job.attempts.order_by("-number")],
        "logs": [_log(one) for one in reversed(shown_logs(job, request))],
        "history": [_done(one, request) for one in history_of(job)],
        "copies": copies_of(job).count(),
    }


def run_line(run: Run | None, request: Request) -> dict[str, Any]:
    """What its worker told of a run: its thread, and how far it says that it is."""
    if run is None:
        return {"thread": None, "progress": None}
    told = run.progress
    shown = told and {
        "done": told.done,
        "total": told.total,
        "share": told.share,
        "text": carried_text(told.text, request),
    }
    return {"thread": run.thread, "progress": shown}


def _attempt(attempt: Attempt, request: Request) -> dict[str, Any]:
    return {
        "number": attempt.number,
        "error_class": carried_text(attempt.error_class, request),
        "message": carried_text(attempt.message, request),
        "traceback": carried_text(attempt.traceback, request),
        "worker": carried(attempt.worker_name),
        "started_at": Moment().to_representation(attempt.started_at),
        "finished_at": Moment().to_representation(attempt.finished_at),
    }


def _log(log: ShownLog) -> dict[str, Any]:
    return {
        "attempt": log.number,
        "written_at": Moment().to_representation(log.written_at),
        "lines": [line._asdict() for line in (*log.first, *log.last)],
        "left_out": log.left_out,
        "left_out_after": len(log.first),
    }


def _done(done: Done, request: Request) -> dict[str, Any]:
    return {
        "at": Moment().to_representation(done.at),
        "who": carried(done.who),
        "what": carried_text(done.what, request),
    }
