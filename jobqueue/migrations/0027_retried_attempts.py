"""Which failed attempts were followed by another, and by when: what lists of retried jobs ask for.

Of older rows nobody knows it, so the index is built of none.
"""

from django.db import migrations, models

from jobqueue.sql.column_operations import AddFieldOnce
from jobqueue.sql.index_operations import AddIndexBesideWriters


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ("jobqueue", "0026_kept_answers"),
    ]

    operations = [
        AddFieldOnce(
            model_name="attempt",
            name="is_retried",
            field=models.BooleanField(blank=True, editable=False, null=True, verbose_name="retried"),
        ),
        AddIndexBesideWriters(
            model_name="attempt",
            index=models.Index(
                condition=models.Q(("is_retried", True)),
                fields=["finished_at", "job"],
                name="jobqueue_attempt_retried",
            ),
        ),
    ]
