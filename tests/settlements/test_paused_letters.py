"""Who paused the letters to a person, since when and why; and what is said of a reminder that waits."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import translation
from pytest_django import Settings as DjangoSettings

from jobqueue.models import AuditEntry
from jobqueue.models.pauses import pause
from jobqueue.operating.retelling import retold_message
from settlements.addresses import bar
from settlements.models import BarredAddress, Payment, Settlement
from tests.jobqueue.admin.steps import make_worker, operator, text_of
from tests.settlements.admin_steps import ADDRESSES, USERS, give_reason, page_of, said
from tests.settlements.steps import domain_settings, forget_jobs

pytestmark = pytest.mark.django_db(databases=["default", "other"])
LONGEST = 500 - len("paused by admin: ")
LOOK = ("view_job", "settlements.view_emaildelivery", "auth.view_user")


@pytest.fixture(autouse=True)
def _policy(settings: DjangoSettings) -> None:
    settings.SETTLEMENTS = domain_settings()


@pytest.fixture
def paused(admin_client: Client, payer: User) -> BarredAddress:
    """The row of a pause by the user named admin."""
    reason = "on holiday, ask boss@example.com"
    admin_client.post(f"{USERS}{payer.pk}/letters/", {"verb": "pause", "reason": reason})
    return BarredAddress.objects.get()


def told(client: Client, person: User) -> str:
    """What the page of the person says of its address."""
    page = text_of(client.get(f"{USERS}{person.pk}/letters/"))
    return page.partition("the address is")[2].partition("</p>")[0]


def test_the_page_of_a_person_says_who_paused_since_when_and_why(
    admin_client: Client, settlement: Settlement, payer: User, paused: BarredAddress
) -> None:
    for text in (
        told(admin_client, payer),
        text_of(admin_client.get(f"{USERS}{payer.pk}/change/")),
        text_of(admin_client.get(page_of(settlement))),
    ):
        assert "paused since <time" in text and paused.barred_at.isoformat() in text
        assert "</time> by admin: on holiday, ask boss@example.com" in text
        assert "barred since" not in text


def test_a_reason_is_shown_without_addresses_to_who_may_not_read_payloads(
    payer: User, paused: BarredAddress
) -> None:
    assert "by admin: on holiday, ask (address)" in told(operator(*LOOK), payer)


def test_who_sees_neither_letters_nor_the_row_is_not_told_the_reason(
    settlement: Settlement, paused: BarredAddress
) -> None:
    text = text_of(operator("settlements.view_settlement").get(page_of(settlement)))
    assert "</time> by admin." in text and "on holiday" not in text


def test_a_pause_from_before_says_its_reason_and_that_it_was_an_operator(
    admin_client: Client, payer: User
) -> None:
    bar(payer.email, BarredAddress.PAUSED, "on holiday: in Rome", using="default")
    assert "</time> by an operator: on holiday: in Rome" in told(admin_client, payer)


@pytest.mark.parametrize("length", [1, LONGEST])
def test_the_reason_of_a_pause_is_kept_whole_behind_who_paused(
    admin_client: Client, payer: User, length: int
) -> None:
    admin_client.post(f"{USERS}{payer.pk}/letters/", {"verb": "pause", "reason": "x" * length})
    row = BarredAddress.objects.get()
    assert (row.paused_by, row.why) == ("admin", "x" * length)


def test_a_reason_that_does_not_fit_behind_who_paused_is_refused(admin_client: Client, payer: User) -> None:
    address = f"{USERS}{payer.pk}/letters/"
    assert f'maxlength="{LONGEST}"' in text_of(admin_client.get(address))
    answer = admin_client.post(address, {"verb": "pause", "reason": "x" * (LONGEST + 1)}, follow=True)
    assert said(answer) == [f"Say why, in at most {LONGEST} characters."]
    assert not BarredAddress.objects.exists()


def test_a_reason_that_nothing_can_keep_says_which_character_it_is(admin_client: Client, payer: User) -> None:
    posted = {"verb": "pause", "reason": "a\x00b"}
    answer = admin_client.post(f"{USERS}{payer.pk}/letters/", posted, follow=True)
    assert said(answer) == ["A reason cannot have the character U+0000."]


def test_the_list_of_addresses_calls_it_paused(admin_client: Client, paused: BarredAddress) -> None:
    text = text_of(admin_client.get(ADDRESSES))
    assert "paused</span>" in text and "barred</span>" not in text
    assert str(paused) == "paused"


@pytest.mark.parametrize(("verb", "word"), [("pause", "Pause"), ("resume", "Resume")])
def test_the_audit_finds_it_by_its_verb(
    admin_client: Client, payer: User, paused: BarredAddress, verb: str, word: str
) -> None:
    admin_client.post(f"{USERS}{payer.pk}/letters/", {"verb": "resume", "reason": "back"})
    found = admin_client.get("/admin/jobqueue/auditentry/", {"verb": word}).context["rows"]
    assert [(row.verb, row.about) for row in found] == [(word, str(payer))]


def test_reminders_of_a_settlement_that_are_paused_are_found_so_too(
    admin_client: Client, settlement: Settlement
) -> None:
    give_reason(admin_client, "pause_reminders", settlement)
    give_reason(admin_client, "resume_reminders", settlement)
    assert list(AuditEntry.objects.order_by("pk").values_list("verb", flat=True)) == ["Pause", "Resume"]


def test_the_history_tells_it_in_the_language_of_its_reader() -> None:
    with translation.override("de"):
        text = retold_message("Pause: letters go out → paused. Reason: on holiday")
    assert "letters" not in text and "Pause" not in text and "on holiday" in text


# A reminder that waits ----------------------------------------------------------------------------


def test_a_reminder_behind_a_paused_queue_is_not_said_to_have_gone_out(
    admin_client: Client, settlement: Settlement
) -> None:
    pause("email")
    [message] = said(give_reason(admin_client, "send_reminder", settlement))
    assert message.startswith(
        "1 reminder is queued. The queue email is paused: resume it to let the job run."
    )


def test_a_reminder_that_a_worker_can_take_is_said_to_be_queued(
    admin_client: Client, settlement: Settlement
) -> None:
    make_worker()
    message = "1 reminder is queued. A worker takes it at once."
    assert said(give_reason(admin_client, "send_reminder", settlement)) == [message]


def test_a_check_of_payments_is_not_said_to_be_done(
    admin_client: Client, settlement: Settlement, make_payment: Callable[..., Payment]
) -> None:
    make_payment(settlement)
    forget_jobs()
    [message] = said(give_reason(admin_client, "check_payments", settlement))
    assert message.startswith("To ask about the payments of 1 settlement is queued. Waiting for a worker")
