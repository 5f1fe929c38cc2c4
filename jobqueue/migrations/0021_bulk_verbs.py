from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("jobqueue", "0019_bulk_choice"),
    ]

    operations = [
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
                    ("run_now", "run now"),
                    ("release", "put back on the road"),
                    ("fail", "fail"),
                ],
                max_length=20,
                verbose_name="verb",
            ),
        ),
    ]
