"""Counts of open jobs, kept by triggers."""

from django.apps.registry import Apps
from django.db import migrations, models, router
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

from jobqueue.counts import proof
from jobqueue.counts import triggers
from jobqueue.sql.databases import can_serve


def _start(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    using = schema_editor.connection.alias
    if router.allow_migrate_model(using, apps.get_model("jobqueue", "JobTally")) and can_serve(using):
        proof.start(using)


def _stop(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    using = schema_editor.connection.alias
    if router.allow_migrate_model(using, apps.get_model("jobqueue", "JobTally")) and can_serve(using):
        triggers.stop(using)


class Migration(migrations.Migration):
    dependencies = [
        ("jobqueue", "0003_narrower_indexes"),
    ]

    operations = [
        migrations.CreateModel(
            name="JobTally",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("queue", models.CharField(max_length=100, verbose_name="queue")),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("published", "waiting, published"),
                            ("unpublished", "waiting, not published: delayed, or due since a moment"),
                            ("failed", "failed"),
                        ],
                        max_length=12,
                        verbose_name="kind",
                    ),
                ),
                ("amount", models.IntegerField(verbose_name="amount")),
            ],
            options={
                "verbose_name": "job tally",
                "verbose_name_plural": "job tallies",
                "default_permissions": (),
            },
        ),
        migrations.RunPython(_start, _stop),
    ]
