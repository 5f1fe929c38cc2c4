"""The signs of trouble in one database, by one statement: what waits longest, fails, is stuck, is unknown.

Each part looks into an index that has only such rows, and no further than MOST_COUNTED of them: a million
completed jobs cost nothing, and of a million failed ones the newest are read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connections

from jobqueue.conf import get_settings
from jobqueue.models import ChartHour
from jobqueue.models.held import HELD_UNTIL
from jobqueue.models.unknown import UNKNOWN_AFTER
from jobqueue.sql.tolerant import LAST, as_text

MOST_COUNTED = 10_000
LATELY = timedelta(hours=1)
_HOUR = timedelta(hours=1)
SOON = timedelta(hours=1)
"""What is to be retried is looked for among the jobs whose time comes within so long."""
USUALLY = timedelta(days=1)
"""What is usual is measured over so long before `LATELY`."""


@dataclass(frozen=True, slots=True)
class Sign:
    """So many jobs, and since when; `number` is no larger than MOST_COUNTED + 1."""

    number: int = 0
    since: datetime | None = None

    def __add__(self, other: Sign) -> Sign:
        times = [moment for moment in (self.since, other.since) if moment is not None]
        return Sign(self.number + other.number, min(times, default=None))


@dataclass(slots=True)
class Signs:
    """What one statement found."""

    now: datetime = LAST
    oldest: dict[str, datetime] = field(default_factory=dict)
    """By queue the time at which the job was due that is due for longest; none where none is due."""
    failed: dict[str, Sign] = field(default_factory=dict)
    """By queue what failed within LATELY, of causes that are not muted."""
    usual: Sign = field(default_factory=Sign)
    """What failed within USUALLY before that and is failed still: the newest of it."""
    usual_muted: Sign = field(default_factory=Sign)
    """The same of causes that are muted."""
    counted: int = 0
    """How many failed in the last whole hours of USUALLY before that, whatever became of them since."""
    muted: int = 0
    """Whether any cause is muted."""
    aside: int = 0
    """Jobs that are set aside."""
    read_only: int = 0
    """Whether the database takes no changes; of a file it is not told."""
    stuck: dict[str, Sign] = field(default_factory=dict)
    """By queue the active jobs whose worker is gone or that ran past their limit."""
    unknown: Sign = field(default_factory=Sign)
    """Waiting jobs that no worker knows: none for UNKNOWN_AFTER, not those that one alone did not know."""
    held: Sign = field(default_factory=Sign)
    """Held jobs whose time lies ahead."""
    held_late: Sign = field(default_factory=Sign)
    """Held jobs that were to have run by now."""
    started: dict[str, int] = field(default_factory=dict)
    """By queue how many of the jobs that run began in the last minute, how many failed in it, and how many
    runs failed in it that others follow.
    """
    to_retry: dict[str, int] = field(default_factory=dict)
    """By queue how many jobs will run again SOON whose last run failed, of the first MOST_COUNTED."""


def read_signs(using: str, queues: Sequence[str]) -> Signs:
    """The signs of one database, with the oldest due job of these queues."""
    connection = connections[using]
    with connection.cursor() as cursor:
        text = _text_of(connection.vendor, len(queues), has_hours=using == ChartHour.objects.db)
        cursor.execute(text, [name for name in queues for _ in range(2)])
        rows = cursor.fetchall()
    signs = Signs()
    for kind, queue, number, since in rows:
        _note(signs, kind, as_text(queue), int(number), _moment(since))
    signs.oldest = {queue: since for queue, since in signs.oldest.items() if since <= signs.now}
    return signs


def _note(signs: Signs, kind: str, queue: str, number: int, since: datetime | None) -> None:
    if kind == "now":
        signs.now = since or LAST
    elif kind == "oldest" and since is not None:
        signs.oldest[queue] = since
    elif kind in ("failed", "stuck"):
        getattr(signs, kind)[queue] = Sign(number, since)
    elif kind == "started":
        signs.started[queue] = signs.started.get(queue, 0) + number
    elif kind == "to_retry":
        signs.to_retry[queue] = number
    elif kind in ("counted", "muted", "aside", "read_only"):
        setattr(signs, kind, number)
    elif kind in ("usual", "usual_muted", "unknown", "held", "held_late"):
        setattr(signs, kind, Sign(number, since))


def _moment(value: Any) -> datetime | None:
    """A time as the driver gives it; SQLite keeps it as text, and anything else beside it."""
    if value is None or isinstance(value, datetime):
        return value
    try:
        moment = datetime.fromisoformat(as_text(value))
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def ago(vendor: str, seconds: float) -> str:
    """The moment so many seconds ago; with a number below 0 it lies ahead."""
    if vendor == "sqlite":
        return f"strftime('%%Y-%%m-%%d %%H:%%M:%%f', 'now', '{-seconds:+.3f} seconds')"
    return f"STATEMENT_TIMESTAMP() - INTERVAL '{seconds:.3f} seconds'"


def _text_of(vendor: str, queues: int, *, has_hours: bool) -> str:
    """The statement, for so many queues; `has_hours` where the hours of the charts are kept."""
    settings = get_settings()
    parts = [_NOW, *[_OLDEST] * queues, _FAILED, _USUAL, _STUCK, _UNKNOWN, _HELD, _STARTED, _ASIDE, _MUTED]
    parts += [_TO_RETRY]
    parts += [_COUNTED] if has_hours else []
    parts += [_READ_ONLY] if vendor == "postgresql" else []
    # SQLite keeps any bytes as a text, and cannot give back those that are none.
    as_bytes = "CAST({} AS BLOB)" if vendor == "sqlite" else "{}"
    first = "CAST(MIN({}) AS BLOB)" if vendor == "sqlite" else "MIN({})"
    return " UNION ALL ".join(parts).format(
        now=ago(vendor, 0),
        lately=ago(vendor, LATELY.total_seconds()),
        usually=ago(vendor, (LATELY + USUALLY).total_seconds()),
        first_hour=ago(vendor, (LATELY + _HOUR + USUALLY).total_seconds()),
        last_hour=ago(vendor, (LATELY + _HOUR).total_seconds()),
        a_minute_ago=ago(vendor, 60),
        soon=ago(vendor, -SOON.total_seconds()),
        unknown_since=ago(vendor, UNKNOWN_AFTER.total_seconds()),
        silent_since=ago(vendor, settings.worker_silence),
        overdue_since=ago(vendor, settings.timeout_grace),
        given="CAST(%s AS BLOB)" if vendor == "sqlite" else "%s::text",
        queue=as_bytes.format("queue"),
        run_at=first.format("run_at"),
        finished_at=first.format("finished_at"),
        started_at=first.format("started_at"),
        unfit_since=first.format("unfit_since"),
        held_run_at=first.format("held_run_at"),
        held_until=HELD_SINCE[vendor],
        most=MOST_COUNTED + 1,
    )


# Kind, queue, number and since when. The second condition on a state is the index's: SQLite uses the index
# only where it is repeated.
_NOW = "SELECT 'now', '', 0, {now}"
_READ_ONLY = "SELECT 'read_only', '', (current_setting('transaction_read_only') = 'on')::int, NULL"
# Of what no worker knows none is late: more workers would not help it. However much of that there is, no more
# than so many rows are looked at.
_OLDEST = """
    SELECT 'oldest', {given}, 0, {run_at} FROM (
        SELECT run_at FROM (
            SELECT run_at, unfit_since FROM jobqueue_job
            WHERE queue = %s AND state = 'waiting' AND state IN ('waiting', 'failed')
            ORDER BY run_at LIMIT {most}
        ) AS first WHERE unfit_since IS NULL OR unfit_since > {unknown_since} ORDER BY run_at LIMIT 1
    ) AS oldest
