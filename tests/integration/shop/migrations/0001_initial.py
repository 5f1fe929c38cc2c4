"""Orders, and who looks after them."""

from django.db import migrations, models

from jobqueue.operators import AddGroups


class Migration(migrations.Migration):
    initial = True
    dependencies = [("jobqueue", "0009_operators"), ("auth", "0012_alter_user_first_name_max_length")]
    operations = [
        migrations.CreateModel(
            name="Order",
            fields=[
                ("id", models.BigAutoField(primary_key=True)),
                ("customer", models.CharField(max_length=100)),
                ("email", models.EmailField(max_length=254)),
                ("cents", models.PositiveIntegerField()),
                ("packed", models.BooleanField(default=False)),
            ],
        ),
        AddGroups("shop", {"Shop operator": ("view_order", "change_order")}),
    ]
