"""A permission for each verb, and two groups of operators, where there are tables of `django.contrib.auth`."""

from django.db import migrations

from jobqueue.operators import AddGroups, after_groups

VIEWER = ("view_job", "view_queue", "view_worker")
"""What "Job viewer" may: causes and bulk actions are seen by who sees jobs. No payload."""
OPERATOR = (
    *VIEWER,
    *("view_audit", "retry_job", "cancel_job", "run_job", "clear_job", "stop_job", "move_job", "copy_job"),
    *("pause_queue", "limit_queue", "control_worker", "mute_cause"),
)
"""What "Job operator" may: every verb but `delete_job`, which nobody can take back, and no payload."""
GROUPS = {"Job viewer": VIEWER, "Job operator": OPERATOR}


class Migration(migrations.Migration):
    dependencies = [
        ("jobqueue", "0008_causes"),
        *after_groups(),
    ]

    operations = [
        migrations.AlterModelOptions(
            name="job",
            options={
                "base_manager_name": "objects",
                "ordering": ["-id"],
                "permissions": [
                    ("retry_job", "Can retry jobs"),
                    ("cancel_job", "Can cancel jobs"),
                    ("run_job", "Can run delayed jobs now"),
                    ("clear_job", "Can clear stuck jobs"),
                    ("stop_job", "Can stop running jobs"),
                    ("move_job", "Can move jobs to another time"),
                    ("copy_job", "Can enqueue copies of jobs with another payload"),
                    ("view_payload", "Can read payloads, errors and tracebacks of jobs in full"),
                    ("view_audit", "Can read what operators did"),
                ],
                "verbose_name": "job",
                "verbose_name_plural": "jobs",
            },
        ),
        migrations.AlterModelOptions(
            name="queue",
            options={
                "ordering": ["name"],
                "permissions": [
                    ("pause_queue", "Can pause and resume queues"),
                    ("limit_queue", "Can change the limits of queues"),
                ],
                "verbose_name": "queue",
                "verbose_name_plural": "queues",
            },
        ),
        migrations.AlterModelOptions(
            name="worker",
            options={
                "base_manager_name": "objects",
                "ordering": ["-started_at"],
                "permissions": [("control_worker", "Can quiet and stop workers")],
                "verbose_name": "worker",
                "verbose_name_plural": "workers",
            },
        ),
        AddGroups("jobqueue", GROUPS),
    ]
