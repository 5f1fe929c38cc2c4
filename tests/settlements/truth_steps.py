"""What makes each letter true, and what can come between."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db.models import F
from django.utils import timezone
from moneyed import Money

from jobqueue.models import Job
from settlements.addresses import bar
from settlements.jobs import add_letter_job
from settlements.models import BarredAddress, EmailDelivery, Payment, ReminderDelivery, Settlement

DAY = timedelta(days=1)


SENT = "sent"


@dataclass
class World:
    """A letter that was true when it was decided on, and what it is about."""

    settlement: Settlement
    payment: Payment
    person: User
    other: User
    job: Job

    def change_settlement(self, **values: Any) -> None:
        """Write the row as somebody else does meanwhile."""
        Settlement.objects.filter(pk=self.settlement.pk).update(**values)

    def change_payment(self, **values: Any) -> None:
        Payment.objects.filter(pk=self.payment.pk).update(**values)


def save(row: Any, **values: Any) -> None:
    """Save the row as it is in the database now, with these values."""
    row = type(row).objects.get(pk=row.pk)
    for name, value in values.items():
        setattr(row, name, value)
    row.save()


STATES: dict[str, tuple[str, str]] = {
    "settlement_completed": ("completed", "completed"),
    "settlement_cancelled": ("cancelled", "pending"),
    "payment_received": ("pending", "completed"),
    "payment_failed": ("pending", "failed"),
    "payment_refunded": ("pending", "refunded"),
    "payment_refund_taken_back": ("partially_paid", "completed"),
}
"""Status of the settlement and of its payment by letter; pending both if nothing else is said."""


def decided(template_type: str) -> World:
    """The world in which the letter is true, and its job."""
    payer, payee, other = (
        User.objects.create_user(name, f"{name}@example.com", first_name=name.title())
        for name in ("pia", "emil", "olga")
    )
    status, payment_status = STATES.get(template_type, ("pending", "pending"))
    settlement = Settlement(
        description="Rent",
        payer=payer,
        payee=payee,
        amount=Money(100, "EUR"),
        due_date=timezone.now() + 10 * DAY,
        status=status,
        announced_status=status,
    )
    Settlement.objects.bulk_create([settlement])
    part = Money(100 if template_type == "settlement_completed" else 40, "EUR")
    payment = Payment(
        settlement=settlement, amount=part, status=payment_status, announced_status=payment_status
    )
    Payment.objects.bulk_create([payment])
    if payment_status == "refunded":
        Payment.objects.update(refunded_amount=F("amount"))
    person = payee if template_type == "payment_received" else payer
    if template_type == "settlement_released":
        EmailDelivery.objects.create(
            about=f"settlements.settlement:{settlement.pk}", user=payer, recipient=payer.email, status="sent",
            message_id="<1@x>", template_type="reminder_initial",
        )  # fmt: skip
        Settlement.objects.update(payer=other, payer_term=1)
        other = User.objects.create_user("otto", "otto@example.com")
    if template_type == "payment_refund_taken_back":
        EmailDelivery.objects.create(
            job=letter("payment_refunded", settlement, payment, payer), user=payer, recipient=payer.email,
            about=f"settlements.settlement:{settlement.pk}", status="sent", message_id="<1@x>",
            template_type="payment_refunded",
        )  # fmt: skip
    return World(settlement, payment, person, other, letter(template_type, settlement, payment, person))


def letter(template_type: str, settlement: Settlement, payment: Payment, person: User) -> Job:
    """The job as the system writes it."""
    reminder = None
    if template_type.startswith("reminder_"):
        name = template_type.removeprefix("reminder_")
        step = 1 if name in ("follow_up", "overdue") else 0
        reminder = {
            "reminder_type": name,
            "step": step,
            "due_date": settlement.due_date.isoformat(),
            "planned_at": None,
        }
    about_payment = template_type.startswith("payment_")
    job = add_letter_job(
        settlement,
        person.pk,
        template_type,
        payment_id=payment.pk if about_payment else None,
        reminder=reminder,
        using="default",
    )
    if reminder is not None:
        ReminderDelivery.objects.create(
            settlement=settlement, reminder_type=reminder["reminder_type"], step=reminder["step"],
            due_date=settlement.due_date, recipient=person, email_job=job, status="on_its_way",
        )  # fmt: skip
    return job


def nothing(world: World) -> None:
    pass


def pay_rest(world: World) -> None:
    Payment.objects.create(settlement=world.settlement, amount=Money(100, "EUR"), status="completed")
    save(world.settlement, status="completed")


def pay_rest_unnoticed(world: World) -> None:
    """The status has not followed yet."""
    Payment.objects.bulk_create(
        [Payment(settlement=world.settlement, amount=Money(100, "EUR"), status="completed")]
    )


def complete_by_hand(world: World) -> None:
    save(world.settlement, status="completed")


def cancel(world: World) -> None:
    save(world.settlement, status="cancelled")


def reopen(world: World) -> None:
    Payment.objects.filter(settlement=world.settlement, status="completed").update(status="failed")
    save(world.settlement, status="pending")


def delete_settlement(world: World) -> None:
    """Not with `delete()`, which would take the job off the road as well."""
    for rows in (ReminderDelivery.objects.all(), Payment.objects.all(), Settlement.objects.all()):
        rows._raw_delete("default")


def delete_payment(world: World) -> None:
    Payment.objects.filter(pk=world.payment.pk)._raw_delete("default")


def move_payment(world: World) -> None:
    settlement = Settlement.objects.create(
        payer=world.other, payee=world.person, amount=Money(5, "EUR"), due_date=timezone.now() + DAY
    )
    world.change_payment(settlement=settlement)


def payment_is(status: str) -> Callable[[World], None]:
    def change(world: World) -> None:
        world.change_payment(status=status)

    return change


def refund_part(world: World) -> None:
    world.change_payment(refunded_amount=1)


def forget_letters(world: World) -> None:
    EmailDelivery.objects.all().delete()


def replace_payer(world: World) -> None:
    world.change_settlement(payer=world.other)


def replace_payee(world: World) -> None:
    world.change_settlement(payee=world.other)


def pause(world: World) -> None:
    world.change_settlement(reminders_paused=True)


def move_due_date(world: World) -> None:
    world.change_settlement(due_date=F("due_date") + DAY)


def make_history(world: World) -> None:
    world.change_settlement(history=True)


def deactivate(world: World) -> None:
    User.objects.filter(pk=world.person.pk).update(is_active=False)


def forget_address(world: World) -> None:
    User.objects.filter(pk=world.person.pk).update(email="")


def bar_address(world: World) -> None:
    bar(world.person.email.upper(), BarredAddress.Cause.BOUNCED, "550", using="default")


def deliver_later_stage(world: World) -> None:
    ReminderDelivery.objects.create(
        settlement=world.settlement, reminder_type="overdue", step=5, due_date=world.settlement.due_date,
        recipient=world.person,
    )  # fmt: skip


def ask_again(world: World) -> None:
    """The same reminder was asked for again, after this e-mail had failed."""
    ReminderDelivery.objects.exclude(step=5).update(email_job=None)


CLOSED = {
    pay_rest: "settlement already completed",
    pay_rest_unnoticed: "nothing is left to pay",
    complete_by_hand: "settlement already completed",
    cancel: "settlement cancelled",
}


PERSON = {
    deactivate: "is inactive",
    forget_address: "has no e-mail address",
    bar_address: "the address is barred",
    delete_settlement: "settlement was deleted",
    make_history: "settlement is history",
}


REMINDED = {
    **CLOSED,
    **PERSON,
    make_history: SENT,  # somebody asked for this reminder
    replace_payer: "is not the payer",
    replace_payee: SENT,
    pause: "reminders are paused",
    move_due_date: "due date moved to",
    deliver_later_stage: "a later reminder went out, or is on its way",
    ask_again: "a later reminder went out, or is on its way",
    payment_is("processing"): SENT,
    nothing: SENT,
}


BOTH = {
    **PERSON,
    replace_payer: "is not the payer or the payee",
    replace_payee: SENT,
    pause: SENT,
    move_due_date: SENT,
    nothing: SENT,
}


PAYMENTS = {
    **PERSON,
    delete_settlement: "payment was deleted",
    delete_payment: "payment was deleted",
    move_payment: "payment belongs to another settlement",
    payment_is("processing"): "payment is processing",
    pause: SENT,
    nothing: SENT,
}


# These reminders were asked for; what the plan's own promise besides is tried in a file of its own.
TABLE: dict[str, dict[Callable[[World], None], str]] = {
    "reminder_initial": REMINDED,
    "reminder_follow_up": REMINDED,
    "reminder_final": REMINDED,
    "reminder_overdue": REMINDED,
    "settlement_reminder": {
        change: expected
        for change, expected in REMINDED.items()
        # It names no due date of its own, and is no stage of which there is one.
        if change not in (move_due_date, ask_again)
    }
    | {move_due_date: SENT},
    "settlement_created": {**BOTH, **CLOSED},
    "settlement_updated": {
        **BOTH,
        cancel: "settlement cancelled",
        pay_rest: SENT,
        complete_by_hand: SENT,
    },
    "settlement_completed": {
        **BOTH,
        reopen: "settlement is pending again",
        payment_is("failed"): "money is missing again",
        cancel: "settlement is cancelled again",
    },
    "settlement_cancelled": {
        **BOTH,
        reopen: "settlement is pending again",
        complete_by_hand: "settlement is completed again",
    },
    "settlement_reopened": {
        **BOTH,
        pay_rest: "settlement is completed again",
        pay_rest_unnoticed: "nothing is left to pay",
        complete_by_hand: "settlement is completed again",
        cancel: "settlement is cancelled again",
    },
    "settlement_released": {
        **PERSON,
        nothing: SENT,
        cancel: SENT,
        replace_payee: SENT,
    },
    "payment_received": {
        **PAYMENTS,
        payment_is("failed"): "payment is failed, not completed",
        payment_is("refunded"): "payment is refunded, not completed",
        replace_payee: "is not the payee",
        replace_payer: SENT,
        cancel: SENT,
        pay_rest: SENT,
    },
    "payment_failed": {
        **PAYMENTS,
        **CLOSED,
        payment_is("completed"): "payment is completed, not failed",
        replace_payer: "is not the payer",
        replace_payee: SENT,
    },
    "payment_refunded": {
        **PAYMENTS,
        payment_is("completed"): SENT,  # all of it still stands as refunded
        payment_is("failed"): "payment is failed, not refunded",
        replace_payer: "is not the payer or the payee",
        cancel: SENT,
        pay_rest: SENT,
    },
    "payment_refund_taken_back": {
        **PAYMENTS,
        payment_is("processing"): "payment is processing, not completed",
        payment_is("refunded"): "payment is refunded, not completed",
        refund_part: "money of it went back again",
        forget_letters: "no letter about it had gone out to this person",
        replace_payer: "is not the payer or the payee",
        cancel: SENT,
        pay_rest: SENT,
    },
}


ROWS = [
    pytest.param(template_type, change, expected, id=f"{template_type}-{number}-{change.__name__}")
    for template_type, row in TABLE.items()
    for number, (change, expected) in enumerate(row.items())
]
