"""A site with something on every page, and where its pages are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.db.models import Model
from django.urls import NoReverseMatch, reverse
from django.utils import timezone

from jobqueue.models import AttemptLog, BulkAction, Cause, Job, ProcessorLimits, Queue
from settlements.models import (
    BarredAddress,
    Discrepancy,
    EmailDelivery,
    Payment,
    ReminderDelivery,
    Settlement,
)
from tests.jobqueue.admin.every_page import STATUSES
from tests.jobqueue.admin.steps import add_attempt, make_job, make_worker
from tests.jobqueue.models.test_bulk import ask
from tests.settlements.steps import REMINDER, run_soon, waiting_of

CAUSE = "EmailNotSent: SMTPRecipientsRefused 550"
_STATES = ("waiting", "delayed", "active", "stuck", "completed", "skipped", "failed", "cancelled")
PARTS = 4
"""In how many tests the pages are looked at."""
_SUPERUSER = 4
"""Where the table says what a superuser is answered who asks."""
_NO_PAGES = {
    "jobqueue_job_letter",  # as its reader gets it
    "jobqueue_queue_chart",  # a part of a page, which refreshes
    "jobqueue_queue_counts",
    "jobqueue_queue_overview",  # likewise
    "settlements_settlement_timeline",  # likewise
    "jobqueue_stuckjob_delete",  # refused of a job that is active
    "jobqueue_worker_history",  # there are no rows of these, or nothing leads to their pages
    "jobqueue_worker_change",
    "jobqueue_charts_history",
    "jobqueue_charts_change",
    "jobqueue_auditentry_history",
    "jobqueue_auditentry_change",
}


@dataclass(frozen=True, slots=True)
class Scene:
    """What the pages are about."""

    jobs: dict[str, Job]
    """One in each state."""
    reminder: Job
    settlement: Settlement
    person: User


def build(settlement: Settlement, person: User) -> Scene:
    """Jobs in every state, money in every status, and what operators did."""
    run_soon()
    about = f"settlements.settlement:{settlement.pk}"
    Queue.objects.create(name="email", paused=True, paused_by=person, pause_reason="the mail server refuses")
    Queue.objects.create(name="reminders", rate_limit=10, concurrency_limit=5)
    Queue.objects.create(name="settlement")
    ProcessorLimits.objects.create(name="email.notification", rate_limit=10, concurrency_limit=5)
    worker = make_worker(takes_orders=True)
    jobs = {state: make_job(state, subject=about) for state in _STATES}
    Job.objects.filter(pk=jobs["active"].pk).update(worker=worker)
    failed = jobs["failed"]
    Job.objects.filter(pk=failed.pk).update(cause=CAUSE, reason="long " * 60, payload={"user_id": person.pk})
    add_attempt(failed, message="550 no such mailbox " * 20, traceback="Traceback:\n" + "  File x\n" * 20)
    lines = [[place / 4, "WARNING", "workload", "long " * 60] for place in range(3)]
    AttemptLog.objects.create(job=failed, number=1, lines=lines, left_out=412, left_out_after=1)
    Cause.objects.create(name=CAUSE)
    Cause.objects.create(name="ValueError", muted_by=person, muted_at=timezone.now())
    make_job("failed", cause="ValueError")
    payments = [
        Payment.objects.create(settlement=settlement, amount=settlement.amount / 10, status=status)
        for status in Payment.Status.values
    ]
    for kind in Discrepancy.Kind.values:
        facts = {"settlement": settlement, "payment": payments[0], "detail": "seen " * 20}
        Discrepancy.objects.create(kind=kind, amount=12, currency="EUR", **facts)
    for status in EmailDelivery.Status.values:
        EmailDelivery.objects.create(message_id=f"<{status}@x>", status=status, error="421 later " * 30)
    for cause in BarredAddress.Cause.values:
        BarredAddress.objects.create(address=f"{cause}@example.com", cause=cause, detail="long" * 40)
    job_type = ContentType.objects.get_for_model(Job)
    LogEntry.objects.create(
        user=person,
        content_type=job_type,
        object_id=str(failed.pk),
        object_repr=f"#{failed.pk}",
        action_flag=CHANGE,
        change_message="Retry: failed → waiting",
    )
    ask()
    reminder = min(waiting_of(settlement, REMINDER), key=lambda job: job.run_at)
    return Scene(jobs, reminder, settlement, person)


def pages_of(scene: Scene) -> dict[str, str]:
    """The addresses of all pages that a superuser may look at, by their names in the table of every page."""
    found = {
        name: _address(name, scene)
        for name, statuses in STATUSES.items()
        if statuses[_SUPERUSER] not in (403, 405) and name not in _NO_PAGES
    }
    return found | _more(scene)


def part_of(pages: dict[str, str], part: int) -> Iterator[tuple[str, str]]:
    """Each page is in one of the parts."""
    return ((name, address) for index, (name, address) in enumerate(pages.items()) if index % PARTS == part)


def _address(name: str, scene: Scene) -> str:
    day = f"{timezone.localtime(scene.reminder.run_at):%Y-%m-%d}"
    special: dict[str, list[Any]] = {
        "app_list": ["jobqueue"],
        "jobqueue_job_preview": [scene.reminder.pk],
        "jobqueue_job_move": [scene.reminder.pk],
        "jobqueue_job_stop": [scene.jobs["active"].pk],
        "jobqueue_job_calendar_day": [day],
        "jobqueue_job_calendar_change": [day, "move"],
        "settlements_person_letters": [scene.person.pk],
    }
    arguments = special.get(name, [_key_of(name.rpartition("_")[0].partition("_")[2], scene)])
    for tried in ([], arguments):
        try:
            return reverse(f"admin:{name}", args=tried)
        except NoReverseMatch:
            continue
    raise AssertionError(f"how is the address {name} made? Teach _address")


def _key_of(model: str, scene: Scene) -> Any:
    known = {
        "processorlimits": "email.notification",
        "queue": "email",
        "cause": CAUSE,
        "settlement": scene.settlement.pk,
        "failedjob": scene.jobs["failed"].pk,
        "stuckjob": scene.jobs["stuck"].pk,
        "setasidejob": scene.jobs["failed"].pk,
        "job": scene.jobs["failed"].pk,
    }
    models: dict[str, type[Model]] = {
        "payment": Payment,
        "discrepancy": Discrepancy,
        "emaildelivery": EmailDelivery,
        "barredaddress": BarredAddress,
        "reminderdelivery": ReminderDelivery,
        "bulkaction": BulkAction,
    }
    if model in known:
        return known[model]
    first = models[model]._default_manager.order_by("pk").first() if model in models else None
    return first.pk if first else 1


def _more(scene: Scene) -> dict[str, str]:
    """Addresses of the table with another row, a search, a filter, another day."""
    jobs = reverse("admin:jobqueue_job_changelist")
    day = timezone.localtime(scene.reminder.run_at)
    change = reverse("admin:jobqueue_job_calendar_change", args=[f"{day:%Y-%m-%d}", "move"])
    return {
        **{
            f"job that is {state}": reverse("admin:jobqueue_job_change", args=[job.pk])
            for state, job in (*scene.jobs.items(), ("a reminder", scene.reminder))
        },
        "search": f"{jobs}?q=Pia",
        "search that is refused": f"{jobs}?q=colour:red",
        "search that finds nothing": f"{jobs}?q=nobody-has-this",
        "move of one": f"{change}?job={scene.reminder.pk}",
        "hold of a day": change.replace("/move/", "/hold/"),
        "empty day": reverse(
            "admin:jobqueue_job_calendar_day", args=[f"{day + timedelta(days=1000):%Y-%m-%d}"]
        ),
        "charts of 90 days": f"{reverse('admin:jobqueue_charts_changelist')}?span=quarter",
        "causes of no job": f"{reverse('admin:jobqueue_cause_changelist')}?queue=reminders",
        "user": reverse("admin:auth_user_change", args=[scene.person.pk]),
    }
