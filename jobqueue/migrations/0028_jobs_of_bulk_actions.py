"""Which jobs a bulk action changed last: what its page counts, and the word `bulk:` of a search asks for."""

from django.db import migrations, models

from jobqueue.sql.index_operations import AddIndexBesideWriters


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ("jobqueue", "0027_retried_attempts"),
    ]

    operations = [
        AddIndexBesideWriters(
            model_name="job",
            index=models.Index(
                condition=models.Q(("bulk_action__isnull", False)),
                fields=["bulk_action", "id"],
                name="jobqueue_job_bulk",
            ),
        ),
    ]
