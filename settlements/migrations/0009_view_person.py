"""Who looks after money finds people, sees their letters and pauses them, without a way into the users of the site."""

from django.db import migrations

from jobqueue.operators import AddToGroups

MORE = {"Settlement operator": ("view_person", "pause_barredaddress")}
"""What that group has besides, where it still is what migrations made of it."""
HAD = ("view_emaildelivery",)
"""The page of a person shows letters: a group that may not see these does not get it."""


class Migration(migrations.Migration):
    dependencies = [
        ("settlements", "0008_list_indexes"),
    ]

    operations = [
        migrations.AlterModelOptions(
            name="emaildelivery",
            options={
                "ordering": ["-id"],
                "permissions": [("view_person", "Can find people and see their letters")],
                "verbose_name": "e-mail delivery",
                "verbose_name_plural": "e-mail deliveries",
            },
        ),
        AddToGroups("settlements", MORE, HAD),
    ]
