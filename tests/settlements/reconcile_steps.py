"""Rows that were not saved, and who repairs what they lack."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from io import StringIO

from django.contrib.auth.models import User
from django.core.management import call_command
from django.utils import timezone
from moneyed import Money

from settlements.models import Payment, Settlement

MakePayment = Callable[..., Payment]


DAY = timedelta(days=1)


PAYER, PAYEE = "payer@example.com", "payee@example.com"


WHOLE_PLAN = {("initial", 0), ("final", 0)} | {
    (stage, n) for stage in ("follow_up", "overdue") for n in (1, 2)
}


def run_command() -> str:
    """What `manage.py jobqueue_reconcile` says about the settlements."""
    output = StringIO()
    call_command("jobqueue_reconcile", stdout=output)
    [line] = [line for line in output.getvalue().splitlines() if line.startswith("settlements: ")]
    return line.removeprefix("settlements: ")


def new_settlement(payer: User, payee: User, **values: object) -> Settlement:
    """A settlement that is not saved yet."""
    defaults: dict[str, object] = {
        "description": "Rent",
        "payer": payer,
        "payee": payee,
        "amount": Money(100, "EUR"),
        "due_date": timezone.now() + 10 * DAY,
    }
    return Settlement(**defaults | values)
