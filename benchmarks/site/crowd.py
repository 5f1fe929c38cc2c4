"""Operations while many jobs are in the table: `python -m benchmarks.site.crowd <options as JSON>`.

`{"grow": n}` brings the table up to n waiting, delayed and failed jobs each; `{}` times what a worker, a
probe, a scraper and an operator do there.
"""

from __future__ import annotations

import json
import sys
import time
import uuid
from collections.abc import Callable
from typing import Any

import django

BATCH = 64
ROUNDS = 3
_WARM_UP = 1
# In all rounds together fewer claims than the smallest crowd has jobs.
_LOOKS = 4

# Spread over the queues as the rows of a busy site: each about its own settlement, with what its kind has.
_COMMON = """
    processor, queue, payload, subject, attempt, failures, timeout, reason, created_at,
    state, run_at, published_at, started_at, finished_at, unique_key
"""
_KIND = "(ARRAY['email.notification', 'reminders.send', 'settlement.auto_complete'])[1 + number %% 3]"
_QUEUE = "(ARRAY['email', 'reminders', 'settlement'])[1 + number %% 3]"
_PAYLOAD = """jsonb_build_object(
    'user_id', number %% 5000, 'email', 'user' || number %% 5000 || '@example.com', 'email_subject', '',
    'template_type', 'settlement_created', 'template_data', jsonb_build_object('settlement_id', {settlement})
)"""
_SETTLEMENT = "md5((number / 4)::text)::uuid::text"
_INSERT = f"""
    INSERT INTO jobqueue_job ({_COMMON})
    SELECT {_KIND}, {_QUEUE}, {_PAYLOAD.format(settlement=_SETTLEMENT)},
        'settlements.settlement:' || {_SETTLEMENT}, {{columns}}
    FROM generate_series(%s::bigint, %s::bigint) AS number
"""
_STATES = (
    _INSERT.format(
        columns="""1, 0, 60, '', now() - interval '1 hour' + number * interval '1 millisecond',
        'waiting', now() - interval '1 hour', now() - interval '1 hour' + number * interval '1 millisecond',
        NULL, NULL, NULL"""
    ),
    _INSERT.format(
        columns="""1, 0, 60, '', now() - interval '1 hour',
        'waiting', now() + interval '1 hour' + number * interval '1 second', NULL, NULL, NULL,
        'reminder:' || number"""
    ),
    _INSERT.format(
        columns="""4, 4, 60, 'SMTPServerDisconnected: please run connect() first', now() - interval '2 hours',
        'failed', now() - interval '1 hour', now() - interval '1 hour', now() - interval '1 hour',
        now() - interval '59 minutes' + number * interval '1 millisecond', NULL"""
    ),
)


def main() -> None:
    """Grow, or time every operation; prints lists of milliseconds."""
    django.setup()
    options: dict[str, int] = json.loads(sys.argv[1])
    if "grow" in options:
        _grow(options["grow"])
        print(json.dumps({"rows": _count()}))
        return
    answer: dict[str, Any] = {}
    for name, operation in _operations().items():
        times, refused = _run(operation)
        answer |= {f"{name}_milliseconds": [1000 * time for time in times], f"{name}_refused": refused}
    print(json.dumps(answer))


# The crowd ----------------------------------------------------------------------------------------


def _grow(size: int) -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        for statement in _STATES:
            cursor.execute(statement, [1, size])
        cursor.execute("VACUUM ANALYZE jobqueue_job")
        cursor.execute("CHECKPOINT")
    _publish_the_first()


def _count() -> int:
    from jobqueue.models import Job

    return Job.objects.count()


def _publish_the_first() -> None:
    """Put into Redis what will be claimed and looked for; its lists take no longer if they are longer."""
    from jobqueue.broker import queues
    from jobqueue.conf import get_settings
    from jobqueue.delivery.publishable import message_of
    from jobqueue.models import Job

    wanted = BATCH * ROUNDS * (_WARM_UP + _LOOKS) + get_settings().relay_batch * (_WARM_UP + _LOOKS)
    rows = Job.objects.waiting().filter(published_at__isnull=False).order_by("published_at", "id")
    queues.publish([message_of(job, "default") for job in rows[:wanted]])


# The operations -----------------------------------------------------------------------------------


class Refused(Exception):
    """A page answered something else than 200."""


def _operations() -> dict[str, Callable[[], Any]]:
    """By name, in the order in which they are run."""
    get = _pages()
    return {
        "claim": _claim_and_complete(),
        "relay": _relay_look(),
        "health": lambda: get("/health/queues"),
        "metrics": lambda: get("/metrics"),
        "admin": lambda: get("/admin/jobqueue/job/"),
        "admin_failed": lambda: get("/admin/jobqueue/failedjob/"),
    }


def _run(operation: Callable[[], Any]) -> tuple[list[float], int]:
    """The seconds that each run took, and how many were refused."""
    times: list[float] = []
    refused = 0
    for number in range(_WARM_UP + _LOOKS):
        started = time.perf_counter()
        try:
            operation()
        except Refused as answer:
            print(answer, file=sys.stderr)
            refused += number >= _WARM_UP
        if number >= _WARM_UP:
            times.append(time.perf_counter() - started)
    return times, refused


def _claim_and_complete() -> Callable[[], None]:
    from jobqueue.models import Worker
    from jobqueue.worker.claiming import Identity, Wanted, claim
    from jobqueue.worker.outcomes import Outcome, OutcomeStatus
    from jobqueue.worker.settling import settle_and_tell
    from jobqueue.worker.telling import Teller

    worker = Worker.objects.create(id=uuid.uuid4(), name="crowd", hostname="localhost", pid=1, threads=16)
    identity = Identity(worker.id, worker.name, ("email", "reminders", "settlement"))
    teller = Teller()

    def claim_and_complete() -> None:
        claims = claim(identity, Wanted(BATCH, identity.queues), teller).jobs
        outcomes = [Outcome(job, using, OutcomeStatus.COMPLETED, 0.001) for job, using in claims]
        if len(settle_and_tell(outcomes, identity, teller)) != BATCH:
            raise SystemExit(f"claimed and completed {len(claims)} jobs, not {BATCH}")

    return claim_and_complete


def _relay_look() -> Callable[[], None]:
    """What a relay asks the database and Redis at every look."""
    from jobqueue.delivery import lost, outbox

    lost = lost.LostMessages("default")

    def look() -> None:
        outbox.upcoming("default", 2.5)
        if outbox.publish_due("default") or lost.publish_again():
            raise SystemExit("the relay found something to publish, so its look was not only a look")

    return look


def _pages() -> Callable[[str], None]:
    from django.contrib.auth import get_user_model
    from django.test import Client

    user, _ = get_user_model().objects.get_or_create(
        username="operator", defaults={"is_staff": True, "is_superuser": True}
    )
    client = Client(headers={"host": "localhost"})
    client.force_login(user)

    def get(path: str) -> None:
        response = client.get(path, secure=True)
        if response.status_code != 200 or not response.content:
            raise Refused(f"{path} answered {response.status_code}")

    return get


if __name__ == "__main__":
    main()
