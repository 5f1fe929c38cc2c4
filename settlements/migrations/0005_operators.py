"""A group of operators who decide about money, apart from those who look after jobs."""

from django.db import migrations

from jobqueue.operators import AddGroups, after_groups

GROUPS = {
    "Settlement operator": (
        *("view_settlement", "view_payment", "view_emaildelivery", "view_reminderdelivery"),
        *("view_discrepancy", "view_barredaddress"),
        *(
            "decide_settlement",
            "remind_settlement",
            "decide_payment",
            "close_discrepancy",
            "clear_barredaddress",
        ),
    )
}
"""It sees and decides; to add, edit and delete rows by hand takes permissions that no group has."""


class Migration(migrations.Migration):
    dependencies = [("settlements", "0004_moved_reminders"), *after_groups()]

    operations = [AddGroups("settlements", GROUPS)]
