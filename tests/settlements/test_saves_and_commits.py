"""Jobs come and go with the rows of their saves: transactions, other databases, no Redis, deletions."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.core import mail
from django.core.management import call_command
from django.db import transaction
from django.utils import timezone
from moneyed import Money
from pytest_django import Settings as DjangoSettings

from jobqueue.broker import connections
from jobqueue.conf import Settings
from jobqueue.models import Job
from jobqueue.testing import at, drain, run_job
from settlements.models import EmailDelivery, Payment, ReminderDelivery, Settlement
from settlements.reconcile import reconcile
from spendsync_site.demo.processes import LOOPBACK, free_port
from tests.jobqueue.reading import messages_in
from tests.settlements.lifecycle_steps import DAY, PAYER, MakePayment, MakeSettlement, both
from tests.settlements.steps import (
    NOTIFICATION,
    REMINDER,
    STATUS_CHECK,
    delivered,
    domain_settings,
    emails_sent,
    events_of,
    forget_jobs,
    initial_reminder_went_out,
    jobs_of,
    only,
    reminders_of,
    run_soon,
    stored,
    waiting_of,
)


@pytest.fixture(autouse=True)
def _policy(settings: DjangoSettings) -> None:
    settings.SETTLEMENTS = domain_settings()


@pytest.fixture
def known(settlement: Settlement) -> Settlement:
    """A settlement that everybody heard of already; no job is left of that."""
    initial_reminder_went_out(settlement)
    forget_jobs()
    return settlement


# Fixtures, transactions, aliases --------------------------------------------------------------------


@pytest.fixture
def fixture_file(settlement: Settlement, make_payment: MakePayment, tmp_path: Path) -> Path:
    """Two settlements and a payment as `dumpdata` writes them; nothing of them is left in the database."""
    make_payment(settlement, status="pending")
    settlement.complete()
    settlement.save()
    make_payment(status="completed", amount=Money(1, "EUR"))
    path = tmp_path / "story.json"
    call_command("dumpdata", "settlements.settlement", "settlements.payment", output=str(path), verbosity=0)
    Settlement.objects.all().delete()
    Job.objects.all().delete()
    return path


def without_markers(path: Path) -> None:
    """Rewrite a fixture as somebody writes it by hand, or as an older version wrote it."""
    rows = json.loads(path.read_text())
    for row in rows:
        row["fields"].pop("announced_status")
        row["fields"].pop("announced_due_date", None)
    path.write_text(json.dumps(rows))


@pytest.mark.django_db(databases=["default", "other"])
@pytest.mark.parametrize("written_by_hand", [False, True])
def test_loaddata_enqueues_nothing_then_or_later(fixture_file: Path, written_by_hand: bool) -> None:
    if written_by_hand:
        without_markers(fixture_file)
    call_command("loaddata", str(fixture_file), verbosity=0)
    assert (Settlement.objects.count(), Payment.objects.count()) == (2, 2)
    assert not Job.objects.exists()
    assert reconcile(full=False) == {}
    assert not Job.objects.exists()


def test_loaddata_over_known_rows_enqueues_nothing(fixture_file: Path) -> None:
    call_command("loaddata", str(fixture_file), verbosity=0)
    Settlement.objects.update(description="Lunch")
    call_command("loaddata", str(fixture_file), verbosity=0)
    assert not Job.objects.exists()


def test_a_loaded_settlement_that_changes_is_like_any_other(fixture_file: Path) -> None:
    call_command("loaddata", str(fixture_file), verbosity=0)
    settlement = Settlement.objects.get(status="pending")
    settlement.cancel()
    settlement.save()
    assert events_of(settlement) == ["settlement_cancelled"]


def test_a_rollback_leaves_no_job(make_settlement: MakeSettlement, make_payment: MakePayment) -> None:
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        settlement = make_settlement()
        make_payment(settlement, status="completed")
        assert Job.objects.exists()
        raise ZeroDivisionError
    assert not Job.objects.exists()


def test_a_rolled_back_change_leaves_the_jobs_as_they_were(known: Settlement) -> None:
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        known.cancel()
        known.save()
        raise ZeroDivisionError
    assert jobs_of(known) == []


def test_a_save_that_fails_leaves_nothing(
    make_settlement: MakeSettlement, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("settlements.signals.plan_reminders", None)
    with pytest.raises(TypeError):
        make_settlement()
    assert not Settlement.objects.exists()
    assert not Job.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_save_publishes_its_jobs_after_the_commit_and_not_before(make_settlement: MakeSettlement) -> None:
    with transaction.atomic():
        make_settlement()
        assert messages_in("reminders") == 0
    assert messages_in("reminders") == 1


@pytest.mark.django_db(transaction=True)
def test_a_save_that_is_rolled_back_publishes_nothing(make_settlement: MakeSettlement) -> None:
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        make_settlement()
        raise ZeroDivisionError
    assert [messages_in(queue) for queue in ("email", "reminders", "settlement")] == [0, 0, 0]


@pytest.fixture
def in_other() -> Settlement:
    """A settlement between two people that only the other database knows."""
    users = User.objects.using("other")
    payer = users.create(username="anna", email="anna@example.com")
    payee = users.create(username="otto", email="otto@example.com")
    settlement = Settlement(
        description="Rent",
        payer=payer,
        payee=payee,
        amount=Money(500, "EUR"),
        due_date=timezone.now() + 10 * DAY,
    )
    settlement.save(using="other")
    return settlement


@pytest.mark.django_db(databases=["default", "other"])
def test_a_save_in_another_database_has_its_jobs_there(in_other: Settlement) -> None:
    assert events_of(in_other, using="other") == ["settlement_created"]
    assert len(reminders_of(in_other, using="other")) == 6
    assert not Job.objects.using("default").exists()


@pytest.mark.django_db(databases=["default", "other"])
def test_jobs_in_another_database_send_their_emails(in_other: Settlement) -> None:
    run_soon(using="other")
    assert emails_sent(using="other") == [
        ("reminder_initial", "anna@example.com"),
        ("settlement_created", "anna@example.com"),
        ("settlement_created", "otto@example.com"),
    ]
    assert sorted(message.to[0] for message in mail.outbox) == [
        "anna@example.com",
        "anna@example.com",
        "otto@example.com",
    ]
    assert all("Rent" in str(message.body) for message in mail.outbox)


@pytest.mark.django_db(databases=["default", "other"])
def test_a_payment_in_another_database_completes_the_settlement_there(in_other: Settlement) -> None:
    Payment(settlement=in_other, amount=in_other.amount, status="completed").save(using="other")
    run_soon(using="other")
    assert stored(in_other, using="other").status == "completed"
    assert ("payment_received", "otto@example.com") in emails_sent(using="other")
    assert reminders_of(in_other, using="other") == {}


@pytest.mark.django_db(databases=["default", "other"])
def test_a_life_in_another_database_leaves_nothing_in_the_default_one(in_other: Settlement) -> None:
    with at(in_other.due_date + DAY):
        drain(using="other")
    payment = Payment(settlement=in_other, amount=in_other.amount, status="processing")
    payment.save(using="other")
    run_job(only(in_other, STATUS_CHECK, using="other"), using="other")
    payment.status = "completed"
    payment.save()
    run_soon(using="other")
    reconcile(full=True)
    in_other.delete()
    for model in (Job, Settlement, Payment, EmailDelivery, ReminderDelivery):
        assert not model._base_manager.using("default").exists()


@pytest.mark.django_db(databases=["default", "other"])
def test_a_settlement_copied_to_another_database_is_a_new_one_there(settlement: Settlement) -> None:
    for user in User.objects.all():
        user.save(using="other")
    forget_jobs()
    settlement.save(using="other")
    assert events_of(settlement, using="other") == ["settlement_created"]
    assert not Job.objects.using("default").exists()


# Redis away -----------------------------------------------------------------------------------------


@pytest.fixture(params=["down", "hanging"])
def redis_away(
    request: pytest.FixtureRequest, settings: DjangoSettings, blackhole: tuple[str, int]
) -> Callable[[], None]:
    """Points the queues at a Redis that is not there, or never answers; calling it brings Redis back."""
    configured = settings.RQ_QUEUES
    host, port = (LOOPBACK, free_port()) if request.param == "down" else blackhole
    settings.RQ_QUEUES = {name: {**queue, "HOST": host, "PORT": port} for name, queue in configured.items()}
    # As long as a site waits.
    settings.JOBQUEUE = settings.JOBQUEUE | {"PUBLISH_TIMEOUT": Settings().publish_timeout}

    def back() -> None:
        settings.RQ_QUEUES = configured

    return back


@pytest.mark.django_db(transaction=True)
def test_a_save_without_redis_succeeds_without_delay(
    redis_away: Callable[[], None], make_settlement: MakeSettlement
) -> None:
    make_settlement()  # whatever is done once in a process is done
    seconds = []
    for _ in range(3):
        connections.circuit.close()
        started = time.perf_counter()
        settlement = make_settlement()
        seconds.append(time.perf_counter() - started)
        assert stored(settlement).status == "pending"
    redis_away()
    connections.circuit.close()
    started = time.perf_counter()
    make_settlement()
    assert min(seconds) - (time.perf_counter() - started) < 0.1


@pytest.mark.django_db(transaction=True)
def test_the_jobs_of_a_save_without_redis_run_later(
    redis_away: Callable[[], None], make_settlement: MakeSettlement
) -> None:
    settlement = make_settlement()
    redis_away()
    assert Job.objects.filter(published_at__isnull=False).count() == 0
    run_soon()
    assert emails_sent() == [("reminder_initial", PAYER), *both("settlement_created")]
    assert delivered(settlement) == [("initial", 0)]


# Deleting -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "delete", [Settlement.delete, lambda row: Settlement.objects.filter(pk=row.pk).delete()]
)
def test_deleting_a_settlement_cancels_its_jobs(
    settlement: Settlement, make_payment: MakePayment, delete: Callable[[Settlement], object]
) -> None:
    make_payment(settlement)
    copy = stored(settlement)
    delete(settlement)
    jobs = jobs_of(copy)
    assert {job.processor for job in jobs} == {NOTIFICATION, REMINDER, STATUS_CHECK}
    assert {(job.state, job.reason) for job in jobs} == {(Job.State.CANCELLED, "the settlement was deleted")}


def test_a_deletion_that_is_rolled_back_keeps_the_jobs(settlement: Settlement) -> None:
    before = waiting_of(settlement)
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        stored(settlement).delete()
        raise ZeroDivisionError
    assert waiting_of(settlement) == before


def test_deleting_a_settlement_leaves_the_others_alone(
    settlement: Settlement, make_settlement: MakeSettlement
) -> None:
    other = make_settlement()
    count = len(waiting_of(other))
    settlement.delete()
    assert len(waiting_of(other)) == count
