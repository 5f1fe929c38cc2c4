"""A reminder moves between its neighbours, and the settlement keeps where to."""

from __future__ import annotations

import re
from datetime import datetime, time, timedelta

import pytest
from django.core import mail
from django.utils import translation
from pytest_django import Settings as DjangoSettings

from jobqueue.exceptions import JobMoveRefused, JobTransitionRefused
from jobqueue.models import Job
from jobqueue.operating.retelling import retold_refusal
from jobqueue.sql.clock import database_now
from jobqueue.testing import at, drain
from settlements import moving
from settlements.models import MovedReminder, ReminderDelivery, Settlement
from settlements.moving import REFUSALS, Window, check_distances
from settlements.reconcile import reconcile
from settlements.reminders import current_policy
from tests.jobqueue.admin.steps import make_job, operator
from tests.jobqueue.api.steps import ask, post, problem
from tests.settlements.steps import REMINDER, domain_settings, run_soon, waiting_of

pytestmark = pytest.mark.django_db(databases=["default", "other"])
DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def _policy(settings: DjangoSettings) -> None:
    settings.SETTLEMENTS = domain_settings()


def reminder(settlement: Settlement, stage: str, step: int) -> Job:
    """The waiting job of that reminder."""
    found = {
        (job.payload["reminder_type"], job.payload["step"]): job for job in waiting_of(settlement, REMINDER)
    }
    return found[stage, step]


@pytest.fixture
def begun(settlement: Settlement) -> Settlement:
    """A settlement whose initial reminder went out: follow-ups on days 3 and 7, due on day 10."""
    run_soon()
    mail.outbox.clear()
    return settlement


def test_a_reminder_moves_to_a_time_between_its_neighbours(begun: Settlement) -> None:
    job = reminder(begun, "follow_up", 1)
    target = job.run_at + 2 * DAY
    job.move(target)
    assert reminder(begun, "follow_up", 1).run_at == target
    assert MovedReminder.objects.get().run_at == target


def test_over_http_too_it_moves_between_its_neighbours_alone(begun: Settlement) -> None:
    client, job = operator("view_job", "move_job"), reminder(begun, "follow_up", 1)
    path, target = f"jobs/{job.pk}/move/", job.run_at + 2 * DAY

    shown = post(client, path, {"run_at": target.isoformat()})
    refused = problem(ask(client, "POST", path, {"run_at": (target + 2 * DAY).isoformat()}), 409)

    assert (shown["id"], MovedReminder.objects.get().run_at) == (job.pk, target)
    assert refused["code"] == "job_move_refused"
    assert "moves between its neighbours only: to a time after" in refused["detail"]
    assert reminder(begun, "follow_up", 1).run_at == target


@pytest.mark.parametrize("days", [4, 5, 30])
def test_it_does_not_move_past_the_next_one(begun: Settlement, days: int) -> None:
    job = reminder(begun, "follow_up", 1)
    before = job.run_at
    with pytest.raises(JobMoveRefused, match="between its neighbours"):
        job.move(before + days * DAY)
    assert reminder(begun, "follow_up", 1).run_at == before
    assert not MovedReminder.objects.exists()


def test_it_does_not_move_before_the_one_before(begun: Settlement) -> None:
    with pytest.raises(JobMoveRefused, match="after"):
        reminder(begun, "follow_up", 2).move(reminder(begun, "follow_up", 1).run_at - DAY)


def test_it_does_not_move_to_the_very_time_of_the_one_before(begun: Settlement) -> None:
    with pytest.raises(JobMoveRefused, match="between its neighbours"):
        reminder(begun, "follow_up", 2).move(reminder(begun, "follow_up", 1).run_at)


