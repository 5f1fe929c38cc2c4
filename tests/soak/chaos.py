"""Payments are saved while everything that can break breaks, at random; afterwards the history is checked.

The same trial runs for half a minute in the fault tests and for as long as one likes in the soak tests.
CHAOS_SEED makes it take the same decisions again (not at the same moments: the processes are real).
"""

from __future__ import annotations

import logging
import os
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email.parser import BytesHeaderParser

from aiosmtpd.smtp import SMTP, Envelope, Session
from django.db import connection
from pytest_django import Settings as DjangoSettings

from jobqueue.models import Attempt, Job
from settlements.models import EmailDelivery, Settlement
from spendsync_site.demo.processes import LOOPBACK
from spendsync_site.demo.redis_server import RedisServer
from tests.conftest import StartWorker, WorkerProcess
from tests.faults.crashes import CrashingPostgreSQL
from tests.faults.lossy_proxy import LossyProxy
from tests.servers import subprocess_environment
from tests.settlements.smtp import Mailbox, smtp_server
from tests.soak.breaking import APPLICATION_NAME, PROCESSES, THREADS, WORKER_SILENCE, Chaos
from tests.soak.history import Effect, History, JobRecord, Verdict, check
from tests.soak.people import PAYEE, PAYER, People
from tests.workload.fixtures import Workload, wait_until_done
from tests.workload.guarded import runs

NOTIFICATION_DELAY = FIRST_CHECK = 1.0
OPTIONS = ("--processes", str(PROCESSES), "--threads", str(THREADS), "--shutdown-timeout", "2")
# What a worker waits for is short, so that half a minute has room for many recoveries.
QUICK = {
    "HEARTBEAT_INTERVAL": 0.5,
    "WORKER_SILENCE": WORKER_SILENCE,
    "LOST_AFTER": 2,
    "REDIS_TIMEOUT": 2,
    # No job shall fail for being unlucky again and again.
    "RETRY": {"max_retries": 20},
    # It would mend what got lost.
    "RECONCILE_INTERVAL": 0,
}
# Why nobody is told any more that a settlement is owed.
PAID = ("skipped: settlement already completed", "skipped: nothing is left to pay")
# How long the backlog may take once nothing breaks any more.
CALM = 180.0


# Where e-mails go ---------------------------------------------------------------------------------


class Postbox(Mailbox):
    """Takes every e-mail and keeps its Message-ID."""

    def __init__(self) -> None:
        super().__init__()
        self.message_ids: list[str] = []

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        assert isinstance(envelope.content, bytes)
        self.message_ids.append(str(BytesHeaderParser().parsebytes(envelope.content)["Message-ID"]))
        return "250 2.0.0 taken"


# The trial ------------------------------------------------------------------------------------------


@dataclass
class Trial:
    """What came of it."""

    seed: int
    verdict: Verdict
    faults: Counter[str]
    in_danger: int
    saves: list[float]
    runs_again: int
    calm_after: float

    def report(self) -> str:
        """What to print about it."""
        faults = ", ".join(f"{count} × {name}" for name, count in self.faults.most_common())
        lines = [
            f"trial       CHAOS_SEED={self.seed}, {connection.vendor}",
            f"faults      {self.faults.total()}: {faults}",
            f"saves       {len(self.saves)} payments, the slowest in {max(self.saves, default=0):.2f} s",
            f"backlog     done {self.calm_after:.1f} s after the last fault",
            f"runs again  {self.runs_again} jobs of the workload; {self.in_danger} threads were hit",
            self.verdict.report(),
        ]
        return "\n".join(lines)


