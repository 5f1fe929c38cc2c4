"""Nobody runs a reminder before earlier ones: not by “Run now”, nor by a retry of a cancelled one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import time, timedelta

import pytest
from django.core import mail
from django.test import Client
from pytest_django import Settings as DjangoSettings

from jobqueue.copying import copy_job
from jobqueue.exceptions import JobMoveRefused
from jobqueue.models import BulkAction, Job, guards
from jobqueue.sql.clock import database_now
from jobqueue.testing import at, drain
from settlements.models import MovedReminder, ReminderDelivery, Settlement
from settlements.reconcile import reconcile
from tests.jobqueue.admin.steps import confirm, entries_of, make_job, operator, page_of, text_of
from tests.jobqueue.admin.test_calendar import walked
from tests.jobqueue.api.steps import ask, full_operator, post, problem
from tests.settlements.steps import domain_settings, reminders_of, run_soon

pytestmark = pytest.mark.django_db(databases=["default", "other"])
FIRST, SECOND, FINAL, LAST = ("follow_up", 1), ("follow_up", 2), ("final", 0), ("overdue", 2)


@pytest.fixture(autouse=True)
def _policy(settings: DjangoSettings) -> None:
    settings.SETTLEMENTS = domain_settings()


@pytest.fixture
def begun(settlement: Settlement) -> Settlement:
    """A settlement whose initial reminder went out: follow-ups on days 3 and 7, due on day 10."""
    run_soon()
    mail.outbox.clear()
    return settlement


def _cancelled(begun: Settlement, which: tuple[str, int]) -> Job:
    job = reminders_of(begun)[which]
    job.cancel()
    return job


def _stays(job: Job) -> bool:
    before = (job.state, job.run_at)
    job.refresh_from_db()
    return (job.state, job.run_at) == before and not MovedReminder.objects.exists()


@pytest.mark.parametrize("which", [SECOND, FINAL, LAST])
def test_a_reminder_is_not_run_now_before_an_earlier_one(begun: Settlement, which: tuple[str, int]) -> None:
    job = reminders_of(begun)[which]
    with pytest.raises(JobMoveRefused, match="goes out between its neighbours only, after 2"):
        job.run_now()
    assert _stays(job)


def test_a_cancelled_reminder_is_not_retried_before_an_earlier_one(begun: Settlement) -> None:
    job = _cancelled(begun, FINAL)
    with pytest.raises(JobMoveRefused, match="between its neighbours"):
        job.retry()
    assert _stays(job)


def test_the_next_one_runs_now_and_the_plan_keeps_that(begun: Settlement) -> None:
    job = reminders_of(begun)[FIRST]
    job.run_now()
    assert MovedReminder.objects.get().run_at <= database_now("default")
    drain()
    reconcile(full=True)
    assert len(mail.outbox) == 1
    assert ReminderDelivery.objects.filter(reminder_type="follow_up", status="delivered").count() == 1
    assert set(reminders_of(begun)) == {SECOND, FINAL, ("overdue", 1), LAST}


def test_one_runs_now_when_the_one_before_does_not_wait_any_more(begun: Settlement) -> None:
    first, second = reminders_of(begun)[FIRST], reminders_of(begun)[SECOND]
    first.run_now()
    with pytest.raises(JobMoveRefused, match="goes out when the one before, .*, does not wait any more"):
        second.run_now()
    drain()
    second.run_now()
    drain()
    assert len(mail.outbox) == 2


def test_in_quiet_hours_nothing_is_run_now(begun: Settlement, settings: DjangoSettings) -> None:
    settings.SETTLEMENTS = domain_settings(reminders={"QUIET_HOURS": (time(1), time(6))})
    night = (database_now("default") + timedelta(days=1)).replace(hour=2)
    with at(night), pytest.raises(JobMoveRefused, match="quiet hours"):
        reminders_of(begun)[FIRST].run_now()


def test_a_reminder_whose_time_has_come_is_retried_at_any_time(begun: Settlement) -> None:
    job = _cancelled(begun, FINAL)
    Job.objects.filter(pk=job.pk).update(run_at=database_now("default"), state="failed")
    assert Job.objects.filter(pk=job.pk).retry_all() == 1


# By operators ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["run_now", "retry"])
def test_the_admin_says_why_and_does_the_others(admin_client: Client, begun: Settlement, verb: str) -> None:
    state = {"run_now": "delayed", "retry": "cancelled"}[verb]
    job = _cancelled(begun, FINAL) if verb == "retry" else reminders_of(begun)[FINAL]
    next_one = _cancelled(begun, FIRST) if verb == "retry" else reminders_of(begun)[FIRST]
    free = make_job(state)
    done, told, why = confirm(admin_client, verb, job, next_one, free)[:3]
    assert done.startswith("1 job ") and told.startswith("1 job ")
    assert f"1 job was left alone: what it is about does not allow that. #{job.pk}: the final" in why
    for changed in (next_one, free):
        changed.refresh_from_db()
        assert changed.state == "waiting" and changed.run_at <= database_now("default")
        assert len(entries_of(changed)) == 1
    job.refresh_from_db()
    assert job.run_at > database_now("default") and entries_of(job) == []


def test_from_its_page_it_is_refused_with_the_reason(admin_client: Client, begun: Settlement) -> None:
    job = reminders_of(begun)[LAST]
    data = {"action": "run_now", "confirmed": "run_now", "_selected_action": [job.pk], "back": "1"}
    response = admin_client.post("/admin/jobqueue/job/", data, follow=True)
    assert response.redirect_chain[0][0] == page_of(job)
    assert "goes out between its neighbours only" in text_of(response)
    assert _stays(job)


@pytest.mark.parametrize("verb", ["run-now", "retry"])
def test_over_http_it_is_refused_by_a_name_of_its_own(begun: Settlement, verb: str) -> None:
    job = _cancelled(begun, FINAL) if verb == "retry" else reminders_of(begun)[FINAL]
    refused = problem(ask(full_operator(), "POST", f"jobs/{job.pk}/{verb}/", {}), 409)
    assert refused["code"] == "job_move_refused"
    assert "goes out between its neighbours only, after" in refused["detail"]
    assert _stays(job)


def test_over_http_the_next_one_runs_once(begun: Settlement) -> None:
    job, client = reminders_of(begun)[FIRST], full_operator()
    assert post(client, f"jobs/{job.pk}/run-now/", {})["id"] == job.pk
    assert problem(ask(client, "POST", f"jobs/{job.pk}/run-now/", {}), 409)["code"] == "wrong_state"
    assert len(entries_of(job)) == 1


@pytest.mark.parametrize("verb", ["run_now", "retry"])
def test_in_bulk_what_is_refused_is_left_out_with_its_reason(begun: Settlement, verb: str) -> None:
    if verb == "retry":
        Job.objects.about(begun).delayed().cancel_all()
    free = [make_job({"run_now": "delayed", "retry": "cancelled"}[verb]) for _ in range(2)]
    search = {"run_now": "state:delayed", "retry": "state:cancelled"}[verb]
    post(full_operator(), "bulk/", {"verb": verb, "search": search, "reason": "now"})
    assert walked() == 3
    action = BulkAction.objects.get()
    due = Job.objects.due().order_by("pk")
    assert [job.pk for job in due] == sorted([*(job.pk for job in free), due[0].pk])
    assert due[0].payload["reminder_type"] == "follow_up" and due[0].bulk_action == action.pk
    assert set(action.left_out) == {"declined"} and action.left_out["declined"]["number"] == 4
    assert any("goes out between its neighbours only" in said for said in action.left_out["declined"]["said"])


def test_what_nobody_guards_is_run_in_one_statement(
    begun: Settlement, django_assert_num_queries: Callable[..., object]
) -> None:
    jobs = [make_job("delayed") for _ in range(30)]
    with django_assert_num_queries(1):
        assert Job.objects.filter(pk__in=[job.pk for job in jobs]).run_all_now() == 30
    assert not guards.guarded(Job.objects.filter(pk__in=[job.pk for job in jobs])).exists()


def test_programs_that_run_many_now_leave_guarded_ones_alone(begun: Settlement) -> None:
    assert Job.objects.about(begun).run_all_now() == 0
    assert Job.objects.about(begun).cancel_all() > 0
    assert Job.objects.about(begun).retry_all() == 0


def test_who_may_only_look_is_asked_for_the_right_first(begun: Settlement) -> None:
    job = reminders_of(begun)[FINAL]
    problem(ask(operator("view_job"), "POST", f"jobs/{job.pk}/run-now/", {}), 403)


def test_a_copy_of_a_cancelled_reminder_does_not_overtake_earlier_ones(
    admin_client: Client, begun: Settlement
) -> None:
    job = _cancelled(begun, FINAL)
    with pytest.raises(JobMoveRefused, match="between its neighbours"):
        copy_job(job)
    shown = admin_client.post(f"/admin/jobqueue/job/{job.pk}/copy/", {"reason": "again", "copies_seen": "0"})
    assert "goes out between its neighbours only" in text_of(shown)
    assert copy_job(job, run_at=begun.due_date).run_at == begun.due_date
