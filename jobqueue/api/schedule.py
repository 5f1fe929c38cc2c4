"""`/api/schedule/`: what is delayed, the days ahead as the calendar shows them, and verbs on a day."""

from __future__ import annotations

from datetime import date
from typing import Any

from django.db.models import Count, Max
from django.http import Http404
from django.utils import timezone
from drf_spectacular.utils import extend_schema_field, extend_schema_view
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.exceptions import ErrorDetail
from rest_framework.request import Request
from rest_framework.response import Response

from jobqueue.api.access import OperatorViewSet, django_request
from jobqueue.api.bodies import CalendarMoment, Strict, Text, Whole, read_body, read_query
from jobqueue.api.bulk import BulkLine, bulk_line
from jobqueue.api.bulk_bodies import rate
from jobqueue.api.job_shapes import JobLine, lines
from jobqueue.api.paging import PageQuery, page_by_moment, whole_id
from jobqueue.api.problems import NOTHING_MATCHES, InvalidBody, NothingMatches, invalid
from jobqueue.api.shapes import Moment, described, page_of
from jobqueue.exceptions import NothingLeft, PastRunAt
from jobqueue.models import BulkAction, Job
from jobqueue.models.held import HELD_UNTIL
from jobqueue.operating import bulk_plans
from jobqueue.operating.day_jobs import FURTHEST, RIGHTS, OfADay, begin_and_log
from jobqueue.operating.days import DayAhead, days_ahead
from jobqueue.operating.failing_times import YEARS
from jobqueue.operating.rights import permissions_of
from jobqueue.operating.words import carried
from jobqueue.searching.states import CONDITIONS

VIEW = ("jobqueue.view_job",)


class ScheduleQuery(PageQuery):
    """Which of the delayed jobs."""

    since = CalendarMoment(required=False, help_text="That run at this time or later; with its zone.")
    until = CalendarMoment(required=False, help_text="That run before this time; with its zone.")
    queue = serializers.CharField(required=False, max_length=100)
    processor = serializers.CharField(required=False, max_length=100)


class KindLine(serializers.Serializer[Any]):
    """So many jobs of one kind."""

    processor = serializers.CharField()
    kind = serializers.CharField(allow_blank=True, help_text="Empty where the processor has no kinds.")
    name = serializers.CharField(help_text="What people call them.")
    jobs = serializers.IntegerField()


class QuietLine(serializers.Serializer[Any]):
    """A part of a day in which nothing is sent."""

    begins_at = Moment()
    ends_at = Moment()


class DayLine(serializers.Serializer[Any]):
    """A day, with what runs on it; held jobs stand under the day on which they were to run."""

    day = serializers.DateField()
    begins_at = Moment()
    ends_at = Moment()
    jobs = serializers.IntegerField(help_text="That run on it; held ones do not.")
    held = serializers.IntegerField()
    kinds = KindLine(many=True)
    quiet = QuietLine(many=True)


class DaysShown(serializers.Serializer[Any]):
    """The days ahead, today first, in the zone of the site."""

    zone = serializers.CharField()
    held = serializers.IntegerField(help_text="Held jobs in all, also of other days.")
    days = DayLine(many=True)


@extend_schema_field({"type": "integer", "minimum": -FURTHEST, "maximum": FURTHEST, "not": {"const": 0}})
class Shift(Whole):
    """So many days later, or earlier, but not none."""

    default_error_messages = {"none": "Give a whole number of days that is not 0."}

    def __init__(self, **options: Any) -> None:
        super().__init__(min_value=-FURTHEST, max_value=FURTHEST, **options)

    def to_internal_value(self, data: Any) -> int:
        """The number."""
        found = super().to_internal_value(data)
        if not found:
            self.fail("none")
        return found


class ChangeDay(Strict):
    """Which kind of jobs of a day, and why."""

    processor = Text(required=False, max_length=100, help_text="Of this processor alone.")
    kind = Text(required=False, max_length=100, help_text="Of this kind of it, as `days` names them.")
    per_second = rate()
    reason = Text(
        max_length=bulk_plans.LONGEST_REASON,
        help_text="Stands in the history of the action.",
    )
    confirm = Whole(
        required=False,
        min_value=0,
        help_text="The number of jobs, for an action on more than 1,000. Of fewer it may be given: if "
        "another number is meant by now, nothing is begun.",
    )


class MoveDay(ChangeDay):
    """By how many days, which kind of jobs, and why."""

    days = Shift(
        help_text="At the same time of day. What would lie in the past by then is left out, as what an app "
        "refuses; where all of it would, nothing is begun: `past_run_at`."
    )


def _of_day(verb: str, summary: str, body: type[ChangeDay] = ChangeDay, *codes: str) -> Any:
    """The action of a verb of the calendar on the jobs of a day."""

    def act(self: ScheduleViewSet, request: Request, day: str = "") -> Response:
        asked = read_body(body, request)
        begun, is_new = _begin(verb, _meant(day, asked), asked, request)
        return Response(bulk_line(begun, request), status=202 if is_new else 200)

    act.__name__ = f"{verb}_day"
    act.__doc__ = f"{verb.capitalize()} them. The same that is under way is answered with 200."
    address = f"days/(?P<day>[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}})/{verb}"
    routed = action(detail=False, methods=["post"], url_path=address)(act)
    refused = {422: (NOTHING_MATCHES, "required", "invalid", *codes)}
    return described(summary, BulkLine, status=202, body=body, others={200: BulkLine}, codes=refused)(routed)


