"""Every way to write a row and the jobs that it leads to, by unique key: at once, and by the reconciler."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core import serializers
from django.db.models import F
from django.utils import timezone
from moneyed import Money
from pytest_django import Settings as DjangoSettings

from jobqueue.models import Job
from settlements.models import Payment, Settlement
from settlements.reconcile import reconcile
from tests.settlements.steps import REMINDER, domain_settings

pytestmark = [pytest.mark.django_db(databases=["default", "other"]), pytest.mark.every_case]
DAY = timedelta(days=1)

# The keys as they are, with S for the settlement's id, P for the payment's and D for the due date.
TERMS = "notification:S:terms"
COMPLETED = "notification:S:settlement_completed"
REMINDERS = [
    "reminder:S:initial:0:D",
    "reminder:S:follow_up:1:D",
    "reminder:S:follow_up:2:D",
    "reminder:S:final:0:D",
    "reminder:S:overdue:1:D",
    "reminder:S:overdue:2:D",
]
RECEIVED = ["auto_complete:S", "notification:P:payment_received"]
CHECK = ["payment_status_check:P"]


@pytest.fixture(autouse=True)
def _policy(settings: DjangoSettings) -> None:
    settings.SETTLEMENTS = domain_settings()


@dataclass
class World:
    """One settlement and one payment in one database, written in a way that a test is about."""

    using: str
    settlement: Settlement
    payment: Payment
    known: set[int] = field(default_factory=set)

    def new_keys(self) -> Counter[str]:
        """The unique keys of the jobs that there are by now, but not of those that were known before."""
        due = Settlement.objects.using(self.using).get(pk=self.settlement.pk).due_date.isoformat()
        jobs = Job.objects.using(self.using).exclude(pk__in=self.known)
        keys = Counter(str(job.unique_key) for job in jobs)
        return Counter(
            {
                key.replace(str(self.settlement.pk), "S")
                .replace(str(self.payment.pk), "P")
                .replace(due, "D"): n
                for key, n in keys.items()
            }
        )


@pytest.fixture(params=["default", "other"])
def world(request: pytest.FixtureRequest) -> World:
    """Nothing is written yet but the two people."""
    using = request.param
    payer, payee = (
        User.objects.db_manager(using).create_user(name, f"{name}@example.com") for name in ("payer", "payee")
    )
    settlement = Settlement(
        description="Rent",
        payer=payer,
        payee=payee,
        amount=Money(100, "EUR"),
        due_date=timezone.now() + 10 * DAY,
    )
    return World(using, settlement, Payment(settlement=settlement, amount=Money(100, "EUR")))


@pytest.fixture
def written(world: World) -> World:
    """The settlement is saved, its plan waits, everybody knows of it."""
    world.settlement.save(using=world.using)
    Job.objects.using(world.using).exclude(processor=REMINDER).delete()
    world.known = set(Job.objects.using(world.using).values_list("pk", flat=True))
    return world


# Ways to write ------------------------------------------------------------------------------------


def save(world: World) -> None:
    world.settlement.save(using=world.using)


def save_three_times(world: World) -> None:
    for _ in range(3):
        world.settlement.save(using=world.using)


def create_in_bulk(world: World) -> None:
    Settlement.objects.using(world.using).bulk_create([world.settlement])


def load_data(world: World) -> None:
    world.settlement.updated_at = timezone.now()
    text = serializers.serialize("json", [world.settlement])
    for loaded in serializers.deserialize("json", text, using=world.using):
        loaded.save(using=world.using)


def update_due_date(world: World) -> None:
    Settlement.objects.using(world.using).update(due_date=world.settlement.due_date + DAY)


def update_status(world: World) -> None:
    Settlement.objects.using(world.using).update(status="completed")


def update_by_expression(world: World) -> None:
    Settlement.objects.using(world.using).update(due_date=F("due_date") + DAY)


def update_in_bulk(world: World) -> None:
    world.settlement.due_date += DAY
    Settlement.objects.using(world.using).bulk_update([world.settlement], ["due_date"])


def save_an_expression(world: World) -> None:
    Settlement.objects.using(world.using).update(reminders_paused=False)
    world.settlement.due_date = F("due_date") + DAY
    world.settlement.save(using=world.using)


def save_three_changes(world: World) -> None:
    for _ in range(3):
        world.settlement.due_date += DAY
        world.settlement.save(using=world.using)


def save_payment(world: World) -> None:
    world.payment.status = "completed"
    world.payment.save(using=world.using)


def save_payment_three_times(world: World) -> None:
    for status in ("pending", "processing", "completed"):
        world.payment.status = status
        world.payment.save(using=world.using)


def create_payment_in_bulk(world: World) -> None:
    world.payment.status = "completed"
    Payment.objects.using(world.using).bulk_create([world.payment])


def update_payment(world: World) -> None:
    world.payment.save(using=world.using)
    Payment.objects.using(world.using).update(status="completed")


NEW = [
    (save, [TERMS, *REMINDERS], []),
    (save_three_times, [TERMS, *REMINDERS], []),
    (create_in_bulk, [], [TERMS, *REMINDERS]),
    (load_data, [], []),
]
# The initial reminder of an earlier due date is enough only once it went out: here it waits, and moves.
MOVED = [TERMS, *REMINDERS]
CHANGED = [
    (save_three_times, [], []),
    (load_data, [], []),
    (update_due_date, [], MOVED),
    (update_by_expression, [], MOVED),
    (update_in_bulk, [], MOVED),
    (save_an_expression, MOVED, []),
    (update_status, [], [COMPLETED]),
    (save_payment, RECEIVED, []),
    (save_payment_three_times, [*CHECK, *RECEIVED], []),
    (create_payment_in_bulk, [], RECEIVED),
    (update_payment, CHECK, RECEIVED),
]
Way = Callable[[World], None]


def check(world: World, write: Way, at_once: list[str], later: list[str]) -> None:
    """The write leads to these jobs at once, the reconciler adds those later; each of them once."""
    write(world)
    assert world.new_keys() == Counter(at_once)
    for _ in range(2):
        reconcile(full=False)
        assert world.new_keys() == Counter([*at_once, *later])
    elsewhere = "other" if world.using == "default" else "default"
    assert not Job.objects.using(elsewhere).exists()


@pytest.mark.parametrize(("write", "at_once", "later"), NEW)
def test_a_new_settlement_leads_to_these_jobs_each_once(
    world: World, write: Way, at_once: list[str], later: list[str]
) -> None:
    check(world, write, at_once, later)


@pytest.mark.parametrize(("write", "at_once", "later"), CHANGED)
def test_a_change_leads_to_these_jobs_each_once(
    written: World, write: Way, at_once: list[str], later: list[str]
) -> None:
    check(written, write, at_once, later)


def test_three_changes_in_quick_succession_lead_to_one_e_mail_and_one_plan(written: World) -> None:
    save_three_changes(written)
    waiting: Any = Job.objects.using(written.using).waiting().exclude(pk__in=written.known)
    due = written.settlement.due_date.isoformat()

    assert waiting.filter(unique_key=f"notification:{written.settlement.pk}:terms").count() == 1
    assert waiting.filter(processor=REMINDER, unique_key__endswith=due).count() == len(REMINDERS)
    assert waiting.count() == 1 + len(REMINDERS)
