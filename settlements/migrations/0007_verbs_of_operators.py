"""A permission for each verb: who held one that stood for several has each of them."""

from django.db import migrations

from jobqueue.operators import AddFinerPermissions


FINER = {
    "decide_settlement": ("complete_settlement", "cancel_settlement", "reopen_settlement"),
    "remind_settlement": ("pause_settlement", "resume_settlement", "check_settlement"),
    "decide_payment": (
        *("start_payment", "complete_payment", "fail_payment"),
        *("refund_payment", "take_back_payment"),
    ),
    "add_barredaddress": ("pause_barredaddress",),
    "clear_barredaddress": ("resume_barredaddress",),
}
"""What each stood for, beside the verb that it still has."""
FORMER = {
    "decide_settlement": "Can complete, cancel and reopen settlements",
    "remind_settlement": "Can send and pause reminders, and have payments checked",
    "decide_payment": "Can complete, fail and refund payments",
}


class Migration(migrations.Migration):
    dependencies = [
        ("settlements", "0006_kept_answers"),
    ]

    operations = [
        migrations.AlterModelOptions(
            name="barredaddress",
            options={
                "ordering": ["-barred_at"],
                "permissions": [
                    ("clear_barredaddress", "Can clear barred addresses"),
                    ("pause_barredaddress", "Can pause letters to addresses"),
                    ("resume_barredaddress", "Can resume letters to addresses"),
                ],
                "verbose_name": "barred address",
                "verbose_name_plural": "barred addresses",
            },
        ),
        migrations.AlterModelOptions(
            name="payment",
            options={
                "ordering": ["-created_at"],
                "permissions": [
                    ("start_payment", "Can mark payments as processing"),
                    ("complete_payment", "Can complete payments"),
                    ("fail_payment", "Can mark payments as failed"),
                    ("refund_payment", "Can refund payments"),
                    ("take_back_payment", "Can take refunds of payments back"),
                ],
                "verbose_name": "payment",
                "verbose_name_plural": "payments",
            },
        ),
        migrations.AlterModelOptions(
            name="settlement",
            options={
                "ordering": ["-created_at"],
                "permissions": [
                    ("complete_settlement", "Can complete settlements"),
                    ("cancel_settlement", "Can cancel settlements"),
                    ("reopen_settlement", "Can reopen settlements"),
                    ("remind_settlement", "Can send a reminder of a settlement now"),
                    ("pause_settlement", "Can pause reminders of settlements"),
                    ("resume_settlement", "Can resume reminders of settlements"),
                    ("check_settlement", "Can have payments of settlements checked"),
                ],
                "verbose_name": "settlement",
                "verbose_name_plural": "settlements",
            },
        ),
        AddFinerPermissions("settlements", FINER, FORMER),
    ]
