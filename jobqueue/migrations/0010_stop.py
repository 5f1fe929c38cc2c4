from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("jobqueue", "0009_operators"),
    ]

    operations = [
        migrations.AddField(
            model_name="job",
            name="stop_asked_at",
            field=models.DateTimeField(blank=True, null=True, verbose_name="stop asked for"),
        ),
        migrations.AddField(
            model_name="job",
            name="stop_reason",
            field=models.CharField(
                blank=True, db_default="", default="", max_length=500, verbose_name="stopped"
            ),
        ),
        migrations.AddField(
            model_name="worker",
            name="quiet_asked_at",
            field=models.DateTimeField(blank=True, null=True, verbose_name="quiet since"),
        ),
        migrations.AddField(
            model_name="worker",
            name="stop_asked_at",
            field=models.DateTimeField(blank=True, null=True, verbose_name="stop asked for"),
        ),
        migrations.AddField(
            model_name="worker",
            name="supervisor_pid",
            field=models.PositiveIntegerField(blank=True, null=True, verbose_name="supervisor"),
        ),
        migrations.AddField(
            model_name="worker",
            name="takes_orders",
            field=models.BooleanField(db_default=False, default=False, verbose_name="takes orders"),
        ),
    ]
