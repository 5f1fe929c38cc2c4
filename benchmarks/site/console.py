"""The operators' console among many rows: `python -m benchmarks.site.console <options as JSON>`.

`{"fill": share}` writes the rows of a busy site, at a share of 1 a million completed jobs and 100,000 failed
and 100,000 delayed ones; `{}` asks for every page, in process, and prints what each took.
"""

from __future__ import annotations

import json
import re
import sys
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, timedelta
from functools import partial
from typing import Any
from urllib.parse import quote_plus

import django

from benchmarks.console_pages import PAGES, TimedPage

_WARM_UP = 2
_LOOKS = 20
_OPERATORS = 5

COMPLETED, FAILED, DELAYED = 1_000_000, 100_000, 100_000
PEOPLE, SETTLEMENTS, LETTERS, ENTRIES = 5_000, 100_000, 300_000, 500_000

# As in `crowd`: the jobs of a busy site, each about a settlement and for a person.
_COLUMNS = """processor, queue, payload, subject, attempt, failures, timeout, reason, cause,
    created_at, state, run_at, published_at, started_at, deadline_at, finished_at, worker_id, unique_key"""
_KIND = "(ARRAY['email.notification', 'reminders.send', 'settlement.auto_complete'])[1 + n % 3]"
_QUEUE = "(ARRAY['email', 'reminders', 'settlement'])[1 + n % 3]"
_PAYLOAD = """jsonb_build_object('user_id', 1 + n % {people}, 'email', 'user' || 1 + n % {people}
    || '@example.com', 'email_subject', '', 'template_type', 'settlement_created',
    'settlement_id', md5((n % {settlements})::text)::uuid,
    'template_data', jsonb_build_object('settlement_id', md5((n % {settlements})::text)::uuid))"""
_SUBJECT = "'settlements.settlement:' || md5((n % {settlements})::text)::uuid"
_JOB = f"INSERT INTO jobqueue_job ({_COLUMNS}) SELECT {_KIND}, {_QUEUE}, {_PAYLOAD}, {_SUBJECT}, "
_CAUSE = """(ARRAY['EmailNotSent: SMTPRecipientsRefused 550', 'EmailNotSent: SMTPRecipientsRefused 550',
    'TimeoutError', 'ValueError: no such settlement', 'EmailNotSent: SMTPServerDisconnected'])[1 + n % 5]"""
_REASON = """(ARRAY['EmailNotSent: SMTPRecipientsRefused: {{...: (550, mailbox full)}}',
    'EmailNotSent: SMTPRecipientsRefused: (550, unknown user)', 'TimeoutError: timed out',
    'ValueError: no such settlement',
    'EmailNotSent: SMTPServerDisconnected: Connection closed'])[1 + n % 5]"""
