"""The panel on the page of a user: what was sent last, and the ways to pause letters and to remind."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin import AdminSite
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from pytest_django import Settings as DjangoSettings

from settlements.addresses import bar
from settlements.admin import person_page
from settlements.admin.user_page import show_barred_addresses_of_users
from settlements.models import BarredAddress, EmailDelivery, Settlement
from tests.jobqueue.admin.steps import operator, text_of
from tests.settlements.admin_steps import USERS, panel
from tests.settlements.steps import domain_settings, run_soon

pytestmark = pytest.mark.django_db(databases=["default", "other"])

LOOK = ("auth.view_user", "settlements.view_emaildelivery")
PAUSE, REMIND = "settlements.pause_barredaddress", "settlements.remind_settlement"
RESUME, CLEAR = "settlements.resume_barredaddress", "settlements.clear_barredaddress"
SEE_DEBTS = "settlements.view_settlement"
ASKED = {"X-Jobqueue-Live": "1"}


@pytest.fixture(autouse=True)
def _policy(settings: DjangoSettings) -> None:
    settings.SETTLEMENTS = domain_settings()


def sent_last(client: Client, person: User) -> str:
    """What it says of the letters that were sent last."""
    return panel(client, person).partition("<h3>Sent last</h3>")[2].partition("<h3>")[0]


def letter(person: User, **facts: Any) -> EmailDelivery:
    """A letter to the person."""
    return EmailDelivery.objects.create(
        user=person, recipient=person.email, message_id=uuid.uuid4().hex, **{"status": "sent"} | facts
    )


def ways(client: Client, person: User) -> list[tuple[str, str]]:
    """What is offered, and where on the page of the letters it leads to."""
    return re.findall(r'<a class="jq-button" href="\.\./letters/#(\w+)">([^<]*) …</a>', panel(client, person))


TO_PAUSE, TO_END = ("hold", "Pause letters"), ("hold", "Let letters go out again")
TO_REMIND = ("remind", "Send a reminder now")


# What was sent ------------------------------------------------------------------------------------


def test_it_shows_what_was_sent_about_what_and_when(
    admin_client: Client, settlement: Settlement, payer: User
) -> None:
    moment = timezone.now() - timedelta(hours=5)
    about = f"settlements.settlement:{settlement.pk}"
    letter(payer, template_type="settlement_created", about=about, sent_at=moment)
    shown = sent_last(admin_client, payer)
    assert "new settlement" in shown and "Dinner in Lisbon" in shown
    assert f'datetime="{moment.isoformat()}"' in shown


def test_its_rows_are_those_of_the_page_of_the_letters(
    admin_client: Client, settlement: Settlement, payer: User
) -> None:
    run_soon()
    rows = admin_client.get(f"{USERS}{payer.pk}/letters/").context["letters"]
    assert rows and all(row["url"] in sent_last(admin_client, payer) for row in rows)


def test_it_shows_the_three_that_were_sent_last(admin_client: Client, payer: User) -> None:
    now = timezone.now()
    tried_for_long, oldest, *others = (
        letter(payer, sent_at=now - timedelta(hours=hours)) for hours in (0, 3, 2, 1)
    )
    keys = re.findall(r"emaildelivery/(\d+)/", sent_last(admin_client, payer))
    assert keys == [str(one.pk) for one in (tried_for_long, *reversed(others))]
    assert oldest.sent_at is not None


@pytest.mark.parametrize("status", ["sending", "deferred", "failed", "skipped", "bounced"])
def test_what_did_not_arrive_was_not_sent(admin_client: Client, payer: User, status: str) -> None:
    letter(payer, status=status)
    assert "No letter was sent to this person." in sent_last(admin_client, payer)


def test_a_letter_that_somebody_complained_about_was_sent(admin_client: Client, payer: User) -> None:
    letter(payer, status="complained")
    assert "complained about" in sent_last(admin_client, payer)


# What can be done ---------------------------------------------------------------------------------


def test_the_ways_lead_to_the_forms_of_the_page_of_the_letters(
    admin_client: Client, settlement: Settlement, payer: User
) -> None:
    assert ways(admin_client, payer) == [TO_PAUSE, TO_REMIND]
    page = text_of(admin_client.get(f"{USERS}{payer.pk}/letters/"))
    assert re.search(r'<form [^>]*id="hold">.*?value="pause".*?</form>', page, re.DOTALL)
    assert re.search(r'<section [^>]*id="remind">.*?name="remind".*?</section>', page, re.DOTALL)


@pytest.mark.parametrize(
    ("permissions", "expected"),
    [
        ((), []),
        ((PAUSE,), [TO_PAUSE]),
        ((RESUME, CLEAR), []),
        ((REMIND, SEE_DEBTS), [TO_REMIND]),
        ((REMIND,), []),
        ((SEE_DEBTS,), []),
        ((PAUSE, REMIND, SEE_DEBTS), [TO_PAUSE, TO_REMIND]),
    ],
)
def test_each_way_is_offered_to_who_may_go_it(
    settlement: Settlement, payer: User, permissions: tuple[str, ...], expected: list[tuple[str, str]]
) -> None:
    assert ways(operator(*LOOK, *permissions), payer) == expected


@pytest.mark.parametrize(
    ("cause", "needed"), [(BarredAddress.PAUSED, RESUME), (BarredAddress.Cause.BOUNCED, CLEAR)]
)
def test_of_a_barred_address_its_end_alone_is_offered_to_who_may_end_it(
    settlement: Settlement, payer: User, cause: str, needed: str
) -> None:
    bar(payer.email, cause, "why", using="default")
    all_others = {PAUSE, REMIND, SEE_DEBTS, RESUME, CLEAR} - {needed}
    assert ways(operator(*LOOK, *all_others), payer) == []
    assert ways(operator(*LOOK, *all_others, needed, username="more"), payer) == [TO_END]


def test_to_who_has_no_address_nothing_is_offered(
    admin_client: Client, settlement: Settlement, payer: User
) -> None:
    User.objects.filter(pk=payer.pk).update(email="")
    assert ways(admin_client, payer) == []


def test_no_reminder_is_offered_of_what_nobody_can_be_reminded_of(
    admin_client: Client, make_settlement: Callable[..., Settlement], payer: User
) -> None:
    make_settlement(reminders_paused=True)
    assert ways(admin_client, payer) == [TO_PAUSE]
    make_settlement()
    assert ways(admin_client, payer) == [TO_PAUSE, TO_REMIND]


@pytest.mark.parametrize("may_see_jobs", [True, False])
def test_no_second_reminder_is_offered_while_one_is_on_its_way(
    settlement: Settlement, payer: User, may_see_jobs: bool
) -> None:
    jobs = ("view_job",) if may_see_jobs else ()
    client = operator(*LOOK, REMIND, SEE_DEBTS, *jobs)
    client.post(f"{USERS}{payer.pk}/letters/", {"remind": str(settlement.pk), "reason": "she asked"})
    assert ways(client, payer) == []


def test_to_who_owes_nothing_no_reminder_is_offered(
    admin_client: Client, settlement: Settlement, payee: User
) -> None:
    assert ways(admin_client, payee) == [TO_PAUSE]


@pytest.mark.parametrize("page", ["change", "letters"])
def test_what_is_barred_is_asked_once_also_of_an_address_beyond_ascii(
    admin_client: Client,
    make_settlement: Callable[..., Settlement],
    payer: User,
    page: str,
    django_assert_max_num_queries: Callable[..., Any],
) -> None:
    User.objects.filter(pk=payer.pk).update(email="josé@example.com")
    for _ in range(6):
        make_settlement(payer=User.objects.get(pk=payer.pk))
    with django_assert_max_num_queries(15):
        admin_client.get(f"{USERS}{payer.pk}/{page}/")


# Kept up to date ----------------------------------------------------------------------------------


def test_it_is_asked_for_alone_and_tells_of_a_pause(
    admin_client: Client, settlement: Settlement, payer: User
) -> None:
    bar(payer.email, BarredAddress.PAUSED, "on holiday", using="default")
    now = text_of(admin_client.get(f"{USERS}{payer.pk}/change/", headers=ASKED))
    assert "No e-mail goes out to this person:" in now and "on holiday" in now
    assert "id_username" not in now


@pytest.fixture
def refused(admin_client: Client, settlement: Settlement, payer: User) -> str:
    """The page after a form that was refused."""
    form = {"username": "", "email": "typed@example.com"}
    return text_of(admin_client.post(f"{USERS}{payer.pk}/change/", form))


def test_beside_a_form_that_is_refused_it_says_what_is_stored(refused: str, payer: User) -> None:
    assert f"Letters go out to {payer.email}." in refused and "Send a reminder now" in refused


def test_beside_a_form_that_is_refused_it_asks_for_nothing(refused: str) -> None:
    assert "jq-letters-now" in refused and "data-region-seconds" not in refused


def test_a_page_of_users_keeps_its_own_template() -> None:
    class OwnUserAdmin(UserAdmin):
        change_form_template = "own.html"

    site = AdminSite(name="another")
    site.register(User, OwnUserAdmin)
    show_barred_addresses_of_users(site)
    assert site.get_model_admin(User).change_form_template == "own.html"


def test_it_looks_at_few_letters(admin_client: Client, payer: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(person_page, "_NEWEST", 2)
    old, *_ = (letter(payer) for _ in range(3))
    assert f"emaildelivery/{old.pk}/" not in sent_last(admin_client, payer)
