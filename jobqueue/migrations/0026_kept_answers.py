"""What was answered to requests with an Idempotency-Key, a table of its own: older code does not know it."""

import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("jobqueue", "0025_limits_of_processors"),
    ]

    operations = [
        migrations.CreateModel(
            name="KeptAnswer",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("key", models.CharField(max_length=200, verbose_name="key")),
                ("fingerprint", models.CharField(max_length=64, verbose_name="fingerprint")),
                ("status", models.PositiveIntegerField(default=201, verbose_name="status")),
                ("body", models.JSONField(default=dict, verbose_name="body")),
                (
                    "created_at",
                    models.DateTimeField(
                        db_index=True, default=django.utils.timezone.now, verbose_name="created"
                    ),
                ),
                ("user", models.CharField(max_length=255, verbose_name="user")),
            ],
            options={
                "verbose_name": "kept answer",
                "verbose_name_plural": "kept answers",
                "ordering": ["-id"],
                "abstract": False,
                "default_permissions": (),
                "constraints": [models.UniqueConstraint(fields=("user", "key"), name="jobqueue_answer_once")],
            },
        ),
    ]
