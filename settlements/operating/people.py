"""The letters of a person: what keeps them back, and how an operator holds them back and lets them go out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from django.contrib.auth import get_user_model
from django.db import router, transaction
from django.db.models import Q
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop, ngettext

from jobqueue.operating import grouped, log_change
from settlements.addresses import bar
from settlements.history import counts_as_history
from settlements.models import BarredAddress, Settlement, pause_detail
from settlements.operating.rights import may, right
from settlements.rows import email_of

PAUSE: Final = "pause"
RESUME: Final = "resume"
MOST_SETTLEMENTS: Final = 100
_MOST_NAMED = 5
_CHANGES: Final = {
    PAUSE: f"Pause: {gettext_noop('letters go out')} → paused",
    RESUME: f"Resume: {gettext_noop('letters held back')} → {gettext_noop('go out')}",
}
"""What the history says; the word before the colon is the verb by which the audit finds it."""


# Looking ------------------------------------------------------------------------------------------


def barred_rows(*addresses: str) -> dict[str, BarredAddress]:
    """Those of the addresses, in small letters, that nothing is sent to."""
    return {row.address: row for row in BarredAddress.objects.barred().among(*addresses)}


def barred_of(person: Any) -> BarredAddress | None:
    """Why nothing is sent to the person's address; None if letters go out to it."""
    address = email_of(person)
    return barred_rows(address).get(address.lower()) if address else None


def settlements_of(person: Any) -> list[Settlement]:
    """The newest settlements of the person; one more than are looked at if there are more."""
    rows = Settlement.objects.filter(Q(payer=person) | Q(payee=person))
    return list(rows.order_by("-created_at")[: MOST_SETTLEMENTS + 1])


def troubles(person: Any, settlements: Sequence[Settlement], request: HttpRequest) -> list[str]:
    """What keeps letters from this person; settlements are named to who may see these."""
    found = []
    if not getattr(person, "is_active", True):
        found.append(_("The person is inactive: nothing is sent."))
    if not email_of(person):
        found.append(_("The person has no e-mail address."))
    to_pay = [one for one in settlements if one.payer_id == person.pk]
    may_name = may(request, "view", Settlement)
    found += _paused([one for one in to_pay if one.reminders_paused], may_name=may_name)
    owed = [one for one in to_pay if one.is_open]
    found += _history([one for one in owed if counts_as_history(one)], may_name=may_name)
    if not owed:
        found.append(_("The person owes nothing at the moment: no reminder is due."))
    return found


def _paused(settlements: list[Settlement], *, may_name: bool) -> list[str]:
    if may_name:
        named = settlements[:_MOST_NAMED]
        return [_("Reminders of “%(name)s” are paused.") % {"name": one} for one in named]
    text = ngettext(
        "Reminders of %(number)s settlement are paused.",
        "Reminders of %(number)s settlements are paused.",
        len(settlements),
    )
    return [text % {"number": grouped(len(settlements))}] if settlements else []


def _history(settlements: list[Settlement], *, may_name: bool) -> list[str]:
    """Open ones that nobody is reminded of: they were over before this system heard of them."""
    if may_name:
        named = settlements[:_MOST_NAMED]
        return [
            _("“%(name)s” is history: no reminder of it goes out by itself.") % {"name": one} for one in named
        ]
    text = ngettext(
        "%(number)s settlement is history: no reminder of it goes out by itself.",
        "%(number)s settlements are history: no reminder of them goes out by itself.",
        len(settlements),
    )
    return [text % {"number": grouped(len(settlements))}] if settlements else []


def sharing(person: Any, most: int) -> list[Any]:
    """Other people with the same address, as many as are named and one more."""
    address = email_of(person)
    if not address:
        return []
    users = get_user_model()._default_manager.filter(**{f"{person.get_email_field_name()}__iexact": address})
    return list(users.exclude(pk=person.pk).order_by("pk")[: most + 1])


# Pausing ------------------------------------------------------------------------------------------


def permission_of(verb: str, barred: BarredAddress | None) -> str:
    """What it takes to hold letters back, or to let them go out again to an address that is barred so."""
    return right(PAUSE if verb == PAUSE else to_end(barred), BarredAddress)


def to_end(barred: BarredAddress | None) -> str:
    """The verb that lets letters go out again: what an operator paused is resumed, other bars are cleared."""
    return RESUME if barred is None or barred.cause == BarredAddress.PAUSED else "clear"


def change_letters(request: HttpRequest, person: Any, verb: str, reason: str) -> bool:
    """Do it and write it down. Of two operators at once one does, and the other finds it done: False."""
    address, using = email_of(person), router.db_for_write(BarredAddress)
    with transaction.atomic(using=using):
        done = _pause if verb == PAUSE else _resume
        if not address or not done(address, reason, request, using):
            return False
        log_change(request, person, f"{_CHANGES[verb]}. Reason: {reason}")
    return True


def _pause(address: str, reason: str, request: HttpRequest, using: str) -> bool:
    if barred_rows(address):
        return False
    moment = timezone.now()
    detail = pause_detail(request.user.get_username(), reason)
    bar(address, BarredAddress.PAUSED, detail, using=using, at=moment)
    # Where somebody barred it at the same moment, the row is his.
    rows = BarredAddress.objects.using(using).barred().among(address)
    return rows.filter(cause=BarredAddress.PAUSED, barred_at=moment).exists()


def _resume(address: str, reason: str, request: HttpRequest, using: str) -> bool:
    rows = BarredAddress.objects.using(using).barred().among(address)
    barred = rows.select_for_update().first()
    if barred is not None:
        barred.clear(request.user, reason)
    return barred is not None
