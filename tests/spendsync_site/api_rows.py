"""Rows of every resource of the API in each state that a verb takes, and requests that are answered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from django.utils import timezone

from jobqueue.jobs import database_now
from jobqueue.models import Job, holding
from settlements.models import EmailDelivery, Payment, Settlement
from tests.jobqueue.admin.steps import add_attempt, make_job, make_worker
from tests.jobqueue.models.test_bulk import ask as begin_in_bulk

Keys = dict[str, dict[str, Any]]
"""By resource the keys of its rows, by what each is for."""
REASON: Final = {"reason": "by agreement"}
KEY: Final = {"Idempotency-Key": "of-this-one"}
OF_SETTLEMENTS: Final = ("settlements", "payments", "people", "emails", "simulation")
NOBODY: Final = "00000000-0000-0000-0000-000000000000"
CAUSE: Final = "ConnectionError"
LETTERS: Final = "settlement.settlement_notification"


def of_jobs() -> Keys:
    """Jobs in every state with what hangs on them, workers, a bulk action; and keys that nothing has."""
    worker = make_worker(takes_orders=True)
    now = database_now("default")
    names = {
        **{name: name for name in ("waiting", "delayed", "stuck", "completed", "skipped", "cancelled")},
        **{"to hold": "waiting", "to move": "delayed", "held": "delayed", "to fail": "stuck"},
        "still held": "delayed",
    }
    jobs = {name: make_job(state) for name, state in names.items()}
    jobs["active"] = make_job("active", worker_id=worker.pk, started_at=now)
    for name in ("held", "still held"):
        holding.hold(jobs[name], "pia", "", "default")
    jobs["failed"] = make_job("failed", cause=CAUSE, payload={"text": "<script>\u202e{{ \x1b[31m"})
    add_attempt(jobs["failed"], message="<script>alert(1)</script>")
    return {
        "jobs": {name: job.pk for name, job in jobs.items()} | {"none": 2**62},
        "workers": {"alive": str(worker.pk), "none": NOBODY},
        "bulk": {"under way": begin_in_bulk().pk, "none": 2**62},
        "queues": {"email": "email", "none": "nothing"},
        "schedule": {"of the delayed": _day_of(jobs["delayed"]), "none": "2030-01-31"},
        "processors": {"email": "email.notification", "none": "nothing"},
    }


def _day_of(job: Job) -> str:
    return timezone.localdate(job.run_at).isoformat()


def of_a_settlement(payment: Payment) -> Keys:
    """A settlement with a payment, an e-mail and its people."""
    owed, email = payment.settlement, _email(make_job("completed"))
    return {
        "settlements": {"open": str(owed.pk), "none": NOBODY},
        "payments": {"pending": str(payment.pk), "none": NOBODY},
        "people": {"payer": str(owed.payer_id), "none": "999999"},
        "emails": {"sent": email.pk, "none": 2**62},
    }


def of_everything(make_settlement: Callable[..., Settlement], make_payment: Callable[..., Payment]) -> Keys:
    """A row for each verb, so that none finds what another did."""
    found = of_jobs() | of_a_settlement(make_payment())
    verbs = ("complete", "cancel", "remind", "pause")
    rows = {verb: make_settlement(description=verb) for verb in verbs}
    rows |= {"reopen": make_settlement(status="cancelled"), "resume": make_settlement(reminders_paused=True)}
    found["settlements"] |= {name: str(one.pk) for name, one in rows.items()}
    states = {"to start": "pending", "to complete": "pending", "to fail": "pending"}
    states |= {"completed": "completed", "refunded": "refunded"}
    payments = {name: make_payment(rows["pause"], status=status) for name, status in states.items()}
    found["payments"] |= {name: str(one.pk) for name, one in payments.items()}
    letter = Job.objects.about(rows["remind"]).get(processor=LETTERS)
    Job.objects.filter(pk=letter.pk).update(unique_key=None)  # so that it may be copied
    found["jobs"]["of a letter"] = letter.pk
    make_job("failed", cause="OSError")
    return found


def _email(job: Job) -> EmailDelivery:
    return EmailDelivery.objects.create(
        job=job, message_id="<1@a.example>", template_type="reminder_initial", recipient="pia@example.com"
    )


# What is answered ----------------------------------------------------------------------------------


class Good(NamedTuple):
    """A request that is answered: about which row, and what it says."""

    row: str = ""
    body: dict[str, Any] | None = None
    query: dict[str, Any] | None = None
    headers: dict[str, str] | None = None


GOOD: Final[dict[str, Good]] = {
    "POST /api/queues/{name}/pause/": Good(),
    "POST /api/queues/{name}/resume/": Good(),
    "PATCH /api/queues/{name}/limits/": Good(body={"rate_limit": 10}),
    "PATCH /api/processors/{name}/limits/": Good(body={"concurrency_limit": 3}),
    "POST /api/jobs/{id}/retry/": Good("failed"),
    "POST /api/jobs/{id}/cancel/": Good("waiting"),
    "POST /api/jobs/{id}/run-now/": Good("delayed"),
    "POST /api/jobs/{id}/put-back/": Good("stuck"),
    "POST /api/jobs/{id}/fail/": Good("to fail"),
    "POST /api/jobs/{id}/hold/": Good("to hold", REASON),
    "POST /api/jobs/{id}/release/": Good("held", REASON),
    "POST /api/jobs/{id}/discard/": Good("completed", REASON),
    "GET /api/jobs/{id}/preview/": Good("of a letter"),
    "POST /api/jobs/{id}/stop/": Good("active", REASON),
    "POST /api/jobs/{id}/move/": Good("to move", {**REASON, "run_at": "2100-01-31T08:00:00Z"}),
    "POST /api/jobs/{id}/copy/": Good(
        "of a letter", {**REASON, "run_at": "2100-01-31T08:00:00Z"}, headers=KEY
    ),
    "GET /api/causes/concerned/": Good(query={"cause": CAUSE}),
    "POST /api/causes/retry/": Good(body={**REASON, "cause": CAUSE}),
    "POST /api/causes/discard/": Good(body={**REASON, "cause": "OSError"}),
    "POST /api/causes/mute/": Good(body={"cause": CAUSE}),
    "POST /api/causes/unmute/": Good(body={"cause": CAUSE}),
    "GET /api/bulk/plan/": Good(query={"verb": "retry"}),
    "POST /api/bulk/": Good(body={**REASON, "verb": "hold", "search": "state:waiting"}),
    "POST /api/bulk/{id}/stop/": Good(),
    "POST /api/schedule/days/{day}/move/": Good(body={**REASON, "days": 7}),
    **{
        f"POST /api/schedule/days/{{day}}/{verb}/": Good(body=REASON)
        for verb in ("cancel", "hold", "release")
    },
    "POST /api/workers/{id}/quiet/": Good(),
    "POST /api/workers/{id}/resume/": Good(),
    "POST /api/workers/{id}/stop/": Good(),
    "POST /api/settlements/{id}/complete/": Good("complete", REASON),
    "POST /api/settlements/{id}/cancel/": Good("cancel", REASON),
    "POST /api/settlements/{id}/reopen/": Good("reopen", REASON),
    "POST /api/settlements/{id}/send-reminder/": Good(
        "remind", REASON, headers={"Idempotency-Key": "remind"}
    ),
    "POST /api/settlements/{id}/pause-reminders/": Good("pause", REASON),
    "POST /api/settlements/{id}/resume-reminders/": Good("resume", REASON),
    "POST /api/settlements/{id}/check-payments/": Good("open", REASON),
    "POST /api/payments/{id}/start/": Good("to start", REASON),
    "POST /api/payments/{id}/complete/": Good("to complete", REASON),
    "POST /api/payments/{id}/fail/": Good("to fail", REASON),
    "POST /api/payments/{id}/refund/": Good("completed", {**REASON, "amount": "1.00"}, headers=KEY),
    "POST /api/payments/{id}/take-refund-back/": Good("refunded", REASON),
    "POST /api/people/{id}/pause-letters/": Good(body=REASON),
    "POST /api/people/{id}/resume-letters/": Good(body=REASON),
}
"""By operation what of it is answered: asked in the order of the schema, where what is paused is resumed."""


def good(label: str, keys: Keys) -> Good:
    """A request of this operation that is answered."""
    if label == "POST /api/payments/":
        body = {"settlement": keys["settlements"]["open"], "amount": "1.00"}
        return Good(body=body, headers={"Idempotency-Key": "a-new-one"})
    return GOOD.get(label) or Good()


def key_of(label: str, asked: Good, keys: Keys) -> Any:
    """The key of the row that it is about."""
    of_resource = keys[resource_of(label)]
    return of_resource[asked.row] if asked.row else next(iter(of_resource.values()))


def resource_of(path: str) -> str:
    """`jobs` of `/api/jobs/{id}/`."""
    return path.partition("/api/")[2].partition("/")[0]
