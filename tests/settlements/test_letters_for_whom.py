"""Who sees which part of the letters of a person, and what a refusal says."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client
from pytest_django import Settings as DjangoSettings

from settlements.models import BarredAddress, EmailDelivery, Settlement
from tests.jobqueue.admin.steps import operator, text_of
from tests.jobqueue.api.steps import get
from tests.jobqueue.groups import member_of
from tests.settlements.admin_steps import USERS
from tests.settlements.steps import REMINDER, domain_settings, run_soon, waiting_of

pytestmark = pytest.mark.django_db(databases=["default", "other"])


@pytest.fixture(autouse=True)
def _policy(settings: DjangoSettings) -> None:
    settings.SETTLEMENTS = domain_settings()


def letters(person: User) -> str:
    """The address of the person's letters."""
    return f"{USERS}{person.pk}/letters/"


def test_who_looks_after_money_alone_sees_letters_and_pauses_them(
    settlement: Settlement, payer: User
) -> None:
    run_soon()
    client = member_of("Settlement operator")
    assert letters(payer) in text_of(client.get(f"/admin/settlements/settlement/{settlement.pk}/change/"))
    page = client.get(letters(payer))
    assert {row["letter"].user for row in page.context["letters"]} == {payer}
    assert "To see what will come takes the permission jobqueue.view_job." in text_of(page)
    assert page.context["coming"] == [] and waiting_of(settlement, REMINDER)
    client.post(letters(payer), {"verb": "pause", "reason": "on holiday"})
    assert BarredAddress.objects.get().paused_by == "member"
    assert get(client, f"people/{payer.pk}/")["letters"] == "paused"


@pytest.mark.parametrize(("path", "name"), [("", "jobqueue.view_…"), ("job/", "jobqueue.view_job")])
def test_pages_of_jobs_refuse_who_looks_after_money_alone_and_name_what_is_missing(
    path: str, name: str
) -> None:
    refused = member_of("Settlement operator").get(f"/admin/jobqueue/{path}")
    assert refused.status_code == 403 and name in refused.content.decode()


def test_addresses_are_shown_to_who_may_read_payloads(settlement: Settlement, payer: User) -> None:
    run_soon()
    looks = ("settlements.view_person", "settlements.view_emaildelivery")
    letter = EmailDelivery.objects.filter(user=payer).latest("pk")
    pages = (letters(payer), f"/admin/settlements/emaildelivery/{letter.pk}/change/")
    reader = operator(*looks, "view_payload", username="reader")
    other = operator(*looks)
    for page in pages:
        assert payer.email in text_of(reader.get(page))
        assert payer.email not in text_of(other.get(page)) and "p… at example.com" in text_of(other.get(page))


def test_a_reason_is_said_to_be_required(admin_client: Client, settlement: Settlement, payer: User) -> None:
    assert text_of(admin_client.get(letters(payer))).count("Reason (required)") == 2
