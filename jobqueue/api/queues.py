"""`/api/queues/`: queues with their counts, pause and limits."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.conf import settings as django_settings
from django.http import Http404
from drf_spectacular.utils import extend_schema_view
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from jobqueue.api.access import OperatorViewSet, django_request
from jobqueue.api.bodies import (
    CalendarMoment,
    Reason,
    Strict,
    Whole,
    YesOrNo,
    optional_reason,
    read_body,
)
from jobqueue.api.problems import InvalidBody, Refused, invalid
from jobqueue.api.shapes import Moment, as_one, described
from jobqueue.broker import counters
from jobqueue.broker.limits import MOST_RATE
from jobqueue.counts.reading import QueueCounts, queue_counts
from jobqueue.exceptions import BrokerUnavailable, InvalidPause
from jobqueue.models import Queue
from jobqueue.models.pauses import LONGEST_PAUSE_REASON, is_paused
from jobqueue.operating.limits import LIMITS, MOST_CONCURRENCY, MOST_LATE, change_limits, starts_of
from jobqueue.operating.pausing import change_pause_and_log, pause_and_log, resume_and_log
from jobqueue.operating.processors import MOST_PROCESSORS, running_by_processor
from jobqueue.operating.reading import carried_text
from jobqueue.operating.rights import Right, permissions_of
from jobqueue.operating.words import carried
from jobqueue.operating.workers import serving_workers
from jobqueue.sql.clock import database_now

VIEW = ("jobqueue.view_queue",)
ALREADY_PAUSED = "already_paused"
NOT_PAUSED = "not_paused"
_LONGEST_NAMED = 100


class ProcessorUse(serializers.Serializer[Any]):
    """A processor whose jobs run."""

    processor = serializers.CharField()
    active = serializers.IntegerField(help_text="How many, counted as `active` of a queue.")


class QueueLine(serializers.Serializer[Any]):
    """A queue at this moment."""

    name = serializers.CharField()
    paused = serializers.BooleanField()
    paused_since = Moment(allow_null=True)
    paused_until = Moment(allow_null=True, help_text="The pause ends by itself then.")
    paused_by = serializers.CharField(allow_blank=True)
    pause_reason = serializers.CharField(allow_blank=True)
    rate_limit = serializers.IntegerField(allow_null=True, help_text="Jobs that may start in a second.")
    concurrency_limit = serializers.IntegerField(allow_null=True, help_text="Jobs that may run at once.")
    starts = serializers.IntegerField(
        allow_null=True,
        help_text="That count against its rate limit now; null without one, or while Redis is away.",
    )
    late_after = serializers.IntegerField(
        allow_null=True,
        help_text="Seconds that a due job may wait before it is late; null: LATE_AFTER.",
    )
    workers = serializers.IntegerField(help_text="Living workers that serve it.")
    processors = ProcessorUse(
        many=True,
        help_text=f"Whose jobs run now, the most first; at most {MOST_PROCESSORS} of all queues together.",
    )
    waiting = serializers.IntegerField()
    active = serializers.IntegerField(
        help_text="Jobs that workers claimed: they run, are next in their process, or are stuck."
    )
    delayed = serializers.IntegerField()
    failed = serializers.IntegerField()
    completed = serializers.IntegerField(
        allow_null=True, help_text="Since Redis counts; null while Redis is away."
    )


@as_one
class Queues(serializers.Serializer[Any]):
    """Every configured queue."""

    results = QueueLine(many=True)


class Pause(Strict):
    """Why a queue is paused, and until when; both may be left out."""

    reason = optional_reason("Stands with the pause, and in its history.", LONGEST_PAUSE_REASON)
    until = CalendarMoment(
        required=False, allow_null=True, help_text="A time ahead, with its zone; without it for good."
    )
    change = YesOrNo(
        required=False, default=False, help_text="Whether to change the pause that there is already."
    )


class Limits(Reason):
    """The limits of a queue: what is left out stays, null is no limit."""

    fewest = 1

    rate_limit = Whole(required=False, allow_null=True, min_value=1, max_value=MOST_RATE)
    concurrency_limit = Whole(required=False, allow_null=True, min_value=1, max_value=MOST_CONCURRENCY)
    late_after = Whole(
        required=False,
        allow_null=True,
        min_value=1,
        max_value=MOST_LATE,
        help_text="Seconds that a due job may wait before it is late; null: the limit of the site.",
    )


@extend_schema_view(
    list=described("Every configured queue with its counts", Queues),
    retrieve=described("One queue with its counts", QueueLine),
    pause=described(
        "Start no more jobs of this queue; what runs ends as usual. Or change its pause",
        QueueLine,
        body=Pause,
        codes={409: (ALREADY_PAUSED, NOT_PAUSED), 422: ("invalid_pause",)},
    ),
    resume=described("Start jobs of this queue again", QueueLine, body=Reason, codes={409: (NOT_PAUSED,)}),
    limits=described("Change the limits of this queue", QueueLine, body=Limits, codes={422: ("invalid",)}),
)
class QueueViewSet(OperatorViewSet):
    """The queues of RQ_QUEUES."""

    lookup_value_regex = "[^/]+"
    lookup_field = "name"
    needs = {
        "list": VIEW,
        "retrieve": VIEW,
        "pause": permissions_of(Right.PAUSE_QUEUE),
        "resume": permissions_of(Right.RESUME_QUEUE),
        "limits": permissions_of(Right.LIMIT_QUEUE),
    }

    def list(self, request: Request) -> Response:
        """All of them, in the order of the settings."""
        return Response({"results": _lines(list(django_settings.RQ_QUEUES), request)})

    def retrieve(self, request: Request, name: str = "") -> Response:
        """One of them."""
        return Response(_line(name, request))

    @action(detail=True, methods=["post"])
    def pause(self, request: Request, name: str = "") -> Response:
        """Pause it; 409 if it is paused already.

        With `change` it is not paused but the pause that there is gets another end or reason: what is left
        out stays as it is, `null` is for good; 409 if nothing differs, or it is not paused.
        """
        asked = read_body(Pause, request)
        _check(name)
        may_change, asking = asked.pop("change"), django_request(request)
        try:
            if may_change:
                changed = change_pause_and_log(asking, name, **asked) is not None
            else:
                changed = pause_and_log(asking, name, **asked)
        except InvalidPause as error:
            raise invalid("until", error) from None
        if not changed:
            raise _not_paused(name) if may_change else _paused_already(name)
        return Response(_line(name, request))

    @action(detail=True, methods=["post"])
    def resume(self, request: Request, name: str = "") -> Response:
        """Resume it."""
        reason = read_body(Reason, request).get("reason", "")
        _check(name)
        if not resume_and_log(django_request(request), name, reason):
            raise Refused(f"Nothing to do: the queue {name} is running already.", NOT_PAUSED)
        return Response(_line(name, request))

    @action(detail=True, methods=["patch"])
    def limits(self, request: Request, name: str = "") -> Response:
        """Change what the body names."""
        asked = read_body(Limits, request)
        reason = asked.pop("reason", "")
        if not asked:
            raise InvalidBody({field: ["Name one of the limits."] for field in LIMITS})
        _check(name)
        change_limits(django_request(request), name, asked, reason)
        return Response(_line(name, request))


def _paused_already(name: str) -> Refused:
    text = f"Nothing to do: the queue {name} is paused already; change: true gives it another end or reason."
    return Refused(text, ALREADY_PAUSED)


def _not_paused(name: str) -> Refused:
    """Why its pause could not be changed."""
    if is_paused(name):
        text = f"Nothing to do: the queue {name} is paused already, as it was asked for."
        return Refused(text, ALREADY_PAUSED)
    text = f"Nothing was changed: the queue {name} is not paused, and change: true begins no pause."
    return Refused(text, NOT_PAUSED)


def _check(name: str) -> None:
    queues = django_settings.RQ_QUEUES
    if name not in queues:
        raise Http404(f"There is no queue {carried(name[:_LONGEST_NAMED])}; there are: {', '.join(queues)}.")


def _lines(names: list[str], request: Request) -> list[dict[str, Any]]:
    counts = queue_counts()
    rows = Queue.objects.in_bulk(names)
    serving = serving_workers(Queue.objects.db)
    now = database_now(Queue.objects.db)
    try:
        completed: dict[str, int] | None = counters.completed("probe")
    except BrokerUnavailable:
        completed = None
    running, starts = running_by_processor(), starts_of(rows.values())
    shown = []
    for name in names:
        queue = rows.get(name) or Queue(name)
        shown.append(
            {
                "name": name,
                **_pause(queue, now, request),
                "rate_limit": queue.rate_limit,
                "concurrency_limit": queue.concurrency_limit,
                "starts": starts.get(name),
                "late_after": queue.late_after,
                "workers": len(serving.get(name, [])),
                "processors": [
                    {"processor": carried(processor), "active": number}
                    for processor, number in running.get(name, [])
                ],
                **counts.get(name, QueueCounts()).as_dict(),
                "completed": None if completed is None else completed.get(name, 0),
            }
        )
    return shown


def _line(name: str, request: Request) -> dict[str, Any]:
    _check(name)
    [line] = _lines([name], request)
    return line


def _pause(queue: Queue, now: datetime, request: Request) -> dict[str, Any]:
    is_paused = queue.is_paused_at(now)
    shown = queue if is_paused else Queue(queue.pk)
    return {
        "paused": is_paused,
        "paused_since": Moment().to_representation(shown.paused_at),
        "paused_until": Moment().to_representation(shown.paused_until),
        "paused_by": carried(shown.paused_by),
        "pause_reason": carried_text(shown.pause_reason, request),
    }
