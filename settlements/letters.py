"""Every letter there is: to whom it goes, when, and what must hold for it to be true.

One table, `LETTERS`. `docs/letters.md` is the same table for people; a test holds them against each other.
The rules look at `Facts`, the rows as they are at that moment, and are asked twice: when a letter is decided
on, and again right before it leaves (`settlements.truth`), because days can lie between.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from settlements.history import counts_as_history
from settlements.models import Payment, ReminderType, Settlement
from settlements.standing import COMPLETED, Standing
from settlements.status_words import written_status

PAYER: Final = "payer"
PAYEE: Final = "payee"
FORMER_PAYER: Final = "former payer"
TAKEN_BACK: Final = "payment_refund_taken_back"
OF_REFUNDS: Final = ("payment_refunded", TAKEN_BACK)
ASKED_FOR: Final = "settlement_reminder"
"""The reminder that no plan and no event leads to, but somebody who asks."""

_NO_PAYMENT: Final = "no payment is named"

Because = str | None
"""Why a letter is not sent; None if it may be."""


@dataclass(frozen=True, slots=True)
class Reminder:
    """Which reminder a letter is: of a plan, or one that somebody asked for (`planned_at` is None)."""

    reminder_type: str
    step: int
    due_date: datetime
    planned_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """What is so at this moment: the rows that a letter speaks of, read together."""

    settlement: Settlement
    standing: Standing
    person: Any = None
    payment: Payment | None = None
    payment_id: str | None = None
    reminder: Reminder | None = None
    was_written_to: bool = False
    later_reminder: bool = False
    is_own: bool = False
    """Whether a caller asked for it, with an address; else the system decided on it."""

    @property
    def is_closed(self) -> str:
        """The closed status that settlement or payments say it has; empty if money is owed."""
        if self.settlement.status == Settlement.Status.CANCELLED:
            return "settlement cancelled"
        if self.settlement.status == Settlement.Status.COMPLETED:
            return "settlement already completed"
        return "nothing is left to pay" if self.standing.status == COMPLETED else ""


@dataclass(frozen=True, slots=True)
class Letter:
    """One template type. `when`, `true_while` and `skipped` are the sentences of `docs/letters.md`."""

    to: tuple[str, ...]
    when: str
    true_while: str
    why_not: Callable[[Facts], Because]
    skipped: tuple[str, ...]
    """The reasons that `why_not` gives, "…" for what differs."""


# Rules --------------------------------------------------------------------------------------------


def _reminder(facts: Facts) -> Because:
    settlement, reminder = facts.settlement, facts.reminder
    if facts.is_closed:
        return facts.is_closed
    if settlement.reminders_paused:
        return "reminders are paused"
    if reminder is not None and reminder.due_date != settlement.due_date:
        return f"due date moved to {settlement.due_date.isoformat()}"
    return "a later reminder went out, or is on its way" if facts.later_reminder else None


def _created(facts: Facts) -> Because:
    return facts.is_closed or None


def _updated(facts: Facts) -> Because:
    return "settlement cancelled" if facts.settlement.status == Settlement.Status.CANCELLED else None


def _completed(facts: Facts) -> Because:
    settlement = facts.settlement
    if settlement.status != Settlement.Status.COMPLETED:
        return f"settlement is {written_status(settlement)} again"
    # A status written without save() is a decision that the reconciler has not noted yet.
    is_noted = settlement.announced_status == settlement.status
    return "money is missing again" if is_noted and facts.standing.status != COMPLETED else None


def _cancelled(facts: Facts) -> Because:
    settlement = facts.settlement
    if settlement.status == Settlement.Status.CANCELLED:
        return None
    return f"settlement is {written_status(settlement)} again"


def _reopened(facts: Facts) -> Because:
    settlement = facts.settlement
    if settlement.is_open:
        return "nothing is left to pay" if facts.standing.status == COMPLETED else None
    return f"settlement is {written_status(settlement)} again"


def _released(facts: Facts) -> Because:
    if facts.person is not None and facts.person.pk == facts.settlement.payer_id:
        return "the debt is this person's again"
    return None if facts.was_written_to else "no letter about it had gone out to this person"


def _received(facts: Facts) -> Because:
    return _about_payment(facts, "completed", lambda payment: payment.status == Payment.Status.COMPLETED)


def _failed(facts: Facts) -> Because:
    gone = _about_payment(facts, "failed", lambda payment: payment.status == Payment.Status.FAILED)
    return gone or facts.is_closed or _not_his(facts)


def _not_his(facts: Facts) -> Because:
    """Who owes it now did not make the payments of whoever owed it before."""
    is_for_payer = facts.person is not None and facts.person.pk == facts.settlement.payer_id
    if facts.payment is None or (facts.is_own and not is_for_payer):
        return None
    is_former = is_by_former_payer(facts.payment, facts.settlement)
    return "payment was made by a former payer" if is_former else None


def is_by_former_payer(payment: Payment, settlement: Settlement) -> bool:
    """Whether the payment is older than the debt of who owes it now: somebody else made it."""
    return settlement.payer_since is not None and payment.created_at < settlement.payer_since


def _refunded(facts: Facts) -> Because:
    return _about_payment(facts, "refunded", _went_back)


def _taken_back(facts: Facts) -> Because:
    gone = _about_payment(facts, "completed", lambda payment: payment.status == Payment.Status.COMPLETED)
    if gone or facts.payment is None:
        return gone
    if facts.payment.refunded_amount:
        return "money of it went back again"
    # While it is only decided on, nobody is named yet.
    is_news = facts.is_own or facts.person is None or facts.was_written_to
    return None if is_news else "no letter about it had gone out to this person"


def _went_back(payment: Payment) -> bool:
    is_part = payment.status == Payment.Status.COMPLETED and bool(payment.refunded_amount > 0)
    return payment.status == Payment.Status.REFUNDED or is_part


def _about_payment(facts: Facts, word: str, holds: Callable[[Payment], bool]) -> Because:
    payment = facts.payment
    if payment is None:
        # Who asks for a letter of his own may say himself what was paid.
        return "payment was deleted" if facts.payment_id else None if facts.is_own else _NO_PAYMENT
    if payment.settlement_id != facts.settlement.pk:
        return "payment belongs to another settlement"
    return None if holds(payment) else f"payment is {written_status(payment)}, not {word}"


# The table ----------------------------------------------------------------------------------------

_OWED: Final = (
    "money is owed, reminders are not paused, it is due as planned, and no later reminder is due or went out"
)
_CLOSED: Final = ("settlement already completed", "settlement cancelled", "nothing is left to pay")
_REMINDED: Final = (
    *_CLOSED,
    "reminders are paused",
    "due date moved to …",
    "a later reminder went out, or is on its way",
    "a later reminder is due as well",
)
_PAYMENT: Final = (_NO_PAYMENT, "payment was deleted", "payment belongs to another settlement")
_AGAIN: Final = "settlement is … again"

LETTERS: Final[dict[str, Letter]] = {
    "reminder_initial": Letter(
        (PAYER,), "a settlement is created, or somebody new has to pay it", _OWED, _reminder, _REMINDED
    ),
    "reminder_follow_up": Letter(
        (PAYER,), "3, 7, 14 and 21 days after that, before it is due", _OWED, _reminder, _REMINDED
    ),
    "reminder_final": Letter((PAYER,), "it is due", _OWED, _reminder, _REMINDED),
    "reminder_overdue": Letter(
        (PAYER,), "1, 3, 7, 14 and 30 days after it was due", _OWED, _reminder, _REMINDED
    ),
    ASKED_FOR: Letter((PAYER,), "an operator or a program asks for it", _OWED, _reminder, _REMINDED),
    "settlement_created": Letter(
        (PAYER, PAYEE), "a settlement is created", "money is owed", _created, _CLOSED
    ),
    "settlement_updated": Letter(
        (PAYER, PAYEE),
        "amount, due date or description changed, or a part was paid",
        "it is not cancelled",
        _updated,
        ("settlement cancelled",),
    ),
    "settlement_completed": Letter(
        (PAYER, PAYEE),
        "payments cover it, or somebody completes it",
        "it is completed",
        _completed,
        (_AGAIN, "money is missing again"),
    ),
    "settlement_cancelled": Letter(
        (PAYER, PAYEE), "somebody cancels it", "it is cancelled", _cancelled, (_AGAIN,)
    ),
    "settlement_reopened": Letter(
        (PAYER, PAYEE),
        "money is owed again after it was completed or cancelled",
        "money is owed",
        _reopened,
        (_AGAIN, "nothing is left to pay"),
    ),
    "settlement_released": Letter(
        (FORMER_PAYER,),
        "somebody else has to pay it now",
        "that person does not owe it, and had a letter about it",
        _released,
        ("the debt is this person's again", "no letter about it had gone out to this person"),
    ),
    "payment_received": Letter(
        (PAYEE,),
        "a payment is completed, also for what is cancelled or paid already",
        "the payment is completed",
        _received,
        (*_PAYMENT, "payment is …, not completed"),
    ),
    "payment_failed": Letter(
        (PAYER,),
        "a payment fails",
        "the payment is failed, money is owed, and who owes it made the payment",
        _failed,
        (*_PAYMENT, "payment is …, not failed", *_CLOSED, "payment was made by a former payer"),
    ),
    "payment_refunded": Letter(
        (PAYER, PAYEE),
        "a payment goes back, whole or in part",
        "the payment, or a part of it, went back",
        _refunded,
        (*_PAYMENT, "payment is …, not refunded"),
    ),
    TAKEN_BACK: Letter(
        (PAYER, PAYEE),
        "a refund is taken back",
        "nothing of the payment is refunded, and that person's last letter about it said that it was",
        _taken_back,
        (
            *_PAYMENT,
            "payment is …, not completed",
            "money of it went back again",
            "no letter about it had gone out to this person",
        ),
    ),
}
"""Every e-mail there is; each has `templates/email/<type>.subject.txt`, `.lead.txt`, `.txt` and `.html`."""

REMINDER_LETTERS: Final = (*(f"reminder_{name}" for name in ReminderType.values), ASKED_FOR)

STAGES: Final = (ReminderType.INITIAL, ReminderType.FOLLOW_UP, ReminderType.FINAL, ReminderType.OVERDUE)
"""The reminder types from the first to the most urgent one."""


def why_not(template_type: str, facts: Facts) -> Because:
    """Why this letter would not be true, or is for somebody else; None if it may go out."""
    letter = LETTERS[template_type]
    return _why_not_to(template_type, facts) or _history(template_type, facts) or letter.why_not(facts)


def people_for(template_type: str, settlement: Settlement) -> list[Any]:
    """The people to whom a letter about this settlement goes, each once."""
    by_role = {PAYER: settlement.payer, PAYEE: settlement.payee}
    people = [by_role[role] for role in LETTERS[template_type].to if role in by_role]
    return list({person.pk: person for person in people}.values())


def is_for(template_type: str, settlement: Settlement, user_id: Any) -> bool:
    """Whether a letter about this settlement goes to the user with that key."""
    by_role = {PAYER: settlement.payer_id, PAYEE: settlement.payee_id}
    letter = LETTERS.get(template_type)
    return letter is not None and any(by_role.get(role) == user_id for role in letter.to)


def _why_not_to(template_type: str, facts: Facts) -> Because:
    person, settlement, letter = facts.person, facts.settlement, LETTERS[template_type]
    if person is None or FORMER_PAYER in letter.to:
        return None
    # A caller may tell either of the two of a payment; but nobody else than who owes it is reminded.
    roles = letter.to if template_type in REMINDER_LETTERS or not facts.is_own else (PAYER, PAYEE)
    by_role = {PAYER: settlement.payer_id, PAYEE: settlement.payee_id}
    if person.pk in [by_role[role] for role in roles]:
        return None
    return f"user {person.pk} is not the {' or the '.join(roles)} of the settlement"


def _history(template_type: str, facts: Facts) -> Because:
    """Nobody is told of history unless somebody asks for it, or it was paid too much."""
    is_in_no_plan = facts.reminder is not None and facts.reminder.planned_at is None
    is_asked_for = facts.is_own or is_in_no_plan or template_type == ASKED_FOR
    is_too_much = template_type == "payment_received" and facts.standing.overpaid > 0
    if is_asked_for or is_too_much or not counts_as_history(facts.settlement):
        return None
    return "settlement is history"
