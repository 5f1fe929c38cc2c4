"""`/api/people/{id}/`: whether letters go out to a person, and the verbs that hold them back."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.test import Client
from drf_spectacular.generators import SchemaGenerator
from pytest_django import Settings as DjangoSettings

from settlements.addresses import bar
from settlements.models import BarredAddress, EmailDelivery, Settlement
from tests.jobqueue.admin.steps import operator
from tests.jobqueue.api.steps import ask, get, post, problem
from tests.settlements.admin_steps import history_of
from tests.settlements.steps import domain_settings

pytestmark = pytest.mark.django_db(databases=["default", "other"])

LOOK = ("settlements.view_emaildelivery", "auth.view_user")
REASON = {"reason": "on holiday"}


@pytest.fixture(autouse=True)
def _policy(settings: DjangoSettings) -> None:
    settings.SETTLEMENTS = domain_settings()


def client_who(*verbs: str, username: str = "operator") -> Client:
    """Who may look at people, and do this to their addresses."""
    return operator(*LOOK, *(f"settlements.{verb}_barredaddress" for verb in verbs), username=username)


def test_a_person_is_shown_without_most_of_the_address(
    make_settlement: Callable[..., Settlement], payer: User
) -> None:
    make_settlement(description="Rent", reminders_paused=True)
    User.objects.create_user("twin", email=payer.email.upper())
    assert get(client_who(), f"people/{payer.pk}/") == {
        "id": str(payer.pk),
        "name": payer.username,
        "address": "p… at example.com",
        "letters": "go out",
        "barred": None,
        "troubles": ["Reminders of 1 settlement are paused."],
        "same_address": ["twin"],
    }
    reader = operator(*LOOK, "view_payload", username="reader")
    assert get(reader, f"people/{payer.pk}/")["address"] == payer.email


def test_a_settlement_leads_to_its_people(settlement: Settlement, payer: User) -> None:
    client = operator(*LOOK, "settlements.view_settlement")
    shown = get(client, f"settlements/{settlement.pk}/")
    assert get(client, f"people/{shown['payer_id']}/")["name"] == shown["payer"] == payer.username


def test_letters_are_paused_and_resumed_once(payer: User) -> None:
    client, paused = client_who("pause", "resume"), f"people/{payer.pk}/pause-letters/"
    shown = post(client, paused, REASON)
    assert shown["letters"] == "paused"
    told = {name: shown["barred"][name] for name in ("cause", "by", "detail")}
    assert told == {"cause": "paused", "by": "operator", "detail": "on holiday"}
    assert problem(ask(client, "POST", paused, REASON), 409)["code"] == "already_paused"
    assert post(client, f"people/{payer.pk}/resume-letters/", {"reason": "back"})["letters"] == "go out"
    refused = problem(ask(client, "POST", f"people/{payer.pk}/resume-letters/", REASON), 409)
    assert (refused["code"], refused["detail"]) == ("not_paused", "Nothing was changed: that was so already.")
    assert history_of(payer) == [
        "Pause: letters go out → paused. Reason: on holiday",
        "Resume: letters held back → go out. Reason: back",
    ]


def test_a_reason_of_a_pause_is_as_long_as_the_schema_says_whoever_pauses(payer: User) -> None:
    forms = SchemaGenerator().get_schema(request=None, public=True)["components"]["schemas"]
    most = forms["PauseReasonRequest"]["properties"]["reason"]["maxLength"]
    assert most == 500 - len("paused by : ") - 150
    client, address = client_who("pause", username="o" * 150), f"people/{payer.pk}/pause-letters/"
    refused = problem(ask(client, "POST", address, {"reason": "x" * (most + 1)}), 422)
    assert [(one["field"], one["code"]) for one in refused["errors"]] == [("reason", "max_length")]
    assert not BarredAddress.objects.exists()
    assert post(client, address, {"reason": "x" * most})["barred"]["detail"] == "x" * most


@pytest.mark.parametrize(("verb", "other"), [("pause", "resume"), ("resume", "pause"), ("resume", "clear")])
def test_each_verb_takes_its_permission(payer: User, verb: str, other: str) -> None:
    if verb == "resume":
        bar(payer.email, BarredAddress.PAUSED, "", using="default")
    refused = problem(ask(client_who(other), "POST", f"people/{payer.pk}/{verb}-letters/", REASON), 403)
    assert f"settlements.{verb}_barredaddress" in refused["detail"]
    assert not history_of(payer)


def test_what_a_server_barred_is_not_paused_and_takes_the_permission_to_clear_it(payer: User) -> None:
    bar(payer.email, "bounced", "550", using="default")
    client = client_who("pause", "resume")
    refused = problem(ask(client, "POST", f"people/{payer.pk}/pause-letters/", REASON), 409)
    assert refused["code"] == "already_barred"
    refused = problem(ask(client, "POST", f"people/{payer.pk}/resume-letters/", REASON), 403)
    assert "settlements.clear_barredaddress" in refused["detail"]
    clearer = client_who("clear", username="clearer")
    assert post(clearer, f"people/{payer.pk}/resume-letters/", REASON)["letters"] == "go out"


def test_who_has_no_address_has_no_letters_to_pause(payer: User) -> None:
    User.objects.filter(pk=payer.pk).update(email="")
    client = client_who("pause")
    assert get(client, f"people/{payer.pk}/")["letters"] == "no address"
    refused = problem(ask(client, "POST", f"people/{payer.pk}/pause-letters/", REASON), 409)
    assert refused["code"] == "no_address"


def test_a_pause_takes_a_reason(payer: User) -> None:
    refused = problem(ask(client_who("pause"), "POST", f"people/{payer.pk}/pause-letters/", {}), 422)
    assert refused["errors"][0]["detail"] == "Say why: the reason is kept with the record."


@pytest.mark.parametrize("key", ["999999", "x", "9" * 40])
def test_who_is_not_there_is_404(key: str) -> None:
    problem(ask(client_who(), "GET", f"people/{key}/"), 404)


def test_the_letters_of_a_person_are_listed(payer: User, payee: User) -> None:
    for number, person in enumerate((payer, payee)):
        EmailDelivery.objects.create(user=person, recipient=person.email, message_id=f"<{number}@x>")
    client = operator("settlements.view_emaildelivery")
    assert len(get(client, f"emails/?user={payer.pk}")["results"]) == 1
    problem(ask(client, "GET", "emails/?user=x"), 400)
    assert ask(client, "GET", f"emails/?user={'9' * 40}").status_code in (200, 400)
