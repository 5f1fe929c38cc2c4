"""The order of the lists of settlements and payments, and e-mails by their whole address."""

from django.db import migrations, models
from django.db.models.functions import Upper

from jobqueue.sql.index_operations import AddIndexBesideWriters


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ("settlements", "0007_verbs_of_operators"),
    ]

    operations = [
        AddIndexBesideWriters(
            model_name="settlement",
            index=models.Index(fields=["-created_at", "-id"], name="settlement_newest"),
        ),
        AddIndexBesideWriters(
            model_name="payment",
            index=models.Index(fields=["-created_at", "-id"], name="payment_newest"),
        ),
        AddIndexBesideWriters(
            model_name="emaildelivery",
            index=models.Index(Upper("recipient"), name="email_recipient"),
        ),
    ]
