"""What people do while things break: they save settlements and payments, and remember what was promised."""

from __future__ import annotations

import random
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any, TypeVar

from django.contrib.auth.models import User
from django.db import InterfaceError, OperationalError, connection, connections, transaction
from django.db.models import Model
from django.utils import timezone
from moneyed import Money

from jobqueue.jobs import enqueue, enqueue_many
from jobqueue.models import Job
from settlements.models import Payment, Settlement
from tests.soak.history import History
from tests.workload.guarded import GUARDED, requests

PAYMENTS_PER_SECOND = 20
PAYMENTS_PER_SETTLEMENT = 4
PAYER, PAYEE = "payer@example.com", "payee@example.com"
OUTAGES = (OperationalError, InterfaceError)
# Of ten jobs in a row this one fails for good.
_HOPELESS = 5
Row = TypeVar("Row", bound=Model)


class People(threading.Thread):
    """Save settlements and payments, and enqueue jobs, at a steady pace; remember what was promised them."""

    def __init__(self, rng: random.Random) -> None:
        super().__init__(name="people", daemon=True)
        self.history = History()
        self.saves: list[float] = []
        self.trouble: list[BaseException] = []
        self._rng = rng
        self._ending = threading.Event()
        self._open: list[tuple[Settlement, int]] = []
        self._pending: list[Payment] = []
        self._payer = User.objects.create_user("chaos-payer", PAYER)
        self._payee = User.objects.create_user("chaos-payee", PAYEE)
        self._count = 0

    def end(self) -> None:
        """Finish what is begun, and stop."""
        self._ending.set()
        self.join(120)
        assert not self.is_alive(), "people could not finish their saves"
        if self.trouble:
            raise self.trouble[0]

    def run(self) -> None:
        """Thread body."""
        begin, number = time.monotonic(), 0
        try:
            while not self._ending.wait(max(0.0, begin + number / PAYMENTS_PER_SECOND - time.monotonic())):
                self._pay()
                if number % 2:
                    self._enqueue()
                number += 1
            while self._open or self._pending:
                self._pay()
        except BaseException as error:
            self.trouble.append(error)
        finally:
            connections.close_all()

    def _pay(self) -> None:
        """One payment: a new one, or a pending one that is settled now."""
        begin = time.monotonic()
        if self._pending and (self._ending.is_set() or self._rng.random() < 0.3):
            self._complete(self._pending.pop(0))
        else:
            if not self._open:
                self._open.append((self._new_settlement(), 0))
            settlement, paid = self._open.pop()
            pays_later = self._rng.random() < 0.2
            payment = surely_created(
                Payment,
                settlement=settlement,
                amount=settlement.amount / PAYMENTS_PER_SETTLEMENT,
                status=Payment.Status.PENDING if pays_later else Payment.Status.COMPLETED,
            )
            if pays_later:
                self._pending.append(payment)
            if paid + 1 < PAYMENTS_PER_SETTLEMENT:
                self._open.insert(0, (settlement, paid + 1))
            self.history.promised.add(f"e-mail payment_received {payment.pk} to {PAYEE}")
        self.saves.append(time.monotonic() - begin)

    def _complete(self, payment: Payment) -> None:
        def save() -> None:
            payment.status = Payment.Status.COMPLETED
            payment.save()

        completed = Payment.objects.filter(pk=payment.pk, status=Payment.Status.COMPLETED)
        surely(save, completed.exists)

    def _new_settlement(self) -> Settlement:
        fields: dict[str, Any] = {
            "payer": self._payer,
            "payee": self._payee,
            "amount": Money(40, "EUR"),
            "due_date": timezone.now() + timedelta(days=10),
        }
        if self._rng.random() < 0.1:
            with suppress(*OUTAGES):
                self._change_of_mind(fields)
        settlement = surely_created(Settlement, **fields)
        for template in ("settlement_created", "settlement_completed"):
            for person in (self._payer, self._payee):
                self.history.promised.add(f"e-mail {template} {settlement.pk} to {person.email}")
        self.history.allowed.add(f"e-mail reminder_initial {settlement.pk} to {self._payer.email}")
        self.history.promised.add(f"completion of {settlement.pk}")
        return settlement

    def _change_of_mind(self, fields: dict[str, Any]) -> None:
        """A transaction that is rolled back: nothing of it may be seen."""
        with transaction.atomic():
            Settlement.objects.create(**fields)
            enqueue(GUARDED["email"].name, name=f"rolled-back-{self._count}")
            transaction.set_rollback(True)

    def _enqueue(self) -> None:
        """Jobs that are no payments: at once, delayed, failing once, asking for another time, hopeless."""
        self._count += 1
        name = f"job-{self._count}"
        names = [f"{name}-{number}" for number in range(5)] if self._count % 10 == 0 else [name]
        surely(lambda: self._enqueue_kind(names), Job.objects.filter(payload__name=names[0]).exists)
        # They are there, also where the answer to their commit was lost.
        if self._count % 10 != _HOPELESS:
            self.history.promised |= {f"job {each}" for each in names}

    def _enqueue_kind(self, names: list[str]) -> None:
        name = names[0]
        match self._count % 10:
            case 0:
                enqueue_many(requests(names))
            case 1 | 2:
                enqueue(GUARDED["reminders"].name, name=name, delay=self._rng.uniform(0.5, 4))
            case 3:
                enqueue(GUARDED["email"].name, name=name, how="fail once")
            case 4:
                enqueue(GUARDED["settlement"].name, name=name, how="later")
            case number if number == _HOPELESS:
                enqueue(GUARDED["settlement"].name, name=name, how="discard")
            case _:
                enqueue(GUARDED["email"].name, name=name)


def surely(write: Callable[[], Any], is_there: Callable[[], bool]) -> None:
    """Write, and write again if the database went away meanwhile and does not have it."""
    while True:
        try:
            write()
            return
        except OUTAGES:
            wait_for_database()
            with suppress(*OUTAGES):
                if is_there():
                    return


def surely_created(model: type[Row], **fields: Any) -> Row:
    """A new row, in the database whatever happens to that meanwhile."""
    pk = uuid.uuid4()
    rows = model._default_manager
    surely(lambda: rows.create(pk=pk, **fields), rows.filter(pk=pk).exists)
    while True:
        with suppress(*OUTAGES):
            return rows.get(pk=pk)
        wait_for_database()


def wait_for_database() -> None:
    """Return when this thread has a connection that works."""
    while True:
        connection.close()
        try:
            connection.ensure_connection()
            return
        except OUTAGES:
            threading.Event().wait(0.1)
