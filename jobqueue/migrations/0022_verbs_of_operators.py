"""A permission for each verb: who held one that stood for several has each of them."""

from django.db import migrations

from jobqueue.operators import AddFinerPermissions


FINER = {
    "retry_job": ("put_back_set_aside", "stop_bulkaction"),
    "cancel_job": ("stop_bulkaction",),
    "run_job": ("stop_bulkaction",),
    "delete_job": ("stop_bulkaction",),
    "clear_job": ("put_back_job", "fail_job", "stop_bulkaction"),
    "move_job": ("hold_job", "release_job", "stop_bulkaction"),
    "pause_queue": ("resume_queue",),
    "change_queue": ("limit_queue",),
    "control_worker": ("quiet_worker", "resume_worker", "stop_worker"),
    "mute_cause": ("unmute_cause",),
}
"""What each stood for, beside the verb that it still has."""
FORMER = {
    "clear_job": "Can clear stuck jobs",
    "control_worker": "Can quiet and stop workers",
    "pause_queue": "Can pause and resume queues",
}


class Migration(migrations.Migration):
    dependencies = [
        ("jobqueue", "0021_bulk_verbs"),
    ]

    operations = [
        migrations.AlterModelOptions(
            name="bulkaction",
            options={
                "default_permissions": (),
                "ordering": ["-id"],
                "permissions": [("stop_bulkaction", "Can stop bulk actions")],
                "verbose_name": "bulk action",
                "verbose_name_plural": "bulk actions",
            },
        ),
        migrations.AlterModelOptions(
            name="cause",
            options={
                "default_permissions": (),
                "ordering": ["name"],
                "permissions": [
                    ("mute_cause", "Can mute causes of failures"),
                    ("unmute_cause", "Can let muted causes of failures count again"),
                ],
                "verbose_name": "cause of failures",
                "verbose_name_plural": "failures by cause",
            },
        ),
        migrations.AlterModelOptions(
            name="job",
            options={
                "base_manager_name": "objects",
                "ordering": ["-id"],
                "permissions": [
                    ("retry_job", "Can retry jobs"),
                    ("cancel_job", "Can cancel jobs"),
                    ("run_job", "Can run delayed jobs now"),
                    ("put_back_job", "Can put stuck jobs back on the road"),
                    ("fail_job", "Can end stuck jobs as failed"),
                    ("stop_job", "Can stop running jobs"),
                    ("move_job", "Can move jobs to another time"),
                    ("hold_job", "Can hold jobs"),
                    ("release_job", "Can release held jobs"),
                    ("copy_job", "Can enqueue copies of jobs with another payload"),
                    ("put_back_set_aside", "Can put back what was set aside"),
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
                    ("pause_queue", "Can pause queues"),
                    ("resume_queue", "Can resume paused queues"),
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
                "permissions": [
                    ("quiet_worker", "Can quiet workers"),
                    ("resume_worker", "Can let quiet workers claim again"),
                    ("stop_worker", "Can stop workers"),
                ],
                "verbose_name": "worker",
                "verbose_name_plural": "workers",
            },
        ),
        AddFinerPermissions("jobqueue", FINER, FORMER, there=["limit_queue"]),
    ]