_AGO = "now() - ({jobs} - n) * interval '5 seconds'"
_KINDS = (
    ("email", "email.notification"),
    ("reminders", "reminders.send"),
    ("settlement", "settlement.auto_complete"),
)
_IN_FIVE_MINUTES, _SPREAD_OVER = 400, 8
"""Jobs of one kind that ended in one way, and the buckets of time that they are spread over."""
_STATEMENTS = (
    """INSERT INTO auth_user (username, email, first_name, last_name, password, is_superuser, is_staff,
        is_active, date_joined)
    SELECT 'user' || n, 'user' || n || '@example.com', 'Anna', 'Name ' || n, '', false, false, true, now()
    FROM generate_series(1, {people}) AS n""",
    """INSERT INTO settlements_settlement (id, description, amount_currency, amount, due_date, status,
        reminders_paused, created_at, updated_at, announced_status, announced_due_date, payee_id, payer_id,
        announced_payer_id)
    SELECT md5(n::text)::uuid, 'Rent ' || n, 'EUR', 100, now() + (n % 60 - 30) * interval '1 day',
        'pending', false, now() - n * interval '1 minute', now(), 'pending',
        now() + (n % 60 - 30) * interval '1 day', 1 + (n + 1) % {people}, 1 + n % {people},
        1 + n % {people}
    FROM generate_series(0, {settlements} - 1) AS n""",
    """INSERT INTO settlements_emaildelivery (message_id, recipient, template_type, subject, about, status,
        tries, error, created_at, sent_at, provider_id, user_id)
    SELECT 'message' || n, 'user' || 1 + n % {people} || '@example.com', 'settlement_created', 'Rent ' || n,
        'settlements.settlement:' || md5((n % {settlements})::text)::uuid, 'sent', 1, '',
        now() - ({letters} - n) * interval '10 seconds', now() - ({letters} - n) * interval '10 seconds', '',
        1 + n % {people}
    FROM generate_series(1, {letters}) AS n""",
    """INSERT INTO settlements_reminderdelivery (reminder_type, step, due_date, created_at, recipient_id,
        settlement_id, status)
    SELECT 'follow_up', n / {settlements}, now(), now() - ({letters} - n) * interval '10 seconds',
        1 + n % {people}, md5((n % {settlements})::text)::uuid, 'delivered'
    FROM generate_series(1, {letters}) AS n""",
    """INSERT INTO jobqueue_worker (id, name, hostname, pid, queues, threads, heartbeat_at, stopping)
    SELECT md5('worker' || n)::uuid, 'web-' || n, 'web-' || n, 4000 + n,
        '["email", "reminders", "settlement"]', 16, now() + interval '1 day', false
    FROM generate_series(1, 8) AS n""",
    # What ended: of eleven jobs one failed, a thousand after each other, as while a server is away.
    _JOB
    + f"""CASE WHEN (n / 1000) % 11 = 0 THEN 4 ELSE 1 END,
        CASE WHEN (n / 1000) % 11 = 0 THEN 4 ELSE 0 END, 60, CASE WHEN (n / 1000) % 11 = 0 THEN {_REASON}
            WHEN n % 101 = 0 THEN 'skipped: already paid' ELSE '' END,
        CASE WHEN n % 220000 = 500 THEN 'KeyError' WHEN (n / 1000) % 11 = 0 THEN {_CAUSE} ELSE '' END, {_AGO},
        CASE WHEN (n / 1000) % 11 = 0 THEN 'failed' ELSE 'completed' END, {_AGO}, {_AGO}, {_AGO}, {_AGO},
        {_AGO} + interval '2 seconds', md5('worker' || 1 + n % 8)::uuid, NULL
    FROM generate_series(1, {{jobs}}) AS n""",
    _JOB
    + """1, 0, 60, '', '', now() - interval '1 hour', 'waiting', now() + n * interval '26 seconds',
        NULL, NULL, NULL, NULL, NULL, 'reminder:' || n FROM generate_series(1, {delayed}) AS n""",
    _JOB
    + """1, 0, 60, '', '', now(), 'active', now(), now(), now() - n * interval '1 second',
        now() + interval '1 hour', NULL, md5('worker' || 1 + n % 8)::uuid, NULL
    FROM generate_series(1, 120) AS n""",
    """INSERT INTO jobqueue_attempt (number, error_class, message, traceback, worker_name, started_at,
        finished_at, job_id)
    SELECT number, split_part(reason, ':', 1), reason, 'Traceback', 'web-1', started_at, finished_at, id
    FROM jobqueue_job, generate_series(1, 4) AS number WHERE state = 'failed'""",
    """INSERT INTO jobqueue_auditentry (at, who, verb, text, reason, object_type, object_id, object_name,
        queue, jobs, job_ids)
    SELECT now() - ({entries} - n) * interval '30 seconds', 'operator' || n % {operators}, 'retry',
        'Retry: failed → waiting', '', 'jobqueue.job', n::text, 'job ' || n, 'email', 1, jsonb_build_array(n)
    FROM generate_series(1, {entries}) AS n""",
    """INSERT INTO django_admin_log (action_time, object_id, object_repr, action_flag, change_message,
        content_type_id, user_id)
    SELECT now() - ({entries} - n) * interval '30 seconds', n::text, 'job ' || n, 2,
        'Retry: failed → waiting', (SELECT id FROM django_content_type
            WHERE app_label = 'jobqueue' AND model = 'job'), 1 + n % {people}
    FROM generate_series(1, {entries}) AS n""",
    """INSERT INTO settlements_payment (id, settlement_id, amount_currency, amount, refunded_amount, status,
        failure_reason, created_at, updated_at, announced_status)
    SELECT md5('payment' || n)::uuid, md5(n::text)::uuid, 'EUR', 10, 0, 'completed', '',
        now() - n * interval '1 minute', now(), 'completed'
    FROM generate_series(0, {settlements} - 1) AS n""",
    """INSERT INTO settlements_barredaddress (address, cause, detail, barred_at, clearing_reason)
    SELECT 'gone' || n || '@example.com', 'bounced', '550 no such mailbox', now(), ''
    FROM generate_series(1, {people}) AS n""",
    """INSERT INTO settlements_discrepancy (kind, amount, currency, detail, opened_at, closing_reason,
        settlement_id)
    SELECT 'overpaid', 1, 'EUR', '', now(), '', md5(n::text)::uuid
    FROM generate_series(1, {people}) AS n""",
    """INSERT INTO jobqueue_bulkaction (verb, selection, key, highest_id, position, expected, changed, reason,
        asked_by, began_at, ended_at, stopped_by)
    SELECT 'retry', '{{"state": "failed"}}', n::text, 1, 1, 100, 100, 'mended', 'operator1', now(), now(), ''
    FROM generate_series(1, {people}) AS n""",
    """INSERT INTO jobqueue_charthour (hour, queue, processor, outcome, jobs, runs, waits)
    SELECT date_trunc('hour', now()) - n * interval '1 hour', queue, processor, outcome, 500,
        (SELECT jsonb_agg(CASE WHEN b = 5 THEN 500 ELSE 0 END) FROM generate_series(1, 24) AS b),
        (SELECT jsonb_agg(CASE WHEN b = 9 THEN 500 ELSE 0 END) FROM generate_series(1, 24) AS b)
    FROM generate_series(0, 90 * 24 - 1) AS n, (VALUES ('email', 'email.notification'),
        ('reminders', 'reminders.send'), ('settlement', 'settlement.auto_complete'))
        AS kinds (queue, processor), (VALUES ('completed'), ('failed')) AS outcomes (outcome)""",
)


