"""`/api/people/{id}/`: what keeps letters from a person, and the verbs that hold them back or let them go."""

from __future__ import annotations

from typing import Any, Final

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.http import Http404
from drf_spectacular.utils import extend_schema_view
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from jobqueue.api.access import OperatorViewSet, django_request
from jobqueue.api.bodies import Text, read_body
from jobqueue.api.problems import Refused
from jobqueue.api.shapes import Moment, described
from jobqueue.operating import carried_text, demand, shown_address
from settlements.api.bodies import GIVEN_WHY, GivenReason
from settlements.models import BarredAddress
from settlements.operating import people
from settlements.operating.owing import owed_by
from settlements.operating.rights import right
from settlements.rows import email_of
from settlements.searching import VIEW_PERSON

LETTERS: Final = ("go out", "paused", "barred", "no address", "inactive")
ALREADY_PAUSED, ALREADY_BARRED = "already_paused", "already_barred"
NO_ADDRESS, NOT_PAUSED = "no_address", "not_paused"
_USERS: Any = get_user_model()
_LOOK: Final = (
    "settlements.view_emaildelivery",
    f"{VIEW_PERSON} or {right('view', _USERS)} or {right('change', _USERS)}",
)
_MOST_NAMED: Final = 5


class Barred(serializers.Serializer[Any]):
    """Why nothing is sent to an address."""

    cause = serializers.CharField(help_text="`paused` by an operator, or what a mail server said.")
    since = Moment()
    by = serializers.CharField(allow_blank=True, help_text="Who paused it; empty of what a server barred.")
    detail = serializers.CharField(allow_blank=True, help_text="What was said, or the reason of the pause.")


class Person(serializers.Serializer[Any]):
    """A person and what becomes of the letters to them."""

    id = serializers.CharField()
    name = serializers.CharField(help_text="The user's name.")
    address = serializers.CharField(
        allow_blank=True, help_text="Most of it is hidden without `jobqueue.view_payload`."
    )
    letters = serializers.ChoiceField(LETTERS, help_text="Whether letters go out, and if not why.")
    barred = Barred(allow_null=True)
    troubles = serializers.ListField(
        child=serializers.CharField(), help_text="What else keeps letters or reminders from the person."
    )
    same_address = serializers.ListField(
        child=serializers.CharField(),
        help_text="Others with this address, five at most: a pause holds theirs back as well.",
    )


class PauseReason(GivenReason):
    """Why letters to a person are held back."""

    reason = Text(
        max_length=people.longest_pause_reason(),
        help_text="Stands in the history of the person, and in the row of the pause behind who paused.",
        error_messages=GIVEN_WHY,
    )


@extend_schema_view(
    retrieve=described("A person, and whether letters go out to them", Person),
    pause_letters=described(
        "Hold letters to the person's address back",
        Person,
        body=PauseReason,
        codes={409: (ALREADY_PAUSED, ALREADY_BARRED, NO_ADDRESS)},
    ),
    resume_letters=described(
        "Let letters go out to the person's address again",
        Person,
        body=GivenReason,
        codes={409: (NOT_PAUSED, ALREADY_BARRED, NO_ADDRESS)},
    ),
)
class PersonViewSet(OperatorViewSet):
    """People, by the keys of their users."""

    lookup_value_regex = "[0-9A-Za-z-]{1,40}"
    what = "person"
    needs = {
        "retrieve": _LOOK,
        "pause_letters": (*_LOOK, right("pause", BarredAddress)),
        "resume_letters": (*_LOOK, f"{right('resume', BarredAddress)} or {right('clear', BarredAddress)}"),
    }

    def retrieve(self, request: Request, pk: str = "") -> Response:
        """One of them; their letters are at `/api/emails/?user=…`."""
        return Response(_shown(_person(pk), request))

    @action(detail=True, methods=["post"], url_path="pause-letters")
    def pause_letters(self, request: Request, pk: str = "") -> Response:
        """Pause them; what comes due meanwhile is skipped."""
        return _changed(_person(pk), people.PAUSE, request)

    @action(detail=True, methods=["post"], url_path="resume-letters")
    def resume_letters(self, request: Request, pk: str = "") -> Response:
        """End a pause; an address that a mail server barred takes the permission to clear it."""
        person = _person(pk)
        return _changed(person, people.to_end(people.barred_of(person)), request)


def _changed(person: Any, verb: str, request: Request) -> Response:
    body = PauseReason if verb == people.PAUSE else GivenReason
    asked, asking = read_body(body, request), django_request(request)
    demand(asking, people.permission_of(verb))
    if not people.change_letters(asking, person, verb, asked["reason"]):
        raise _refused(verb, person)
    return Response(_shown(person, request))


def _refused(verb: str, person: Any) -> Refused:
    """Why nothing was changed."""
    if not email_of(person):
        return Refused("Nothing was changed: the person has no e-mail address.", NO_ADDRESS)
    barred = people.barred_of(person)
    if verb == people.PAUSE and barred is not None and not barred.is_paused:
        return Refused("Nothing was changed: no e-mail goes out to the address already.", ALREADY_BARRED)
    if verb != people.PAUSE and barred is not None:
        return Refused("Nothing was changed: letters are held back for another reason now.", ALREADY_BARRED)
    code = ALREADY_PAUSED if verb == people.PAUSE else NOT_PAUSED
    return Refused("Nothing was changed: that was so already.", code)


def _person(pk: str) -> Any:
    """The user with that key; Http404 if there is none."""
    try:
        found = _USERS._default_manager.filter(pk=_USERS._meta.pk.to_python(pk)).first()
    except (ValidationError, OverflowError):
        found = None
    if found is None:
        raise Http404
    return found


def _shown(person: Any, request: Request) -> dict[str, Any]:
    barred = people.barred_of(person)
    told = people.troubles(person, owed_by(person), django_request(request))
    others = people.sharing(person, _MOST_NAMED)[:_MOST_NAMED]
    return {
        "id": str(person.pk),
        "name": carried_text(person.get_username(), request),
        "address": shown_address(email_of(person), request),
        "letters": _state(person, barred),
        "barred": barred and _barred(barred, request),
        "troubles": [carried_text(text, request) for text in told],
        "same_address": [carried_text(one.get_username(), request) for one in others],
    }


def _state(person: Any, barred: BarredAddress | None) -> str:
    if not getattr(person, "is_active", True):
        return "inactive"
    if not email_of(person):
        return "no address"
    if barred is None:
        return "go out"
    return "paused" if barred.is_paused else "barred"


def _barred(barred: BarredAddress, request: Request) -> dict[str, Any]:
    return {
        "cause": carried_text(barred.cause, request),
        "since": Moment().to_representation(barred.barred_at),
        "by": carried_text(barred.paused_by, request),
        "detail": carried_text(barred.why, request),
    }