@pytest.mark.parametrize(("step", "towards", "which"), [(1, 1, "the next one"), (2, -1, "the one before")])
def test_it_keeps_its_distance_from_both_neighbours(
    begun: Settlement, settings: DjangoSettings, step: int, towards: int, which: str
) -> None:
    settings.SETTLEMENTS = domain_settings(reminders={"MINIMUM_GAP": timedelta(hours=36)})
    job, neighbour = reminder(begun, "follow_up", step), reminder(begun, "follow_up", step + towards)
    with pytest.raises(JobMoveRefused, match=f"too close to {which}"):
        job.move(neighbour.run_at - towards * timedelta(hours=35))
    job.move(neighbour.run_at - towards * timedelta(hours=36))
    assert MovedReminder.objects.get().step == step


@pytest.mark.parametrize("step", [1, 2])
@pytest.mark.parametrize("gap", [timedelta(hours=36), timedelta(days=1)])
def test_the_range_that_it_tells_is_free_to_its_ends(
    begun: Settlement, settings: DjangoSettings, step: int, gap: timedelta
) -> None:
    settings.SETTLEMENTS = domain_settings(reminders={"MINIMUM_GAP": gap})
    job = reminder(begun, "follow_up", step)
    with pytest.raises(JobMoveRefused) as refused:
        job.move(job.run_at + 30 * DAY)
    said = re.search(r"to a time from (.+) UTC to (.+) UTC$", str(refused.value))
    assert said
    first, last = (datetime.fromisoformat(f"{text}+00:00") for text in said.groups())
    for moment in (first, last):
        job.move(moment)
    for outside in (first - timedelta(seconds=1), last + timedelta(seconds=1)):
        with pytest.raises(JobMoveRefused):
            job.move(outside)


@pytest.mark.parametrize(("hours", "is_full"), [(71, True), (73, False)])
def test_a_window_is_full_where_both_distances_overlap(
    begun: Settlement, settings: DjangoSettings, hours: int, is_full: bool
) -> None:
    settings.SETTLEMENTS = domain_settings(reminders={"MINIMUM_GAP": timedelta(hours=36)})
    first = reminder(begun, "follow_up", 1).run_at
    window = Window(first - DAY, first, first + timedelta(hours=hours), current_policy())
    assert window.is_full is is_full
    with pytest.raises(JobMoveRefused, match="no time is free between" if is_full else "to a time from"):
        check_distances(window, "it", first + timedelta(hours=1), at_once=False)


def test_neighbours_count_where_they_were_moved_to(begun: Settlement) -> None:
    second, first = reminder(begun, "follow_up", 2), reminder(begun, "follow_up", 1)
    planned = second.run_at
    second.move(planned + 2 * DAY)
    first.move(planned + DAY)
    assert reminder(begun, "follow_up", 1).run_at == planned + DAY


def test_what_moved_behind_the_planned_time_of_the_next_still_goes_out(begun: Settlement) -> None:
    second, first = reminder(begun, "follow_up", 2), reminder(begun, "follow_up", 1)
    planned = second.run_at
    second.move(planned + 2 * DAY)
    first.move(planned + DAY)
    with at(planned + DAY + timedelta(minutes=1)):
        drain()
    assert ReminderDelivery.objects.filter(reminder_type="follow_up", step=1, status="delivered").exists()
    assert len(mail.outbox) == 1


def test_it_does_not_move_into_quiet_hours(begun: Settlement, settings: DjangoSettings) -> None:
    settings.SETTLEMENTS = domain_settings(reminders={"QUIET_HOURS": (time(1), time(6))})
    job = reminder(begun, "follow_up", 1)
    night = (job.run_at + DAY).replace(hour=2)
    with pytest.raises(JobMoveRefused, match="quiet hours"):
        job.move(night)


def test_an_overdue_reminder_stays_behind_the_due_day(begun: Settlement) -> None:
    due = begun.due_date
    end_of_day = datetime.combine(due.date(), time(23, 59, 59, 999999), tzinfo=due.tzinfo)
    with pytest.raises(JobMoveRefused, match="after the day on which it is due"):
        reminder(begun, "overdue", 1).move(max(due + timedelta(microseconds=1), end_of_day))


