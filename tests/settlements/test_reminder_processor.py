"""`reminders.send`: looks at the world again when its time has come, and sends at most one of each."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.core import mail
from django.db.models import F
from django.utils import timezone
from pytest_django import Settings as DjangoSettings

from jobqueue.models import Job
from jobqueue.testing import at, drain, run_job
from jobqueue.worker.outcomes import OutcomeStatus
from settlements.jobs import add_settlement_reminder_job
from settlements.models import ReminderDelivery, Settlement
from tests.settlements.steps import (
    EMAIL,
    REMINDER,
    about,
    delivered,
    domain_settings,
    emails_asked_for,
    give_status,
    jobs_of,
    only,
    reminders_of,
    stored,
)

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def _policy(settings: DjangoSettings) -> None:
    settings.SETTLEMENTS = domain_settings()


def run(settlement: Settlement, stage: tuple[str, int]) -> Job:
    """Run the waiting reminder of that stage at the time it was planned for."""
    job = reminders_of(settlement)[stage]
    with at(max(job.run_at, timezone.now())):
        run_job(job)
    return job


def change(settlement: Settlement, **values: object) -> None:
    """Change the row behind the back of the rules, so that its reminders still wait."""
    Settlement.objects.filter(pk=settlement.pk).update(**values)


def run_everything_at(moment: object) -> None:
    """Let a worker that was away until `moment` run what is due by then."""
    with at(moment):
        drain()


def reminders_about(settlement: Settlement) -> list[tuple[str, str]]:
    """The reminder e-mails that were asked for."""
    return [email for email in emails_asked_for(settlement) if email[0].startswith("reminder")]


# Sending ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stage", "template_type"),
    [
        (("initial", 0), "reminder_initial"),
        (("follow_up", 1), "reminder_follow_up"),
        (("final", 0), "reminder_final"),
        (("overdue", 2), "reminder_overdue"),
    ],
)
def test_each_stage_asks_for_its_email_to_the_payer(
    settlement: Settlement, payer: User, stage: tuple[str, int], template_type: str
) -> None:
    job = run(settlement, stage)
    email = only(settlement, EMAIL)
    assert email.payload == {
        "user_id": payer.pk,
        "template_type": template_type,
        "template_data": {"settlement_id": str(settlement.pk)},
        "reminder": {
            "reminder_type": stage[0],
            "step": stage[1],
            "due_date": settlement.due_date.isoformat(),
            "planned_at": job.created_at.isoformat(),
        },
    }


def test_the_email_carries_ids_and_no_address(settlement: Settlement, payer: User) -> None:
    run(settlement, ("initial", 0))
    assert payer.email not in str(only(settlement, EMAIL).payload)


def test_a_reminder_that_went_out_is_written_down(settlement: Settlement, payer: User) -> None:
    run(settlement, ("follow_up", 2))
    delivery = ReminderDelivery.objects.get()
    assert (delivery.settlement, delivery.recipient) == (settlement, payer)
    assert (delivery.reminder_type, delivery.step) == ("follow_up", 2)
    assert delivery.due_date == settlement.due_date
    assert delivery.email_job == only(settlement, EMAIL)


def test_a_reminder_is_delivered_once_the_mail_server_took_its_email(settlement: Settlement) -> None:
    run(settlement, ("initial", 0))
    assert ReminderDelivery.objects.get().status == ReminderDelivery.Status.ON_ITS_WAY
    run_job(only(settlement, EMAIL))
    assert ReminderDelivery.objects.get().status == ReminderDelivery.Status.DELIVERED


def test_a_reminder_arrives(settlement: Settlement, payer: User) -> None:
    run(settlement, ("initial", 0))
    run_job(only(settlement, EMAIL))
    [message] = mail.outbox
    assert message.to == [payer.email]
    assert settlement.description in message.body


def test_a_partially_paid_settlement_is_reminded_of(settlement: Settlement) -> None:
    give_status(settlement, "partially_paid")
    assert run(settlement, ("final", 0)).reason == ""
    assert delivered(settlement) == [("final", 0)]


def test_the_whole_plan_goes_out_one_after_the_other(settlement: Settlement) -> None:
    for job in sorted(reminders_of(settlement).values(), key=lambda job: job.run_at):
        run_everything_at(max(job.run_at, timezone.now()) + timedelta(seconds=1))
    assert delivered(settlement) == [
        ("initial", 0),
        ("follow_up", 1),
        ("follow_up", 2),
        ("final", 0),
        ("overdue", 1),
        ("overdue", 2),
    ]


# The world has moved on ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"status": "completed"}, "skipped: settlement already completed"),
        ({"status": "cancelled"}, "skipped: settlement cancelled"),
        ({"reminders_paused": True}, "skipped: reminders are paused"),
    ],
)
@pytest.mark.parametrize("stage", [("initial", 0), ("final", 0)])
def test_a_reminder_that_is_not_wanted_any_more_is_skipped_with_the_reason(
    settlement: Settlement, values: dict[str, object], reason: str, stage: tuple[str, int]
) -> None:
    change(settlement, **values)
    job = run(settlement, stage)
    assert (job.state, job.reason) == (Job.State.COMPLETED, reason)
    assert (delivered(settlement), reminders_about(settlement)) == ([], [])


def test_a_reminder_for_a_due_date_that_moved_is_skipped_with_the_new_one(settlement: Settlement) -> None:
    change(settlement, due_date=F("due_date") + DAY)
    job = run(settlement, ("final", 0))
    assert job.reason == f"skipped: due date moved to {stored(settlement).due_date.isoformat()}"
    assert delivered(settlement) == []


def test_a_reminder_of_a_deleted_settlement_is_skipped(settlement: Settlement) -> None:
    job = reminders_of(settlement)["final", 0]
    Settlement.objects.filter(pk=settlement.pk)._raw_delete("default")
    run_job(job)
    assert job.reason == "skipped: settlement was deleted"


def test_pausing_holds_reminders_back_and_the_later_ones_go_out_again(settlement: Settlement) -> None:
    settlement.reminders_paused = True
    settlement.save()
    run(settlement, ("initial", 0))
    settlement.reminders_paused = False
    settlement.save()
    run(settlement, ("follow_up", 1))
    assert delivered(settlement) == [("follow_up", 1)]


def test_a_payer_without_an_address_is_skipped_with_the_reason(settlement: Settlement, payer: User) -> None:
    User.objects.filter(pk=payer.pk).update(email="")
    job = run(settlement, ("initial", 0))
    assert job.reason == f"skipped: user {payer.pk} has no e-mail address"
    assert delivered(settlement) == []


def test_a_payer_with_a_broken_address_fails_the_job_at_once(settlement: Settlement, payer: User) -> None:
    User.objects.filter(pk=payer.pk).update(email="no address")
    job = run(settlement, ("initial", 0))
    assert (job.state, job.attempt) == (Job.State.FAILED, 1)
    assert f"user {payer.pk}" in job.reason and "no e-mail address" in job.reason
    assert delivered(settlement) == []


def test_a_broken_address_is_not_repeated_in_the_jobs_reason(settlement: Settlement, payer: User) -> None:
    User.objects.filter(pk=payer.pk).update(email="secret@@example.com")
    job = run(settlement, ("initial", 0))
    assert "secret" not in job.reason + job.attempts.get().traceback


def test_a_reminder_to_somebody_who_is_gone_is_skipped_with_the_reason(settlement: Settlement) -> None:
    gone = User.objects.create_user("gone", "gone@example.com")
    job = add_settlement_reminder_job(settlement.pk, gone.pk, settlement.due_date, "final")
    gone.delete()
    run_job(job)
    assert (job.state, job.failures) == (Job.State.COMPLETED, 0)
    assert job.reason == f"skipped: user {job.payload['user_id']} does not exist any more"


def test_a_reminder_to_somebody_who_owes_nothing_is_skipped_with_the_reason(
    settlement: Settlement, payee: User
) -> None:
    job = add_settlement_reminder_job(settlement.pk, payee.pk, settlement.due_date, "final")
    run_job(job)
    assert job.reason == f"skipped: user {payee.pk} is not the payer of the settlement"
    assert delivered(settlement) == []


# An outage of the workers -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("back_after", "latest"),
    [
        (4 * DAY, ("follow_up", 1)),
        (8 * DAY, ("follow_up", 2)),
        (10 * DAY + HOUR, ("final", 0)),
        (60 * DAY, ("overdue", 2)),
    ],
)
def test_after_an_outage_only_the_latest_reminder_goes_out(
    settlement: Settlement, back_after: timedelta, latest: tuple[str, int]
) -> None:
    run_everything_at(settlement.created_at + back_after)
    assert delivered(settlement) == [latest]


def test_after_an_outage_the_others_are_skipped_with_the_reason(settlement: Settlement) -> None:
    run_everything_at(settlement.created_at + 8 * DAY)
    reasons = {
        (job.payload["reminder_type"], job.payload["step"]): job.reason
        for job in jobs_of(settlement, REMINDER)
        if job.state == Job.State.COMPLETED
    }
    assert reasons == {
        ("initial", 0): "skipped: a later reminder is due as well",
        ("follow_up", 1): "skipped: a later reminder is due as well",
        ("follow_up", 2): "",
    }


def test_after_an_outage_the_later_reminders_go_on_as_planned(settlement: Settlement) -> None:
    run_everything_at(settlement.created_at + 8 * DAY)
    run_everything_at(settlement.due_date + HOUR)
    assert delivered(settlement) == [("follow_up", 2), ("final", 0)]


def test_the_order_in_which_lapsed_reminders_run_does_not_matter(settlement: Settlement) -> None:
    with at(settlement.created_at + 8 * DAY):
        for stage in (("follow_up", 2), ("initial", 0), ("follow_up", 1)):
            run_job(reminders_of(settlement)[stage])
    assert delivered(settlement) == [("follow_up", 2)]


def test_a_reminder_that_is_merely_late_goes_out(settlement: Settlement) -> None:
    run_everything_at(settlement.created_at + 2 * DAY)
    assert delivered(settlement) == [("initial", 0)]


# Quiet hours --------------------------------------------------------------------------------------


def quiet_around_now(settings: DjangoSettings) -> None:
    """Make it night from an hour ago until in an hour."""
    now = timezone.now()
    hours = ((now - HOUR).time().replace(microsecond=0), (now + HOUR).time().replace(microsecond=0))
    settings.SETTLEMENTS = domain_settings(reminders={"QUIET_HOURS": hours})


def test_a_late_reminder_does_not_go_out_in_quiet_hours(
    settlement: Settlement, settings: DjangoSettings
) -> None:
    job = reminders_of(settlement)["initial", 0]
    quiet_around_now(settings)
    outcome = run_job(job)
    assert outcome.status == OutcomeStatus.RETRIED
    assert (job.state, job.reason) == (Job.State.WAITING, "quiet hours")
    assert delivered(settlement) == []


def test_it_waits_for_their_end_without_counting_a_failure(
    settlement: Settlement, settings: DjangoSettings
) -> None:
    job = reminders_of(settlement)["initial", 0]
    quiet_around_now(settings)
    run_job(job)
    assert about(job.run_at, timezone.now() + HOUR)
    assert (job.failures, job.attempts.count()) == (0, 0)


def test_it_goes_out_when_they_are_over(settlement: Settlement, settings: DjangoSettings) -> None:
    job = reminders_of(settlement)["initial", 0]
    quiet_around_now(settings)
    run_job(job)
    run_everything_at(job.run_at + timedelta(seconds=5))
    assert delivered(settlement) == [("initial", 0)]


def test_a_reminder_asked_for_by_hand_does_not_wait(
    settlement: Settlement, payer: User, settings: DjangoSettings
) -> None:
    quiet_around_now(settings)
    job = add_settlement_reminder_job(settlement.pk, payer.pk, settlement.due_date, "final")
    run_job(job)
    assert delivered(settlement) == [("final", 0)]
