"""Checks of payments."""

from __future__ import annotations

from collections.abc import Callable

from jobqueue.models import Job
from jobqueue.testing import run_job
from settlements.models import Payment, Settlement
from tests.settlements.steps import (
    STATUS_CHECK,
    stored,
    waiting_of,
)

MakePayment = Callable[..., Payment]


def status_of(row: Settlement | Payment) -> str:
    """The status that the database has."""
    return str(stored(row).status)


def check(settlement: Settlement) -> Job:
    """Run the oldest waiting status check."""
    job = waiting_of(settlement, STATUS_CHECK)[0]
    run_job(job)
    return job
