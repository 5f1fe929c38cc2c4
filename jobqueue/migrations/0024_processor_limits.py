"""The limits of processors, a table of its own: code of a release before does not know it."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("jobqueue", "0023_queue_late_after"),
    ]

    operations = [
        migrations.CreateModel(
            name="ProcessorLimits",
            fields=[
                (
                    "name",
                    models.CharField(
                        max_length=100, primary_key=True, serialize=False, verbose_name="processor"
                    ),
                ),
                (
                    "rate_limit",
                    models.PositiveIntegerField(
                        blank=True,
                        help_text="Jobs started per second by all workers together.",
                        null=True,
                        verbose_name="rate limit",
                    ),
                ),
                (
                    "concurrency_limit",
                    models.PositiveIntegerField(
                        blank=True,
                        help_text="Jobs running at once in all workers together.",
                        null=True,
                        verbose_name="concurrency limit",
                    ),
                ),
            ],
            options={
                "verbose_name": "processor",
                "verbose_name_plural": "processors",
                "db_table": "jobqueue_processor",
                "ordering": ["name"],
                "default_permissions": (),
            },
        ),
    ]