"""
_NOT_MUTED = "cause NOT IN (SELECT name FROM jobqueue_cause WHERE muted_at IS NOT NULL)"
_MUTED = "SELECT 'muted', '', COUNT(*), NULL FROM jobqueue_cause WHERE muted_at IS NOT NULL"
_FAILED = f"""
    SELECT 'failed', {{queue}}, COUNT(*), {{finished_at}} FROM (
        SELECT queue, finished_at FROM jobqueue_job
        WHERE state = 'failed' AND finished_at > {{lately}} AND {_NOT_MUTED}
        ORDER BY finished_at DESC LIMIT {{most}}
    ) AS late GROUP BY queue
"""
_USUAL = f"""
    SELECT CASE WHEN {_NOT_MUTED} THEN 'usual' ELSE 'usual_muted' END, '', COUNT(*), {{finished_at}} FROM (
        SELECT finished_at, cause FROM jobqueue_job
        WHERE state = 'failed' AND finished_at > {{usually}} AND finished_at <= {{lately}}
        ORDER BY finished_at DESC LIMIT {{most}}
    ) AS earlier GROUP BY 1
"""
# An hour is counted by its beginning: none of these reaches into what is looked at as lately.
_COUNTED = """
    SELECT 'counted', '', CAST(COALESCE(SUM(jobs), 0) AS BIGINT), NULL FROM jobqueue_charthour
    WHERE hour > {first_hour} AND hour <= {last_hour} AND outcome = 'failed'
        AND jobs BETWEEN 0 AND 1000000000
