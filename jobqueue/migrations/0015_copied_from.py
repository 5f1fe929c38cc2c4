from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("jobqueue", "0014_left_out"),
    ]

    operations = [
        migrations.AddField(
            model_name="job",
            name="copied_from",
            field=models.BigIntegerField(blank=True, null=True, verbose_name="copied from"),
        ),
    ]
