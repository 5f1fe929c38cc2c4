import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("jobqueue", "0007_set_aside"),
    ]

    operations = [
        migrations.CreateModel(
            name="BulkAction",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                (
                    "verb",
                    models.CharField(
                        choices=[("retry", "retry"), ("delete", "discard")],
                        max_length=20,
                        verbose_name="verb",
                    ),
                ),
                ("selection", models.JSONField(default=dict, verbose_name="selection")),
                ("key", models.CharField(max_length=64, verbose_name="key")),
                ("highest_id", models.BigIntegerField(verbose_name="highest id")),
                ("position", models.BigIntegerField(default=-9223372036854775808, verbose_name="position")),
                ("expected", models.PositiveIntegerField(verbose_name="expected")),
                ("changed", models.PositiveIntegerField(default=0, verbose_name="changed")),
                (
                    "per_second",
                    models.PositiveIntegerField(
                        blank=True, null=True, verbose_name="at most so many a second"
                    ),
                ),
                ("reason", models.CharField(blank=True, default="", max_length=500, verbose_name="reason")),
                (
                    "asked_by",
                    models.CharField(blank=True, default="", max_length=200, verbose_name="asked for by"),
                ),
                (
                    "asked_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), verbose_name="asked for"
                    ),
                ),
                ("began_at", models.DateTimeField(blank=True, null=True, verbose_name="began")),
                ("ended_at", models.DateTimeField(blank=True, null=True, verbose_name="ended")),
                (
                    "stopped_by",
                    models.CharField(blank=True, default="", max_length=200, verbose_name="stopped by"),
                ),
                ("holder", models.UUIDField(blank=True, null=True, verbose_name="walked by")),
                ("held_until", models.DateTimeField(blank=True, null=True, verbose_name="held until")),
            ],
            options={
                "verbose_name": "bulk action",
                "verbose_name_plural": "bulk actions",
                "ordering": ["-id"],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("ended_at__isnull", True)),
                        fields=("key",),
                        name="jobqueue_bulkaction_once",
                    )
                ],
                "default_permissions": (),
            },
        ),
        migrations.CreateModel(
            name="Cause",
            fields=[
                (
                    "name",
                    models.CharField(max_length=200, primary_key=True, serialize=False, verbose_name="cause"),
                ),
                ("muted_at", models.DateTimeField(blank=True, null=True, verbose_name="muted")),
                (
                    "muted_by",
                    models.CharField(blank=True, default="", max_length=200, verbose_name="muted by"),
                ),
            ],
            options={
                "verbose_name": "cause of failures",
                "verbose_name_plural": "failures by cause",
                "ordering": ["name"],
                "permissions": [("mute_cause", "Can mute causes of failures")],
                "default_permissions": (),
            },
        ),
        migrations.AddField(
            model_name="job",
            name="bulk_action",
            field=models.BigIntegerField(blank=True, null=True, verbose_name="bulk action"),
        ),
        migrations.AddField(
            model_name="job",
            name="cause",
            field=models.CharField(
                blank=True, db_default="", default="", max_length=200, verbose_name="cause"
            ),
        ),
    ]