"""
IS_STUCK = """state = 'active' AND (
    worker_id IS NULL OR deadline_at < {overdue_since}
    OR worker_id NOT IN (SELECT id FROM jobqueue_worker WHERE heartbeat_at >= {silent_since})
)"""
_STUCK = f"""
    SELECT 'stuck', {{queue}}, COUNT(*), {{started_at}} FROM (
        SELECT queue, started_at FROM jobqueue_job WHERE {IS_STUCK} LIMIT {{most}}
    ) AS stuck GROUP BY queue
"""
_UNKNOWN = """
    SELECT 'unknown', '', COUNT(*), {unfit_since} FROM (
        SELECT unfit_since FROM jobqueue_job
        WHERE state = 'waiting' AND unfit_since IS NOT NULL AND unfit_since <= {unknown_since} LIMIT {most}
    ) AS unfit
"""
_ASIDE = """
    SELECT 'aside', '', COUNT(*), NULL FROM (
        SELECT id FROM jobqueue_job WHERE NOT (set_aside = '') LIMIT {most}
    ) AS aside
"""
HELD_SINCE = {
    "sqlite": f"'{HELD_UNTIL:%Y-%m-%d %H:%M:%S}'",
    "postgresql": f"TIMESTAMPTZ '{HELD_UNTIL.isoformat()}'",
}
IS_HELD = """state = 'waiting' AND published_at IS NULL AND run_at >= {held_until}
    AND held_run_at IS NOT NULL"""
_HELD = f"""
    SELECT CASE WHEN held_run_at <= {{now}} THEN 'held_late' ELSE 'held' END, '', COUNT(*), {{held_run_at}}
    FROM (SELECT held_run_at FROM jobqueue_job WHERE {IS_HELD} LIMIT {{most}}) AS held GROUP BY 1
"""
_STARTED = """
    SELECT 'started', {queue}, COUNT(*), NULL FROM jobqueue_job
    WHERE state = 'active' AND started_at > {a_minute_ago} GROUP BY queue
    UNION ALL
    SELECT 'started', {queue}, COUNT(*), NULL FROM (
        SELECT queue FROM jobqueue_job WHERE state = 'failed' AND finished_at > {a_minute_ago}
        ORDER BY finished_at DESC LIMIT {most}
    ) AS failed_now GROUP BY queue
    UNION ALL
    SELECT 'started', {queue}, COUNT(*), NULL FROM (
        SELECT job_id FROM jobqueue_attempt WHERE is_retried AND finished_at > {a_minute_ago}
        ORDER BY finished_at DESC LIMIT {most}
    ) AS retried_now JOIN jobqueue_job ON jobqueue_job.id = job_id GROUP BY queue
"""
# The index has no attempts: of what is due soon, next to nothing at most times, each row is looked at.
_TO_RETRY = """
    SELECT 'to_retry', {queue}, COUNT(*), NULL FROM (
        SELECT id, queue, attempt FROM jobqueue_job
        WHERE state = 'waiting' AND published_at IS NULL AND run_at > {now} AND run_at <= {soon}
        ORDER BY run_at LIMIT {most}
    ) AS soon WHERE attempt > 1 AND EXISTS (
        SELECT 1 FROM jobqueue_attempt
        WHERE job_id = soon.id AND number = soon.attempt - 1 AND is_retried
    ) GROUP BY queue
"""
