"""What may be decided about a settlement: complete, cancel, reopen."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from django_fsm import TransitionNotAllowed, can_proceed

from settlements.admin.moves import Answer, LeftAlone, Move
from settlements.models import Settlement

COVERED: Final = "its payments cover it: one of them has to be refunded or deleted first"
COVERED_YET_OPEN: Final = "its payments cover it: it completes by itself in a moment"

_TOLD: Final = " Payer and payee are told, unless it is history."


def _decide(verb: Callable[[Settlement], None], settlement: Settlement, answer: Answer) -> str:
    before = settlement.get_status_display()
    settlement.by_decision_of(answer.user, answer.reason)
    try:
        verb(settlement)
    except TransitionNotAllowed:
        raise LeftAlone(f"{settlement} ({before})") from None
    settlement.save()
    return f"{before} → {settlement.get_status_display()}"


def _trouble_to_complete(settlement: Settlement) -> str:
    if not can_proceed(settlement.complete):
        return str(settlement.get_status_display())
    return COVERED_YET_OPEN if settlement.is_covered() else ""


def _trouble_to_cancel(settlement: Settlement) -> str:
    return "" if can_proceed(settlement.cancel) else str(settlement.get_status_display())


def _trouble_to_reopen(settlement: Settlement) -> str:
    if settlement.is_open or not can_proceed(settlement.reopen):
        return str(settlement.get_status_display())
    return COVERED if settlement.is_covered() else ""


MOVES: Final = (
    Move(
        name="complete",
        label="Complete",
        done="completed",
        permission="decide",
        notice="Nothing is owed any more, though payments do not cover it. No reminder goes out." + _TOLD,
        trouble=_trouble_to_complete,
        carry_out=partial(_decide, Settlement.complete),
    ),
    Move(
        name="cancel",
        label="Cancel",
        done="cancelled",
        permission="decide",
        notice="The debt is called off. No reminder goes out." + _TOLD,
        trouble=_trouble_to_cancel,
        carry_out=partial(_decide, Settlement.cancel),
        is_dangerous=True,
    ),
    Move(
        name="reopen",
        label="Reopen",
        done="reopened",
        permission="decide",
        notice="What payments do not cover is owed again, and reminders go out." + _TOLD,
        trouble=_trouble_to_reopen,
        carry_out=partial(_decide, Settlement.reopen),
    ),
)