@extend_schema_view(
    list=described("What is delayed, by the time at which it runs", page_of(JobLine), query=ScheduleQuery),
    days=described("The next 14 days: what runs, what is held, when it is quiet", DaysShown),
)
class ScheduleViewSet(OperatorViewSet):
    """What is delayed."""

    what = "day"
    needs = {
        **dict.fromkeys(("list", "days"), VIEW),
        **{f"{verb}_day": permissions_of(right) for verb, right in RIGHTS.items()},
    }

    def list(self, request: Request) -> Response:
        """The delayed jobs, the next one first. What is held is not among them: search for `state:held`."""
        asked = read_query(ScheduleQuery, request)
        rows = Job.objects.filter(CONDITIONS["delayed"], run_at__lt=HELD_UNTIL)
        for name, column in (("queue", "queue"), ("processor", "processor")):
            if name in asked:
                rows = rows.filter(**{column: asked[name]})
        if "since" in asked:
            rows = rows.filter(run_at__gte=asked["since"])
        if "until" in asked:
            rows = rows.filter(run_at__lt=asked["until"])
        order = ("run_at", whole_id)
        return Response(page_by_moment(request, rows, asked, order, lambda jobs: lines(jobs, request)))

    @action(detail=False, methods=["get"])
    def days(self, request: Request) -> Response:
        """The next days."""
        ahead, held = days_ahead()
        zone = timezone.get_current_timezone_name()
        return Response({"zone": zone, "held": held, "days": [_day(one) for one in ahead]})

    move_day = _of_day(
        "move",
        "Move the jobs of a day, or those of a kind, by some days to times ahead; what may not is left out",
        MoveDay,
        "past_run_at",
    )
    cancel_day = _of_day("cancel", "Cancel the jobs of a day, or those of a kind")
    hold_day = _of_day("hold", "Let the jobs of a day, or those of a kind, not run until they are released")
    release_day = _of_day("release", "Release the held jobs that were to run on a day, or those of a kind")


def _day(one: DayAhead) -> dict[str, Any]:
    shown = Moment().to_representation
    return {
        "day": one.day.isoformat(),
        "begins_at": shown(one.begins),
        "ends_at": shown(one.ends),
        "jobs": one.jobs,
        "held": one.held,
        "kinds": [
            {
                "processor": carried(kind.processor),
                "kind": carried(kind.kind),
                "name": carried(kind.name),
                "jobs": kind.jobs,
            }
            for kind in one.kinds
        ],
        "quiet": [{"begins_at": shown(begin), "ends_at": shown(end)} for begin, end in one.quiet],
    }


def _meant(day: str, asked: dict[str, Any]) -> OfADay:
    """Which jobs of the day are meant; Http404 for a day that no calendar has."""
    try:
        chosen = date.fromisoformat(day)
    except ValueError:
        raise Http404 from None
    if chosen.year not in YEARS:
        raise Http404
    if "kind" in asked and "processor" not in asked:
        text = "Name the processor whose kind it is."
        raise InvalidBody({"processor": [ErrorDetail(text, code="required")]})
    meant = OfADay(chosen, asked.get("processor", ""), asked.get("kind", ""))
    if meant.has_no_such_kind:
        text = "This processor has no kinds: leave it out, or name another processor."
        raise InvalidBody({"kind": [ErrorDetail(text, code="invalid")]})
    return meant


def _begin(verb: str, meant: OfADay, asked: dict[str, Any], request: Request) -> tuple[BulkAction, bool]:
    facts = meant.meant_by(verb).order_by().aggregate(number=Count("pk"), newest=Max("pk"))
    number = facts["number"]
    if not number:
        raise _nothing_matches(verb, meant)
    if number > bulk_plans.TYPED_ABOVE and asked.get("confirm") != number:
        raise InvalidBody({"confirm": [f"Give the number of jobs, {number}, to begin."]})
    if number != asked.get("confirm", number):
        meant_now = "1 job is" if number == 1 else f"{number} jobs are"
        text = f"Nothing was begun: {meant_now} meant by now. Look at them, and give that number."
        raise InvalidBody({"confirm": [text]})
    told = {"number": number, "newest": facts["newest"], "reason": asked["reason"]}
    told |= {name: asked[name] for name in ("days", "per_second") if name in asked}
    try:
        return begin_and_log(django_request(request), meant, verb, **told)
    except NothingLeft:
        raise _nothing_matches(verb, meant) from None
    except PastRunAt as error:
        raise invalid("days", error) from None


def _nothing_matches(verb: str, meant: OfADay) -> NothingMatches:
    wanted = "is held" if verb == "release" else "waits"
    return NothingMatches(f"Nothing was begun: no job {wanted} for {meant.day}, or none of that kind.")
