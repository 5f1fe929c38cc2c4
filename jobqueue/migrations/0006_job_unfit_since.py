from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("jobqueue", "0005_view_payload"),
    ]

    operations = [
        migrations.AddField(
            model_name="job",
            name="unfit_since",
            field=models.DateTimeField(blank=True, null=True, verbose_name="known to no worker since"),
        ),
        migrations.AddIndex(
            model_name="job",
            index=models.Index(
                condition=models.Q(("state", "waiting"), ("unfit_since__isnull", False)),
                fields=["id"],
                name="jobqueue_job_unfit",
            ),
        ),
    ]
