"""What stands on every page of the admin: how many jobs are failed, before its title, and what is paused.

One question tells both. A page that has nothing to do with jobs fails for none of it.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db import DatabaseError, InterfaceError, connections
from django.http import HttpRequest

from jobqueue.admin.pausing import SEEN, ShownPause, shown
from jobqueue.counts.reading import counts_of_database
from jobqueue.models import JobTally, Queue
from jobqueue.monitoring.overview import Overview
from jobqueue.operating.words import grouped
from jobqueue.sql.clock import about_now
from jobqueue.sql.databases import databases

logger = logging.getLogger(__name__)
_KNOWN = "_jobqueue_on_every_page"
"""Where a request keeps what was asked."""
_ASKED = f"""
    SELECT (SELECT COALESCE(SUM(amount), 0) FROM jobqueue_jobtally WHERE kind = '{JobTally.Kind.FAILED}'),
        EXISTS (SELECT 1 FROM jobqueue_queue WHERE paused)
"""


@dataclass(frozen=True, slots=True)
class _Known:
    failed: int
    paused: list[Queue]


def before_title(request: HttpRequest) -> str:
    """`(3) `, or nothing, for who may see jobs; `(3+) ` where other databases may have more of them."""
    if not _may(request, "view_job"):
        return ""
    seen = _seen(request)
    failed = seen.failed if seen is not None else _known(request).failed
    # No page waits for another database to tell that.
    mark = "+" if seen is None and len(databases()) > 1 else ""
    return f"({grouped(failed)}{mark}) " if failed > 0 else ""


def banner(request: HttpRequest) -> list[ShownPause]:
    """What is paused now, for who may see queues."""
    if not _may(request, "view_queue"):
        return []
    seen = _seen(request)
    if seen is not None:
        known = ((queue.decided, queue.counts.waiting) for queue in seen.queues.values())
        return _shown(known, seen.now)
    return _with_numbers(_known(request).paused, about_now())


def _may(request: HttpRequest, codename: str) -> bool:
    user = getattr(request, "user", None)
    return user is not None and user.is_staff and user.has_perm(f"jobqueue.{codename}")


def _seen(request: HttpRequest) -> Overview | None:
    found: Overview | None = getattr(request, SEEN, None)
    return found


def _known(request: HttpRequest) -> _Known:
    if not hasattr(request, _KNOWN):
        setattr(request, _KNOWN, _ask())
    found: _Known = getattr(request, _KNOWN)
    return found


def _ask() -> _Known:
    using = Queue.objects.db
    try:
        with connections[using].cursor() as cursor:
            cursor.execute(_ASKED)
            failed, is_paused = cursor.fetchone()
        return _Known(int(failed), list(Queue.objects.filter(paused=True)) if is_paused else [])
    except (DatabaseError, InterfaceError) as error:
        logger.warning("cannot tell what is failed and paused: %s: %s", type(error).__name__, error)
        return _Known(0, [])


def _with_numbers(paused: list[Queue], now: datetime) -> list[ShownPause]:
    """With how many wait, where the databases that know are here anyway, or are files."""
    found: Counter[str] = Counter()
    is_known = all(
        using == Queue.objects.db or connections[using].vendor == "sqlite" for using in databases()
    )
    try:
        for using in databases() if paused and is_known else ():
            found.update({name: counts.waiting for name, counts in counts_of_database(using).items()})
    except (DatabaseError, InterfaceError):
        is_known = False
    return _shown(((queue, found[queue.name] if is_known else None) for queue in paused), now)


def _shown(queues: Iterable[tuple[Queue, int | None]], now: datetime) -> list[ShownPause]:
    pauses = (shown(queue, now, holds) for queue, holds in queues)
    return [each for each in pauses if each is not None]
