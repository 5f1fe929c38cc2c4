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
    ]
