"""Two operators who ask for the same of a settlement at the same moment: once, and the other is told."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.db.models import Max
from django.http import HttpResponse
from django.test import Client
from pytest_django import Settings as DjangoSettings

from jobqueue.models import AuditEntry, Job
from settlements.addresses import bar
from settlements.models import BarredAddress, Settlement
from tests.settlements.admin_steps import SETTLEMENTS, USERS
from tests.settlements.steps import EMAIL, at_once, domain_settings

pytestmark = [pytest.mark.django_db(transaction=True, databases=["default", "other"]), pytest.mark.every_case]


@pytest.fixture(autouse=True)
def _policy(settings: DjangoSettings) -> None:
    settings.SETTLEMENTS = domain_settings()


def click_at_once(click: Callable[[Client], HttpResponse]) -> list[str]:
    """What the page says to each of two operators who clicked together."""

    def of(name: str) -> Callable[[], str]:
        client = Client()
        client.force_login(User.objects.create_superuser(name))
        return lambda: _said_on(click(client))

    return at_once(of("ann"), of("ben"))


def _said_on(response: HttpResponse) -> str:
    page = response.content.decode()
    found = re.search(r'<ul class="messagelist[^>]*>(.*?)</ul>', page, re.DOTALL)
    assert response.status_code == 200 and found is not None, page[:500]
    return " ".join(re.sub("<[^>]+>", " ", found[1]).split())


def one_did(told: list[str], done: str, late: str) -> None:
    """One of them did it, the other was told that it was so already."""
    assert sum(done in text for text in told) == sum(late in text for text in told) == 1, told


@pytest.mark.parametrize(
    ("move", "done", "late"),
    [
        ("send_reminder", "1 reminder is queued.", "a reminder is on its way"),
        ("pause_reminders", "1 settlement paused.", "paused already"),
        ("resume_reminders", "1 settlement resumed.", "not paused"),
    ],
)
def test_what_is_asked_of_a_settlement_is_done_once(
    settlement: Settlement, move: str, done: str, late: str
) -> None:
    Settlement.objects.update(reminders_paused=move == "resume_reminders")
    data = {"action": move, "confirmed": move, "_selected_action": [str(settlement.pk)], "reason": "the same"}
    one_did(click_at_once(lambda client: client.post(SETTLEMENTS, data, follow=True)), done, late)
    assert AuditEntry.objects.count() == 1


def test_a_person_is_reminded_once_from_the_own_page(settlement: Settlement, payer: User) -> None:
    before = Job.objects.aggregate(last=Max("pk"))["last"] or 0
    data = {"remind": str(settlement.pk), "reason": "the same"}
    told = click_at_once(lambda client: client.post(f"{USERS}{payer.pk}/letters/", data, follow=True))
    one_did(told, "1 reminder is queued.", "a reminder is on its way")
    assert AuditEntry.objects.count() == 1
    assert Job.objects.filter(pk__gt=before, processor=EMAIL).count() == 1


@pytest.mark.parametrize(
    ("verb", "done"),
    [("pause", "Letters to this address are paused."), ("resume", "Letters go out again.")],
)
def test_letters_to_a_person_are_paused_and_resumed_once(payer: User, verb: str, done: str) -> None:
    if verb == "resume":
        bar(payer.email, BarredAddress.PAUSED, "", using="default")
    data = {"verb": verb, "reason": "the same"}
    told = click_at_once(lambda client: client.post(f"{USERS}{payer.pk}/letters/", data, follow=True))
    one_did(told, done, "that was so already")
    assert (AuditEntry.objects.count(), BarredAddress.objects.count()) == (1, 1)