def main() -> None:
    """Fill the tables, or time every page."""
    django.setup()
    options: dict[str, Any] = json.loads(sys.argv[1])
    print(json.dumps(_fill(options["fill"]) if "fill" in options else _time_pages()))


def _fill(share: float) -> dict[str, int]:
    from django.db import connection

    sizes = {
        "jobs": int((COMPLETED + FAILED) * share),
        "delayed": int(DELAYED * share),
        "people": int(PEOPLE * share),
        "settlements": int(SETTLEMENTS * share),
        "letters": int(LETTERS * share),
        "entries": int(ENTRIES * share),
        "operators": _OPERATORS,
    }
    with connection.cursor() as cursor:
        for statement in _STATEMENTS:
            cursor.execute(statement.format(**sizes))
        cursor.execute("VACUUM ANALYZE")
    _fill_charts()
    return {"rows": sizes["jobs"] + sizes["delayed"]}


def _fill_charts() -> None:
    """Two days of five minutes, in each of which every processor's jobs ended in three ways."""
    from jobqueue.broker import chart, queues
    from jobqueue.broker.tallies import Tally
    from jobqueue.charting.folding import home
    from jobqueue.sql.clock import database_now

    last = int(database_now(home()).timestamp()) // chart.PERIOD
    for period in range(last - chart.KEPT_PERIODS, last + 1):
        told = {}
        for queue, processor in _KINDS:
            for outcome in ("completed", "failed", "skipped"):
                tally = Tally(_IN_FIVE_MINUTES)
                for bucket in range(_SPREAD_OVER):
                    tally.runs[bucket] = tally.waits[bucket + 2] = _IN_FIVE_MINUTES // _SPREAD_OVER + bucket
                told[period, chart.Group(queue, processor, outcome)] = tally
        queues.finish([], uuid.uuid4().hex, {}, None, chart.records_of(told))


