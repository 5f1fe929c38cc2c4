"""One row of everything that a page shows, and the address of each page with what it takes to change it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.contrib.auth.models import User
from django.urls import URLPattern, URLResolver, get_resolver, reverse
from django.utils import timezone
from moneyed import Money

from jobqueue.models import AuditEntry, Cause, ProcessorLimits, Queue
from settlements.jobs import add_email_notification_job
from settlements.models import (
    BarredAddress,
    Discrepancy,
    EmailDelivery,
    Payment,
    ReminderDelivery,
    Settlement,
)
from tests.jobqueue.admin.open_forms import shown_limits
from tests.jobqueue.admin.steps import make_job, make_worker
from tests.jobqueue.models.test_bulk import ask

_OURS = ("jobqueue_", "settlements_", "index", "app_list")


@dataclass
class World:
    """The keys of the rows, by what names of addresses begin with, and when its delayed job runs."""

    keys: dict[str, Any] = field(default_factory=dict)
    delayed: Any = None


def build() -> World:
    """All of it, written by hand: nothing is enqueued but what saves lead to."""
    Queue.objects.bulk_create([Queue(name=name) for name in ("email", "reminders", "settlement")])
    Cause.objects.create(name="ValueError")
    payer, payee = (User.objects.create_user(name, f"{name}@example.com") for name in ("payer", "payee"))
    due = timezone.now() + timedelta(days=10)
    settlement = Settlement.objects.create(
        description="Dinner", payer=payer, payee=payee, amount=Money(100, "EUR"), due_date=due
    )
    payment = Payment.objects.create(settlement=settlement, amount=Money(10, "EUR"))
    letter = add_email_notification_job(payer.pk, payer.email, "Dinner", "settlement_created", {})
    worker = make_worker(takes_orders=True)
    failed, delayed = make_job("failed", cause="ValueError"), make_job("delayed")
    sent = make_job("completed", processor="email.notification")
    keys = {
        "jobqueue_auditentry": AuditEntry.objects.create(who="pia", verb="retry").pk,
        "jobqueue_bulkaction": ask().pk,
        "jobqueue_cause": "ValueError",
        "jobqueue_failedjob": failed.pk,
        "jobqueue_job": delayed.pk,
        "jobqueue_job_letter": letter.pk,
        "jobqueue_job_preview": letter.pk,
        "jobqueue_processorlimits": "email.notification",
        "jobqueue_queue": "email",
        "jobqueue_setasidejob": make_job("failed", set_aside="nobody knows its processor").pk,
        "jobqueue_stuckjob": make_job("stuck").pk,
        "jobqueue_worker": worker.pk,
        "settlements_barredaddress": BarredAddress.objects.create(
            address="x@example.com", cause="bounced"
        ).pk,
        "settlements_discrepancy": Discrepancy.objects.create(kind="overpaid", settlement=settlement).pk,
        "settlements_emaildelivery": EmailDelivery.objects.create(
            job=sent, message_id="<1@example.com>", user=payer, template_type="settlement_created"
        ).pk,
        "settlements_payment": payment.pk,
        "settlements_person": payer.pk,
        "settlements_reminderdelivery": ReminderDelivery.objects.create(
            settlement=settlement, recipient=payer, reminder_type="initial", due_date=due
        ).pk,
        "settlements_settlement": settlement.pk,
        "jobqueue_job_stop": make_job("active", worker_id=worker.pk).pk,
    }
    return World(keys, delayed)


# Addresses ------------------------------------------------------------------------------------------


def names() -> list[str]:
    """The names of the addresses of the admin that are ours."""
    return sorted(set(_names(_admin())))


def _names(resolver: URLResolver) -> Iterator[str]:
    for entry in resolver.url_patterns:
        if isinstance(entry, URLResolver):
            yield from _names(entry)
        elif isinstance(entry, URLPattern) and str(entry.name).startswith(_OURS):
            yield str(entry.name)


def _admin() -> URLResolver:
    found = [one for one in get_resolver().url_patterns if getattr(one, "namespace", "") == "admin"]
    assert isinstance(found[0], URLResolver)
    return found[0]


def address(name: str, world: World) -> str:
    """The address of that name, about what there is."""
    day = timezone.localtime(world.delayed.run_at).date().isoformat()
    special: dict[str, list[Any]] = {
        "app_list": ["jobqueue"],
        "jobqueue_job_calendar_day": [day],
        "jobqueue_job_calendar_change": [day, "hold"],
        "jobqueue_job_letter": [world.keys["jobqueue_job_letter"], 0],
    }
    key = world.keys.get(name, world.keys.get(name.rpartition("_")[0], "1"))
    for arguments in [special[name]] if name in special else ([], [key]):
        try:
            found = reverse(f"admin:{name}", args=arguments)
        except Exception:
            continue
        return f"{found}?job={world.delayed.pk}" if name == "jobqueue_job_calendar_change" else found
    raise AssertionError(f"how is the address {name} made? Teach address()")


def sent(name: str, world: World) -> dict[str, Any]:
    """What a form of this page sends, so that who may changes something."""
    later = timezone.localtime(timezone.now() + timedelta(hours=5)).strftime("%Y-%m-%dT%H:%M")
    key = world.keys.get(name.rpartition("_")[0])
    owed = str(world.keys["settlements_settlement"])
    forms: dict[str, dict[str, Any]] = {
        "jobqueue_bulkaction_start": {"verb": "retry", "confirmed": "retry"},
        "jobqueue_cause_changelist": {"action": "mute", "cause": "ValueError"},
        "jobqueue_failedjob_changelist": _chosen("retry", key),
        "jobqueue_job_changelist": _chosen("cancel", key),
        "jobqueue_job_calendar_change": {"reason": "told to"},
        "jobqueue_job_copy": {"copies_seen": "0", "reason": "told to"},
        "jobqueue_job_move": {"to": later, "reason": "told to"},
        "jobqueue_job_stop": {"reason": "told to"},
        "jobqueue_processorlimits_change": {
            "rate_limit": "5",
            **shown_limits(ProcessorLimits, "email.notification"),
        },
        "jobqueue_queue_change": {"rate_limit": "5", **shown_limits(Queue, "email")},
        "jobqueue_queue_changelist": _chosen("pause", "email"),
        "jobqueue_queue_pause": {"queue": "email"},
        "jobqueue_queue_resume": {"queue": "email"},
        "jobqueue_setasidejob_changelist": {"chosen": f"job:default:{key}"},
        "jobqueue_stuckjob_changelist": _chosen("fail", key),
        "jobqueue_worker_order": {"order": "quiet"},
        "settlements_barredaddress_changelist": _reason("clear", key),
        "settlements_discrepancy_changelist": _reason("close", key),
        "settlements_payment_changelist": _reason("start", key),
        "settlements_person_letters": {"remind": owed, "reason": "asked to"},
        "settlements_settlement_changelist": _reason("pause_reminders", key),
    }
    return {"post": "yes"} if name.endswith("_delete") else forms.get(name, {})


def _chosen(action: str, key: Any) -> dict[str, Any]:
    return {"action": action, "confirmed": action, "_selected_action": [str(key)], "index": "0"}


def _reason(action: str, key: Any) -> dict[str, Any]:
    return {**_chosen(action, key), "reason": "told to"}
