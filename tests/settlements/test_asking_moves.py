"""What operators ask of a settlement on its page: once for two clicks, with a reason."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.core import mail
from django.test import Client
from pytest_django import Settings as DjangoSettings

from jobqueue.models import Job
from settlements.models import Payment, Settlement
from tests.jobqueue.admin.steps import operator
from tests.settlements.admin_steps import ask, buttons_of, give_reason, history_of, page_of, said
from tests.settlements.steps import EMAIL, STATUS_CHECK, domain_settings, run_soon, waiting_of

pytestmark = pytest.mark.django_db(databases=["default", "other"])


@pytest.fixture(autouse=True)
def _policy(settings: DjangoSettings) -> None:
    settings.SETTLEMENTS = domain_settings()


def test_a_reminder_goes_out_once_for_two_clicks(admin_client: Client, settlement: Settlement) -> None:
    run_soon()
    mail.outbox.clear()
    give_reason(admin_client, "send_reminder", settlement)
    assert "a reminder is on its way" in said(give_reason(admin_client, "send_reminder", settlement))[0]
    run_soon()
    assert "a moment ago" in said(give_reason(admin_client, "send_reminder", settlement))[0]
    assert [message.to for message in mail.outbox] == [["payer@example.com"]]
    assert len(history_of(settlement)) == 1 and "Reason: by agreement" in history_of(settlement)[0]


def test_reminders_are_paused_and_resumed(admin_client: Client, settlement: Settlement) -> None:
    give_reason(admin_client, "pause_reminders", settlement)
    assert Settlement.objects.get().reminders_paused
    buttons = buttons_of(admin_client.get(page_of(settlement)))
    assert "resume_reminders" in buttons and not {"pause_reminders", "send_reminder"} & set(buttons)
    give_reason(admin_client, "resume_reminders", settlement)
    assert not Settlement.objects.get().reminders_paused


def test_payments_are_checked_now(
    admin_client: Client, settlement: Settlement, make_payment: Callable[..., Payment]
) -> None:
    assert "check_payments" not in buttons_of(admin_client.get(page_of(settlement)))
    payment = make_payment(settlement)
    for _click in range(2):
        give_reason(admin_client, "check_payments", settlement)
    [check] = waiting_of(settlement, STATUS_CHECK)
    assert check.payload["payment_id"] == str(payment.pk)
    assert Job.objects.due().filter(pk=check.pk).exists()


def test_it_takes_a_permission_of_its_own(settlement: Settlement) -> None:
    viewer = operator("settlements.view_settlement")
    ask(viewer, "send_reminder", settlement)
    give_reason(viewer, "send_reminder", settlement)
    assert not Job.objects.filter(processor=EMAIL).exists()
    asker = operator("settlements.view_settlement", "settlements.remind_settlement", username="asker")
    give_reason(asker, "send_reminder", settlement)
    assert Job.objects.filter(processor=EMAIL).count() == 1
