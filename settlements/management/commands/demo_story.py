"""Fills the demo with people and settlements in every state."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction
from django.utils import timezone
from moneyed import Money

from settlements.jobs import add_email_notification_job
from settlements.models import Payment, Settlement

PEOPLE = {
    "anna": ("Anna", "Alves", "anna@spendsync.example"),
    "ben": ("Ben", "Berger", "ben@spendsync.example"),
    "clara": ("Clara", "Cohen", "clara@spendsync.example"),
}


class Command(BaseCommand):
    """Tell the story once; what is there already is left as it is."""

    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the addresses for which the demo's mail server has answers of its own."""
        for name in ("--unknown-mailbox", "--greylisted-mailbox", "--slow-mailbox"):
            parser.add_argument(name, required=True, metavar="ADDRESS")

    def handle(self, *args: Any, **options: Any) -> None:
        """Create what is missing."""
        if os.environ.get("SPENDSYNC_DEMO") != "1":
            raise CommandError(
                "demo_story makes an administrator with a known password, so it runs in the demo only. "
                "Start that with `make demo`; it sets SPENDSYNC_DEMO=1."
            )
        self._create_people(
            {
                **PEOPLE,
                "gus": ("Gus", "Gone", options["unknown_mailbox"]),
                "greta": ("Greta", "Grey", options["greylisted_mailbox"]),
                "sid": ("Sid", "Slow", options["slow_mailbox"]),
            }
        )
        told = sum(self._tell(description, chapter) for description, chapter in STORY.items())
        self.stdout.write(f"the story has {len(STORY)} settlements, {told} of them new")

    def _create_people(self, people: dict[str, tuple[str, str, str]]) -> None:
        if not User.objects.filter(username="admin").exists():
            User.objects.create_superuser("admin", "admin@spendsync.example", "admin")
        for username, (first_name, last_name, email) in people.items():
            User.objects.get_or_create(
                username=username, defaults={"first_name": first_name, "last_name": last_name, "email": email}
            )

    @transaction.atomic
    def _tell(self, description: str, chapter: Callable[[str], None]) -> bool:
        if Settlement.objects.filter(description=description).exists():
            return False
        chapter(description)
        return True


def _owe(
    description: str, payer: str, payee: str, amount: str, currency: str = "EUR", **due: float
) -> Settlement:
    return Settlement.objects.create(
        description=description,
        payer=User.objects.get(username=payer),
        payee=User.objects.get(username=payee),
        amount=Money(amount, currency),
        due_date=timezone.now() + timedelta(**due),
    )


def _pay(settlement: Settlement, amount: str, status: str, **fields: str) -> Payment:
    return Payment.objects.create(
        settlement=settlement, amount=Money(amount, settlement.amount.currency), status=status, **fields
    )


def _reminded_within_seconds(description: str) -> None:
    """Pending: the whole plan, from the first reminder to the last overdue one, passes in a good minute."""
    _owe(description, "ben", "anna", "84.50", seconds=40)


def _pending(description: str) -> None:
    _owe(description, "clara", "ben", "1240.00", "USD", days=20)


def _partially_paid(description: str) -> None:
    settlement = _owe(description, "clara", "anna", "600.00", days=5)
    _pay(settlement, "250.00", Payment.Status.COMPLETED)
    settlement.mark_partially_paid()
    settlement.save()


def _completed(description: str) -> None:
    settlement = _owe(description, "anna", "clara", "27.00", days=2)
    _pay(settlement, "27.00", Payment.Status.COMPLETED)


def _cancelled(description: str) -> None:
    settlement = _owe(description, "ben", "clara", "58.00", days=9)
    settlement.cancel()
    settlement.save()


def _overdue(description: str) -> None:
    _owe(description, "anna", "ben", "19.90", seconds=-5)


def _mailbox_is_unknown(description: str) -> None:
    """The payer's mailbox does not exist: the first letter is refused for good, and no other is tried."""
    _owe(description, "gus", "anna", "310.00", days=3)


def _mailbox_is_greylisted(description: str) -> None:
    """The payer's mailbox asks to come again, and then takes the letters."""
    _owe(description, "greta", "clara", "35.00", days=6)


def _reminder_is_overtaken(description: str) -> None:
    """The payer's mailbox asks to come again for so long that the debt is paid first: no reminder leaves."""
    settlement = _owe(description, "sid", "ben", "64.00", days=6)
    _pay(settlement, "64.00", Payment.Status.PROCESSING)


def _error_of_our_own(description: str) -> None:
    """A program gives a list where a text belongs: its letter fails in our own code, four times."""
    settlement = _owe(description, "ben", "anna", "12.00", days=9)
    add_email_notification_job(
        settlement.payer_id,
        "ben@spendsync.example",
        "",
        "settlement_reminder",
        {"description": ["Popcorn", "Lemonade"], "amount": 12, "currency": "EUR"},
    )


def _payment_resolves_late(description: str) -> None:
    """The provider needs a while; then the status check completes the payment and with it the settlement."""
    settlement = _owe(description, "ben", "clara", "412.30", days=4)
    _pay(settlement, "412.30", Payment.Status.PROCESSING)


def _payment_failed(description: str) -> None:
    settlement = _owe(description, "clara", "ben", "23.40", days=6)
    _pay(settlement, "23.40", Payment.Status.FAILED, failure_reason="card declined")


def _refunded(description: str) -> None:
    """Paid, then paid back: the settlement is open again."""
    settlement = _owe(description, "anna", "ben", "140.00", days=7)
    payment = _pay(settlement, "140.00", Payment.Status.COMPLETED)
    settlement.complete()
    settlement.save()
    payment.status = Payment.Status.REFUNDED
    payment.save()


def _refunded_in_part(description: str) -> None:
    """A part of the payment went back: that part is owed again."""
    settlement = _owe(description, "clara", "anna", "200.00", days=8)
    payment = _pay(settlement, "200.00", Payment.Status.COMPLETED)
    payment.refunded_amount = Decimal(50)
    payment.save()


def _paid_too_much(description: str) -> None:
    """Paid twice: the payee's letter and the list of discrepancies say how much is too much."""
    settlement = _owe(description, "anna", "clara", "80.00", days=8)
    _pay(settlement, "80.00", Payment.Status.COMPLETED)
    _pay(settlement, "80.00", Payment.Status.COMPLETED)


def _paid_in_cash(description: str) -> None:
    """No payment at all, and an operator says that it is settled."""
    settlement = _owe(description, "ben", "clara", "15.00", days=8)
    settlement.by_decision_of(User.objects.get(username="admin"), "paid in cash at the table").complete()
    settlement.save()


STORY: dict[str, Callable[[str], None]] = {
    "Dinner in Lisbon": _reminded_within_seconds,
    "Ski hut in March": _pending,
    "Rent for May": _partially_paid,
    "Cinema tickets": _completed,
    "Concert that was called off": _cancelled,
    "Museum passes": _overdue,
    "Birthday present for Mia": _mailbox_is_unknown,
    "Tickets for the tram": _mailbox_is_greylisted,
    "Boat on the lake": _reminder_is_overtaken,
    "Popcorn": _error_of_our_own,
    "Flights to Porto": _payment_resolves_late,
    "Taxi to the airport": _payment_failed,
    "Hotel in Porto": _refunded,
    "Cooking course": _refunded_in_part,
    "Board games": _paid_too_much,
    "Ice cream": _paid_in_cash,
}
