"""The overview: whether anything is wrong, one sentence or up to five findings, and a tile for each queue."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from jobqueue.admin import findings_of_queues, on_every_page, pause_form, pausing
from jobqueue.admin.charts import chart_of_a_day
from jobqueue.admin.findings import Finding, findings_of_apps
from jobqueue.admin.findings_of_queues import findings_of_queues as find
from jobqueue.admin.limits import limits_of
from jobqueue.admin.words import NOTHING, length_tag, time_tag
from jobqueue.monitoring.overview import Overview, QueueNow, look
from jobqueue.operating.words import grouped, printable

MOST_FINDINGS = 5
REFRESH_SECONDS = 4
CHART_SECONDS = 20
"""A column of the chart is ten minutes long, and to draw it takes longer than all else on the page."""


@dataclass(frozen=True, slots=True)
class ShownFinding:
    """A finding with its time as the page shows it."""

    finding: Finding
    since: SafeString | str


@dataclass(frozen=True, slots=True)
class Tile:
    """One queue as the page shows it."""

    number: str
    """Its place on the page, for the ids of its elements."""
    name: str
    """As the queue's rows and forms call it."""
    shown_name: str
    facts: list[Fact]
    pause: pausing.ShownPause | None
    limits: str
    url: str


@dataclass(frozen=True, slots=True)
class Fact:
    """One figure of a tile; `is_bad` asks for attention."""

    label: str
    value: str
    url: str = ""
    is_bad: bool = False
    title: str = ""


def may_look(request: HttpRequest) -> bool:
    """Whether this user may know anything of jobs or queues."""
    return request.user.has_perm("jobqueue.view_job") or request.user.has_perm("jobqueue.view_queue")


def seen_by(request: HttpRequest) -> Overview | None:
    """What there is at this moment, asked once for a request; None for who may not look."""
    if not hasattr(request, pausing.SEEN):
        setattr(request, pausing.SEEN, look() if may_look(request) else None)
    found: Overview | None = getattr(request, pausing.SEEN)
    return found


def context_of(request: HttpRequest) -> dict[str, Any]:
    """What the template shows; without `seen` nothing."""
    seen = seen_by(request)
    if seen is None:
        return {"seen": None}
    found = sorted([*find(seen, request), *findings_of_apps(request)], key=lambda each: -each.weight)
    return {
        "seen": seen,
        "request": request,
        "sentence": _sentence(found),
        "before_title": on_every_page.before_title(request),
        "findings": [ShownFinding(each, _since(each.since, seen.now)) for each in found[:MOST_FINDINGS]],
        "more": len(found) - MOST_FINDINGS,
        "tiles": _tiles(seen, request),
        "seconds": REFRESH_SECONDS,
        "switches": pausing.allowed_buttons(request),
        "pauses": pause_form.OFFERED,
        "back": pause_form.TO_OVERVIEW,
    }


def chart_of(request: HttpRequest, now: datetime | None = None) -> dict[str, Any]:
    """The chart of a day, and how often it is looked at again; `now` as the database's clock shows it."""
    return {
        "chart": chart_of_a_day(request, now),
        "chart_seconds": CHART_SECONDS,
        "before_title": on_every_page.before_title(request),
    }


def _sentence(found: list[Finding]) -> str:
    if not found:
        return _("All is well.")
    return ngettext("%(number)s thing is wrong.", "%(number)s things are wrong.", len(found)) % {
        "number": len(found)
    }


def _since(moment: datetime | None, now: datetime) -> SafeString | str:
    return time_tag(moment, now) if moment is not None else ""


def _tiles(seen: Overview, request: HttpRequest) -> list[Tile]:
    if not request.user.has_perm("jobqueue.view_queue"):
        return []
    shown = [queue for queue in seen.queues.values() if queue.is_configured]
    return [_tile(str(number), queue, seen, request) for number, queue in enumerate(shown, 1)]


def _limited(queue: QueueNow, seen: Overview) -> str:
    """The limits of the queue, and of its processors: `10 a second, email.notification 3 at once`."""
    rows = findings_of_queues.limited_processors(queue, seen)
    of_processors = [f"{printable(row.name)} {limits_of(row)}" for row in rows]
    return ", ".join(filter(None, [limits_of(queue.decided), *of_processors]))


def _failed_title() -> str:
    return _("Failed still, by causes that are not muted.")


def _started_title() -> str:
    return _(
        "About: the runs that completed, failed, are followed by another after an error, or began in the last"
        " minute. Those that only asked for another time are not counted."
    )


def _to_retry(queue: QueueNow, request: HttpRequest) -> list[Fact]:
    """What runs again soon after a run that failed, where there is any: it has not failed, and is not due."""
    if not queue.to_retry:
        return []
    jobs = request.user.has_perm("jobqueue.view_job")
    finding = findings_of_queues.TO_RETRY
    url = findings_of_queues.page(request, "job", queue=queue.name, finding=finding) if jobs else ""
    title = _("Their last run failed, and the next one follows by itself within an hour.")
    return [Fact(_("to be retried"), findings_of_queues.number(queue.to_retry), url, title=title)]


def _running(queue: QueueNow, of_state: Callable[..., str]) -> list[Fact]:
    """What runs; and what only seems to, where there is any."""
    stuck = queue.stuck.number
    if not stuck:
        return [Fact(_("running"), grouped(queue.counts.active), of_state("active"))]
    running = grouped(max(0, queue.counts.active - stuck))
    return [
        Fact(_("running"), running, of_state("active", q="-state:stuck")),
        Fact(_("stuck"), findings_of_queues.number(stuck), of_state("stuck"), is_bad=True),
    ]


def _tile(number: str, queue: QueueNow, seen: Overview, request: HttpRequest) -> Tile:
    page = findings_of_queues.page
    jobs = request.user.has_perm("jobqueue.view_job")

    def of_state(state: str, **query: str) -> str:
        return page(request, "job", queue=queue.name, state=state, **query) if jobs else ""

    oldest = queue.oldest if queue.counts.waiting else None
    waits = NOTHING if oldest is None else length_tag(oldest, seen.now)
    started = NOTHING if queue.started is None else grouped(queue.started)
    failed = findings_of_queues.number(queue.failed.number)
    failed_url = of_state("failed", age="hour", finding=findings_of_queues.NOT_MUTED)
    facts = [
        Fact(_("waiting"), grouped(queue.counts.waiting), of_state("waiting")),
        Fact(_("oldest wait"), waits),
        *_to_retry(queue, request),
        Fact(_("started a minute"), started, title=_started_title()),
        Fact(_("failed in 1 h"), failed, failed_url, bool(queue.failed.number), _failed_title()),
        *_running(queue, of_state),
        Fact(_("workers"), grouped(queue.workers), page(request, "worker"), not queue.workers),
    ]
    return Tile(
        number,
        queue.name,
        printable(queue.name),
        facts,
        pausing.shown(queue.decided, seen.now, request),
        _limited(queue, seen),
        page(request, "queue"),
    )
