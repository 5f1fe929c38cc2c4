"""What a person or a mail server says outlives the pauses of operators."""

from __future__ import annotations

from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from anymail.signals import AnymailTrackingEvent
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from pytest_django import Settings as DjangoSettings

from jobqueue.models import AuditEntry
from jobqueue.testing import run_job
from settlements.addresses import bar, note_event
from settlements.models import BarredAddress, Settlement
from settlements.operating import people
from tests.jobqueue.admin.steps import operator, text_of
from tests.jobqueue.api.steps import ask, get, post, problem
from tests.settlements.admin_steps import ADDRESSES, USERS, errors_of, give_reason, history_of, said, saved
from tests.settlements.steps import domain_settings, reminders_of

pytestmark = pytest.mark.django_db(databases=["default", "other"])

HOUR = timedelta(hours=1)
LOOK = ("view_job", "settlements.view_emaildelivery", "auth.view_user")
each_event = pytest.mark.parametrize("event", ["bounced", "complained", "unsubscribed"])


@pytest.fixture(autouse=True)
def _policy(settings: DjangoSettings) -> None:
    settings.SETTLEMENTS = domain_settings()


@pytest.fixture
def paused(payer: User) -> BarredAddress:
    """The row of the payer's address, to which an operator holds letters back."""
    return bar(payer.email, BarredAddress.PAUSED, "on holiday", using="default")


def report(person: User, event: str, at: datetime | None = None) -> None:
    """What the provider's webhook makes of an event about an e-mail to the person."""
    note_event(
        None,
        AnymailTrackingEvent(
            event_type=event,
            timestamp=at or timezone.now(),
            recipient=person.email,
            message_id=None,
            metadata={},
            mta_response="550 5.1.1 no such user",
            reject_reason=None,
            esp_event={},
        ),
        "Provider",
    )


def row() -> BarredAddress:
    return BarredAddress.objects.get()


def letters(person: User) -> str:
    """The address of the person's letters."""
    return f"{USERS}{person.pk}/letters/"


def resume(client: Client, person: User, verb: str = "resume") -> list[str]:
    """Let letters go out again on the person's page; what it says then."""
    return said(client.post(letters(person), {"verb": verb, "reason": "back"}, follow=True))


# What is kept -------------------------------------------------------------------------------------


@each_event
def test_what_is_said_during_a_pause_is_kept(paused: BarredAddress, payer: User, event: str) -> None:
    report(payer, event)
    assert (row().cause, row().is_barred, "on holiday" in row().detail) == (event, True, False)


@each_event
def test_what_was_said_before_a_pause_and_comes_during_it_is_kept(
    paused: BarredAddress, payer: User, event: str
) -> None:
    report(payer, event, timezone.now() - HOUR)
    assert (row().cause, row().is_barred) == (event, True)


@each_event
def test_what_was_said_during_a_pause_and_comes_after_it_is_kept(
    paused: BarredAddress, payer: User, event: str
) -> None:
    moment = timezone.now() - HOUR
    paused.clear(payer, "back")
    report(payer, event, moment)
    assert (row().cause, row().is_barred, row().clearing_reason) == (event, True, "")


def test_what_is_said_again_during_a_pause_changes_nothing_more(paused: BarredAddress, payer: User) -> None:
    moment = timezone.now()
    report(payer, "complained", moment)
    before = list(BarredAddress.objects.values())
    report(payer, "complained", moment)
    assert list(BarredAddress.objects.values()) == before


def test_what_was_cleared_since_the_pause_stays_so_if_it_is_sent_again(
    paused: BarredAddress, payer: User
) -> None:
    moment = timezone.now()
    report(payer, "complained", moment)
    row().clear(payer, "talked to her")
    report(payer, "complained", moment)
    assert not row().is_barred


def test_a_pause_takes_the_place_of_nothing_that_was_said(payer: User) -> None:
    report(payer, "complained")
    bar(payer.email, BarredAddress.PAUSED, "on holiday", using="default")
    assert row().cause == "complained"


