"""How a settlement stands: its status and what is open, from its payments and what an operator decided.

Pure: no database and no clock. Everything that shows, stores or acts on a settlement's status or open amount
asks `standing_of`; `settlements.models.PaidByPayments` is the same sum in SQL, held against `counted` by a
test.

What counts (`counted`)
    A completed payment in the settlement's currency counts with its amount less what of it was refunded.
    Payments that are pending, processing, failed or refunded count nothing; what is in another currency
    counts nothing and is shown to operators.

What holds (`standing_of`)
    - `cancelled` was decided: nothing is owed, and whatever counts is too much.
    - `completed` was decided: nothing is owed, as long as no less counts than when it was decided.
      Where money on which a decision rested went back, the payments alone say how it stands.
    - Else the payments say it: nothing, a part, or at least the amount. A settlement of 0 is completed.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

PENDING = "pending"
PARTIALLY_PAID = "partially_paid"
COMPLETED = "completed"
CANCELLED = "cancelled"

_NOTHING = Decimal(0)


@dataclass(frozen=True, slots=True)
class Decision:
    """A status that somebody set by hand, and how much of the payments counted at that time."""

    status: str
    paid: Decimal = _NOTHING


@dataclass(frozen=True, slots=True)
class Standing:
    """The status, and in the settlement's currency what was paid, is still open and was paid too much."""

    status: str
    paid: Decimal
    open_amount: Decimal
    overpaid: Decimal


def counted(status: str, amount: Decimal, refunded: Decimal, currency: str, owed_in: str) -> Decimal:
    """What one payment counts towards a settlement in the currency `owed_in`."""
    if status != COMPLETED or currency != owed_in:
        return _NOTHING
    return max(amount - refunded, _NOTHING)


def standing_of(amount: Decimal, paid: Decimal, decision: Decision | None = None) -> Standing:
    """How a settlement of `amount` stands, of which payments cover `paid`."""
    if decision is not None and decision.status == CANCELLED:
        return Standing(CANCELLED, paid, _NOTHING, paid)
    too_much = max(paid - amount, _NOTHING)
    if paid >= amount or (decision is not None and decision.status == COMPLETED and paid >= decision.paid):
        return Standing(COMPLETED, paid, _NOTHING, too_much)
    return Standing(PARTIALLY_PAID if paid > 0 else PENDING, paid, amount - paid, too_much)
