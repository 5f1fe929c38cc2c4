"""How long a due job of a queue may wait before it is late: empty, and so in older code, the site's limit."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("jobqueue", "0022_verbs_of_operators"),
    ]

    operations = [
        migrations.AddField(
            model_name="queue",
            name="late_after",
            field=models.PositiveIntegerField(
                blank=True,
                help_text="Seconds that a due job may wait before the overview names it. Empty: LATE_AFTER.",
                null=True,
                verbose_name="late after",
            ),
        ),
    ]
