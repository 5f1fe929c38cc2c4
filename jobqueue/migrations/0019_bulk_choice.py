import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("jobqueue", "0018_hold"),
    ]

    operations = [
        migrations.CreateModel(
            name="BulkChoice",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("last", models.BigIntegerField(verbose_name="last id")),
                ("ids", models.JSONField(default=list, verbose_name="ids")),
                (
                    "action",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="choices",
                        to="jobqueue.bulkaction",
                    ),
                ),
            ],
            options={
                "verbose_name": "choice of a bulk action",
                "verbose_name_plural": "choices of bulk actions",
                "ordering": ["last"],
                "default_permissions": (),
                "constraints": [
                    models.UniqueConstraint(fields=("action", "last"), name="jobqueue_bulkchoice_once")
                ],
            },
        ),
    ]
