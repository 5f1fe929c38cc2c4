"""Buttons of a settlement's page that ask for something: a reminder, a pause, a look at its payments."""

from __future__ import annotations

from typing import Final

from django.utils.translation import gettext, gettext_noop, ngettext
from django.utils.translation import gettext_lazy as _

from jobqueue.operating import grouped, what_keeps
from settlements import asking
from settlements.decisions import CHECKS, EMAILS
from settlements.models import Payment, Settlement
from settlements.operating.moves import WRONG_STATE, Answer, Move


def _using(settlement: Settlement) -> str:
    return str(settlement._state.db)


def _remind(settlement: Settlement, answer: Answer) -> str:
    return f"job #{asking.send_reminder(settlement, _using(settlement)).pk}"


def _pause(settlement: Settlement, answer: Answer) -> str:
    asking.pause_reminders(settlement, paused=True)
    return f"{gettext_noop('reminders go out')} → paused"


def _resume(settlement: Settlement, answer: Answer) -> str:
    asking.pause_reminders(settlement, paused=False)
    return f"{gettext_noop('reminders paused')} → {gettext_noop('go out')}"


def _check(settlement: Settlement, answer: Answer) -> str:
    number = asking.check_payments(settlement, _using(settlement))
    return f"{gettext_noop('payments asked about')}: {number}"


def _reminders_queued(number: int) -> str:
    text = ngettext("%(n)s reminder is queued.", "%(n)s reminders are queued.", number)
    return f"{text % {'n': grouped(number)}} {_when(EMAILS)}"


def _checks_queued(number: int) -> str:
    text = ngettext(
        "To ask about the payments of %(n)s settlement is queued.",
        "To ask about the payments of %(n)s settlements is queued.",
        number,
    )
    return f"{text % {'n': grouped(number)}} {_when(CHECKS)}"


def _when(processor: str) -> str:
    """When what was queued just now happens, or what keeps it."""
    return what_keeps(processor) or gettext("A worker takes it at once.")


def _trouble_to_pause(settlement: Settlement) -> str:
    if not settlement.is_open:
        return str(settlement.get_status_display())
    return gettext("paused already") if settlement.reminders_paused else ""


def _trouble_to_check(settlement: Settlement) -> str:
    # Not one by one: the page has read the payments.
    is_any = any(payment.status in Payment.UNSETTLED for payment in settlement.payments.all())
    return "" if is_any else gettext("no payment is unsettled")


ASKING_MOVES: Final = (
    Move(
        name="send_reminder",
        label=_("Send a reminder now"),
        done=_("reminded"),
        permission="remind",
        notice=_("One e-mail goes to the payer at once, at any hour. The plan of reminders stays as it is."),
        trouble=lambda settlement: asking.why_no_reminder(settlement, _using(settlement)),
        troubles=lambda settlements: asking.why_no_reminders(settlements, _using(settlements[0])),
        carry_out=_remind,
        codes=(WRONG_STATE, asking.UNREACHABLE),
        told=_reminders_queued,
    ),
    Move(
        name="pause_reminders",
        label=_("Pause reminders"),
        done=_("paused"),
        verb="Pause",
        permission="pause",
        notice=_("No reminder of it goes out until somebody resumes them; those that come due are skipped."),
        trouble=_trouble_to_pause,
        carry_out=_pause,
    ),
    Move(
        name="resume_reminders",
        label=_("Resume reminders"),
        done=_("resumed"),
        verb="Resume",
        permission="resume",
        notice=_(
            "Reminders that lie ahead go out again, none of what is history. "
            "What was skipped meanwhile is not made up for."
        ),
        trouble=lambda settlement: "" if settlement.reminders_paused else gettext("not paused"),
        carry_out=_resume,
    ),
    Move(
        name="check_payments",
        label=_("Check payment now"),
        done=_("asked about"),
        permission="check",
        notice=_("The provider is asked about every payment that is not settled yet."),
        trouble=_trouble_to_check,
        carry_out=_check,
        told=_checks_queued,
    ),
)
