"""A job of a settlement, run."""

from __future__ import annotations

from collections.abc import Callable

from settlements.models import Payment, Settlement
from tests.settlements.steps import (
    stored,
)

MakeSettlement = Callable[..., Settlement]


MakePayment = Callable[..., Payment]


def status_of(row: Settlement | Payment) -> str:
    """The status that the database has."""
    return str(stored(row).status)
