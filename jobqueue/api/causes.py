"""`/api/causes/` and `/api/bulk/`: failures by cause, and actions on all jobs that a filter means."""

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
from jobqueue.api.bodies import Nothing, Strict, StrictQuery, Text, Whole, read_body, read_query
from jobqueue.api.paging import LARGEST_ID, PageQuery, page, read_cursor, whole_id
from jobqueue.api.problems import BadQuery, InvalidBody, NothingMatches, Refused
from jobqueue.api.shapes import AnyJSON, Moment, as_one, described, page_of
from jobqueue.models import UNKNOWN_CAUSE, BulkAction, Cause, Job, bulk
from jobqueue.models.cause_names import LONGEST_CAUSE
from jobqueue.models.failures import CauseGroup, by_cause
from jobqueue.operating import bulk_plans
from jobqueue.operating.audit import log_change
from jobqueue.operating.causes import set_muted
from jobqueue.operating.consequences import count_emails
from jobqueue.operating.failing_times import AGES
from jobqueue.operating.failures import question
from jobqueue.operating.reading import shown_text
from jobqueue.operating.words import printable
from jobqueue.operating.workers import is_a_worker_alive

BULK_STATES = ["waits", "under way", "done", "stopped"]
VIEW = ("jobqueue.view_job",)
_PERMISSIONS = {"retry": "jobqueue.retry_job", "discard": "jobqueue.delete_job"}
_VERBS = {"retry": "retry", "discard": "delete"}
_NAMES = {verb: name for name, verb in _VERBS.items()}
_WORDS = {"since": "from", "until": "to"}
_AGES = [*AGES, "older"]


# What is read --------------------------------------------------------------------------------------


class CausesQuery(StrictQuery):
    """Which failed jobs: those that failed in a time, of a queue, of a processor."""

    age = serializers.ChoiceField(_AGES, required=False, help_text="Failed within the last …")
    since = serializers.CharField(required=False, max_length=40, help_text="Failed at this time or later.")
    until = serializers.CharField(required=False, max_length=40, help_text="Failed before this time.")
    queue = serializers.CharField(required=False, max_length=100)
    processor = serializers.CharField(required=False, max_length=100)


class PlanQuery(CausesQuery):
    """What an action would do."""

    verb = serializers.ChoiceField(list(_VERBS))
    cause = serializers.CharField(required=False, max_length=LONGEST_CAUSE)


class _Filter(Strict):
    age = serializers.ChoiceField(_AGES, required=False)
    since = Text(required=False, max_length=40)
    until = Text(required=False, max_length=40)
    queue = Text(required=False, max_length=100)
    processor = Text(required=False, max_length=100)
    reason = Text(required=False, max_length=bulk_plans.LONGEST_REASON)
    per_second = Whole(required=False, allow_null=True, min_value=1, max_value=bulk_plans.MOST_PER_SECOND)
    confirm = Whole(
        required=False, min_value=0, help_text="The number of jobs, for an action on more than 1,000."
    )


class CauseAction(_Filter):
    """An action on all failed jobs of one cause."""

    cause = Text(max_length=LONGEST_CAUSE)


class BulkStart(_Filter):
    """An action on all failed jobs that the filter means."""

    verb = serializers.ChoiceField(list(_VERBS))
    cause = Text(required=False, max_length=LONGEST_CAUSE)


class CauseName(Strict):
    """A cause."""

    cause = Text(max_length=LONGEST_CAUSE)


# What is shown -------------------------------------------------------------------------------------


class CauseLine(serializers.Serializer[Any]):
    """The failed jobs of one cause."""

    cause = serializers.CharField()
    jobs = serializers.IntegerField()
    by_processor = serializers.DictField(child=serializers.IntegerField())
    first_failed_at = Moment(allow_null=True)
    last_failed_at = Moment(allow_null=True)
    muted = serializers.BooleanField()
    muted_by = serializers.CharField(allow_blank=True)
    emails = serializers.IntegerField(help_text="E-mails that go out at most if all are retried.")


@as_one
class Causes(serializers.Serializer[Any]):
    """All failures by cause, the most frequent first."""

    results = CauseLine(many=True)
    others = serializers.IntegerField(help_text="Failures in none of these, because there are too many.")


class Muted(serializers.Serializer[Any]):
    """Whether failures of a cause count."""

    cause = serializers.CharField()
    muted = serializers.BooleanField()