def test_the_reconciler_keeps_it(begun: Settlement) -> None:
    job = reminder(begun, "follow_up", 1)
    target = job.run_at + 2 * DAY
    job.move(target)
    Job.objects.filter(pk=job.pk).delete()
    reconcile(full=True)
    assert reminder(begun, "follow_up", 1).run_at == target


def test_it_is_planned_again_at_its_time_though_the_planned_one_has_passed(begun: Settlement) -> None:
    job = reminder(begun, "follow_up", 1)
    planned, target = job.run_at, job.run_at + 2 * DAY
    job.move(target)
    Job.objects.filter(pk=job.pk).delete()
    with at(planned + DAY):
        reconcile(full=True)
    assert reminder(begun, "follow_up", 1).run_at == target


def test_a_new_due_date_drops_it(begun: Settlement) -> None:
    job = reminder(begun, "follow_up", 1)
    planned = job.run_at
    job.move(planned + 2 * DAY)
    begun.due_date += DAY
    begun.save()
    assert reminder(begun, "follow_up", 1).run_at == planned
    assert not MovedReminder.objects.exists()


def test_the_old_due_date_does_not_bring_it_back(begun: Settlement) -> None:
    job = reminder(begun, "follow_up", 1)
    planned = job.run_at
    job.move(planned + 2 * DAY)
    begun.due_date += DAY
    begun.save()
    begun.due_date -= DAY
    begun.save()
    assert reminder(begun, "follow_up", 1).run_at == planned


def test_a_job_that_ended_is_not_moved(begun: Settlement) -> None:
    job = reminder(begun, "follow_up", 1)
    Job.objects.filter(pk=job.pk).update(state=Job.State.ACTIVE)
    with pytest.raises(JobTransitionRefused, match="cannot be moved"):
        job.move(job.run_at + DAY)
    assert not MovedReminder.objects.exists()


def _moves_that_are_refused(begun: Settlement) -> list[tuple[Job, datetime]]:
    first, second = reminder(begun, "follow_up", 1), reminder(begun, "follow_up", 2)
    overdue, due = reminder(begun, "overdue", 1), begun.due_date
    end_of_day = datetime.combine(due.date(), time(23, 59, 59, 999999), tzinfo=due.tzinfo)
    last = max(waiting_of(begun, REMINDER), key=lambda job: job.run_at)
    return [
        (first, second.run_at + DAY),
        (first, (first.run_at + DAY).replace(hour=2)),
        (last, first.run_at),
        (overdue, max(due + timedelta(microseconds=1), end_of_day)),
    ]


def test_what_was_refused_is_kept_in_english_and_told_in_the_readers_language(
    begun: Settlement, settings: DjangoSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.SETTLEMENTS = domain_settings(reminders={"QUIET_HOURS": (time(1), time(6))})
    ended = make_job("completed")
    now = database_now("default")
    monkeypatch.setattr(moving, "database_now", lambda _using: now)  # both languages tell the same second
    for job, moment in [*_moves_that_are_refused(begun), (ended, ended.run_at + DAY)]:
        said = {}
        for language in ("en", "de"):
            with translation.override(language), pytest.raises(JobTransitionRefused) as refused:
                job.move(moment)
            said[language] = str(refused.value)
        assert said["en"] != said["de"]
        with translation.override("de"):
            assert retold_refusal(f"#{job.pk}: {said['en']}") == f"#{job.pk}: {said['de']}"
        with translation.override("en"):
            assert retold_refusal(f"#{job.pk}: {said['en']}") == f"#{job.pk}: {said['en']}"


@pytest.mark.parametrize("text", REFUSALS)
def test_each_text_with_which_a_move_is_refused_is_told_in_german(text: str) -> None:
    words = dict.fromkeys(re.findall(r"%\((\w+)\)s", text), "2026-11-27 13:20:05 UTC")
    with translation.override("de"):
        assert retold_refusal(f"#17: {text % words}") == f"#17: {translation.gettext(text) % words}"
        assert translation.gettext(text) != text
