"""E-mails and reminders in the admin: what was sent, and whether the mail server takes any now."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from jobqueue.models import Job, subject_of
from settlements.admin import delivery_pages
from settlements.models import EmailDelivery, ReminderDelivery, Settlement
from tests.jobqueue.admin.steps import text_of
from tests.settlements.admin_steps import EMAILS, EVIL, REMINDERS

pytestmark = pytest.mark.django_db


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


def test_the_page_of_an_e_mail_shows_the_provider_s_id_and_the_person(
    admin_client: Client, settlement: Settlement
) -> None:
    delivery = _delivery(provider_id="prov-4711", user=settlement.payer)
    text = text_of(admin_client.get(f"{EMAILS}{delivery.pk}/change/"))
    assert "prov-4711" in text
    assert f"/admin/auth/user/{settlement.payer.pk}/change/" in text


def test_e_mails_are_found_by_the_provider_s_id(admin_client: Client) -> None:
    wanted = _delivery(provider_id="prov-4711")
    _delivery()
    assert _found(admin_client, EMAILS, q="prov-4711") == [wanted.pk]


@pytest.mark.parametrize("status", EmailDelivery.Status.values)
def test_every_status_of_an_e_mail_has_a_badge_and_a_filter(admin_client: Client, status: str) -> None:
    wanted = _delivery(status=status)
    _delivery(status="sent" if status != "sent" else "failed")
    response = admin_client.get(EMAILS, {"status__exact": status})
    assert [row.pk for row in response.context["cl"].result_list] == [wanted.pk]
    assert f'<span class="jq-badge jq-{status}">{wanted.get_status_display()}</span>' in text_of(response)


# The warning --------------------------------------------------------------------------------------


def _warning(client: Client) -> str:
    text = text_of(client.get(EMAILS))
    return text.partition("jq-above-list")[2].partition("</p>")[0]


def test_e_mails_that_wait_for_the_mail_server_are_told_above_the_list(admin_client: Client) -> None:
    _delivery(status="deferred", error="connection refused")
    _delivery(status="deferred", error="421 try again later")
    warning = " ".join(_warning(admin_client).split())
    assert "2 e-mails wait to be tried again" in warning
    assert "It said last: 421 try again later" in warning


def test_without_such_e_mails_there_is_no_warning(admin_client: Client) -> None:
    _delivery(status="sent")
    _delivery(status="failed", error="550 no")
    assert _warning(admin_client) == ""


@pytest.mark.parametrize("state", ["cancelled", "failed", "completed"])
def test_an_e_mail_whose_job_has_ended_waits_no_more(admin_client: Client, state: str) -> None:
    job = Job.objects.create(processor="email.notification", queue="email", timeout=30, state=state)
    _delivery(status="deferred", error="421", job=job)
    assert _warning(admin_client) == ""


def test_an_e_mail_whose_job_waits_is_told(admin_client: Client) -> None:
    job = Job.objects.create(processor="email.notification", queue="email", timeout=30)
    _delivery(status="deferred", error="421", job=job)
    assert "1 e-mail waits" in " ".join(_warning(admin_client).split())


def test_the_warning_shows_no_address_and_no_markup(admin_client: Client) -> None:
    _delivery(status="deferred", error=f"421 <anna@example.com> {EVIL}")
    warning = _warning(admin_client)
    assert "anna@example.com" not in warning
    assert EVIL not in warning


def test_many_waiting_e_mails_are_counted_only_so_far(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        _delivery(status="deferred", error="421")
    monkeypatch.setattr(delivery_pages, "COUNT_LIMIT", 2)
    assert "2+ e-mails wait" in " ".join(_warning(admin_client).split())


# Reminders ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ReminderDelivery.Status.values)
def test_reminders_show_their_status_and_are_filtered_by_it(
    admin_client: Client, settlement: Settlement, status: str
) -> None:
    rows = [
        ReminderDelivery.objects.create(
            settlement=settlement,
            reminder_type="final",
            step=step,
            status=value,
            due_date=settlement.due_date,
            recipient=settlement.payer,
        )
        for step, value in enumerate(ReminderDelivery.Status.values)
    ]
    response = admin_client.get(REMINDERS, {"status__exact": status})
    [shown] = response.context["cl"].result_list
    assert shown.status == status
    assert f'class="jq-badge jq-{status}"' in text_of(response)
    assert f'class="jq-badge jq-{status}"' in text_of(admin_client.get(f"{REMINDERS}{shown.pk}/change/"))
    assert len(rows) == 3


def test_a_letter_leads_to_its_settlement_and_has_a_name(
    admin_client: Client, settlement: Settlement
) -> None:
    delivery = _delivery(about=subject_of(settlement))
    text = text_of(admin_client.get(f"{EMAILS}{delivery.pk}/change/"))
    assert f'<a href="/admin/settlements/settlement/{settlement.pk}/change/">{settlement}</a>' in text
    assert "payment received" in text


def test_a_letter_about_what_is_gone_tells_its_key(admin_client: Client) -> None:
    delivery = _delivery(about="settlements.settlement:00000000-0000-4000-8000-000000000000")
    assert delivery.about in text_of(admin_client.get(f"{EMAILS}{delivery.pk}/change/"))


# Statuses above the lists ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "status", "other"), [(EMAILS, "sent", "failed"), (REMINDERS, "delivered", "on_its_way")]
)
def test_the_statuses_stand_above_the_list_and_not_beside_it(
    admin_client: Client, url: str, status: str, other: str
) -> None:
    page = admin_client.get(url, {"status__exact": status})
    above, _beside, beside = text_of(page).partition('id="changelist-filter"')
    assert f'?status__exact={other}"' in above
    assert f"status__exact={other}" not in beside
    assert [tab.label for tab in page.context["tabs"] if tab.is_current] == [status.capitalize()]


def test_only_the_list_that_is_shown_has_a_number(admin_client: Client) -> None:
    for status in ("sent", "sent", "failed"):
        _delivery(status=status)
    tabs = admin_client.get(EMAILS, {"status__exact": "sent", "template": "payment_received"}).context["tabs"]
    assert {tab.label: tab.number for tab in tabs if tab.number} == {"Sent": "2"}
    assert all("template=payment_received" in tab.url for tab in tabs)
