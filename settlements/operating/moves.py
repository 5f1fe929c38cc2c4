"""What an operator may do to a record, with a reason: under its lock, and written down with who did it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from django.db import models, router, transaction
from django.http import HttpRequest
from django.utils.functional import Promise
from django.utils.text import capfirst
from django.utils.translation import gettext, ngettext

from jobqueue.operating import grouped, in_english, log_change

LONGEST_REASON: Final = 500
WRONG_STATE: Final = "wrong_state"
CHANGED_MEANWHILE: Final = "changed_meanwhile"
MOST_NAMED: Final = 5


class LeftAlone(Exception):
    """The record cannot be changed so; the text names it and says why, the code for programs."""

    def __init__(self, text: str, code: str = WRONG_STATE) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True, slots=True)
class Answer:
    """What the operator said when asked."""

    user: Any
    reason: str
    amount: Decimal | None = None
    failure_reason: str = ""
    """What the payer reads of a payment that fails; the reason is for the history alone."""
    seen: str = ""
    """The status that the record had when it was looked at, if it is to have that still."""


@dataclass(frozen=True, slots=True)
class Move:
    """One thing that an operator may do to a record, with a reason."""

    name: str
    label: Promise
    done: Promise
    permission: str
    notice: Promise
    trouble: Callable[[Any], str]
    """Why a record cannot be changed so, as far as can be seen; empty if nothing speaks against it.

    A text with a `code` of its own gives programs that one.
    """
    carry_out: Callable[[Any, Answer], str]
    """Changes and saves a locked record; what became of it, for the history."""
    takes_amount: bool = False
    tells_payer: bool = False
    """Whether the operator says what the payer reads of it."""
    is_dangerous: bool = False
    codes: tuple[str, ...] = (WRONG_STATE,)
    """The codes that it is refused with."""
    verb: str = ""
    """What it is called in the history where another verb of operators has that name: "Pause"."""
    troubles: Callable[[Sequence[Any]], Mapping[Any, str]] | None = None
    """The trouble of each of many, by key, where that takes as many questions as of one."""
    told: Callable[[int], str] | None = None
    """What is said of so many records, where what was asked for is not done by then."""


def move_one(request: HttpRequest, model: type[models.Model], key: Any, move: Move, answer: Answer) -> Any:
    """Change one record under its lock, and write it down in the same transaction; the record, None if gone.

    Raises LeftAlone, InvalidAmount or InvalidRefund, and then nothing was changed.
    """
    with transaction.atomic(using=router.db_for_write(model)):
        record = model._default_manager.select_for_update(no_key=True).filter(pk=key).first()
        if record is None:
            return None
        _refuse_if_changed(record, answer.seen)
        trouble = move.trouble(record)
        if trouble:
            raise LeftAlone(named(record, trouble), getattr(trouble, "code", WRONG_STATE))
        change = move.carry_out(record, answer)
        with in_english():
            done = move.verb or capfirst(str(move.done))
        log_change(request, record, f"{done}: {change}. Reason: {answer.reason}")
    return record


def _refuse_if_changed(record: Any, seen: str) -> None:
    if seen and record.status != seen:
        words = {"status": record.get_status_display(), "seen": dict(record.Status.choices)[seen]}
        raise LeftAlone(named(record, gettext("%(status)s by now, not %(seen)s") % words), CHANGED_MEANWHILE)


def named(record: Any, trouble: str) -> str:
    """A record that is left alone, and why; its status once, where both its title and the trouble tell it."""
    title = str(record)
    head, mark, status = title.removesuffix(")").rpartition(" (")
    if mark and title.endswith(")") and str(trouble).startswith(status):
        title = head
    return f"{title} ({trouble})"


def left_alone(move: Move, names: Any, refused: Sequence[str]) -> str:
    """The sentence about records that were left alone; `names` are the options of their model."""
    number = len(refused)
    listed = "; ".join(refused[:MOST_NAMED]) + ("; …" if number > MOST_NAMED else "")
    text = ngettext(
        "%(what)s cannot be %(done)s and was left alone: %(listed)s.",
        "%(what)s cannot be %(done)s and were left alone: %(listed)s.",
        number,
    )
    return text % {"what": counted(number, names), "done": move.done, "listed": listed}


def moved(move: Move, names: Any, number: int) -> str:
    """The sentence about records that were changed."""
    if move.told is not None:
        return move.told(number)
    return gettext("%(what)s %(done)s.") % {"what": counted(number, names), "done": move.done}


def counted(number: int, names: Any) -> str:
    """So many records of a model."""
    return f"{grouped(number)} {names.verbose_name if number == 1 else names.verbose_name_plural}"
