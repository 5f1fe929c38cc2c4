"""Where operators moved reminders to: decisions on the settlement, kept beside it."""

from __future__ import annotations

from typing import Final

from django.db.models import Exists, OuterRef, Q

from settlements.models import MovedReminder, Settlement
from settlements.reminders import Moves

HAS_MOVES: Final = Exists(MovedReminder.objects.filter(settlement=OuterRef("pk")).order_by())
"""An annotation of settlements: hardly any has one, and those are not asked for more."""


def moves_of(settlement: Settlement, using: str) -> Moves:
    """What was moved of the plan for the settlement's due date and payer."""
    rows = MovedReminder.objects.using(using).filter(_of_this_plan(settlement), settlement=settlement.pk)
    return {
        (stage, step): run_at for stage, step, run_at in rows.values_list("reminder_type", "step", "run_at")
    }


def drop_moves(settlement: Settlement, using: str) -> None:
    """Forget what was moved of plans for other due dates and payers."""
    rows = MovedReminder.objects.using(using).filter(settlement=settlement.pk)
    rows.exclude(_of_this_plan(settlement)).delete()


def _of_this_plan(settlement: Settlement) -> Q:
    return Q(due_date=settlement.due_date, payer_term=settlement.payer_term)
