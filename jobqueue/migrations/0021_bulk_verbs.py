"""More verbs of bulk actions; and an index of the jobs that an action of an operator names."""

from typing import Any

from django.db import migrations, models

from jobqueue.sql.index_operations import add_index, drop_index

NAME = "jobqueue_audit_jobs"


def add_index_of_jobs(apps: Any, schema_editor: Any) -> None:
    """Which actions changed a job: SQLite has no such index, and looks through the latest."""
    if schema_editor.connection.vendor == "postgresql":
        # Operators write seldom, and a list of what is not sorted in yet would be read by each page.
        definition = "ON jobqueue_auditentry USING gin (job_ids jsonb_path_ops) WITH (fastupdate = off)"
        add_index(schema_editor, NAME, definition)


def drop_index_of_jobs(apps: Any, schema_editor: Any) -> None:
    if schema_editor.connection.vendor == "postgresql":
        drop_index(schema_editor, NAME)


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ("jobqueue", "0020_log_lines"),
    ]

    operations = [
        migrations.AlterField(
            model_name="bulkaction",
            name="verb",
            field=models.CharField(
                choices=[
                    ("retry", "retry"),
                    ("delete", "discard"),
                    ("cancel", "cancel"),
                    ("move", "move"),
                    ("hold", "hold"),
                    ("let_go", "release"),
                    ("run_now", "run now"),
                    ("release", "put back on the road"),
                    ("fail", "fail"),
                ],
                max_length=20,
                verbose_name="verb",
            ),
        ),
        migrations.RunPython(add_index_of_jobs, drop_index_of_jobs, atomic=False),
    ]
