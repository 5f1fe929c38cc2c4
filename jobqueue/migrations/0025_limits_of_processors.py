"""The limits of processors take a permission of their own: who held that of queues has it."""

from django.db import migrations

from jobqueue.operators import AddFinerPermissions

FINER = {"limit_queue": ("limit_processor",)}
"""What it stood for, beside the verb that it still has."""
FORMER: dict[str, str] = {}
"""Its name told of queues alone."""


class Migration(migrations.Migration):
    dependencies = [
        ("jobqueue", "0024_processor_limits"),
    ]

    operations = [
        migrations.AlterModelOptions(
            name="processorlimits",
            options={
                "default_permissions": (),
                "ordering": ["name"],
                "permissions": [("limit_processor", "Can change the limits of processors")],
                "verbose_name": "processor",
                "verbose_name_plural": "processors",
            },
        ),
        AddFinerPermissions("jobqueue", FINER, FORMER),
    ]
