"""The indexes of jobs: each with the question that it answers, and for as few rows as that takes.

Every index that a claim or an outcome has to write costs each job its share.
"""

from __future__ import annotations

from django.db import models

INDEXES = [
    # What the relay asks: due and not published; then published long ago.
    models.Index(
        fields=["run_at"],
        condition=models.Q(state="waiting", published_at__isnull=True),
        name="jobqueue_job_unpublished",
    ),
    models.Index(
        fields=["published_at", "id"],
        condition=models.Q(state="waiting", published_at__isnull=False),
        name="jobqueue_job_published",
    ),
    # What the admin lists: the rows that are not done. Every index that a claim or an outcome has
    # to write costs each job its share, so active rows stand only in the index of their worker.
    models.Index(
        fields=["queue", "state", "run_at"],
        condition=models.Q(state__in=["waiting", "failed"]),
        name="jobqueue_job_open",
    ),
    models.Index(fields=["worker"], condition=models.Q(state="active"), name="jobqueue_job_active"),
    models.Index(fields=["subject", "-id"], condition=~models.Q(subject=""), name="jobqueue_job_subject"),
    models.Index(fields=["created_at"], name="jobqueue_job_created"),
    # What a worker looks for that may know more than others: next to none, at most times.
    models.Index(
        fields=["id"],
        condition=models.Q(state="waiting", unfit_since__isnull=False),
        name="jobqueue_job_unfit",
    ),
    # What is grouped by cause, and walked within one: failed jobs alone, with the time they failed.
    models.Index(
        fields=["cause", "id", "finished_at"],
        condition=models.Q(state="failed"),
        name="jobqueue_job_cause",
    ),
    # What failed lately, by queue: few of many, for the overview and what is filtered by time.
    models.Index(
        fields=["finished_at", "queue"],
        condition=models.Q(state="failed"),
        name="jobqueue_job_failed_at",
    ),
    # The lists of what failed and of what was cancelled, each by when it was. By what failures are grouped
    # and filtered stands there too: 100,000 rows among a million are read in 20 ms instead of 250.
    models.Index(
        fields=["finished_at", "id", "cause", "processor", "queue"],
        condition=models.Q(state="failed"),
        name="jobqueue_job_failed_list",
    ),
    models.Index(
        fields=["finished_at", "id"],
        condition=models.Q(state="cancelled"),
        name="jobqueue_job_cancelled_list",
    ),
    # What stands on the list of what was set aside: few, so that they are counted at once.
    models.Index(fields=["id"], condition=~models.Q(set_aside=""), name="jobqueue_job_set_aside"),
    # What each executor looks for every second: next to none, at most times.
    models.Index(
        fields=["worker"],
        condition=models.Q(state="active", stop_asked_at__isnull=False),
        name="jobqueue_job_stopping",
    ),
    # The copies of a job, which few jobs have.
    models.Index(
        fields=["copied_from"], condition=models.Q(copied_from__isnull=False), name="jobqueue_job_copies"
    ),
    # The jobs that a bulk action changed last.
    models.Index(
        fields=["bulk_action", "id"],
        condition=models.Q(bulk_action__isnull=False),
        name="jobqueue_job_bulk",
    ),
]
