"""The one place that decides, right before a letter leaves, whether it is true, for whom and where it goes.

`look` reads the rows once and judges them by the rules of `settlements.letters`. It takes no lock, and no
transaction is open while the mail server is spoken to: between this look and the server's answer lies a
moment in which the rows may change (`docs/faults.md`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from jobqueue.jobs import database_now
from settlements.letters import Facts, Reminder, why_not
from settlements.models import BarredAddress
from settlements.moves import moves_of
from settlements.reminders import Moves, current_policy, out_of_quiet_hours, superseded_for
from settlements.rows import Question, Rows, is_key_of, read

QUIET_HOURS: Final = "quiet hours"
"""The reason of a job that waits for their end."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to become of a letter: it goes to `address`, is skipped, or waits for another time."""

    rows: Rows
    address: str = ""
    skip: str | None = None
    wait: timedelta | None = None


def look(question: Question, using: str, at: datetime | None = None) -> Verdict:
    """Look at the world as it is now, and decide: by the time `at` of a letter that leaves later."""
    rows = read(question, using)
    skip = why_skipped(question, rows)
    if not skip and rows.is_barred:
        skip = _why_barred(_address(question, rows), using)
    reminder = question.reminder
    if skip or reminder is None or reminder.planned_at is None or rows.settlement is None:
        return Verdict(rows, skip=skip) if skip else Verdict(rows, _address(question, rows))
    moves = moves_of(rows.settlement, using) if rows.has_moves else {}
    now = at or database_now(using)
    return _look_at_plan(reminder, rows, _address(question, rows), now, moves)


def why_skipped(question: Question, rows: Rows) -> str | None:
    """Why the letter would not leave by these rows, wherever it goes; None if nothing speaks against it."""
    return _why_not_person(question, rows) or _why_not_true(question, rows)


def barred_because(cause: str) -> str:
    """Why nothing goes to an address that is barred for this cause."""
    if cause == BarredAddress.PAUSED:
        return "letters to this address are paused"
    return "the address is barred, because it refused or complained about an e-mail"


def _why_barred(address: str, using: str) -> str:
    paused = BarredAddress.objects.using(using).barred().among(address).filter(cause=BarredAddress.PAUSED)
    return barred_because(BarredAddress.PAUSED if paused.exists() else "")


def _address(question: Question, rows: Rows) -> str:
    return question.address or str(rows.person.email)


def _why_not_person(question: Question, rows: Rows) -> str | None:
    person = rows.person
    if person is None:
        # A caller's own letter goes where the caller said, whoever that is.
        return None if question.address else f"user {question.user_id} does not exist any more"
    if not getattr(person, "is_active", True):
        return f"user {person.pk} is inactive"
    if not question.address and not person.email:
        return f"user {person.pk} has no e-mail address"
    return None


def _why_not_true(question: Question, rows: Rows) -> str | None:
    if question.payment_id is not None and rows.payment is None:
        return "payment was deleted"
    if rows.settlement is None or rows.standing is None:
        # Without a settlement's id there is nothing to hold the letter against.
        return "settlement was deleted" if question.settlement_id is not None else None
    is_named = rows.payment is not None and question.settlement_id is not None
    if is_named and not is_key_of(rows.settlement, question.settlement_id):
        return "payment belongs to another settlement"
    return why_not(question.template_type, facts_of(question, rows))


def facts_of(question: Question, rows: Rows) -> Facts:
    """The rows as the rules look at them."""
    assert rows.settlement is not None and rows.standing is not None
    return Facts(
        settlement=rows.settlement,
        standing=rows.standing,
        person=rows.person,
        payment=rows.payment,
        payment_id=question.payment_id,
        reminder=question.reminder,
        was_written_to=rows.was_written_to,
        later_reminder=rows.later_reminder,
        is_own=bool(question.address),
    )


def _look_at_plan(reminder: Reminder, rows: Rows, address: str, now: datetime, moves: Moves) -> Verdict:
    """Of a plan's reminders that are due together only the latest goes out, and none at night."""
    assert rows.settlement is not None and reminder.planned_at is not None
    policy = current_policy()
    if superseded_for(
        rows.settlement,
        reminder.reminder_type,
        reminder.step,
        planned_at=reminder.planned_at,
        now=now,
        policy=policy,
        moves=moves,
    ):
        return Verdict(rows, skip="a later reminder is due as well")
    quiet_until = out_of_quiet_hours(now, policy)
    return Verdict(rows, address, wait=quiet_until - now if quiet_until > now else None)