def run_trial(
    seconds: float,
    rqworker: StartWorker,
    private_redis: Callable[..., RedisServer],
    workload: Workload,
    settings: DjangoSettings,
    postgresql: CrashingPostgreSQL | None = None,
) -> Trial:
    """Let people save and things break for so long, wait until all is done, and check what happened.

    With a `postgresql` that is the database, that is killed now and then as well.
    """
    seed = int(os.environ.get("CHAOS_SEED") or random.randrange(1_000_000))
    print(f"CHAOS_SEED={seed}", flush=True)
    logging.getLogger("mail.log").setLevel(logging.WARNING)
    server = private_redis(persistent=True)
    proxy = LossyProxy(server.host, server.port)
    settings.RQ_QUEUES = {
        name: config | {"HOST": LOOPBACK, "PORT": proxy.port} for name, config in settings.RQ_QUEUES.items()
    }
    settings.SETTLEMENTS = {
        "NOTIFICATION_DELAY": NOTIFICATION_DELAY,
        "PAYMENT_CHECK": {"FIRST_DELAY": FIRST_CHECK},
    }
    mailbox = Postbox()
    with smtp_server(mailbox) as (host, port):
        environment = {
            "EMAIL_URL": f"smtp://{host}:{port}",
            "NOTIFICATION_DELAY": str(NOTIFICATION_DELAY),
            "PAYMENT_CHECK_FIRST_DELAY": str(FIRST_CHECK),
            "REDIS_PORT": str(proxy.port),
            "DATABASE_URL": worker_database(),
        }

        def start_worker() -> WorkerProcess:
            return rqworker(*OPTIONS, wait=False, jobqueue=QUICK, **environment)

        chaos = Chaos(random.Random(seed), start_worker, server, proxy, postgresql)
        people = People(random.Random(seed + 1))
        chaos.begin()
        people.start()
        chaos.rage(seconds)
        people.end()
        begin = time.monotonic()
        wait_until_done(CALM)
        calm_after = time.monotonic() - begin
    proxy.cut()
    history = complete(people.history, mailbox, workload)
    return Trial(seed, check(history), chaos.counts, chaos.in_danger, people.saves, runs_again(), calm_after)


def worker_database() -> str:
    """The test database's URL, by which the workers' connections can be told from ours."""
    url = subprocess_environment()["DATABASE_URL"]
    return f"{url}?application_name={APPLICATION_NAME}" if url.startswith("postgres") else url


def complete(history: History, mailbox: Postbox, workload: Workload) -> History:
    """Add to what was promised what is there to see."""
    jobs = list(Job.objects.select_related("email_delivery"))
    history.jobs = [
        JobRecord(job.pk, describe(job), job.state, job.payload.get("how") == "discard", lateness(job))
        for job in jobs
    ]
    history.effects += [Effect(f"job {name}", "") for name in workload.effects().elements()]
    history.effects += completions(jobs)
    excuse_paid(history, jobs)
    keys = {}
    for job in jobs:
        delivery = getattr(job, "email_delivery", None)
        if delivery is not None:
            keys[delivery.message_id] = key_of_email(job, delivery)
            history.tries[delivery.message_id] = delivery.tries
            if delivery.template_type == "settlement_updated":
                history.allowed.add(key_of_email(job, delivery))
    for identity in mailbox.message_ids:
        history.effects.append(Effect(keys.get(identity, f"e-mail of nobody {identity}"), identity))
    return history


def excuse_paid(history: History, jobs: list[Job]) -> None:
    """Of a settlement that was paid before the letter left nobody is told that it is owed."""
    for job in jobs:
        payload = job.payload
        is_about_it = "settlement_created" in (payload.get("event"), payload.get("template_type"))
        if is_about_it and job.reason in PAID:
            settlement_id = payload.get("template_data", payload)["settlement_id"]
            excused = {
                f"e-mail settlement_created {settlement_id} to {address}" for address in (PAYER, PAYEE)
            }
            history.promised -= excused
            history.allowed |= excused


def describe(job: Job) -> str:
    """A job in a few words."""
    payload = job.payload
    what = payload.get("name") or payload.get("template_type") or payload.get("event") or ""
    return f"{job.processor} {what}; attempt {job.attempt}: {job.reason}"


def lateness(job: Job) -> float | None:
    """Seconds from its time to its (last) start."""
    if job.started_at is None or job.state != Job.State.COMPLETED:
        return None
    return (job.started_at - job.run_at).total_seconds()


def completions(jobs: list[Job]) -> Iterator[Effect]:
    """Each change of a settlement to completed, by the notification that came of it."""
    done = {str(pk) for pk in Settlement.objects.filter(status="completed").values_list("pk", flat=True)}
    for job in jobs:
        settlement = job.payload.get("settlement_id")
        if job.payload.get("event") == "settlement_completed" and settlement in done:
            yield Effect(f"completion of {settlement}", str(job.pk))


def key_of_email(job: Job, delivery: EmailDelivery) -> str:
    """What the e-mail of a job is about; of an update there may be several."""
    data = job.payload["template_data"]
    subject = data.get("payment_id") or data["settlement_id"]
    which = f" by {job.unique_key}" if delivery.template_type == "settlement_updated" else ""
    return f"e-mail {delivery.template_type} {subject} to {delivery.recipient}{which}"


def runs_again() -> int:
    """How many jobs of the workload ran more often than their attempts that failed or waited explain."""
    counted = Counter((run.job_id, run.attempt) for run in runs())
    interrupted = Attempt.objects.filter(error_class="JobInterrupted").values("job_id").distinct().count()
    return interrupted + sum(count > 1 for count in counted.values())
