from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("jobqueue", "0017_job_indexes"),
    ]

    operations = [
        migrations.AddField(
            model_name="job",
            name="held_run_at",
            field=models.DateTimeField(blank=True, null=True, verbose_name="held, was to run at"),
        ),
        migrations.AddField(
            model_name="bulkaction",
            name="details",
            field=models.JSONField(blank=True, null=True, verbose_name="details"),
        ),
        migrations.AlterField(
            model_name="bulkaction",
            name="verb",
            field=models.CharField(
                choices=[
                    ("retry", "retry"),
                    ("delete", "discard"),
                    ("cancel", "cancel"),
                    ("move", "move"),
                    ("hold", "hold"),
                    ("let_go", "release"),
                ],
                max_length=20,
                verbose_name="verb",
            ),
        ),
    ]
