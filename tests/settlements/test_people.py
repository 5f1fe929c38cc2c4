"""Who is told what: inactive people, new payers and former ones."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.core import mail
from django.utils import timezone
from moneyed import Money
from pytest_django import Settings as DjangoSettings

from jobqueue.models import Job
from jobqueue.testing import at, drain, run_job
from settlements.addresses import bar
from settlements.jobs import add_email_notification_job, add_settlement_reminder_job
from settlements.models import EmailDelivery, Payment, ReminderDelivery, Settlement
from settlements.reconcile import reconcile
from tests.settlements.steps import (
    EMAIL,
    NOTIFICATION,
    REMINDER,
    domain_settings,
    only,
    reminders_of,
    run_soon,
    stages_of,
    waiting_of,
)

MakeSettlement = Callable[..., Settlement]
MakePayment = Callable[..., Payment]
Change = Callable[[Settlement, User], None]
DAY = timedelta(days=1)
PLAN = {("initial", 0), ("follow_up", 1), ("follow_up", 2), ("final", 0), ("overdue", 1), ("overdue", 2)}
PIA, EMIL, OLGA, OTTO = (f"{name}@example.com" for name in ("payer", "payee", "olga", "otto"))

pytestmark = pytest.mark.django_db(databases=["default", "other"])


@pytest.fixture(autouse=True)
def _policy(settings: DjangoSettings) -> None:
    settings.SETTLEMENTS = domain_settings()


@pytest.fixture
def olga(db: None) -> User:
    return User.objects.create_user("olga", OLGA)


@pytest.fixture
def otto(db: None) -> User:
    return User.objects.create_user("otto", OTTO)


@pytest.fixture
def known(settlement: Settlement) -> Settlement:
    """A settlement of which both were told."""
    run_soon()
    mail.outbox.clear()
    return settlement


def letters() -> list[tuple[str, str]]:
    """(template type, address) of what went out since the beginning of the test, sorted."""
    addresses = [message.to[0] for message in mail.outbox]
    rows = EmailDelivery.objects.filter(status="sent").order_by("pk")
    sent = [(row.template_type, row.recipient) for row in rows][len(rows) - len(addresses) :]
    assert [address for _type, address in sent] == addresses
    return sorted(sent)


def save_payer(settlement: Settlement, user: User) -> None:
    row = Settlement.objects.get(pk=settlement.pk)
    row.payer = user
    row.save()


def save_payer_alone(settlement: Settlement, user: User) -> None:
    row = Settlement.objects.get(pk=settlement.pk)
    row.payer = user
    row.save(update_fields=["payer"])


def update_payer(settlement: Settlement, user: User) -> None:
    Settlement.objects.filter(pk=settlement.pk).update(payer=user)
    reconcile(full=True)


def bulk_update_payer(settlement: Settlement, user: User) -> None:
    row = Settlement.objects.get(pk=settlement.pk)
    row.payer = user
    Settlement.objects.bulk_update([row], ["payer"])
    reconcile(full=True)


WAYS = [save_payer, save_payer_alone, update_payer, bulk_update_payer]


# Inactive people ------------------------------------------------------------------------------------


def deactivate(user: User) -> None:
    User.objects.filter(pk=user.pk).update(is_active=False)


def test_an_inactive_payer_is_not_reminded(settlement: Settlement, payer: User) -> None:
    deactivate(payer)
    job = reminders_of(settlement)["initial", 0]
    run_job(job)
    assert job.reason == f"skipped: user {payer.pk} is inactive"


def test_a_payer_deactivated_between_deciding_and_sending_gets_nothing(
    settlement: Settlement, payer: User
) -> None:
    run_job(reminders_of(settlement)["initial", 0])
    deactivate(payer)
    job = only(settlement, EMAIL)
    run_job(job)
    assert job.reason == f"skipped: user {payer.pk} is inactive"
    assert ReminderDelivery.objects.get().status == "not_delivered"


def test_an_inactive_payer_is_not_reminded_by_hand(known: Settlement, payer: User) -> None:
    deactivate(payer)
    job = add_settlement_reminder_job(known.pk, payer.pk, known.due_date, "final")
    run_job(job)
    assert job.reason == f"skipped: user {payer.pk} is inactive"


@pytest.mark.parametrize(("inactive", "told"), [("payer", EMIL), ("payee", PIA)])
def test_of_a_change_only_the_active_one_of_the_two_hears(
    known: Settlement, inactive: str, told: str
) -> None:
    deactivate(getattr(known, inactive))
    known.description = "Supper"
    known.save()
    run_soon()
    assert letters() == [("settlement_updated", told)]


def test_of_a_payment_an_inactive_payee_does_not_hear(
    known: Settlement, payee: User, make_payment: MakePayment
) -> None:
    deactivate(payee)
    make_payment(known, amount=Money(1, "EUR"), status="completed")
    run_soon()
    assert EMIL not in [address for _type, address in letters()]


@pytest.mark.parametrize("as_text", [False, True])
def test_a_callers_own_letter_to_an_inactive_user_is_not_sent(payer: User, as_text: bool) -> None:
    deactivate(payer)
    key = str(payer.pk) if as_text else payer.pk
    job = add_email_notification_job(key, "elsewhere@example.com", "", "payment_failed", {})
    run_job(job)
    assert job.reason == f"skipped: user {payer.pk} is inactive"


def test_what_an_inactive_person_did_not_get_is_shown_on_the_delivery(
    settlement: Settlement, payer: User
) -> None:
    run_job(reminders_of(settlement)["initial", 0])
    deactivate(payer)
    run_job(only(settlement, EMAIL))
    delivery = EmailDelivery.objects.get()
    assert (delivery.status, delivery.error) == ("skipped", f"user {payer.pk} is inactive")


def test_a_payer_who_is_active_again_gets_the_next_reminder(known: Settlement, payer: User) -> None:
    deactivate(payer)
    run_job(reminders_of(known)["follow_up", 1])
    User.objects.update(is_active=True)
    run_job(reminders_of(known)["follow_up", 2])
    run_soon()
    assert letters() == [("reminder_follow_up", PIA)]


# A new payer ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("change", WAYS)
def test_a_new_payer_gets_an_initial_letter(known: Settlement, olga: User, change: Change) -> None:
    change(known, olga)
    run_soon()
    assert [kind for kind, address in letters() if address == OLGA] == ["reminder_initial"]


@pytest.mark.parametrize("change", WAYS)
def test_a_new_payer_gets_a_plan_counted_from_now(known: Settlement, olga: User, change: Change) -> None:
    Settlement.objects.filter(pk=known.pk).update(created_at=timezone.now() - 5 * DAY)
    change(known, olga)
    assert stages_of(known) == PLAN
    first = reminders_of(known)["follow_up", 1].run_at
    assert abs(first - timezone.now() - 3 * DAY) < timedelta(minutes=1)


@pytest.mark.parametrize("change", WAYS)
def test_the_plan_is_the_new_payers_alone(known: Settlement, olga: User, change: Change) -> None:
    change(known, olga)
    assert {job.payload["user_id"] for job in waiting_of(known, REMINDER)} == {olga.pk}


def test_a_new_payer_of_a_debt_past_its_due_date_gets_an_initial_letter(
    known: Settlement, olga: User
) -> None:
    Settlement.objects.filter(pk=known.pk).update(
        created_at=timezone.now() - 20 * DAY, due_date=timezone.now() - 2 * DAY
    )
    reconcile(full=True)
    save_payer(known, olga)
    assert stages_of(known) == {("initial", 0), ("overdue", 2)}


@pytest.mark.parametrize("change", WAYS)
def test_a_former_payer_who_was_written_to_is_told_once(
    known: Settlement, olga: User, change: Change
) -> None:
    change(known, olga)
    run_soon()
    reconcile(full=True)
    run_soon()
    assert [kind for kind, address in letters() if address == PIA] == ["settlement_released"]


@pytest.mark.parametrize("change", WAYS)
def test_a_change_of_the_payer_alone_is_no_news_for_the_payee(
    known: Settlement, olga: User, change: Change
) -> None:
    change(known, olga)
    run_soon()
    assert [kind for kind, address in letters() if address == EMIL] == []


@pytest.mark.parametrize("change", WAYS)
def test_a_former_payer_who_was_never_written_to_hears_nothing(
    settlement: Settlement, olga: User, change: Change
) -> None:
    change(settlement, olga)
    run_soon()
    assert [kind for kind, address in letters() if address == PIA] == []


def test_a_former_payer_is_told_that_he_owes_nothing(known: Settlement, olga: User) -> None:
    save_payer(known, olga)
    run_soon()
    [message] = [message for message in mail.outbox if message.to == [PIA]]
    text = " ".join(str(message.body).split())
    assert "Still to pay" not in text
    assert "You owe Emil" not in text


def test_the_waiting_letter_of_a_former_payer_is_skipped(
    settlement: Settlement, payer: User, olga: User
) -> None:
    run_job(reminders_of(settlement)["initial", 0])
    letter = only(settlement, EMAIL)
    save_payer(settlement, olga)
    run_job(letter)
    assert letter.reason == f"skipped: user {payer.pk} is not the payer of the settlement"


def test_there_and_back_at_once_tells_nobody_that_he_owes_nothing(
    known: Settlement, payer: User, olga: User
) -> None:
    save_payer(known, olga)
    save_payer(known, payer)
    run_soon()
    assert "settlement_released" not in {kind for kind, _address in letters()}


def test_there_and_back_with_time_between_releases_the_one_between(
    known: Settlement, payer: User, olga: User
) -> None:
    save_payer(known, olga)
    run_soon()
    mail.outbox.clear()
    save_payer(known, payer)
    run_soon()
    assert letters() == [("reminder_initial", PIA), ("settlement_released", OLGA)]


def test_who_was_told_already_is_not_told_again_for_a_debt_he_never_heard_of(
    known: Settlement, payer: User, olga: User
) -> None:
    save_payer(known, olga)
    run_soon()
    save_payer(known, payer)  # he owes it again, and before he hears of it he does not
    save_payer(known, olga)
    run_soon()
    assert letters().count(("settlement_released", PIA)) == 1


def test_who_owes_it_again_and_hears_of_it_is_told_again(known: Settlement, payer: User, olga: User) -> None:
    for user in (olga, payer, olga):
        save_payer(known, user)
        run_soon()
    assert letters().count(("settlement_released", PIA)) == 2


def test_to_and_fro_at_once_tells_the_former_payer_once(known: Settlement, payer: User, olga: User) -> None:
    for user in (olga, payer, olga, payer, olga):
        save_payer(known, user)
    run_soon()
    assert letters() == [("reminder_initial", OLGA), ("settlement_released", PIA)]


def test_of_three_payers_at_once_the_first_is_told_and_the_second_never_hears(
    known: Settlement, olga: User, otto: User
) -> None:
    save_payer(known, olga)
    save_payer(known, otto)
    run_soon()
    assert letters() == [("reminder_initial", OTTO), ("settlement_released", PIA)]


def test_of_three_payers_with_time_between_the_first_two_are_told(
    known: Settlement, olga: User, otto: User
) -> None:
    save_payer(known, olga)
    run_soon()
    save_payer(known, otto)
    run_soon()
    assert letters() == [
        ("reminder_initial", OLGA),
        ("reminder_initial", OTTO),
        ("settlement_released", OLGA),
        ("settlement_released", PIA),
    ]


def test_a_payer_replaced_by_an_update_and_then_by_a_save_is_told(
    known: Settlement, olga: User, otto: User
) -> None:
    Settlement.objects.filter(pk=known.pk).update(payer=olga)
    save_payer(known, otto)
    run_soon()
    assert letters() == [("reminder_initial", OTTO), ("settlement_released", PIA)]


def test_an_update_there_and_back_is_nobodys_news(known: Settlement, payer: User, olga: User) -> None:
    Settlement.objects.filter(pk=known.pk).update(payer=olga)
    Settlement.objects.filter(pk=known.pk).update(payer=payer)
    reconcile(full=True)
    run_soon()
    assert letters() == []


@pytest.mark.parametrize("trouble", ["inactive", "barred", "without an address"])
def test_a_former_payer_who_cannot_be_written_to_hears_nothing(
    known: Settlement, payer: User, olga: User, trouble: str
) -> None:
    if trouble == "inactive":
        deactivate(payer)
    elif trouble == "barred":
        bar(PIA, "bounced", "550", using="default")
    else:
        User.objects.filter(pk=payer.pk).update(email="")
    save_payer(known, olga)
    run_soon()
    assert [kind for kind, address in letters() if address == PIA] == []
    assert not Job.objects.failed().exists()


def test_the_former_payers_reminders_of_later_are_gone(known: Settlement, olga: User) -> None:
    save_payer(known, olga)
    with at(known.due_date + 4 * DAY):
        drain()
    assert {address for kind, address in letters() if kind.startswith("reminder")} == {OLGA}


# A new payee ----------------------------------------------------------------------------------------


def test_what_waits_for_a_former_payee_is_skipped(
    known: Settlement, payee: User, olga: User, make_payment: MakePayment
) -> None:
    make_payment(known, amount=Money(1, "EUR"), status="completed")
    run_job(only(known, NOTIFICATION))
    Settlement.objects.filter(pk=known.pk).update(payee=olga)
    letter = only(known, EMAIL)
    run_job(letter)
    assert letter.reason == f"skipped: user {payee.pk} is not the payee of the settlement"


def test_a_new_payee_hears_of_the_next_payment(
    known: Settlement, olga: User, make_payment: MakePayment
) -> None:
    known.payee = olga
    known.save()
    make_payment(known, amount=Money(1, "EUR"), status="completed")
    run_soon()
    assert ("payment_received", OLGA) in letters()
