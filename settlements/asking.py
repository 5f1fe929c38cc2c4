"""What operators ask of a settlement by hand: a reminder now, no reminders for a while, a check of payments.

Each takes the settlement's locked row. To ask twice has one effect.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from datetime import timedelta
from typing import Any, Final

from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now
from django.utils.translation import gettext

from jobqueue.models import Job, subject_of
from jobqueue.operating import retold_reason
from settlements.decisions import CHECKS, EMAILS
from settlements.emails import check_address
from settlements.exceptions import InvalidEmailAddress
from settlements.jobs import add_letter_job, add_settlement_processing_job
from settlements.letters import ASKED_FOR, Facts, why_not
from settlements.models import IsBarred, PaidByPayments, Payment, Settlement
from settlements.rows import is_barred

UNREACHABLE: Final = "unreachable"
_JUST_NOW: Final = timedelta(minutes=1)
_UNFINISHED: Final = (Job.State.WAITING, Job.State.ACTIVE)


class Unreachable(str):
    """Why no letter reaches the payer, whatever it is about."""

    code = UNREACHABLE


def why_no_reminder(settlement: Settlement, using: str) -> str:
    """Why no reminder can be sent now; empty if nothing speaks against it."""
    return why_no_reminders([settlement], using)[settlement.pk]


def why_no_reminders(settlements: Collection[Settlement], using: str) -> dict[Any, str]:
    """The same of many, by primary key: two questions, one of rows that were read `as_letters_see_them`."""
    found: dict[Any, str] = {one.pk: "" for one in settlements}
    for row in _as_seen(settlements, using):
        found[row.pk] = _why_none_ever(row) or why_unreachable(row.payer, is_barred=_is_barred(row, using))
    asked = [one for one in settlements if not found[one.pk]]
    lately = reminders_lately(asked).using(using).values_list("subject", "state") if asked else ()
    return _none_again(settlements, found, lately)


def why_no_reminders_to(
    settlements: Collection[Settlement], lately: Iterable[Job], *, is_barred: bool
) -> dict[Any, str]:
    """The same of what one person owes, read `as_letters_see_them`; `lately` are the `reminders_lately`.

    Whether nothing is sent to the person is known: no question is asked.
    """
    found = {
        one.pk: _why_none_ever(one) or why_unreachable(one.payer, is_barred=is_barred) for one in settlements
    }
    return _none_again(settlements, found, [(job.subject, job.state) for job in lately])


def reminders_lately(settlements: Iterable[Settlement]) -> QuerySet[Job]:
    """The reminders of these that are on their way, or that somebody asked for a moment ago."""
    subjects = [subject_of(one) for one in settlements]
    letters = Job.objects.filter(subject__in=subjects, processor=EMAILS).exclude(subject="")
    is_near = Q(state__in=_UNFINISHED) | Q(created_at__gte=Now() - _JUST_NOW)
    return letters.filter(is_near, payload__template_type=ASKED_FOR)


def why_unreachable(payer: Any, *, is_barred: bool) -> str:
    """Why no letter reaches the payer, as it is decided when one leaves; empty if one does."""
    if not getattr(payer, "is_active", True):
        return Unreachable(gettext("the payer is inactive"))
    if not payer.email:
        return Unreachable(gettext("the payer has no e-mail address"))
    try:
        check_address(payer.email)
    except InvalidEmailAddress:
        return Unreachable(gettext("the payer's e-mail address cannot be used"))
    return Unreachable(gettext("no e-mail goes out to the payer's address")) if is_barred else ""


def as_letters_see_them(rows: QuerySet[Settlement]) -> QuerySet[Settlement]:
    """The rows with their payers, with what counts towards them, and whether nothing is sent to the payer."""
    annotated = rows.annotate(counted=PaidByPayments(), payer_barred=IsBarred(F("payer__email")))
    return annotated.select_related("payer")


def _as_seen(settlements: Collection[Settlement], using: str) -> Iterable[Settlement]:
    if all(hasattr(one, "payer_barred") for one in settlements):
        return settlements
    rows = Settlement.objects.using(using).filter(pk__in=[one.pk for one in settlements])
    return as_letters_see_them(rows).order_by()


def _is_barred(row: Any, using: str) -> bool:
    # SQLite knows the small letters of ASCII alone.
    address = row.payer.email
    return bool(row.payer_barred) or not address.isascii() and is_barred(address, using)


def _why_none_ever(row: Any) -> str:
    """What of the settlement itself speaks against a reminder: the rule by which its letter leaves."""
    if not row.is_open:
        return str(row.get_status_display())
    facts = Facts(settlement=row, standing=row.standing_now(row.counted), person=row.payer)
    return retold_reason(why_not(ASKED_FOR, facts) or "")


def _none_again(
    settlements: Iterable[Settlement], found: dict[Any, str], lately: Iterable[tuple[str, str]]
) -> dict[Any, str]:
    """What was found; of those without a reason what their reminders of a moment ago speak against one."""
    states: dict[str, set[str]] = defaultdict(set)
    for subject, state in lately:
        states[subject].add(state)
    return {one.pk: found[one.pk] or _why_not_again(states[subject_of(one)]) for one in settlements}


def _why_not_again(states: set[str]) -> str:
    """What the reminders that were asked for a moment ago speak against another."""
    if states.intersection(_UNFINISHED):
        return gettext("a reminder is on its way")
    return gettext("a reminder was sent a moment ago") if states else ""


def send_reminder(settlement: Settlement, using: str) -> Job:
    """Ask for a reminder that belongs to no plan; it is looked at as it leaves, as every letter."""
    key = f"reminder_now:{settlement.pk}"
    return add_letter_job(settlement, settlement.payer_id, ASKED_FOR, unique_key=key, using=using)


def pause_reminders(settlement: Settlement, *, paused: bool) -> None:
    """Let no reminder go out, or let them go out again."""
    settlement.reminders_paused = paused
    settlement.save(update_fields=["reminders_paused"])


def unsettled(settlement: Settlement, using: str) -> list[Payment]:
    """The payments about which the provider can be asked."""
    rows = Payment.objects.using(using).filter(settlement=settlement, status__in=Payment.UNSETTLED)
    return list(rows.order_by("created_at", "pk"))


def check_payments(settlement: Settlement, using: str) -> int:
    """Have the provider asked about each unsettled payment now; how many there are."""
    payments = unsettled(settlement, using)
    checks = Job.objects.using(using).about(settlement).filter(processor=CHECKS)
    checks.run_all_now()
    waiting = checks.unfinished().values_list("payload", flat=True)
    asked_about = {payload.get("payment_id") for payload in waiting}
    for payment in payments:
        if str(payment.pk) not in asked_about:
            add_settlement_processing_job(
                settlement,
                "payment_status_check",
                payment_id=payment.pk,
                unique_key=f"payment_status_check:{payment.pk}",
                using=using,
            )
    return len(payments)
