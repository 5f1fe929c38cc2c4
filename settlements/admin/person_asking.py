"""Reminders sent from a person's page: a button for each settlement that is owed, or why there is none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db import router
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from jobqueue.operating import demand
from settlements import asking
from settlements.admin.base import amount_tag, link_to
from settlements.admin.moves import carry_out_and_tell
from settlements.models import BarredAddress, Settlement
from settlements.operating.asking_moves import ASKING_MOVES
from settlements.operating.moves import Answer
from settlements.operating.people import barred_of
from settlements.operating.rights import right
from settlements.rows import email_of

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


def owed_by(
    person: Any, settlements: list[Settlement], barred: BarredAddress | None, request: HttpRequest
) -> list[Owed]:
    """Those of the settlements of which the person can be reminded; one question for all of them.

    They are named with their amounts, for who may see these.
    """
    if not request.user.has_perms(RIGHTS):
        return []
    owed = [one for one in settlements if one.is_open and one.payer_id == person.pk]
    nobody = why_nobody(person, barred)
    reasons = {} if nobody else asking.why_no_reminders(owed, router.db_for_read(Settlement))
    return [Owed(one, link_to(one), amount_tag(one.amount), nobody or reasons[one.pk]) for one in owed]


def why_nobody(person: Any, barred: BarredAddress | None) -> str:
    """Why no letter reaches the person, whatever it is about; empty if one does."""
    if not getattr(person, "is_active", True):
        return _("the person is inactive")
    if not email_of(person):
        return _("the person has no e-mail address")
    return _("no e-mail goes out to the address") if barred is not None else ""


def remind(request: HttpRequest, person: Any, key: str, reason: str) -> None:
    """Send a reminder of this settlement now, as its own page would, and tell what came of it."""
    demand(request, *RIGHTS)
    if why_not := why_nobody(person, barred_of(person)):
        text = _("No reminder was sent: %(why)s.") % {"why": why_not}
        messages.warning(request, text)
        return
    carry_out_and_tell(request, _owed(person, key), REMIND, Answer(request.user, reason))


def _owed(person: Any, key: str) -> QuerySet[Settlement]:
    """The settlement of that key, if the person is to pay it."""
    try:
        return Settlement.objects.filter(payer=person, pk=Settlement._meta.pk.to_python(key))
    except ValidationError:
        return Settlement.objects.none()
