"""Which SQL statements a save takes with all that it leads to, and what each of them is for."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from moneyed import Money
from pytest_django import Settings as DjangoSettings

from settlements.models import Payment, Settlement
from tests.settlements.steps import domain_settings

pytestmark = pytest.mark.django_db(transaction=True)
DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def _policy(settings: DjangoSettings) -> None:
    settings.SETTLEMENTS = domain_settings()


def new_settlement() -> Settlement:
    payer, payee = (
        User.objects.get_or_create(username=name, defaults={"email": f"{name}@example.com"})[0]
        for name in ("payer", "payee")
    )
    return Settlement(payer=payer, payee=payee, amount=Money(100, "EUR"), due_date=timezone.now() + 30 * DAY)


def saved_settlement(**values: Any) -> Settlement:
    settlement = new_settlement()
    settlement.save()
    for name, value in values.items():
        setattr(settlement, name, value)
    return settlement


def new_payment(**values: Any) -> Payment:
    return Payment(settlement=saved_settlement(), amount=Money(50, "EUR"), **values)


def saved_payment(before: dict[str, Any], **values: Any) -> Payment:
    payment = new_payment(**before)
    payment.save()
    for name, value in values.items():
        setattr(payment, name, value)
    return payment


def moved_by(verb: str) -> Callable[[], Settlement]:
    def prepare() -> Settlement:
        settlement = saved_settlement()
        getattr(settlement, verb)()
        return settlement

    return prepare


def with_another_payer() -> Settlement:
    return saved_settlement(payer=User.objects.create_user("olga", "olga@example.com"))


# What each statement is for -----------------------------------------------------------------------

Step = tuple[str, str]

BEGIN = ("BEGIN", "row and jobs are there together, or neither")
COMMIT = ("COMMIT", "after it the jobs are published")
READ = (
    "SELECT {row}",
    "what the row holds, locked: what changes, and what an older instance must leave",
)
NEW = ("INSERT {row}", "the row itself")
WRITE = ("UPDATE {row}", "the row itself")
CLOCK = ("SELECT clock", "from when the delay of a job counts, by the clock of the database")
NOTIFY = ("INSERT jobqueue_job", "the job of the letters; where it waits already, its lock")
NOTIFY_HELD = ("SELECT jobqueue_job", "the job of the letters that waits already: is it to start sooner?")
FOLLOW = (
    "INSERT jobqueue_job",
    "the job that derives the status; where it waits already, its lock",
)
FOLLOW_HELD = (
    "SELECT jobqueue_job",
    "the job of the status that waits already: is it to start sooner?",
)
CHECK = ("INSERT jobqueue_job", "the job that asks the payment provider")

PLAN_FOR = (
    "SELECT settlements_settlement",
    "what is planned: the row counts, the instance may be older",
)
PLANNED = ("SELECT jobqueue_job", "the reminders that there are: what is settled, and what is wanted no more")
CANCEL = ("UPDATE jobqueue_job", "the reminders that are wanted no more")
PLAN_CLOCK = ("SELECT clock", "what of the plan is still to come")
SENT = ("SELECT settlements_reminderdelivery", "what went out, and does not go out again")
DUE_CLOCK = ("SELECT clock", "which of the reminders are due at once")
REMIND = ("INSERT jobqueue_job", "all reminders at once, and the word to whom owes it no more")

PLAN = (PLAN_CLOCK, SENT, DUE_CLOCK, REMIND)
UNPLAN = (PLAN_FOR, PLANNED, CANCEL)

SAVES: dict[str, tuple[Callable[[], Any], tuple[Step, ...]]] = {
    "a new settlement": (new_settlement, (NEW, CLOCK, NOTIFY, PLAN_FOR, PLANNED, *PLAN)),
    "a settlement without a change": (saved_settlement, (READ, WRITE)),
    "another description": (
        lambda: saved_settlement(description="Rent"),
        (READ, WRITE, CLOCK, NOTIFY, NOTIFY_HELD),
    ),
    "another amount": (
        lambda: saved_settlement(amount=Money(90, "EUR")),
        (READ, WRITE, CLOCK, NOTIFY, NOTIFY_HELD, FOLLOW),
    ),
    "reminders paused": (lambda: saved_settlement(reminders_paused=True), (READ, WRITE)),
    "completed by hand": (moved_by("complete"), (READ, WRITE, CLOCK, NOTIFY, *UNPLAN)),
    "cancelled": (moved_by("cancel"), (READ, WRITE, CLOCK, NOTIFY, *UNPLAN)),
    "another payer": (with_another_payer, (READ, WRITE, *UNPLAN, *PLAN)),
    "a new payment": (new_payment, (NEW, CLOCK, CHECK)),
    "a new payment that is completed": (lambda: new_payment(status="completed"), (NEW, FOLLOW, NOTIFY)),
    "a payment without a change": (lambda: saved_payment({}), (READ, WRITE)),
    "a payment is completed": (
        lambda: saved_payment({}, status="completed"),
        (READ, WRITE, FOLLOW, NOTIFY),
    ),
    "a payment fails": (lambda: saved_payment({}, status="failed"), (READ, WRITE, NOTIFY)),
    "a payment is refunded": (
        lambda: saved_payment({"status": "completed"}, status="refunded"),
        (READ, WRITE, FOLLOW, FOLLOW_HELD, NOTIFY),
    ),
    "a part is refunded": (
        lambda: saved_payment({"status": "completed"}, refunded_amount=5),
        (READ, WRITE, FOLLOW, FOLLOW_HELD, NOTIFY),
    ),
}


def at_most(name: str) -> int:
    """How many statements a save may take, BEGIN and COMMIT counted."""
    if "without a change" in name or name == "reminders paused":
        return 4
    return 10 if "payment" in name or "part" in name else 14


def what_it_does(sql: str) -> str:
    """The verb of a statement and its table."""
    verb = sql.split()[0]
    if verb in ("SELECT", "INSERT", "UPDATE"):
        found = re.match(r'(?:SELECT "|UPDATE "|INSERT INTO "?)(\w+)', sql)
        return f"{verb} {found[1] if found else 'clock'}"
    return verb


def statements_of(save: Callable[[], None]) -> list[str]:
    with CaptureQueriesContext(connection) as taken:
        save()
    return [what_it_does(query["sql"]) for query in taken]


@pytest.mark.parametrize("name", SAVES)
def test_a_save_takes_these_statements_and_no_other(name: str) -> None:
    prepare, steps = SAVES[name]
    row = prepare()
    wanted = [statement.format(row=row._meta.db_table) for statement, _purpose in (BEGIN, *steps, COMMIT)]

    assert statements_of(row.save) == wanted
    assert len(wanted) <= at_most(name)


def test_a_save_inside_a_transaction_has_one_savepoint_in_place_of_begin_and_commit() -> None:
    payment = saved_payment({}, status="completed")
    with transaction.atomic():
        taken = statements_of(payment.save)

    kinds = [sql.split()[0] for sql in taken]
    assert kinds == ["SAVEPOINT", "SELECT", "UPDATE", "INSERT", "INSERT", "RELEASE"]
