"""Settlements, payments and deliveries in the admin."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.core import mail
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone

from jobqueue.models import Job, subject_of
from jobqueue.testing import drain
from settlements.models import EmailDelivery, Payment, ReminderDelivery, Settlement
from tests.jobqueue.admin_steps import choose, operator, text_of

pytestmark = pytest.mark.django_db

SETTLEMENTS = "/admin/settlements/settlement/"
PAYMENTS = "/admin/settlements/payment/"
EMAILS = "/admin/settlements/emaildelivery/"
REMINDERS = "/admin/settlements/reminderdelivery/"
EVIL = "<script>alert(1)</script>"


def _page(settlement: Settlement) -> str:
    return f"{SETTLEMENTS}{settlement.pk}/change/"


def _form(payer: User, payee: User, **fields: Any) -> dict[str, Any]:
    due = timezone.now() + timedelta(days=10)
    return {
        "description": "Dinner in Lisbon",
        "payer": payer.pk,
        "payee": payee.pk,
        "amount_0": "84.50",
        "amount_1": "EUR",
        "due_date_0": f"{due:%Y-%m-%d}",
        "due_date_1": f"{due:%H:%M:%S}",
        "status": "pending",
        "payments-TOTAL_FORMS": "0",
        "payments-INITIAL_FORMS": "0",
    } | fields


def _form_of(settlement: Settlement, **fields: Any) -> dict[str, Any]:
    due = settlement.due_date
    as_saved = {
        "description": settlement.description,
        "amount_0": settlement.amount.amount,
        "due_date_0": f"{due:%Y-%m-%d}",
        "due_date_1": f"{due:%H:%M:%S.%f}",
        "status": settlement.status,
    }
    return _form(settlement.payer, settlement.payee, **as_saved | fields)


def _payment(**fields: Any) -> dict[str, Any]:
    values = {"amount_0": "84.50", "amount_1": "EUR", "status": "pending", "failure_reason": ""} | fields
    return {"payments-TOTAL_FORMS": "1", **{f"payments-0-{name}": value for name, value in values.items()}}


def _processors(settlement: Settlement) -> set[str]:
    return set(Job.objects.about(settlement).unfinished().values_list("processor", flat=True))


def _saved(response: HttpResponse) -> None:
    assert response.status_code == 302, response.context["errors"]


# Saving -------------------------------------------------------------------------------------------


def test_adding_a_settlement_makes_its_jobs(admin_client: Client, payer: User, payee: User) -> None:
    _saved(admin_client.post(f"{SETTLEMENTS}add/", _form(payer, payee)))
    jobs = _processors(Settlement.objects.get())
    assert jobs == {"settlement.settlement_notification", "reminders.send"}


def test_adding_a_settlement_leads_to_the_e_mails(admin_client: Client, payer: User, payee: User) -> None:
    _saved(admin_client.post(f"{SETTLEMENTS}add/", _form(payer, payee)))
    drain(until=timezone.now() + timedelta(minutes=1))
    recipients = [recipient for message in mail.outbox for recipient in message.to]
    assert {payer.email, payee.email} <= set(recipients)


def test_adding_a_payment_makes_its_jobs(admin_client: Client, settlement: Settlement) -> None:
    _saved(admin_client.post(_page(settlement), _form_of(settlement, **_payment())))
    assert settlement.payments.get().status == "pending"
    assert "settlement.payment_status_check" in _processors(settlement)


def test_a_completed_payment_completes_the_settlement(admin_client: Client, settlement: Settlement) -> None:
    form = _form_of(settlement, **_payment(amount_0="100.00", status="completed"))
    _saved(admin_client.post(_page(settlement), form))
    drain()
    settlement.refresh_from_db()
    assert settlement.status == "completed"


def test_changing_the_due_date_moves_the_reminders(admin_client: Client, settlement: Settlement) -> None:
    before = set(Job.objects.waiting().filter(processor="reminders.send").values_list("pk", flat=True))
    later = settlement.due_date + timedelta(days=5)
    _saved(admin_client.post(_page(settlement), _form_of(settlement, due_date_0=f"{later:%Y-%m-%d}")))
    after = set(Job.objects.waiting().filter(processor="reminders.send").values_list("pk", flat=True))
    assert after
    assert not before & after


def test_saving_without_a_change_makes_no_job(admin_client: Client, settlement: Settlement) -> None:
    before = Job.objects.count()
    _saved(admin_client.post(_page(settlement), _form_of(settlement)))
    assert Job.objects.count() == before


def test_saving_without_a_change_makes_no_job_though_the_form_shows_no_fraction_of_a_second(
    admin_client: Client, make_settlement: Callable[..., Settlement]
) -> None:
    settlement = make_settlement(due_date=datetime(2099, 5, 17, 14, 0, 1, 234_567, tzinfo=UTC))
    before = Job.objects.count()
    _saved(admin_client.post(_page(settlement), _form_of(settlement, due_date_1="14:00:01")))
    assert Job.objects.count() == before


def test_the_status_can_be_changed_in_the_form(admin_client: Client, settlement: Settlement) -> None:
    _saved(admin_client.post(_page(settlement), _form_of(settlement, status="cancelled")))
    assert not Job.objects.waiting().filter(processor="reminders.send").exists()


@pytest.mark.parametrize(
    "wrong",
    [{"amount_0": "0"}, {"amount_0": "x"}, {"due_date_0": ""}, {"payer": "999999"}, {"status": "lost"}],
)
def test_a_wrong_value_is_refused_and_makes_no_job(
    admin_client: Client, payer: User, payee: User, wrong: dict[str, str]
) -> None:
    response = admin_client.post(f"{SETTLEMENTS}add/", _form(payer, payee) | wrong)
    assert response.status_code == 200
    assert response.context["errors"]
    assert not Job.objects.exists()


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
    response = admin_client.get(_page(settlement))
    panel = response.context["jobs_panel"]
    assert [row.pk for row in panel.past] == [past.pk]
    assert [row.pk for row in panel.running] == [running.pk]
    assert len(panel.coming) == Job.objects.waiting().count()
    text = text_of(response)
    assert f'<a href="/admin/jobqueue/job/{past.pk}/change/">' in text
    assert "skipped: already told" in text


def test_coming_jobs_are_in_the_order_of_their_times(admin_client: Client, settlement: Settlement) -> None:
    panel = admin_client.get(_page(settlement)).context["jobs_panel"]
    times = [Job.objects.get(pk=row.pk).run_at for row in panel.coming]
    assert times == sorted(times)


def test_a_reminder_says_which_one_it_is(admin_client: Client, settlement: Settlement) -> None:
    kinds = {row.kind for row in admin_client.get(_page(settlement)).context["jobs_panel"].coming}
    assert {"initial", "final", "overdue"} <= kinds


def test_jobs_of_other_settlements_are_not_shown(
    admin_client: Client, make_settlement: Callable[..., Settlement]
) -> None:
    one, other = make_settlement(), make_settlement()
    shown = {row.pk for row in admin_client.get(_page(one)).context["jobs_panel"].coming}
    assert not shown & set(Job.objects.about(other).values_list("pk", flat=True))


def test_who_may_not_view_jobs_sees_the_settlement_without_them(settlement: Settlement) -> None:
    response = operator("settlements.view_settlement").get(_page(settlement))
    assert "jobs_panel" not in response.context
    assert "/admin/jobqueue/job/" not in text_of(response)


def test_a_settlement_without_jobs_says_so(admin_client: Client, settlement: Settlement) -> None:
    Job.objects.all().delete()
    assert "There are no jobs about this record." in text_of(admin_client.get(_page(settlement)))


def test_adding_shows_no_panel(admin_client: Client) -> None:
    assert 'id="jobs"' not in text_of(admin_client.get(f"{SETTLEMENTS}add/"))


def test_a_settlement_that_does_not_exist_does_no_harm(admin_client: Client) -> None:
    assert admin_client.get(f"{SETTLEMENTS}nothing/change/", follow=True).status_code == 200


# Actions ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "before", "after", "message"),
    [
        ("complete", "pending", "completed", "1 settlement completed."),
        ("complete", "partially_paid", "completed", "1 settlement completed."),
        ("cancel", "pending", "cancelled", "1 settlement cancelled."),
        ("reopen", "completed", "pending", "1 settlement reopened."),
        ("reopen", "cancelled", "pending", "1 settlement reopened."),
    ],
)
def test_an_action_moves_a_settlement(
    admin_client: Client,
    make_settlement: Callable[..., Settlement],
    action: str,
    before: str,
    after: str,
    message: str,
) -> None:
    settlement = make_settlement(status=before)
    response = _act(admin_client, action, settlement)
    settlement.refresh_from_db()
    assert settlement.status == after
    assert [str(said) for said in response.context["messages"]] == [message]


def _act(client: Client, action: str, *settlements: Settlement) -> HttpResponse:
    data = {"action": action, "_selected_action": [str(one.pk) for one in settlements], "index": "0"}
    return client.post(SETTLEMENTS, data, follow=True)


def test_an_action_is_written_down(admin_client: Client, settlement: Settlement) -> None:
    _act(admin_client, "cancel", settlement)
    entry = LogEntry.objects.get(object_id=str(settlement.pk))
    assert entry.get_change_message() == "Cancelled: pending → cancelled"


def test_an_action_makes_the_jobs_of_the_change(admin_client: Client, settlement: Settlement) -> None:
    Job.objects.all().delete()
    _act(admin_client, "cancel", settlement)
    assert _processors(settlement) == {"settlement.settlement_notification"}


@pytest.mark.parametrize(
    ("action", "status"), [("complete", "completed"), ("cancel", "completed"), ("reopen", "pending")]
)
def test_a_move_that_is_not_allowed_is_skipped_and_told(
    admin_client: Client, make_settlement: Callable[..., Settlement], action: str, status: str
) -> None:
    settlement = make_settlement(status=status)
    Job.objects.all().delete()
    response = _act(admin_client, action, settlement)
    [message] = [str(said) for said in response.context["messages"]]
    assert "cannot be" in message
    assert "Dinner in Lisbon" in message
    assert not Job.objects.exists()
    assert not LogEntry.objects.exists()


def test_of_several_settlements_those_that_can_are_moved(
    admin_client: Client, make_settlement: Callable[..., Settlement]
) -> None:
    moved, refused = make_settlement(), make_settlement(status="completed")
    messages = [str(said) for said in _act(admin_client, "cancel", moved, refused).context["messages"]]
    assert messages[0] == "1 settlement cancelled."
    assert messages[1].startswith("1 settlement cannot be cancelled")


@pytest.mark.parametrize("action", ["complete", "cancel", "reopen"])
def test_who_may_only_look_moves_nothing(settlement: Settlement, action: str) -> None:
    client = operator("settlements.view_settlement", "view_job")
    _act(client, action, settlement)
    settlement.refresh_from_db()
    assert settlement.status == "pending"


# Deliveries ---------------------------------------------------------------------------------------


def _delivery(**fields: Any) -> EmailDelivery:
    defaults = {"message_id": f"<{EmailDelivery.objects.count()}@x>", "recipient": "anna@example.com"}
    return EmailDelivery.objects.create(**defaults | {"template_type": "payment_received"} | fields)


def _found(client: Client, url: str, **query: str) -> list[Any]:
    return [row.pk for row in client.get(url, query).context["cl"].result_list]


@pytest.mark.parametrize("text", ["anna@example.com", "ANNA@example.com"])
def test_e_mails_are_found_by_recipient(admin_client: Client, text: str) -> None:
    wanted = _delivery()
    _delivery(recipient="ben@example.com")
    assert _found(admin_client, EMAILS, q=text) == [wanted.pk]


@pytest.mark.parametrize("whole", [True, False])
def test_e_mails_are_found_by_what_they_are_about(
    admin_client: Client, settlement: Settlement, whole: bool
) -> None:
    wanted = _delivery(about=subject_of(settlement))
    _delivery()
    assert _found(admin_client, EMAILS, q=subject_of(settlement) if whole else str(settlement.pk)) == [
        wanted.pk
    ]


@pytest.mark.parametrize("query", [{"status__exact": "failed"}, {"template": "reminder_final"}])
def test_e_mails_are_filtered(admin_client: Client, query: dict[str, str]) -> None:
    wanted = _delivery(status="failed", template_type="reminder_final")
    _delivery()
    assert _found(admin_client, EMAILS, **query) == [wanted.pk]


def test_the_list_of_e_mails_shows_no_whole_address(admin_client: Client) -> None:
    _delivery()
    text = text_of(admin_client.get(EMAILS))
    assert "anna@example.com" not in text
    assert "a… at example.com" in text


def test_the_page_of_an_e_mail_shows_the_address_and_the_error(admin_client: Client) -> None:
    delivery = _delivery(error=EVIL, status="failed")
    text = text_of(admin_client.get(f"{EMAILS}{delivery.pk}/change/"))
    assert "anna@example.com" in text
    assert "&lt;script&gt;" in text
    assert EVIL not in text


@pytest.mark.parametrize("url", [EMAILS, REMINDERS])
def test_deliveries_are_read_only_even_for_a_superuser(
    admin_client: Client, url: str, settlement: Settlement
) -> None:
    reminder = ReminderDelivery.objects.create(
        settlement=settlement, reminder_type="final", due_date=settlement.due_date, recipient=settlement.payer
    )
    row = _delivery() if url == EMAILS else reminder
    assert admin_client.get(f"{url}add/").status_code == 403
    assert admin_client.post(f"{url}{row.pk}/change/", {"status": "sent"}).status_code == 403
    assert admin_client.post(f"{url}{row.pk}/delete/", {"post": "yes"}).status_code == 403
    assert admin_client.get(url).context["action_form"] is None


def test_a_reminder_that_went_out_is_shown(admin_client: Client, settlement: Settlement) -> None:
    ReminderDelivery.objects.create(
        settlement=settlement, reminder_type="final", due_date=settlement.due_date, recipient=settlement.payer
    )
    assert "Dinner in Lisbon" in text_of(admin_client.get(REMINDERS))


# Pages --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "permission"),
    [
        (SETTLEMENTS, "view_settlement"),
        (PAYMENTS, "view_payment"),
        (EMAILS, "view_emaildelivery"),
        (REMINDERS, "view_reminderdelivery"),
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
    _delivery(subject=EVIL, template_type=EVIL[:50], error=EVIL, about=EVIL)
    assert EVIL not in text_of(admin_client.get(url))
    assert EVIL not in text_of(admin_client.get(_page(settlement)))


def test_a_payment_shows_its_settlement(admin_client: Client, make_payment: Callable[..., Payment]) -> None:
    payment = make_payment()
    assert "Dinner in Lisbon" in text_of(admin_client.get(PAYMENTS))
    assert text_of(admin_client.get(f"{PAYMENTS}{payment.pk}/change/"))


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
