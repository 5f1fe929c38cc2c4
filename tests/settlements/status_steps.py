"""A settlement with payments, in either database."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from itertools import combinations
from typing import Any

from jobqueue.models import Job
from settlements.models import Payment, Settlement
from tests.settlements.steps import run_soon, stored

DAY = timedelta(days=1)


FIELDS = ("amount", "amount_currency", "refunded_amount", "settlement", "status", "failure_reason")


@dataclass
class World:
    """A settlement of 100 EUR, to which 60 EUR were paid, and another one of 60 EUR, in one database."""

    using: str
    one: Settlement
    other: Settlement
    payment: Payment

    @property
    def statuses(self) -> tuple[str, str]:
        return stored(self.one, self.using).status, stored(self.other, self.using).status

    def rows(self) -> Any:
        return Payment.objects.using(self.using).filter(pk=self.payment.pk)

    def run(self) -> None:
        run_soon(self.using)
        assert not Job.objects.using(self.using).filter(state__in=["failed", "active"]).exists()


def save(world: World, names: list[str] | None = None, **values: Any) -> None:
    payment = stored(world.payment, world.using)
    for name, value in values.items():
        setattr(payment, name, value)
    payment.save(update_fields=names)


NAMES = [list(names) for size in (1, 2) for names in combinations(FIELDS, size)]
