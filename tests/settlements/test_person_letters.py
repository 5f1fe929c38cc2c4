"""What the page of a person and the panel on the user must not leave out, and to whom they name records."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from pytest_django import Settings as DjangoSettings

from jobqueue.models import Job, subject_of
from settlements.admin import person_jobs, person_page
from settlements.models import EmailDelivery, Settlement
from tests.jobqueue.admin.steps import make_job, operator, text_of
from tests.jobqueue.api.steps import get
from tests.settlements.admin_steps import USERS
from tests.settlements.steps import EMAIL, REMINDER, domain_settings, forget_jobs, run_soon

pytestmark = pytest.mark.django_db(databases=["default", "other"])

LOOK = ("view_job", "settlements.view_emaildelivery", "auth.view_user")


@pytest.fixture(autouse=True)
def _policy(settings: DjangoSettings) -> None:
    settings.SETTLEMENTS = domain_settings()


def page_of(client: Client, person: User) -> Any:
    """The page of the person's letters."""
    response = client.get(f"{USERS}{person.pk}/letters/")
    assert response.status_code == 200
    return response


def panel_of(client: Client, person: User) -> str:
    """What the page of the user says of the letters."""
    return text_of(client.get(f"{USERS}{person.pk}/change/")).partition('class="jq-letters"')[2]


def letter_to(person: User | None, recipient: str, **fields: Any) -> EmailDelivery:
    """An e-mail."""
    return EmailDelivery.objects.create(
        user=person,
        recipient=recipient,
        message_id=uuid.uuid4().hex,
        template_type="payment_received",
        **fields,
    )


# What was not sent --------------------------------------------------------------------------------


def email_job(settlement: Settlement, state: str, **payload: Any) -> Job:
    """The job of a reminder's letter to the payer, in this state."""
    said = {"user_id": settlement.payer_id, "template_type": "reminder_initial", **payload}
    return make_job(state, processor=EMAIL, subject=subject_of(settlement), payload=said)


def not_sent(client: Client, person: User) -> list[int]:
    """The jobs that the page says did not lead to a letter."""
    return [row["job"].pk for row in page_of(client, person).context["held"] if "job" in row]


@pytest.mark.parametrize("state", ["failed", "cancelled", "skipped"])
def test_a_letter_whose_job_ended_before_it_had_a_row_is_told_with_the_reason(
    admin_client: Client, settlement: Settlement, payer: User, state: str
) -> None:
    forget_jobs()
    job = email_job(settlement, state)
    reason = page_of(admin_client, payer).context["held"][0]["reason"]
    assert not_sent(admin_client, payer) == [job.pk]
    assert reason and reason in panel_of(admin_client, payer).partition("Not sent last")[2]


@pytest.mark.parametrize("state", ["waiting", "completed"])
def test_a_letter_that_waits_or_went_out_is_none_that_was_not_sent(
    admin_client: Client, settlement: Settlement, payer: User, state: str
) -> None:
    forget_jobs()
    email_job(settlement, state)
    assert not_sent(admin_client, payer) == []


@pytest.mark.parametrize(
    ("status", "tells_itself"),
    [(status, status != "deferred") for status in EmailDelivery.Status.values],
)
def test_the_job_tells_it_as_long_as_the_row_of_the_letter_does_not(
    admin_client: Client, settlement: Settlement, payer: User, status: str, tells_itself: bool
) -> None:
    forget_jobs()
    job = email_job(settlement, "failed")
    letter_to(payer, payer.email, job=job, status=status)
    assert not_sent(admin_client, payer) == ([] if tells_itself else [job.pk])


@pytest.mark.parametrize(
    ("status", "is_told"),
    [(status, status in ("failed", "bounced", "skipped")) for status in EmailDelivery.Status.values],
)
def test_a_letter_that_did_not_reach_the_person_is_among_what_was_not_sent(
    admin_client: Client, payer: User, status: str, is_told: bool
) -> None:
    letter = letter_to(payer, payer.email, status=status, error="550 no such mailbox")
    held = page_of(admin_client, payer).context["held"]
    assert [(row["letter"].pk, row["reason"]) for row in held] == (
        [(letter.pk, "550 no such mailbox")] if is_told else []
    )


