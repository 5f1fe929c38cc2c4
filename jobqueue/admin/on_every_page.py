"""What stands on every page of the admin: how many jobs are failed, before its title, and what is paused.

One question tells both. A page that has nothing to do with jobs fails for none of it.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from django.apps import apps
from django.db import DatabaseError, InterfaceError, connections
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.urls import NoReverseMatch, reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from jobqueue.admin.pausing import SEEN, ShownPause, shown
from jobqueue.admin.words import mask_addresses
from jobqueue.counts.paused import waiting_for, waiting_where_paused
from jobqueue.counts.reading import counts_of_database
from jobqueue.models import JobTally, Queue
from jobqueue.monitoring.overview import Overview
from jobqueue.monitoring.set_aside import MOST_COUNTED
from jobqueue.operating.words import grouped
from jobqueue.registry import all_processors
from jobqueue.sql.blame import may_be_of_a_row
from jobqueue.sql.clock import about_now
from jobqueue.sql.databases import databases
from jobqueue.sql.tolerant import holds_other_kinds

logger = logging.getLogger(__name__)
_KNOWN = "_jobqueue_on_every_page"
"""Where a request keeps what was asked."""
_NUMBERS = f"""
    SELECT (SELECT COALESCE(SUM(amount), 0) FROM jobqueue_jobtally
            WHERE kind = '{JobTally.Kind.FAILED}') AS failed,
        (SELECT COUNT(*) FROM (
            SELECT id FROM jobqueue_job WHERE NOT (set_aside = '') LIMIT {MOST_COUNTED}
        ) AS aside) AS aside
"""


@dataclass(frozen=True, slots=True)
class _Known:
    failed: int
    queues: list[Queue]
    aside: int | None = None


def before_title(request: HttpRequest) -> str:
    """`(3) `, or nothing, for who may see jobs; `(3+) ` where other databases may have more of them."""
    if not _may(request, "view_job"):
        return ""
    seen = _seen(request)
    failed = seen.failed if seen is not None else _known(request).failed
    # No page waits for another database to tell that.
    mark = "+" if seen is None and len(databases()) > 1 else ""
    return f"({grouped(failed)}{mark}) " if failed > 0 else ""


def set_aside(request: HttpRequest) -> int | None:
    """How many jobs of the page's own database are set aside, MOST_COUNTED at most; None if unknown."""
    return _known(request).aside


def failed(request: HttpRequest) -> int:
    """How many jobs of the page's own database are failed."""
    return _known(request).failed


def decided_about(name: str, request: HttpRequest) -> Queue | None:
    """What is decided about the queue of that name; None if nothing is, or if it is unknown."""
    return next((queue for queue in _known(request).queues if queue.name == name), None)


def banner(request: HttpRequest) -> SafeString:
    """What is paused now, by whom, why, until when, and how many jobs wait for it.

    For whoever may see anything of the job queue, or of an app whose jobs it runs: empty for others. Every
    answer to the script that keeps a page up to date has it too.
    """
    if not _is_concerned(request):
        return SafeString("")
    pauses = _pauses(request)
    may_look = _may(request, "view_queue")
    if not may_look:
        pauses = [replace(each, by=mask_addresses(each.by)) for each in pauses]
    said = [_("%(queue)s is paused.") % {"queue": each.queue} for each in pauses]
    context = {
        "pauses": pauses,
        "said": " ".join(said) or _("Nothing is paused."),
        "url": _queues(request) if may_look else "",
    }
    return render_to_string("admin/jobqueue/banner.html", context)


def _pauses(request: HttpRequest) -> list[ShownPause]:
    seen = _seen(request)
    if seen is not None:
        known = ((queue.decided, queue.counts.waiting) for queue in seen.queues.values())
        return _shown(known, seen.now, request)
    paused = [queue for queue in _known(request).queues if queue.paused]
    return _with_numbers(paused, about_now(), request)


def _queues(request: HttpRequest) -> str:
    site = getattr(request, "current_app", None)
    try:
        return reverse("admin:jobqueue_queue_changelist", current_app=site)
    except NoReverseMatch:
        return ""


def _is_concerned(request: HttpRequest) -> bool:
    user = getattr(request, "user", None)
    return user is not None and user.is_staff and any(map(user.has_module_perms, _apps()))


def _apps() -> set[str]:
    """The labels of the job queue and of the apps whose jobs it runs."""
    functions = (processor.function for processor in all_processors())
    found = (apps.get_containing_app_config(function.__module__) for function in functions)
    return {Queue._meta.app_label, *(app.label for app in found if app is not None)}


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
    try:
        queues, found = _read()
    except (DatabaseError, InterfaceError) as error:
        logger.warning("cannot tell what is failed and paused: %s: %s", type(error).__name__, error)
        return _Known(0, [])
    return _Known(int(found["failed"]), queues, int(found["aside"]))


def _read() -> tuple[list[Queue], Mapping[str, int]]:
    """What is decided about the queues, and the numbers of every page, also where no queue has a row."""
    using, join = Queue.objects.db, "LEFT JOIN jobqueue_queue ON TRUE"
    waiting = ", ".join(f"{sql} AS {name}" for name, sql in waiting_where_paused(using).items())
    columns = ", ".join(f"jobqueue_queue.{field.column}" for field in Queue._meta.concrete_fields)
    try:
        rows = list(
            Queue.objects.raw(f"SELECT {columns}, {waiting}, numbers.* FROM ({_NUMBERS}) AS numbers {join}")
        )
        if not holds_other_kinds(queues := [row for row in rows if row.pk is not None]):
            return queues, vars(rows[0])
    except Exception as error:
        if not may_be_of_a_row(error):
            raise
    with connections[using].cursor() as cursor:  # of one something can be read as a text only
        cursor.execute(_NUMBERS)
        return list(Queue.objects.all()), dict(zip(("failed", "aside"), cursor.fetchone(), strict=True))


def _with_numbers(paused: list[Queue], now: datetime, request: HttpRequest) -> list[ShownPause]:
    """With how many wait, where the databases that know are here anyway, or are files."""
    others = [using for using in databases() if using != Queue.objects.db]
    found: Counter[str] = Counter()
    is_known = all(connections[using].vendor == "sqlite" for using in others)
    try:
        for queue in paused if is_known else ():
            found[queue.name] += waiting_for(queue, Queue.objects.db)
        for using in others if paused and is_known else ():
            found.update({name: counts.waiting for name, counts in counts_of_database(using).items()})
    except (DatabaseError, InterfaceError):
        is_known = False
    known = ((queue, found[queue.name] if is_known else None) for queue in paused)
    return _shown(known, now, request)


def _shown(
    queues: Iterable[tuple[Queue, int | None]], now: datetime, request: HttpRequest
) -> list[ShownPause]:
    pauses = (shown(queue, now, request, holds) for queue, holds in queues)
    return [each for each in pauses if each is not None]
