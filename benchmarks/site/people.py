"""People and settlements for the measures that need real ones."""

from __future__ import annotations

from datetime import timedelta

from django.contrib.auth import get_user_model
from django.utils import timezone
from moneyed import Money

from settlements.models import Settlement


def new_settlement() -> Settlement:
    """A settlement between two people, not saved yet; the people are, if they are not there yet."""
    payer, payee = (
        get_user_model().objects.get_or_create(username=name, defaults={"email": f"{name}@example.com"})[0]
        for name in ("payer", "payee")
    )
    return Settlement(
        description="Dinner in Lisbon",
        payer=payer,
        payee=payee,
        amount=Money(100, "EUR"),
        due_date=timezone.now() + timedelta(days=10),
    )


def make_quiet_settlement() -> Settlement:
    """A settlement whose jobs count as enqueued already, so that nothing but the measured jobs runs."""
    settlement = new_settlement()
    settlement.announced_status = settlement.status
    settlement.announced_due_date = settlement.due_date
    Settlement.objects.bulk_create([settlement])
    return settlement