def test_what_was_not_sent_stands_in_the_order_of_its_times(
    admin_client: Client, settlement: Settlement, payer: User
) -> None:
    forget_jobs()
    before = letter_to(payer, payer.email, status="failed")
    job = email_job(settlement, "failed")
    Job.objects.filter(pk=job.pk).update(finished_at=timezone.now())
    after = letter_to(payer, payer.email, status="skipped", created_at=timezone.now() + timedelta(minutes=1))
    held = page_of(admin_client, payer).context["held"]
    assert [row["letter" if "letter" in row else "job"] for row in held] == [after, job, before]


def test_letters_that_were_not_sent_are_shown_to_who_may_not_see_jobs(payer: User) -> None:
    letter_to(payer, payer.email, status="failed")
    page = page_of(operator("settlements.view_emaildelivery", "auth.view_user"), payer)
    assert len(page.context["held"]) == 1
    assert "To see the jobs that led to no letter takes the permission" in text_of(page)


def test_of_more_letters_that_were_not_sent_the_newest_are_shown(
    admin_client: Client, payer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(person_page, "MOST", 2)
    letters = [letter_to(payer, payer.email, status="failed") for _ in range(3)]
    page = page_of(admin_client, payer)
    assert {row["letter"] for row in page.context["held"]} == set(letters[1:])
    assert "Of the letters among them these are the newest 2." in text_of(page)


def test_the_timeline_of_the_settlement_shows_a_job_that_ended_while_its_letter_was_on_the_way(
    admin_client: Client, settlement: Settlement, payer: User
) -> None:
    forget_jobs()
    job = email_job(settlement, "failed")
    letter_to(payer, payer.email, job=job, status="sending", about=subject_of(settlement))
    past = admin_client.get(f"/admin/settlements/settlement/{settlement.pk}/change/").context["timeline"].past
    assert [line.url for line in past if "failed" in line.state] == [f"/admin/jobqueue/job/{job.pk}/change/"]


def test_what_was_done_is_not_counted_among_what_is_looked_at(
    admin_client: Client, settlement: Settlement, payer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    forget_jobs()
    failed = email_job(settlement, "failed")
    for _ in range(3):
        make_job("completed", processor=REMINDER, subject=subject_of(settlement))
    monkeypatch.setattr(person_jobs, "MOST_JOBS", 2)
    assert not_sent(admin_client, payer) == [failed.pk]


# Letters to the address ---------------------------------------------------------------------------


def test_letters_that_name_the_address_alone_are_the_person_s(admin_client: Client, payer: User) -> None:
    own, addressed = letter_to(payer, "former@example.com"), letter_to(None, payer.email.upper())
    shown = {row["letter"].pk for row in page_of(admin_client, payer).context["letters"]}
    assert shown == {own.pk, addressed.pk}


def test_letters_to_others_are_not(admin_client: Client, payer: User, payee: User) -> None:
    letter_to(payee, payer.email)
    letter_to(None, payee.email)
    assert page_of(admin_client, payer).context["letters"] == []


def test_who_has_no_address_has_none_of_those_that_name_nobody(admin_client: Client, payer: User) -> None:
    User.objects.filter(pk=payer.pk).update(email="")
    letter_to(None, "")
    assert page_of(admin_client, payer).context["letters"] == []


def test_the_panel_tells_of_one_that_failed(admin_client: Client, payer: User) -> None:
    letter_to(None, payer.email, status="failed", error="550 mailbox full")
    assert "550 mailbox full" in panel_of(admin_client, payer)


@pytest.mark.parametrize("case", [str.upper, str.lower])
def test_a_job_that_names_the_address_alone_will_come(
    admin_client: Client, settlement: Settlement, payer: User, case: Callable[[str], str]
) -> None:
    forget_jobs()
    job = email_job(settlement, "delayed", user_id=None, email=case(payer.email))
    email_job(settlement, "delayed", user_id=None, email=settlement.payee.email)
    assert [row["job"].pk for row in page_of(admin_client, payer).context["coming"]] == [job.pk]


def test_the_list_of_all_letters_has_the_same(
    admin_client: Client, payer: User, payee: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(person_page, "MOST", 1)
    wanted = {letter_to(payer, payer.email).pk, letter_to(None, payer.email).pk}
    letter_to(payee, payee.email)
    response = page_of(admin_client, payer)
    assert "These are the newest 1 of 2 letters." in text_of(response)
    listed = admin_client.get(response.context["all_letters_url"])
    assert {letter.pk for letter in listed.context["cl"].result_list} == wanted
    assert payer.get_full_name() in text_of(listed)


@pytest.mark.parametrize("key", ["999999", "x", "9" * 40])
def test_the_list_has_no_letters_of_nobody(admin_client: Client, payer: User, key: str) -> None:
    letter_to(payer, payer.email)
    listed = admin_client.get("/admin/settlements/emaildelivery/", {"person": key})
    assert listed.status_code == 200 and list(listed.context["cl"].result_list) == []


def test_over_http_too_they_are_the_person_s(payer: User) -> None:
    addressed = letter_to(None, payer.email)
    shown = get(operator(*LOOK), f"emails/?user={payer.pk}")
    assert [one["id"] for one in shown["results"]] == [addressed.pk]


# Why none comes -----------------------------------------------------------------------------------


def test_what_is_owed_and_history_says_that_nobody_is_reminded(
    admin_client: Client, make_settlement: Callable[..., Settlement], payer: User
) -> None:
    make_settlement(description="Old rent", history=True)
    why = "“Old rent” is history: no reminder of it goes out by itself."
    assert why in text_of(page_of(admin_client, payer)) and why in panel_of(admin_client, payer)


@pytest.mark.parametrize("fields", [{"history": False}, {"history": True, "status": "completed"}])
def test_what_is_no_history_or_is_paid_says_nothing_of_it(
    admin_client: Client, make_settlement: Callable[..., Settlement], payer: User, fields: dict[str, Any]
) -> None:
    make_settlement(**fields)
    assert "is history" not in text_of(page_of(admin_client, payer))


# To whom records are named ------------------------------------------------------------------------


def test_settlements_are_named_to_who_may_see_them_alone(
    make_settlement: Callable[..., Settlement], payer: User
) -> None:
    make_settlement(description="Secret rent", reminders_paused=True)
    make_settlement(description="Secret rent", history=True)
    run_soon()
    client = operator(*LOOK, "settlements.remind_settlement")
    texts = [text_of(page_of(client, payer)), panel_of(client, payer)]
    assert not [text for text in texts if "Secret rent" in text or "/settlement/" in text]
    for text in texts:
        assert "Reminders of 1 settlement are paused." in text and "1 settlement is history" in text
    viewer = operator(*LOOK, "settlements.view_settlement", username="viewer")
    assert "“Secret rent” are paused" in text_of(page_of(viewer, payer))


def test_over_http_too_settlements_are_named_to_who_may_see_them_alone(
    make_settlement: Callable[..., Settlement], payer: User
) -> None:
    make_settlement(description="Rent", reminders_paused=True)
    named, counted = ["Reminders of “Rent” are paused."], ["Reminders of 1 settlement are paused."]
    viewer = operator(*LOOK, "settlements.view_settlement", username="viewer")
    assert get(viewer, f"people/{payer.pk}/")["troubles"] == named
    assert get(operator(*LOOK), f"people/{payer.pk}/")["troubles"] == counted


def test_the_search_by_payload_is_offered_to_who_may_read_payloads_alone(
    settlement: Settlement, payer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(person_jobs, "MOST_JOBS", 2)
    offered = "All jobs that name the person"
    without = text_of(page_of(operator(*LOOK), payer))
    reader = operator(*LOOK, "view_payload", username="reader")
    assert "Only 2 jobs about" in without and offered not in without
    assert offered in text_of(page_of(reader, payer))
