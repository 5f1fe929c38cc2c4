"""The letters of a person: what keeps them back, and how an operator holds them back and lets them go out."""

from __future__ import annotations

from typing import Any, Final

from django.contrib.auth import get_user_model
from django.db import router, transaction
from django.db.models import Q
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop, ngettext

from jobqueue.operating import grouped, log_change
from jobqueue.searching import read_together
from settlements.addresses import bar
from settlements.asking import as_letters_see_them
from settlements.models import BarredAddress, Settlement, longest_why, pause_detail
from settlements.operating.moves import LONGEST_REASON
from settlements.operating.owing import Owing, Some, newest_owed, owing_of
from settlements.operating.rights import may, right
from settlements.rows import email_of

PAUSE: Final = "pause"
RESUME: Final = "resume"
CLEAR: Final = "clear"
MOST_SETTLEMENTS: Final = 100
_USUAL_NAME: Final = 150
_SHORTEST_LIMIT: Final = 100
_CHANGES: Final = {
    PAUSE: f"Pause: {gettext_noop('letters go out')} → paused",
    RESUME: f"Resume: {gettext_noop('letters held back')} → {gettext_noop('go out')}",
    CLEAR: f"Clear: {gettext_noop('letters held back')} → {gettext_noop('go out')}",
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


def settlements_of(person: Any) -> tuple[list[Settlement], Owing]:
    """The newest settlements of the person, one more than are looked at if there are more, and what is owed.

    One question for both; each is read with what counts towards it.
    """
    rows = Settlement.objects.filter(Q(payer=person) | Q(payee=person))
    newest = as_letters_see_them(rows).order_by("-created_at")[: MOST_SETTLEMENTS + 1]
    found, owed = read_together([newest, newest_owed(person)])
    return found, owing_of(person, owed)


def looked_at(settlements: list[Settlement], owing: Owing) -> list[Settlement]:
    """Those whose jobs are looked at: what is owed, and of the others the newest."""
    owed = {one.pk for one in owing.settlements}
    newest = settlements[:MOST_SETTLEMENTS]
    return [*owing.settlements, *(one for one in newest if one.pk not in owed)]


def troubles(person: Any, owing: Owing, request: HttpRequest) -> list[str]:
    """What keeps letters from this person; settlements are named to who may see these."""
    found = []
    if not getattr(person, "is_active", True):
        found.append(_("The person is inactive: nothing is sent."))
    if not email_of(person):
        found.append(_("The person has no e-mail address."))
    may_name = may(request, "view", Settlement)
    found += _paused(owing.paused, may_name=may_name)
    found += _history(owing.history, may_name=may_name)
    if not owing.settlements:
        found.append(_("The person owes nothing at the moment: no reminder is due."))
    return found


def _paused(some: Some, *, may_name: bool) -> list[str]:
    counted = ngettext(
        "Reminders of %(number)s settlement are paused.",
        "Reminders of %(number)s settlements are paused.",
        some.number,
    )
    return _told(some, counted, _("Reminders of “%(name)s” are paused."), may_name=may_name)


def _history(some: Some, *, may_name: bool) -> list[str]:
    """Open ones that nobody is reminded of: they were over before this system heard of them."""
    counted = ngettext(
        "%(number)s settlement is history: no reminder of it goes out by itself.",
        "%(number)s settlements are history: no reminder of them goes out by itself.",
        some.number,
    )
    named = _("“%(name)s” is history: no reminder of it goes out by itself.")
    return _told(some, counted, named, may_name=may_name)


def _told(some: Some, counted: str, named: str, *, may_name: bool) -> list[str]:
    """Each by name, for who may see them; how many, where that is not all of them."""
    names = [named % {"name": one} for one in some.newest] if may_name else []
    number = [counted % {"number": grouped(some.number)}] if some.number > len(names) else []
    return [*number, *names]


def sharing(person: Any, most: int) -> list[Any]:
    """Other people with the same address, as many as are named and one more."""
    address = email_of(person)
    if not address:
        return []
    users = get_user_model()._default_manager.filter(**{f"{person.get_email_field_name()}__iexact": address})
    return list(users.exclude(pk=person.pk).order_by("pk")[: most + 1])


# Pausing ------------------------------------------------------------------------------------------


def permission_of(verb: str) -> str:
    """What it takes to hold letters back, or to end what holds them back."""
    return right(verb, BarredAddress)


def to_end(barred: BarredAddress | None) -> str:
    """The verb that lets letters go out again: what an operator paused is resumed, other bars are cleared."""
    return RESUME if barred is None or barred.is_paused else CLEAR


def longest_pause_reason() -> int:
    """How long the reason of a pause may be whoever pauses: it fits behind the longest name of a user.

    Where names may fill that row, 100 characters are taken, and their end is cut where it does not fit.
    """
    users: Any = get_user_model()
    longest = users._meta.get_field(users.USERNAME_FIELD).max_length or _USUAL_NAME
    return max(_SHORTEST_LIMIT, longest_why("x" * longest))


def longest_reason(request: HttpRequest, verb: str) -> int:
    """How long the reason may be: that of a pause stands in the row behind the name of who paused."""
    return longest_why(request.user.get_username()) if verb == PAUSE else LONGEST_REASON


def change_letters(request: HttpRequest, person: Any, verb: str, reason: str) -> bool:
    """Do it and write it down. False, where it was so already or another verb ends it now.

    Of two operators at once one does, and the other finds it done. Who ends a pause does not clear what a
    server or the person said meanwhile.
    """
    address, using = email_of(person), router.db_for_write(BarredAddress)
    with transaction.atomic(using=using):
        if not address or not (_pause if verb == PAUSE else _end)(verb, address, reason, request):
            return False
        log_change(request, person, f"{_CHANGES[verb]}. Reason: {reason}")
    return True


def _pause(verb: str, address: str, reason: str, request: HttpRequest) -> bool:
    using = router.db_for_write(BarredAddress)
    if barred_rows(address):
        return False
    moment = timezone.now()
    detail = pause_detail(request.user.get_username(), reason)
    bar(address, BarredAddress.PAUSED, detail, using=using, at=moment)
    # Where somebody barred it at the same moment, the row is his.
    rows = BarredAddress.objects.using(using).barred().among(address)
    return rows.filter(cause=BarredAddress.PAUSED, barred_at=moment).exists()


def _end(verb: str, address: str, reason: str, request: HttpRequest) -> bool:
    rows = BarredAddress.objects.using(router.db_for_write(BarredAddress)).barred().among(address)
    barred = rows.select_for_update().first()
    if barred is None or to_end(barred) != verb:
        return False
    barred.clear(request.user, reason)
    return True
