"""Indexes that the migrations 0006 to 0015 built at first, under a lock; some installations have them."""

from django.db import migrations, models

from jobqueue.sql.moved_indexes import AddMissingIndexBesideWriters


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ("jobqueue", "0016_list_indexes"),
    ]

    operations = [
        AddMissingIndexBesideWriters(
            model_name="job",
            index=models.Index(
                condition=models.Q(("state", "waiting"), ("unfit_since__isnull", False)),
                fields=["id"],
                name="jobqueue_job_unfit",
            ),
        ),
        AddMissingIndexBesideWriters(
            model_name="job",
            index=models.Index(
                condition=models.Q(("set_aside", ""), _negated=True),
                fields=["id"],
                name="jobqueue_job_set_aside",
            ),
        ),
        AddMissingIndexBesideWriters(
            model_name="job",
            index=models.Index(
                condition=models.Q(("state", "failed")),
                fields=["cause", "id", "finished_at"],
                name="jobqueue_job_cause",
            ),
        ),
        AddMissingIndexBesideWriters(
            model_name="job",
            index=models.Index(
                condition=models.Q(("state", "active"), ("stop_asked_at__isnull", False)),
                fields=["worker"],
                name="jobqueue_job_stopping",
            ),
        ),
        AddMissingIndexBesideWriters(
            model_name="job",
            index=models.Index(
                condition=models.Q(("state", "failed")),
                fields=["finished_at", "queue"],
                name="jobqueue_job_failed_at",
            ),
        ),
        AddMissingIndexBesideWriters(
            model_name="job",
            index=models.Index(
                condition=models.Q(("copied_from__isnull", False)),
                fields=["copied_from"],
                name="jobqueue_job_copies",
            ),
        ),
    ]
