"""`/api/bulk/`: actions on all jobs that a filter or a search means, walked by the workers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.http import Http404
from drf_spectacular.utils import extend_schema_view
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from jobqueue.api.access import OperatorViewSet, django_request
from jobqueue.api.bodies import Reason, read_body, read_query
from jobqueue.api.bulk_bodies import NARROWING, OF_FAILURES_ALONE, VERBS, BulkStart, PlanQuery, words_of
from jobqueue.api.paging import LARGEST_ID, PageQuery, page, read_cursor, whole_id
from jobqueue.api.problems import NOTHING_MATCHES, BadQuery, InvalidBody, NothingMatches, Refused
from jobqueue.api.schema import NamedChoice
from jobqueue.api.searches import NOT_LOOKED_IN, NotLookedIn, found_by, limits_of
from jobqueue.api.shapes import AnyJSON, Moment, described, page_of
from jobqueue.models import BulkAction, Job
from jobqueue.operating import bulk_plans
from jobqueue.operating.left_out import REASONS, LeftOut, left_out, stop_reasons
from jobqueue.operating.reading import carried_text
from jobqueue.operating.rights import Right, demand, permissions_of
from jobqueue.operating.stops import stop_bulk_and_log
from jobqueue.operating.verbs import BULK_VERBS, permission_of
from jobqueue.operating.words import carried
from jobqueue.operating.workers import is_a_worker_alive
from jobqueue.searching import Found

BULK_STATES = ["waits", "under way", "done", "stopped"]
VIEW = ("jobqueue.view_job",)
_ENDED = "already_ended"
UNDER_WAY = "under_way"
_MOST_IDS = 100
_NAMES = {verb: name for name, verb in VERBS.items()}


class LeftOutLine(serializers.Serializer[Any]):
    """Jobs that were left out for one reason."""

    code = NamedChoice("LeftOutCode", list(REASONS))
    text = serializers.CharField()
    number = serializers.IntegerField()
    ids = serializers.ListField(
        child=serializers.IntegerField(),
        help_text=f"The first of them, as far as known; at most {_MOST_IDS}.",
    )


class BulkLine(serializers.Serializer[Any]):
    """An action on many jobs, and how far it is."""

    id = serializers.IntegerField()
    verb = serializers.CharField()
    state = NamedChoice("BulkState", BULK_STATES)
    which = serializers.CharField(allow_blank=True, help_text="Which jobs are meant, in words.")
    selection = AnyJSON()
    expected = serializers.IntegerField()
    changed = serializers.IntegerField()
    per_second = serializers.IntegerField(allow_null=True)
    reason = serializers.CharField(allow_blank=True)
    asked_by = serializers.CharField(allow_blank=True)
    stopped_by = serializers.CharField(allow_blank=True)
    stop_reason = serializers.CharField(allow_blank=True)
    asked_at = Moment()
    began_at = Moment(allow_null=True)
    ended_at = Moment(allow_null=True)
    waits_for_a_worker = serializers.BooleanField(help_text="Whether no living worker would walk it.")
    left_out = LeftOutLine(
        many=True,
        help_text="Why fewer were changed than were expected; code `waits`: they are come back to.",
    )


class PlanShown(serializers.Serializer[Any]):
    """What an action would do; nothing is changed by asking."""

    verb = serializers.CharField()
    which = serializers.CharField()
    jobs = serializers.IntegerField()
    by_processor = serializers.DictField(child=serializers.IntegerField())
    mail = serializers.CharField(allow_blank=True)
    concerned = serializers.CharField(allow_blank=True, help_text="Whom it is about, and what it is worth.")
    must_be_confirmed = serializers.BooleanField(help_text="Whether it takes `confirm` and `reason`.")
    newest_only = serializers.BooleanField(help_text="Of the search: whether it left older rows out.")
    records_cut = serializers.BooleanField(
        help_text="Of the search: whether more people or records match than were looked at."
    )
    errors_cut = serializers.BooleanField(
        help_text="Of the search: whether errors were looked into for somebody without `view_payload`, and "
        "of those with unusual addresses only what stands behind the addresses."
    )
    not_looked_in = NotLookedIn(many=True, help_text=NOT_LOOKED_IN)


@extend_schema_view(
    list=described("Bulk actions, the latest first", page_of(BulkLine), query=PageQuery),
    retrieve=described("How far a bulk action is", BulkLine),
    create=described(
        "Begin an action on all jobs that a filter or a search means, in the background",
        BulkLine,
        status=202,
        body=BulkStart,
        others={200: BulkLine},
        codes={409: (UNDER_WAY,), 422: (NOTHING_MATCHES, "unreadable_search", "failed_jobs_only", "invalid")},
    ),
    plan=described(
        "What an action would do, in numbers",
        PlanShown,
        query=PlanQuery,
        codes={400: ("unreadable_search", "failed_jobs_only", BadQuery.default_code)},
    ),
    stop=described(
        "Let an action end after the batch that is under way", BulkLine, body=Reason, codes={409: (_ENDED,)}
    ),
)
class BulkViewSet(OperatorViewSet):
    """Actions on many jobs, walked by the workers."""

    lookup_value_regex = "[0-9]{1,19}"
    what = "bulk action"
    needs = {
        **dict.fromkeys(("list", "retrieve", "create", "plan"), VIEW),
        "stop": permissions_of(Right.STOP_BULK_ACTION),
    }

    def list(self, request: Request) -> Response:
        """A page of them."""
        asked = read_query(PageQuery, request)
        rows = BulkAction.objects.order_by("-pk")
        if "cursor" in asked:
            rows = rows.filter(pk__lt=read_cursor(asked["cursor"], whole_id)[0])
        found = list(rows[: asked["limit"] + 1])
        return Response(
            page(
                request,
                found,
                asked["limit"],
                lambda one: [one.pk],
                lambda some: _lines(some, request),
            )
        )

    def retrieve(self, request: Request, pk: str = "") -> Response:
        """One of them."""
        return Response(bulk_line(_of(pk), request))

    def create(self, request: Request) -> Response:
        """Begin one; it takes the permission of its verb, too (discard that to delete jobs).

        The same action that is under way already is answered with 200, another one for the same cause with
        409: an age is the same if it is as long, a moment if it is equal. Of more than 1,000 jobs, and of
        all because nothing narrows them, it takes `confirm`, their number, and a `reason`; with fewer, too,
        a `confirm` that is another number than is meant by now is refused.
        """
        asked = read_body(BulkStart, request)
        verb = asked.pop("verb")
        demand(django_request(request), permission_of(VERBS[verb]))
        return begin(verb, asked, request)

    @action(detail=False, methods=["get"])
    def plan(self, request: Request) -> Response:
        """What one would do."""
        asked = read_query(PlanQuery, request)
        planned, found = _plan(asked["verb"], asked, request, BadQuery)
        return Response(
            {
                "verb": asked["verb"],
                "which": carried(planned.in_words),
                "jobs": planned.number,
                "by_processor": {carried(name): jobs for name, jobs in planned.by_processor.items()},
                "mail": planned.mail,
                "concerned": planned.concerned(django_request(request)),
                "must_be_confirmed": _must_be_confirmed(planned, asked),
                **limits_of(found),
            }
        )

    @action(detail=True, methods=["post"])
    def stop(self, request: Request, pk: str = "") -> Response:
        """Stop one. What was changed stays changed."""
        reason = read_body(Reason, request).get("reason", "")
        found = _of(pk)
        if not stop_bulk_and_log(django_request(request), found, reason):
            raise Refused(f"Nothing to do: bulk action {found.pk} has ended already.", _ENDED)
        return Response(bulk_line(found, request))


def _of(pk: str) -> BulkAction:
    found = BulkAction.objects.filter(pk=pk).first() if int(pk) <= LARGEST_ID else None
    if found is None:
        raise Http404
    return found


def _plan(
    verb: str, asked: Mapping[str, Any], request: Request, refuse: type[BadQuery | InvalidBody]
) -> tuple[bulk_plans.Plan, Found]:
    """What it would do, and what the search found; `refuse` says what of filter or search cannot be."""
    meant = BULK_VERBS[VERBS[verb]]
    if "search" not in asked and bulk_plans.verb_of(meant.name) is not None:
        planned, found = bulk_plans.plan(meant, words_of(asked)), Found(Job.objects.none())
    else:
        found = _found(verb, asked, request, refuse)
        jobs: Any = found.jobs
        planned = bulk_plans.plan_of_list(meant, jobs, _narrowing(asked))
    if planned.problem:
        raise refuse({"non_field_errors": [planned.problem]})
    return planned, found


def _found(
    verb: str, asked: Mapping[str, Any], request: Request, refuse: type[BadQuery | InvalidBody]
) -> Found:
    """The jobs among which the verb finds those that it takes."""
    others = [name for name in OF_FAILURES_ALONE if name in asked]
    if others:
        where = "beside a search" if "search" in asked else f"for {verb}"
        text = f"It narrows failed jobs for retry and discard; {where} say it in the search, or leave it out."
        raise refuse({name: [serializers.ErrorDetail(text, "failed_jobs_only")] for name in others})
    narrowed = {name: asked[name] for name in ("queue", "processor") if asked.get(name)}
    jobs = Job.objects.filter(**narrowed)
    return found_by(asked["search"], request, jobs, refuse) if "search" in asked else Found(jobs)


def _narrowing(asked: Mapping[str, Any]) -> dict[str, str]:
    """The words by which one list is told from another."""
    return {name: asked[name] for name in ("search", "queue", "processor") if asked.get(name)}


def begin(verb: str, asked: Mapping[str, Any], request: Request) -> Response:
    """Begin what is confirmed: 202; 200 with the one that is under way if the same was asked for before."""
    planned, _what = _plan(verb, asked, request, InvalidBody)
    if not planned.number:
        raise NothingMatches(f"Nothing was begun: no job matches ({carried(planned.in_words)}).")
    reason = asked.get("reason", "").strip()
    problems, must = {}, _must_be_confirmed(planned, asked)
    if (must or "confirm" in asked) and asked.get("confirm") != planned.number:
        which = " that this means without a search or a filter" if must and not planned.is_large else ""
        problems["confirm"] = [f"Give the number of jobs{which}, {planned.number}, to begin."]
    if must and not reason:
        problems["reason"] = ["Say why: an action on so many jobs takes a reason."]
    if problems:
        raise InvalidBody(problems)
    begun, is_new = bulk_plans.write_down(django_request(request), planned, reason, asked.get("per_second"))
    if not is_new and not bulk_plans.is_the_same(begun, planned):
        raise Refused(
            f"Nothing was begun: bulk action {begun.pk} is under way for the same cause. What failed after "
            "it was asked for is not in it: begin again once it has ended.",
            UNDER_WAY,
        )
    return Response(bulk_line(begun, request), status=202 if is_new else 200)


def _must_be_confirmed(planned: bulk_plans.Plan, asked: Mapping[str, Any]) -> bool:
    """Whether it takes the number: of many, and where a filter may have been forgotten."""
    return planned.is_large or not any(asked.get(name) for name in NARROWING)


def bulk_line(one: BulkAction, request: Request) -> dict[str, Any]:
    """A bulk action as answers have it."""
    return _lines([one], request)[0]


def _lines(some: list[BulkAction], request: Request) -> list[dict[str, Any]]:
    stopped = stop_reasons(some)
    return [_line(one, carried_text(stopped.get(one.pk, ""), request), request) for one in some]


def _line(one: BulkAction, stop_reason: str, request: Request) -> dict[str, Any]:
    ended = "stopped" if one.stopped_by else "done"
    state = ended if one.ended_at else "under way" if one.began_at else "waits"
    times = ("asked_at", "began_at", "ended_at")
    return {
        "id": one.pk,
        "verb": _NAMES.get(one.verb, one.verb),
        "state": state,
        "which": carried_text(bulk_plans.which(one), request),
        "selection": _shown_selection(one, request),
        "expected": one.expected,
        "changed": one.changed,
        "per_second": one.per_second,
        "reason": carried_text(one.reason, request),
        "asked_by": carried(one.asked_by),
        "stopped_by": carried(one.stopped_by),
        "stop_reason": stop_reason,
        **{name: Moment().to_representation(getattr(one, name)) for name in times},
        "waits_for_a_worker": one.is_open and not is_a_worker_alive(Job.objects.db),
        "left_out": [_left_out_line(reason, request) for reason in left_out(one)],
    }


def _left_out_line(reason: LeftOut, request: Request) -> dict[str, Any]:
    return {
        "code": reason.why,
        "text": carried_text(reason.text, request),
        "number": reason.number,
        "ids": list(reason.ids[:_MOST_IDS]),
    }


def _shown_selection(one: BulkAction, request: Request) -> Any:
    """As the row has it; what a list was searched for, or a cause, may name what is in payloads."""
    if not isinstance(one.selection, dict):
        return one.selection
    return {
        name: carried_text(value, request) if isinstance(value, str) else value
        for name, value in one.selection.items()
    }
