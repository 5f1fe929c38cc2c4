"""Where operators moved reminders to: decisions on the settlement, kept beside it."""

from __future__ import annotations

from typing import Any, Final

from django.db import models
from django.db.models import Q

from settlements.models import MovedReminder, Settlement
from settlements.reminders import Moves


class HasMoves(models.Func):
    """An annotation of settlements: hardly any has moves, and the others are not asked for them.

    It is one text and no subquery of the ORM's, because every save asks for it.
    """

    output_field = models.BooleanField()

    def __init__(self, settlement: str = "pk") -> None:
        super().__init__(models.F(settlement))

    def as_sql(self, compiler: Any, connection: Any, *_: Any, **__: Any) -> tuple[str, Any]:
        """One look at an index."""
        [source] = self.get_source_expressions()
        text, values = compiler.compile(source)
        table = connection.ops.quote_name(MovedReminder._meta.db_table)
        return f"EXISTS (SELECT 1 FROM {table} moves WHERE moves.settlement_id = {text})", list(values)


HAS_MOVES: Final = HasMoves()


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
