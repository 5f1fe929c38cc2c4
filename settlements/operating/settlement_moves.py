"""What may be decided about a settlement: complete, cancel, reopen."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from django.utils.functional import Promise
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _
from django_fsm import TransitionNotAllowed, can_proceed

from jobqueue.operating import in_english
from settlements.models import Settlement
from settlements.operating.moves import Answer, LeftAlone, Move, named

COVERED: Final = _("its payments cover it: one of them has to be refunded or deleted first")
COVERED_YET_OPEN: Final = _("its payments cover it: it completes by itself in a moment")


def _and_told(notice: Promise) -> Promise:
    return format_lazy("{} {}", notice, _("Payer and payee are told, unless it is history."))


def _decide(verb: Callable[[Settlement], None], settlement: Settlement, answer: Answer) -> str:
    with in_english():
        before = str(settlement.get_status_display())
    settlement.by_decision_of(answer.user, answer.reason)
    try:
        verb(settlement)
    except TransitionNotAllowed:
        raise LeftAlone(named(settlement, settlement.get_status_display())) from None
    settlement.save()
    with in_english():
        return f"{before} → {settlement.get_status_display()}"


def _trouble_to_complete(settlement: Settlement) -> str:
    if not can_proceed(settlement.complete):
        return str(settlement.get_status_display())
    return str(COVERED_YET_OPEN) if settlement.is_covered() else ""


def _trouble_to_cancel(settlement: Settlement) -> str:
    return "" if can_proceed(settlement.cancel) else str(settlement.get_status_display())


def _trouble_to_reopen(settlement: Settlement) -> str:
    if settlement.is_open or not can_proceed(settlement.reopen):
        return str(settlement.get_status_display())
    return str(COVERED) if settlement.is_covered() else ""


MOVES: Final = (
    Move(
        name="complete",
        label=_("Complete"),
        done=_("completed"),
        permission="complete",
        notice=_and_told(
            _("Nothing is owed any more, though payments do not cover it. No reminder goes out.")
        ),
        trouble=_trouble_to_complete,
        carry_out=partial(_decide, Settlement.complete),
    ),
    Move(
        name="cancel",
        label=_("Cancel"),
        done=_("cancelled"),
        permission="cancel",
        notice=_and_told(_("The debt is called off. No reminder goes out.")),
        trouble=_trouble_to_cancel,
        carry_out=partial(_decide, Settlement.cancel),
        is_dangerous=True,
    ),
    Move(
        name="reopen",
        label=_("Reopen"),
        done=_("reopened"),
        permission="reopen",
        notice=_and_told(_("What payments do not cover is owed again, and reminders go out.")),
        trouble=_trouble_to_reopen,
        carry_out=partial(_decide, Settlement.reopen),
    ),
)
