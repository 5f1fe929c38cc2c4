"""Takes over what was written before: decisions, deliveries, refunds, payers that were told."""

from decimal import Decimal
from typing import Any

from django.db import migrations, models
from django.db.models import F
from django.db.models.functions import Coalesce

TAKEN_OVER = "taken over: closed when decisions began to be kept"


def take_over(apps: Any, schema_editor: Any) -> None:
    """Write what the new columns say of rows that were there already."""
    using = schema_editor.connection.alias
    settlements = apps.get_model("settlements", "Settlement").objects.using(using)
    payments = apps.get_model("settlements", "Payment").objects.using(using)
    settlements.update(announced_payer_id=F("payer_id"), history=False)
    payments.filter(status="refunded").update(refunded_amount=F("amount"))
    cancelled = settlements.filter(status="cancelled")
    cancelled.update(decided_status="cancelled", decided_at=F("updated_at"), decision_reason=TAKEN_OVER)
    _decide_completed(settlements, apps.get_model("settlements", "Payment"), using)
    _settle_reminders(apps, using)


def _decide_completed(settlements: Any, payment: Any, using: str) -> None:
    """What is completed without payments that cover it was completed by hand."""
    completed = payment.objects.using(using).filter(
        settlement=models.OuterRef("pk"),
        status="completed",
        amount_currency=models.OuterRef("amount_currency"),
    )
    total = models.DecimalField(max_digits=18, decimal_places=3)
    sums = (
        completed.order_by()
        .values("settlement")
        .annotate(
            total=models.Sum(models.ExpressionWrapper(F("amount"), output_field=total), output_field=total)
        )
    )
    paid = Coalesce(
        models.Subquery(sums.values("total"), output_field=total),
        models.Value(Decimal(0), output_field=total),
        output_field=total,
    )
    rows = settlements.filter(status="completed").annotate(paid=paid)
    for pk, amount, paid_then in list(rows.values_list("pk", "amount", "paid")):
        if paid_then < amount:
            settlements.filter(pk=pk).update(
                decided_status="completed",
                decided_at=F("updated_at"),
                decision_reason=TAKEN_OVER,
                decided_paid=paid_then,
            )


def _settle_reminders(apps: Any, using: str) -> None:
    """A reminder whose e-mail is still to go out is on its way; one whose e-mail failed was not delivered."""
    reminders = apps.get_model("settlements", "ReminderDelivery").objects.using(using)
    emails = apps.get_model("settlements", "EmailDelivery").objects.using(using)
    sent = models.Exists(emails.filter(job_id=models.OuterRef("email_job_id"), status="sent"))
    unsent = reminders.filter(email_job__isnull=False).filter(~sent)
    unsent.filter(email_job__state__in=["waiting", "active"]).update(status="on_its_way")
    unsent.filter(email_job__state__in=["failed", "cancelled"]).update(status="not_delivered")


class Migration(migrations.Migration):
    dependencies = [("settlements", "0002_truth")]

    operations = [migrations.RunPython(take_over, migrations.RunPython.noop, elidable=False)]
