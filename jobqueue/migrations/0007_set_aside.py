from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("jobqueue", "0006_job_unfit_since"),
    ]

    operations = [
        migrations.CreateModel(
            name="SetAsideJob",
            fields=[],
            options={
                "verbose_name": "set aside",
                "verbose_name_plural": "set aside",
                "proxy": True,
                "default_permissions": (),
                "indexes": [],
                "constraints": [],
            },
            bases=("jobqueue.job",),
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
                    ("clear_job", "Can clear stuck jobs"),
                    ("view_payload", "Can read payloads, errors and tracebacks of jobs in full"),
                ],
                "verbose_name": "job",
                "verbose_name_plural": "jobs",
            },
        ),
        migrations.AlterModelOptions(
            name="worker",
            options={
                "base_manager_name": "objects",
                "ordering": ["-started_at"],
                "verbose_name": "worker",
                "verbose_name_plural": "workers",
            },
        ),
        migrations.AddField(
            model_name="job",
            name="set_aside",
            field=models.CharField(
                blank=True, db_default="", default="", max_length=500, verbose_name="set aside"
            ),
        ),
    ]
