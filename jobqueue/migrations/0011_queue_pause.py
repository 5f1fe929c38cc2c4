from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("jobqueue", "0010_stop"),
    ]

    operations = [
        migrations.AddField(
            model_name="queue",
            name="pause_reason",
            field=models.CharField(
                blank=True, db_default="", default="", max_length=500, verbose_name="reason of the pause"
            ),
        ),
        migrations.AddField(
            model_name="queue",
            name="paused_at",
            field=models.DateTimeField(blank=True, null=True, verbose_name="paused since"),
        ),
        migrations.AddField(
            model_name="queue",
            name="paused_by",
            field=models.CharField(
                blank=True, db_default="", default="", max_length=200, verbose_name="paused by"
            ),
        ),
        migrations.AddField(
            model_name="queue",
            name="paused_until",
            field=models.DateTimeField(blank=True, null=True, verbose_name="paused until"),
        ),
        migrations.AddField(
            model_name="worker",
            name="memory",
            field=models.BigIntegerField(blank=True, null=True, verbose_name="memory in bytes"),
        ),
        migrations.AddField(
            model_name="worker",
            name="version",
            field=models.CharField(
                blank=True, db_default="", default="", max_length=100, verbose_name="version"
            ),
        ),
    ]
