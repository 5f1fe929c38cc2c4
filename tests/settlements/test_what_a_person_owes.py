"""What a person owes is asked exactly, however many settlements are newer, and told alike everywhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from pytest_django import Settings as DjangoSettings

from settlements.models import Settlement
from settlements.operating import owing, people
from tests.jobqueue.admin.steps import operator, text_of
from tests.jobqueue.api.steps import get
from tests.settlements.admin_steps import USERS
from tests.settlements.steps import domain_settings

pytestmark = pytest.mark.django_db(databases=["default", "other"])

MakeSettlement = Callable[..., Settlement]
LOOK = ("view_job", "settlements.view_emaildelivery", "auth.view_user")
OWES_NOTHING = "The person owes nothing at the moment: no reminder is due."


@pytest.fixture(autouse=True)
def _policy(settings: DjangoSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.SETTLEMENTS = domain_settings()
    monkeypatch.setattr(people, "MOST_SETTLEMENTS", 3)


@pytest.fixture
def old_debt(make_settlement: MakeSettlement, payer: User, payee: User) -> Settlement:
    """What the payer owes; all that is newer is paid, or owed to the payer."""
    debt = make_settlement(description="Old rent")
    for number in range(4):
        make_settlement(description=f"paid {number}", status="completed")
        make_settlement(description=f"owed to Pia {number}", payer=payee, payee=payer)
    return debt


def faces(client: Client, person: User) -> list[list[str]]:
    """What the page of the person, the panel on the user and the API say keeps letters from the person."""
    panel = text_of(client.get(f"{USERS}{person.pk}/change/")).partition('class="jq-letters"')[2]
    page = client.get(f"{USERS}{person.pk}/letters/")
    told: list[str] = page.context["troubles"]
    assert all(text in panel and text in text_of(page) for text in told)
    return [told, [text for text in told if text in panel], get(client, f"people/{person.pk}/")["troubles"]]


def test_who_owes_an_old_debt_owes_something(admin_client: Client, old_debt: Settlement, payer: User) -> None:
    assert OWES_NOTHING not in text_of(admin_client.get(f"{USERS}{payer.pk}/change/"))
    assert faces(admin_client, payer) == [[], [], []]


def test_who_owes_nothing_owes_nothing(
    admin_client: Client, make_settlement: MakeSettlement, payer: User
) -> None:
    make_settlement(status="completed")
    assert faces(admin_client, payer) == [[OWES_NOTHING]] * 3


def test_of_an_old_debt_a_reminder_can_be_sent_and_those_to_come_are_shown(
    admin_client: Client, old_debt: Settlement, payer: User
) -> None:
    context = admin_client.get(f"{USERS}{payer.pk}/letters/").context
    assert [one.settlement.pk for one in context["owed"]] == [old_debt.pk]
    assert {row["job"].payload["settlement_id"] for row in context["coming"]} >= {str(old_debt.pk)}


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"reminders_paused": True}, "Reminders of “Old rent” are paused."),
        ({"history": True}, "“Old rent” is history: no reminder of it goes out by itself."),
    ],
)
def test_an_old_debt_that_is_paused_or_history_is_told(
    admin_client: Client, old_debt: Settlement, payer: User, fields: dict[str, Any], why: str
) -> None:
    Settlement.objects.filter(pk=old_debt.pk).update(**fields)
    assert faces(admin_client, payer) == [[why]] * 3


def test_what_is_paid_is_not_told_to_be_paused(
    admin_client: Client, make_settlement: MakeSettlement, payer: User
) -> None:
    make_settlement(status="completed", reminders_paused=True)
    assert faces(admin_client, payer) == [[OWES_NOTHING]] * 3


@pytest.mark.parametrize("most", [3, 100])
def test_where_not_all_are_named_their_number_is_that_of_all(
    make_settlement: MakeSettlement, payer: User, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr(owing, "MOST_OWED", most)
    monkeypatch.setattr(owing, "MOST_NAMED", 2)
    for number in range(4):
        make_settlement(description=str(number), reminders_paused=True, history=True)
    client = operator(*LOOK, "settlements.view_settlement")
    told = faces(client, payer)
    assert told[0] == told[1] == told[2] == [
        "Reminders of 4 settlements are paused.",
        "Reminders of “3” are paused.",
        "Reminders of “2” are paused.",
        "4 settlements are history: no reminder of them goes out by itself.",
        "“3” is history: no reminder of it goes out by itself.",
        "“2” is history: no reminder of it goes out by itself.",
    ]  # fmt: skip


def test_more_than_are_looked_at_are_said_to_be_cut(
    admin_client: Client, make_settlement: MakeSettlement, payer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owing, "MOST_OWED", 2)
    for _ in range(4):
        make_settlement()
    context = admin_client.get(f"{USERS}{payer.pk}/letters/").context
    assert len(context["owed"]) == 2 and "were looked at" in context["left_out"]