@pytest.mark.parametrize(
    ("first", "second", "kept"),
    [
        ("bounced", "complained", "complained"),
        ("complained", "bounced", "complained"),
        ("unsubscribed", "complained", "complained"),
        ("refused", "unsubscribed", "unsubscribed"),
        ("refused", "bounced", "refused"),
        ("bounced", "refused", "bounced"),
    ],
)
def test_of_two_causes_the_harder_one_is_kept_else_the_first(first: str, second: str, kept: str) -> None:
    bar("a@example.com", first, "", using="default")
    bar("A@example.com", second, "", using="default")
    assert row().cause == kept


def test_who_complains_by_telephone_is_heard_during_a_pause(
    admin_client: Client, paused: BarredAddress
) -> None:
    entered = {"address": paused.address, "cause": "complained", "detail": "by telephone"}
    saved(admin_client.post(f"{ADDRESSES}add/", entered))
    assert (row().cause, row().detail) == ("complained", "by telephone")
    less = {**entered, "cause": "bounced"}
    assert "This address is barred already." in errors_of(admin_client.post(f"{ADDRESSES}add/", less))


# Who ends a pause ---------------------------------------------------------------------------------


def test_no_letter_goes_out_to_who_complained_after_the_pause_was_to_end(
    admin_client: Client, settlement: Settlement, payer: User, paused: BarredAddress
) -> None:
    report(payer, "complained")
    assert resume(admin_client, payer) == [
        "Nothing was changed: letters are held back for another reason now."
    ]
    job = reminders_of(settlement)["initial", 0]
    run_job(job)
    assert job.reason.startswith("skipped: the address is barred") and not history_of(payer)


def test_a_complaint_takes_the_permission_to_clear_it(payer: User, paused: BarredAddress) -> None:
    report(payer, "complained")
    resumer = operator(*LOOK, "settlements.resume_barredaddress")
    assert 'value="resume"' not in text_of(resumer.get(letters(payer)))
    assert resumer.post(letters(payer), {"verb": "clear", "reason": "x"}).status_code == 403
    refused = problem(ask(resumer, "POST", f"people/{payer.pk}/resume-letters/", {"reason": "x"}), 403)
    assert "settlements.clear_barredaddress" in refused["detail"] and row().is_barred
    clearer = operator(*LOOK, "settlements.clear_barredaddress", username="clearer")
    assert 'value="clear"' in text_of(clearer.get(letters(payer)))
    assert resume(clearer, payer, "clear") == ["Letters go out again."]
    assert AuditEntry.objects.latest("pk").verb == "Clear"


def test_the_page_of_the_address_resumes_no_complaint(
    admin_client: Client, payer: User, paused: BarredAddress
) -> None:
    report(payer, "complained")
    assert "not paused" in said(give_reason(admin_client, "resume", paused))[0]
    assert row().is_barred


def test_a_complaint_that_comes_between_look_and_lock_is_not_cleared(
    admin_client: Client, payer: User, paused: BarredAddress, monkeypatch: pytest.MonkeyPatch
) -> None:
    really_change = people.change_letters

    def change(*arguments: Any) -> bool:
        report(payer, "complained")
        return really_change(*arguments)

    monkeypatch.setattr(people, "change_letters", change)
    refused = problem(ask(admin_client, "POST", f"people/{payer.pk}/resume-letters/", {"reason": "x"}), 409)
    assert (refused["code"], row().is_barred) == ("already_barred", True)


# What is shown ------------------------------------------------------------------------------------


def test_the_page_of_the_person_and_the_api_say_what_was_said(
    admin_client: Client, payer: User, paused: BarredAddress
) -> None:
    report(payer, "complained")
    text = text_of(admin_client.get(letters(payer)))
    assert "because it was complained about" in text and "paused by an operator" not in text
    shown = get(admin_client, f"people/{payer.pk}/")
    assert (shown["letters"], shown["barred"]["cause"]) == ("barred", "complained")
    assert post(admin_client, f"people/{payer.pk}/resume-letters/", {"reason": "x"})["letters"] == "go out"


def test_the_overview_counts_those_that_were_paused_before(admin_client: Client) -> None:
    for name in "abc":
        address = f"{name}@example.com"
        bar(address, BarredAddress.PAUSED, "on holiday", using="default")
        report(SimpleNamespace(email=address), "complained")  # type: ignore[arg-type]
    found = admin_client.get("/admin/jobqueue/").context["findings"]
    text = "3 addresses bounced or complained within a day: nothing is sent to them any more."
    assert text in [one.finding.text for one in found]
