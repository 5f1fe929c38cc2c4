"""What the pages of people ask the database, counted as a whole request of an operator."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.contrib.auth.models import Permission, User
from django.contrib.contenttypes.models import ContentType
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings as DjangoSettings

from jobqueue.models import subject_of
from settlements.models import EmailDelivery, Settlement
from settlements.operating import owing
from tests.jobqueue.admin.steps import make_job
from tests.jobqueue.groups import GROUPS, OF_MONEY, member_of
from tests.settlements.admin_steps import USERS
from tests.settlements.steps import domain_settings, run_soon

MOST = 15
LIVE = {"X-Jobqueue-Live": "1"}


@pytest.fixture
def operator(settings: DjangoSettings, payer: User, make_settlement: Callable[..., Settlement]) -> Client:
    """Somebody in all groups, who may change users; somebody owes, was written to and was not."""
    settings.SETTLEMENTS = domain_settings()
    debts = [make_settlement() for _ in range(3)]
    run_soon()
    letter = EmailDelivery.objects.filter(user=payer).latest("pk")
    EmailDelivery.objects.filter(pk=letter.pk).update(status="failed", error="550 mailbox full")
    news = {"settlement_id": str(debts[0].pk), "event": "settlement_created"}
    make_job(
        "failed", processor="settlement.settlement_notification", subject=subject_of(debts[0]), payload=news
    )
    client = member_of(*GROUPS, *OF_MONEY)
    users = Permission.objects.filter(content_type__app_label="auth", content_type__model="user")
    User.objects.get(username="member").user_permissions.set(users)
    return client


@pytest.mark.django_db(transaction=True, databases=["default", "other"])
@pytest.mark.parametrize("most_owed", [owing.MOST_OWED, 2])
@pytest.mark.parametrize("headers", [{}, LIVE], ids=["page", "live"])
@pytest.mark.parametrize("page", ["change", "letters"])
def test_the_pages_of_a_user_and_of_the_letters_ask_few_questions(
    operator: Client,
    payer: User,
    page: str,
    headers: dict[str, str],
    most_owed: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(owing, "MOST_OWED", most_owed)
    ContentType.objects.get_for_model(User)  # which a process asks for once
    with CaptureQueriesContext(connection) as asked:
        assert operator.get(f"{USERS}{payer.pk}/{page}/", headers=headers).status_code == 200
    assert len(asked) <= MOST
