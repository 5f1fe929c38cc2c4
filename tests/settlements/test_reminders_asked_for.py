"""A reminder that somebody asks for goes out, or is refused with the reason, on every face alike."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core import mail
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import Settings as DjangoSettings

from jobqueue.models import Job
from jobqueue.testing import run_job
from settlements import asking
from settlements.addresses import bar
from settlements.jobs import add_letter_job
from settlements.models import BarredAddress, Payment, Settlement
from tests.jobqueue.admin.steps import text_of
from tests.jobqueue.api.steps import ask, problem, read
from tests.settlements.admin_steps import USERS, buttons_of, give_reason, history_of, page_of, said
from tests.settlements.steps import EMAIL, domain_settings, forget_jobs

pytestmark = pytest.mark.django_db(databases=["default", "other"])

MakeSettlement = Callable[..., Settlement]
LONG_AGO = timezone.now() - timedelta(days=400)


@pytest.fixture(autouse=True)
def _policy(settings: DjangoSettings) -> None:
    settings.SETTLEMENTS = domain_settings()


def change_payer(settlement: Settlement, **fields: Any) -> None:
    User.objects.filter(pk=settlement.payer_id).update(**fields)


def bar_payer(cause: str) -> Callable[[Settlement], Any]:
    return lambda settlement: bar(settlement.payer.email, cause, "", using="default")


UNREACHABLE: dict[str, tuple[Callable[[Settlement], Any], str]] = {
    "inactive": (lambda one: change_payer(one, is_active=False), "the payer is inactive"),
    "without an address": (lambda one: change_payer(one, email=""), "the payer has no e-mail address"),
    "with no real address": (
        lambda one: change_payer(one, email="x"),
        "the payer's e-mail address cannot be used",
    ),
    "paused": (bar_payer(BarredAddress.PAUSED), "no e-mail goes out to the payer's address"),
    "barred": (bar_payer("complained"), "no e-mail goes out to the payer's address"),
}
each_trouble = pytest.mark.parametrize(("make", "why"), UNREACHABLE.values(), ids=list(UNREACHABLE))


def remind(client: Client, settlement: Settlement) -> Any:
    """Ask for a reminder over HTTP."""
    address, key = f"settlements/{settlement.pk}/send-reminder/", {"Idempotency-Key": "one"}
    return ask(client, "POST", address, {"reason": "she asked for it"}, **key)


def asked_for() -> list[Job]:
    return list(Job.objects.filter(processor=EMAIL, payload__template_type="settlement_reminder"))


def forced(settlement: Settlement) -> Job:
    """The reminder as it ends where nobody asks whether it can go out."""
    job = add_letter_job(settlement, settlement.payer_id, "settlement_reminder", using="default")
    run_job(job)
    return job


# Whom no letter reaches ---------------------------------------------------------------------------


@each_trouble
def test_over_http_it_is_refused_with_a_code_and_the_reason(
    admin_client: Client, settlement: Settlement, make: Callable[[Settlement], Any], why: str
) -> None:
    make(settlement)
    refused = problem(remind(admin_client, settlement), 409)
    assert refused["code"] == "unreachable" and f"({why})" in refused["detail"]
    assert not asked_for() and not history_of(settlement)


@each_trouble
def test_the_page_of_the_settlement_offers_and_sends_none(
    admin_client: Client, settlement: Settlement, make: Callable[[Settlement], Any], why: str
) -> None:
    assert "send_reminder" in buttons_of(admin_client.get(page_of(settlement)))
    make(settlement)
    assert "send_reminder" not in buttons_of(admin_client.get(page_of(settlement)))
    assert f"({why})" in said(give_reason(admin_client, "send_reminder", settlement))[0]
    assert not asked_for()


@each_trouble
def test_the_page_of_the_person_says_the_same(
    admin_client: Client, settlement: Settlement, make: Callable[[Settlement], Any], why: str
) -> None:
    make(settlement)
    page = f"{USERS}{settlement.payer_id}/letters/"
    assert [one.why_not for one in admin_client.get(page).context["owed"]] == [why]
    data = {"remind": str(settlement.pk), "reason": "she asked for it"}
    assert f"({why})" in said(admin_client.post(page, data, follow=True))[0]


# The rule is the one by which letters leave -------------------------------------------------------


def cover(settlement: Settlement) -> None:
    """Pay all of it, before its status says so."""
    payment = Payment(settlement=settlement, amount=settlement.amount, status="completed")
    Payment.objects.bulk_create([payment])


SITUATIONS: dict[str, Callable[[Settlement], Any]] = {
    **{name: make for name, (make, _why) in UNREACHABLE.items()},
    "nothing": lambda one: None,
    "history": lambda one: Settlement.objects.filter(pk=one.pk).update(history=True),
    "its reminders paused": lambda one: Settlement.objects.filter(pk=one.pk).update(reminders_paused=True),
    "covered": cover,
    "completed": lambda one: Settlement.objects.filter(pk=one.pk).update(status="completed"),
    "cancelled": lambda one: Settlement.objects.filter(pk=one.pk).update(status="cancelled"),
}


@pytest.mark.parametrize("make", SITUATIONS.values(), ids=list(SITUATIONS))
def test_it_is_offered_where_its_letter_goes_out_and_nowhere_else(
    settlement: Settlement, make: Callable[[Settlement], Any]
) -> None:
    make(settlement)
    settlement = Settlement.objects.get(pk=settlement.pk)
    is_offered = not asking.why_no_reminder(settlement, "default")
    forced(settlement)
    assert bool(mail.outbox) is is_offered


def test_what_is_covered_says_so(admin_client: Client, settlement: Settlement) -> None:
    cover(settlement)
    refused = problem(remind(admin_client, settlement), 409)
    assert refused["code"] == "wrong_state" and "(nothing is left to pay)" in refused["detail"]


def test_for_many_it_takes_two_questions(make_settlement: MakeSettlement) -> None:
    rows = [make_settlement() for _ in range(3)]
    with CaptureQueriesContext(connection) as queries:
        found = asking.why_no_reminders(rows, "default")
    assert (len(queries), set(found.values())) == (2, {""})


# History ------------------------------------------------------------------------------------------


def test_of_history_one_goes_out_if_somebody_asks_for_it(
    admin_client: Client, make_settlement: MakeSettlement
) -> None:
    settlement = make_settlement(due_date=LONG_AGO)
    read(remind(admin_client, settlement))
    [job] = asked_for()
    run_job(job)
    assert (settlement.history, [message.to for message in mail.outbox]) == (True, [["payer@example.com"]])


def test_nothing_else_of_history_goes_out(make_settlement: MakeSettlement) -> None:
    settlement = make_settlement(due_date=LONG_AGO)
    job = add_letter_job(settlement, settlement.payer_id, "reminder_overdue", using="default")
    run_job(job)
    assert (job.reason, mail.outbox) == ("skipped: settlement is history", [])


# A pause that ends --------------------------------------------------------------------------------


def test_the_end_of_a_pause_does_not_say_that_letters_go_out_to_who_is_inactive(
    admin_client: Client, payer: User
) -> None:
    forget_jobs()
    bar(payer.email, BarredAddress.PAUSED, "", using="default")
    User.objects.filter(pk=payer.pk).update(is_active=False)
    data = {"verb": "resume", "reason": "back"}
    response = admin_client.post(f"{USERS}{payer.pk}/letters/", data, follow=True)
    assert "the person is inactive" in said(response)[0]
    assert "Letters go out again." not in text_of(response)


def test_to_ask_about_many_takes_as_many_statements_as_about_few(
    admin_client: Client, make_settlement: MakeSettlement
) -> None:
    asked = []
    for number in (2, 6):
        chosen = [str(make_settlement().pk) for _ in range(number)]
        with CaptureQueriesContext(connection) as queries:
            text_of(
                admin_client.post(
                    "/admin/settlements/settlement/",
                    {"action": "send_reminder", "_selected_action": chosen},
                )
            )
        asked.append(len(queries))
    assert asked[0] == asked[1]