class BulkLine(serializers.Serializer[Any]):
    """An action on many jobs, and how far it is."""

    id = serializers.IntegerField()
    verb = serializers.CharField()
    state = serializers.ChoiceField(BULK_STATES)
    which = serializers.CharField(allow_blank=True, help_text="Which jobs are meant, in words.")
    selection = AnyJSON()
    expected = serializers.IntegerField()
    changed = serializers.IntegerField()
    per_second = serializers.IntegerField(allow_null=True)
    reason = serializers.CharField(allow_blank=True)
    asked_by = serializers.CharField(allow_blank=True)
    stopped_by = serializers.CharField(allow_blank=True)
    asked_at = Moment()
    began_at = Moment(allow_null=True)
    ended_at = Moment(allow_null=True)
    waits_for_a_worker = serializers.BooleanField(help_text="Whether no living worker would walk it.")


class PlanShown(serializers.Serializer[Any]):
    """What an action would do; nothing is changed by asking."""

    verb = serializers.CharField()
    which = serializers.CharField()
    jobs = serializers.IntegerField()
    by_processor = serializers.DictField(child=serializers.IntegerField())
    mail = serializers.CharField(allow_blank=True)
    concerned = serializers.CharField(allow_blank=True, help_text="Whom it is about, and what it is worth.")
    must_be_confirmed = serializers.BooleanField(help_text="Whether it takes `confirm` and `reason`.")


# Causes --------------------------------------------------------------------------------------------


@extend_schema_view(
    list=described("All failures by cause", Causes, query=CausesQuery),
    retry=described(
        "Retry all failed jobs of a cause, in the background",
        BulkLine,
        status=202,
        body=CauseAction,
        others={200: BulkLine},
    ),
    discard=described(
        "Delete all failed jobs of a cause, in the background",
        BulkLine,
        status=202,
        body=CauseAction,
        others={200: BulkLine},
    ),
    mute=described("Let failures of a cause not count", Muted, body=CauseName),
    unmute=described("Let failures of a cause count again", Muted, body=CauseName),
)
class CauseViewSet(OperatorViewSet):
    """Failures by cause; a cause is named in the body, for it may hold any character."""

    needs = {
        "list": VIEW,
        "retry": (*VIEW, _PERMISSIONS["retry"]),
        "discard": (*VIEW, _PERMISSIONS["discard"]),
        "mute": (*VIEW, "jobqueue.mute_cause"),
        "unmute": (*VIEW, "jobqueue.mute_cause"),
    }

    def list(self, request: Request) -> Response:
        """All of them."""
        asked = question(_words(read_query(CausesQuery, request)))
        if asked.problem:
            raise BadQuery({"non_field_errors": [asked.problem]})
        found = by_cause(asked.jobs)
        muted = dict(Cause.objects.filter(muted_at__isnull=False).values_list("name", "muted_by"))
        shown = [_cause(group, muted, request) for group in found.groups]
        return Response({"results": shown, "others": found.others})

    @action(detail=False, methods=["post"])
    def retry(self, request: Request) -> Response:
        """Begin to retry them."""
        return _begin("retry", read_body(CauseAction, request), request)

    @action(detail=False, methods=["post"])
    def discard(self, request: Request) -> Response:
        """Begin to delete them."""
        return _begin("discard", read_body(CauseAction, request), request)

    @action(detail=False, methods=["post"])
    def mute(self, request: Request) -> Response:
        """Mute it."""
        return _mute(request, is_to_be=True)

    @action(detail=False, methods=["post"])
    def unmute(self, request: Request) -> Response:
        """Unmute it."""
        return _mute(request, is_to_be=False)


def _words(asked: Mapping[str, Any]) -> dict[str, str]:
    """The words by which pages ask for failed jobs."""
    words = {_WORDS.get(name, name): str(text) for name, text in asked.items()}
    return {name: words[name] for name in bulk_plans.WORDS if words.get(name)}


def _cause(group: CauseGroup, muted: Mapping[str, str], request: Request) -> dict[str, Any]:
    return {
        "cause": shown_text(group.cause, request),
        "jobs": group.jobs,
        "by_processor": {printable(name): number for name, number in group.by_processor.most_common()},
        "first_failed_at": Moment().to_representation(group.first),
        "last_failed_at": Moment().to_representation(group.last),
        "muted": group.cause in muted,
        "muted_by": printable(muted.get(group.cause, "")),
        "emails": count_emails(group.by_processor),
    }


def _mute(request: Request, *, is_to_be: bool) -> Response:
    name = read_body(CauseName, request)["cause"]
    if name == UNKNOWN_CAUSE:
        raise InvalidBody({"cause": ["Failures without a cause cannot be muted: name a cause."]})
    if not Cause.objects.filter(pk=name).exists() and not Job.objects.failed().filter(cause=name).exists():
        raise Http404
    if not set_muted(name, is_to_be, django_request(request)):
        raise Refused("Nothing was changed: that was so already.")
    return Response({"cause": name, "muted": is_to_be})


# Bulk actions --------------------------------------------------------------------------------------


