from django.db import migrations, models

from jobqueue.sql.index_operations import AddIndexBesideWriters


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ("jobqueue", "0015_copied_from"),
    ]

    operations = [
        AddIndexBesideWriters(
            model_name="job",
            index=models.Index(
                condition=models.Q(("state", "failed")),
                fields=["finished_at", "id", "cause", "processor", "queue"],
                name="jobqueue_job_failed_list",
            ),
        ),
        AddIndexBesideWriters(
            model_name="job",
            index=models.Index(
                condition=models.Q(("state", "cancelled")),
                fields=["finished_at", "id"],
                name="jobqueue_job_cancelled_list",
            ),
        ),
    ]
