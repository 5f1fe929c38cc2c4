"""Records that a page only names lead where its reader may go."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client

from settlements.models import EmailDelivery, Settlement
from tests.jobqueue.admin.steps import make_job
from tests.jobqueue.groups import member_of

pytestmark = pytest.mark.django_db
SETTLEMENT, EMAIL = "/admin/settlements/settlement/", "/admin/settlements/emaildelivery/"
OPERATORS = ("Job operator", "Settlement operator")


def _page(client: Client, address: str) -> str:
    return client.get(address).content.decode()


def test_people_of_a_settlement_lead_an_operator_to_their_letters(settlement: Settlement) -> None:
    page = _page(member_of(*OPERATORS), f"{SETTLEMENT}{settlement.pk}/change/")
    for person in (settlement.payer, settlement.payee):
        assert f'<a href="/admin/auth/user/{person.pk}/letters/">{person}</a>' in page
        assert f"/admin/auth/user/{person.pk}/change/" not in page


def test_the_person_of_an_email_leads_whoever_may_see_users_to_the_user(
    admin_client: Client, payer: User
) -> None:
    row = EmailDelivery.objects.create(job=make_job("completed"), message_id="<1@a.example>", user=payer)
    assert f'<a href="/admin/auth/user/{payer.pk}/change/">{payer}</a>' in _page(
        admin_client, f"{EMAIL}{row.pk}/change/"
    )


def test_a_job_is_named_without_a_link_to_who_may_see_no_jobs(payer: User) -> None:
    job = make_job("completed")
    row = EmailDelivery.objects.create(job=job, message_id="<1@a.example>", user=payer)
    page = _page(member_of("Settlement operator"), f"{EMAIL}{row.pk}/change/")
    assert str(job) in page
    assert f"/admin/jobqueue/job/{job.pk}/change/" not in page


def test_an_email_to_nobody_is_shown_without_a_person() -> None:
    row = EmailDelivery.objects.create(job=make_job("completed"), message_id="<1@a.example>")
    assert "None" not in _page(member_of(*OPERATORS), f"{EMAIL}{row.pk}/change/")