@extend_schema_view(
    list=described("Bulk actions, the latest first", page_of(BulkLine), query=PageQuery),
    retrieve=described("How far a bulk action is", BulkLine),
    create=described(
        "Begin an action on all failed jobs that a filter means",
        BulkLine,
        status=202,
        body=BulkStart,
        others={200: BulkLine},
    ),
    plan=described("What an action would do, in numbers", PlanShown, query=PlanQuery),
    stop=described("Let an action end after the batch that is under way", BulkLine, body=None),
)
class BulkViewSet(OperatorViewSet):
    """Actions on many jobs, walked by the workers."""

    lookup_value_regex = "[0-9]{1,19}"
    needs = dict.fromkeys(("list", "retrieve", "create", "plan", "stop"), VIEW)

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
                lambda some: [_bulk(one, request) for one in some],
            )
        )

    def retrieve(self, request: Request, pk: str = "") -> Response:
        """One of them."""
        return Response(_bulk(_of(pk), request))

    def create(self, request: Request) -> Response:
        """Begin one."""
        asked = read_body(BulkStart, request)
        verb = asked.pop("verb")
        self._check_permission(request, verb)
        return _begin(verb, asked, request)

    @action(detail=False, methods=["get"])
    def plan(self, request: Request) -> Response:
        """What one would do."""
        asked = read_query(PlanQuery, request)
        planned = _plan(asked["verb"], asked)
        if planned.problem:
            raise BadQuery({"non_field_errors": [planned.problem]})
        return Response(
            {
                "verb": asked["verb"],
                "which": printable(planned.in_words),
                "jobs": planned.number,
                "by_processor": {printable(name): jobs for name, jobs in planned.by_processor.items()},
                "mail": planned.mail,
                "concerned": planned.concerned(django_request(request)),
                "must_be_confirmed": planned.is_large,
            }
        )

    @action(detail=True, methods=["post"])
    def stop(self, request: Request, pk: str = "") -> Response:
        """Stop one."""
        read_body(Nothing, request)
        found = _of(pk)
        self._check_permission(request, _NAMES.get(found.verb, ""))
        if not bulk.stop(found, request.user.get_username(), Job.objects.db):
            raise Refused("It had ended already.")
        found.refresh_from_db()
        text = f"Stop: {found.changed} of {found.expected} jobs were changed"
        log_change(django_request(request), found, text)
        return Response(_bulk(found, request))

    def _check_permission(self, request: Request, verb: str) -> None:
        if not request.user.has_perm(_PERMISSIONS.get(verb, "")):
            self.permission_denied(request, f"That takes the permission {_PERMISSIONS.get(verb, '')}.")


def _of(pk: str) -> BulkAction:
    found = BulkAction.objects.filter(pk=pk).first() if int(pk) <= LARGEST_ID else None
    if found is None:
        raise Http404
    return found


def _plan(verb: str, asked: Mapping[str, Any]) -> bulk_plans.Plan:
    found = bulk_plans.verb_of(_VERBS[verb])
    assert found is not None
    return bulk_plans.plan(found, _words(asked))


def _begin(verb: str, asked: Mapping[str, Any], request: Request) -> Response:
    """Begin what is confirmed: 202; 200 with the one that is under way if the same was asked for before."""
    planned = _plan(verb, asked)
    if planned.problem:
        raise InvalidBody({"non_field_errors": [planned.problem]})
    if not planned.number:
        raise NothingMatches(f"Nothing was begun: no job matches ({printable(planned.in_words)}).")
    reason = asked.get("reason", "").strip()
    problems = {}
    if planned.is_large and asked.get("confirm") != planned.number:
        problems["confirm"] = [f"Give the number of jobs, {planned.number}, to begin."]
    if planned.is_large and not reason:
        problems["reason"] = ["Say why: an action on so many jobs takes a reason."]
    if problems:
        raise InvalidBody(problems)
    begun, is_new = bulk_plans.write_down(django_request(request), planned, reason, asked.get("per_second"))
    return Response(_bulk(begun, request), status=202 if is_new else 200)


def _bulk(one: BulkAction, request: Request) -> dict[str, Any]:
    ended = "stopped" if one.stopped_by else "done"
    state = ended if one.ended_at else "under way" if one.began_at else "waits"
    times = ("asked_at", "began_at", "ended_at")
    return {
        "id": one.pk,
        "verb": _NAMES.get(one.verb, one.verb),
        "state": state,
        "which": shown_text(bulk_plans.which(one), request),
        "selection": one.selection,
        "expected": one.expected,
        "changed": one.changed,
        "per_second": one.per_second,
        "reason": shown_text(one.reason, request),
        "asked_by": printable(one.asked_by),
        "stopped_by": printable(one.stopped_by),
        **{name: Moment().to_representation(getattr(one, name)) for name in times},
        "waits_for_a_worker": one.is_open and not is_a_worker_alive(Job.objects.db),
    }
