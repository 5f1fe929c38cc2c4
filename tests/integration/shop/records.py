"""Which orders a search finds, and where their parcels may be moved to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from functools import reduce
from operator import and_
from typing import Any

from django.db.models import Q

from jobqueue.exceptions import JobMoveRefused
from jobqueue.jobs import database_now
from jobqueue.models import Job
from jobqueue.searching import FoundRecord, read_together
from jobqueue.signals import moves_jobs_of
from tests.integration.shop.models import Order
from tests.integration.shop.processors import PACK

WITHIN = timedelta(days=7)


def find_orders(searches: Sequence[Sequence[str]], most: int) -> Iterable[Iterable[FoundRecord]]:
    """The orders of customers whose names have every word of a search."""
    named = [reduce(and_, (Q(customer__icontains=word) for word in words)) for words in searches]
    found = read_together([Order.objects.filter(one).order_by("-pk")[:most] for one in named])
    return [map(_found, orders) for orders in found]


def with_addresses(addresses: Sequence[str]) -> Iterable[Iterable[FoundRecord]]:
    """The orders of whoever has an address."""
    found = read_together([Order.objects.filter(email=address) for address in addresses])
    return [map(_found, orders) for orders in found]


def _found(order: Order) -> FoundRecord:
    return FoundRecord(order, str(order), arguments={"order_id": order.pk})


@moves_jobs_of(PACK)
def refuse_late_parcels(sender: Any, job: Job, moment: datetime, using: str, **_: Any) -> None:
    """A parcel that waits for long is no parcel."""
    if job.processor == PACK and moment > database_now(using) + WITHIN:
        raise JobMoveRefused("the shop packs within a week")
