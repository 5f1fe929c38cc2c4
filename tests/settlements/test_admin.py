"""Settlements and payments in the admin: saving them, and the jobs about them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.models import User
from django.core import mail
from django.test import Client, override_settings
from django.utils import timezone

from jobqueue.models import AuditEntry, Job
from jobqueue.testing import drain
from settlements.models import EmailDelivery, Payment, Settlement
from tests.jobqueue.admin.steps import choose, operator, text_of
from tests.settlements.admin_steps import (
    ADDRESSES,
    DISCREPANCIES,
    EMAILS,
    EVIL,
    PAYMENTS,
    REMINDERS,
    SETTLEMENTS,
    errors_of,
    new_payment,
    new_settlement,
    opened,
    page_of,
    processors_of,
    saved,
)

pytestmark = pytest.mark.django_db


# Deleting -----------------------------------------------------------------------------------------


def test_to_delete_two_settlements_at_once_is_one_entry_in_the_audit_that_names_them(
    admin_client: Client, make_settlement: Callable[..., Settlement]
) -> None:
    settlements = [make_settlement(description=name) for name in ("Rent", "Dinner")]
    data = {"action": "delete_selected", "_selected_action": [one.pk for one in settlements], "post": "yes"}
    assert admin_client.post(SETTLEMENTS, data).status_code == 302
    assert not Settlement.objects.exists()
    entry = AuditEntry.objects.get(verb="Delete")
    assert (entry.who, entry.object_type, entry.jobs) == ("admin", "settlements.settlement", 0)
    assert all(str(one) in entry.text for one in settlements)


# Saving -------------------------------------------------------------------------------------------


def test_adding_a_settlement_makes_its_jobs(admin_client: Client, payer: User, payee: User) -> None:
    saved(admin_client.post(f"{SETTLEMENTS}add/", new_settlement(payer, payee)))
    jobs = processors_of(Settlement.objects.get())
    assert jobs == {"settlement.settlement_notification", "reminders.send"}


def test_adding_a_settlement_leads_to_the_e_mails(admin_client: Client, payer: User, payee: User) -> None:
    saved(admin_client.post(f"{SETTLEMENTS}add/", new_settlement(payer, payee)))
    drain(until=timezone.now() + timedelta(minutes=1))
    recipients = [recipient for message in mail.outbox for recipient in message.to]
    assert {payer.email, payee.email} <= set(recipients)


def test_adding_a_payment_makes_its_jobs(admin_client: Client, settlement: Settlement) -> None:
    saved(opened(admin_client, settlement).save(**new_payment()))
    assert settlement.payments.get().status == "pending"
    assert "settlement.payment_status_check" in processors_of(settlement)


def test_a_completed_payment_completes_the_settlement(admin_client: Client, settlement: Settlement) -> None:
    form = opened(admin_client, settlement)
    saved(form.save(**new_payment(amount_0="100.00", status="completed")))
    drain()
    settlement.refresh_from_db()
    assert settlement.status == "completed"


def test_changing_the_due_date_moves_the_reminders(admin_client: Client, settlement: Settlement) -> None:
    before = set(Job.objects.waiting().filter(processor="reminders.send").values_list("pk", flat=True))
    later = settlement.due_date + timedelta(days=5)
    saved(opened(admin_client, settlement).save(due_date_0=f"{later:%Y-%m-%d}"))
    after = set(Job.objects.waiting().filter(processor="reminders.send").values_list("pk", flat=True))
    assert after
    assert not before & after


def test_saving_without_a_change_makes_no_job(admin_client: Client, settlement: Settlement) -> None:
    before = Job.objects.count()
    saved(opened(admin_client, settlement).save())
    assert Job.objects.count() == before


def test_saving_without_a_change_makes_no_job_though_the_form_shows_no_fraction_of_a_second(
    admin_client: Client, make_settlement: Callable[..., Settlement]
) -> None:
    settlement = make_settlement(due_date=datetime(2099, 5, 17, 14, 0, 1, 234_567, tzinfo=UTC))
    before = Job.objects.count()
    form = opened(admin_client, settlement)
    assert form.fields["due_date_1"] == "14:00:01"
    saved(form.save())
    assert Job.objects.count() == before


@pytest.mark.parametrize("status", ["pending", "completed", "cancelled"])
def test_the_first_status_may_be_chosen(admin_client: Client, payer: User, payee: User, status: str) -> None:
    saved(admin_client.post(f"{SETTLEMENTS}add/", new_settlement(payer, payee, status=status)))
    assert Settlement.objects.get().status == status


@pytest.mark.parametrize(("entered", "expected"), [("true", True), ("false", False), ("unknown", False)])
def test_whether_it_is_history_may_be_chosen_once(
    admin_client: Client, payer: User, payee: User, entered: str, expected: bool
) -> None:
    saved(admin_client.post(f"{SETTLEMENTS}add/", new_settlement(payer, payee, history=entered)))
    settlement = Settlement.objects.get()
    assert settlement.history is expected
    assert "history" not in opened(admin_client, settlement).fields


@pytest.mark.parametrize(
    "wrong",
    [{"amount_0": "-1"}, {"amount_0": "x"}, {"due_date_0": ""}, {"payer": "999999"}, {"status": "lost"}],
)
def test_a_wrong_value_is_refused_and_makes_no_job(
    admin_client: Client, payer: User, payee: User, wrong: dict[str, str]
) -> None:
    response = admin_client.post(f"{SETTLEMENTS}add/", new_settlement(payer, payee) | wrong)
    assert response.status_code == 200
    assert response.context["errors"]
    assert not Job.objects.exists()


@pytest.mark.parametrize(
    ("zone", "day", "time"),
    [
        ("UTC", "9999-12-31", "23:59:59"),
        ("UTC", "8999-12-31", "23:59:59"),
        ("America/New_York", "9999-12-31", "23:00:00"),
        ("Asia/Tokyo", "0001-01-01", "00:00:00"),
    ],
)
def test_a_due_date_at_the_ends_of_the_calendar_is_refused_with_what_is_allowed(
    admin_client: Client, payer: User, payee: User, zone: str, day: str, time: str
) -> None:
    due = {"due_date_0": day, "due_date_1": time}
    with override_settings(TIME_ZONE=zone):
        said = errors_of(admin_client.post(f"{SETTLEMENTS}add/", new_settlement(payer, payee, **due)))
    assert "Ensure this value is" in said
    assert not Settlement.objects.exists()


def test_deleting_a_settlement_cancels_its_jobs(admin_client: Client, settlement: Settlement) -> None:
    admin_client.post(f"{SETTLEMENTS}{settlement.pk}/delete/", {"post": "yes"})
    assert not Settlement.objects.exists()
    assert not Job.objects.unfinished().exists()


# The jobs of a settlement -------------------------------------------------------------------------


def test_a_settlement_shows_its_past_running_and_coming_jobs(
    admin_client: Client, settlement: Settlement
) -> None:
    past, running, *_coming = Job.objects.about(settlement).order_by("pk")
    now = timezone.now()
    Job.objects.filter(pk=past.pk).update(state="completed", finished_at=now, reason="skipped: already told")
    Job.objects.filter(pk=running.pk).update(state="active", started_at=now)
    response = admin_client.get(page_of(settlement))
    panel = response.context["jobs_panel"]
    assert [row.pk for row in panel.past] == [past.pk]
    assert [row.pk for row in panel.running] == [running.pk]
    assert len(panel.coming) == Job.objects.waiting().count()
    text = text_of(response)
    assert f'<a href="/admin/jobqueue/job/{past.pk}/change/">' in text
    assert "skipped: already told" in text


def test_coming_jobs_are_in_the_order_of_their_times(admin_client: Client, settlement: Settlement) -> None:
    panel = admin_client.get(page_of(settlement)).context["jobs_panel"]
    times = [Job.objects.get(pk=row.pk).run_at for row in panel.coming]
    assert times == sorted(times)


def test_a_reminder_says_which_one_it_is(admin_client: Client, settlement: Settlement) -> None:
    kinds = {row.kind for row in admin_client.get(page_of(settlement)).context["jobs_panel"].coming}
    assert {"initial", "final", "overdue"} <= kinds


def test_jobs_of_other_settlements_are_not_shown(
    admin_client: Client, make_settlement: Callable[..., Settlement]
) -> None:
    one, other = make_settlement(), make_settlement()
    shown = {row.pk for row in admin_client.get(page_of(one)).context["jobs_panel"].coming}
    assert not shown & set(Job.objects.about(other).values_list("pk", flat=True))


def test_who_may_not_view_jobs_sees_the_settlement_without_them(settlement: Settlement) -> None:
    response = operator("settlements.view_settlement").get(page_of(settlement))
    assert "jobs_panel" not in response.context
    assert "/admin/jobqueue/job/" not in text_of(response)


def test_a_settlement_without_jobs_says_so(admin_client: Client, settlement: Settlement) -> None:
    Job.objects.all().delete()
    assert "There are no jobs about this record." in text_of(admin_client.get(page_of(settlement)))


def test_adding_shows_no_panel(admin_client: Client) -> None:
    assert 'id="jobs"' not in text_of(admin_client.get(f"{SETTLEMENTS}add/"))


# Pages --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "permission"),
    [
        (SETTLEMENTS, "view_settlement"),
        (PAYMENTS, "view_payment"),
        (EMAILS, "view_emaildelivery"),
        (REMINDERS, "view_reminderdelivery"),
        (DISCREPANCIES, "view_discrepancy"),
        (ADDRESSES, "view_barredaddress"),
    ],
)
def test_each_page_takes_its_permission(url: str, permission: str) -> None:
    assert Client().get(url).status_code == 302
    assert operator(username="nobody").get(url).status_code == 403
    assert operator(f"settlements.{permission}").get(url).status_code == 200


@pytest.mark.parametrize("url", [SETTLEMENTS, PAYMENTS, EMAILS, REMINDERS])
def test_pages_escape_what_they_show(
    admin_client: Client, url: str, make_payment: Callable[..., Payment], settlement: Settlement
) -> None:
    Settlement.objects.update(description=EVIL)
    Job.objects.update(reason=EVIL)
    make_payment(settlement, failure_reason=EVIL)
    EmailDelivery.objects.create(
        message_id="<1@x>", recipient="anna@example.com", subject=EVIL, template_type=EVIL[:50], error=EVIL
    )
    assert EVIL not in text_of(admin_client.get(url))
    assert EVIL not in text_of(admin_client.get(page_of(settlement)))


def test_a_payment_shows_its_settlement(admin_client: Client, make_payment: Callable[..., Payment]) -> None:
    payment = make_payment()
    assert "Dinner in Lisbon" in text_of(admin_client.get(PAYMENTS))
    assert text_of(admin_client.get(page_of(payment)))


# Before a bulk action -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("processor", "emails"),
    [("email.notification", 1), ("reminders.send", 1), ("settlement.settlement_notification", 2)],
)
def test_the_question_about_jobs_knows_their_e_mails(
    admin_client: Client, processor: str, emails: int
) -> None:
    job = Job.objects.create(processor=processor, queue="email", timeout=30, state="failed")
    assert choose(admin_client, "retry", job).context["plan"].emails == emails


def test_the_question_about_jobs_without_e_mails_is_silent_about_them(admin_client: Client) -> None:
    job = Job.objects.create(
        processor="settlement.auto_complete", queue="settlement", timeout=30, state="failed"
    )
    assert choose(admin_client, "retry", job).context["plan"].mail == ""
