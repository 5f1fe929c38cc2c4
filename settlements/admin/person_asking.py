"""Reminders sent from a person's page: a button for each settlement that is owed, or why there is none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from jobqueue.operating import demand
from settlements.admin.base import amount_tag, link_to
from settlements.admin.moves import carry_out_and_tell
from settlements.models import Settlement
from settlements.operating.asking_moves import ASKING_MOVES
from settlements.operating.moves import Answer
from settlements.operating.rights import right

REMIND: Final = next(move for move in ASKING_MOVES if move.name == "send_reminder")
"""The same as on the page of the settlement."""
RIGHTS: Final = (right("view", Settlement), right(REMIND.permission, Settlement))


@dataclass(frozen=True, slots=True)
class Owed:
    """A settlement that the person is to pay, and why no reminder of it can be sent now."""

    settlement: Settlement
    link: SafeString | str
    amount: SafeString
    why_not: str


def owed_by(settlements: list[Settlement], reasons: dict[Any, str], request: HttpRequest) -> list[Owed]:
    """These settlements, which the person is to pay, and why no reminder of them can be sent.

    They are named with their amounts, for who may see these.
    """
    if not request.user.has_perms(RIGHTS):
        return []
    return [Owed(one, link_to(one), amount_tag(one.amount), reasons[one.pk]) for one in settlements]


def may_remind(reasons: dict[Any, str], request: HttpRequest) -> bool:
    """Whether a reminder of any of what the person owes can be sent now, by this user."""
    return request.user.has_perms(RIGHTS) and not all(reasons.values())


def remind(request: HttpRequest, person: Any, key: str, reason: str) -> None:
    """Send a reminder of this settlement now, as its own page would, and tell what came of it."""
    demand(request, *RIGHTS)
    carry_out_and_tell(request, _owed(person, key), REMIND, Answer(request.user, reason))


def _owed(person: Any, key: str) -> QuerySet[Settlement]:
    """The settlement of that key, if the person is to pay it."""
    try:
        return Settlement.objects.filter(payer=person, pk=Settlement._meta.pk.to_python(key))
    except ValidationError:
        return Settlement.objects.none()