# The pages ----------------------------------------------------------------------------------------


def _time_pages() -> dict[str, Any]:
    """Every page's milliseconds, warm, how many queries it took, and what it answered."""
    from spendsync_site.warm import warm_up

    warm_up()
    get = _operator()
    names = dict(_names(get))
    return {page.key: _timed(get, _address(page, names)) for page in PAGES}


def _operator() -> Any:
    """Who may do everything and is no superuser, of whom nobody would ask what they may do."""
    from django.contrib.auth import get_user_model
    from django.contrib.auth.models import Group, Permission
    from django.test import Client

    user, _ = get_user_model().objects.get_or_create(username="operator", defaults={"is_staff": True})
    user.groups.set(Group.objects.all())
    user.user_permissions.set(Permission.objects.all())
    client = Client(headers={"host": "localhost"}, raise_request_exception=False)
    client.force_login(user)
    return partial(client.get, secure=True)


def _names(get: Any) -> Iterator[tuple[str, str]]:
    """What the names in addresses stand for."""
    from django.contrib.auth import get_user_model
    from django.utils import timezone

    from jobqueue.models import Job
    from settlements.models import Settlement

    yield "job", str(Job.objects.filter(state="completed").latest("pk").pk)
    yield "failed", str(Job.objects.failed().latest("pk").pk)
    yield "settlement", str(Settlement.objects.get(description="Rent 77").pk)
    yield "person", str(get_user_model().objects.get(username="user77").pk)
    yield "day", str(timezone.localdate() + timedelta(days=3))
    yield "yesterday", str(timezone.localdate() - timedelta(days=1))
    begin = timezone.now().replace(minute=0, second=0, microsecond=0, tzinfo=UTC) - timedelta(hours=3)
    times = (moment.strftime("%Y-%m-%dT%H:%M:%SZ") for moment in (begin, begin + timedelta(hours=1)))
    yield "hour", "ended_from={}&ended_to={}".format(*times)
    number = Job.objects.count() * 9 // 10
    yield "older", _older(Job.objects.order_by("-pk").filter(pk__lte=number))
    yield "older_failed", _older(Job.objects.failed().order_by("-finished_at", "-pk"), 0.5)


def _older(rows: Any, share: float = 0) -> str:
    """The place in an address of the page behind a row of these."""
    from jobqueue.admin.keyed_pages import Part

    part = Part.of(rows)
    number = int(rows.count() * share)
    return f"p={part.place_of(0, part.rows[number : number + 1][0]).as_text()}" if part else ""


def _address(page: TimedPage, names: dict[str, str]) -> str:
    address = re.sub(r"\{q:(.*)\}$", lambda found: f"q={quote_plus(found[1])}", page.address)
    return address.format(**names)


def _timed(get: Any, address: str) -> dict[str, Any]:
    from django.db import connection, reset_queries

    times, status = [], 200
    for number in range(_WARM_UP + _LOOKS):
        started = time.perf_counter()
        status = get(address).status_code
        if number >= _WARM_UP:
            times.append(1000 * (time.perf_counter() - started))
    connection.force_debug_cursor = True
    reset_queries()
    get(address)
    queries = len(connection.queries)
    connection.force_debug_cursor = False
    return {"milliseconds": times, "queries": queries, "status": status}


if __name__ == "__main__":
    main()
