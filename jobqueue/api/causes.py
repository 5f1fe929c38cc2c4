"""`/api/causes/`: failures by cause, and actions on all of one."""

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
from jobqueue.api.bodies import read_body, read_query
from jobqueue.api.bulk import UNDER_WAY, BulkLine, begin
from jobqueue.api.bulk_bodies import CauseAction, CauseName, CausesQuery, words_of
from jobqueue.api.problems import BadQuery, InvalidBody, Refused
from jobqueue.api.shapes import Moment, as_one, described
from jobqueue.models import UNKNOWN_CAUSE, Cause, Job
from jobqueue.models.failures import CauseGroup, by_cause
from jobqueue.operating.causes import set_muted
from jobqueue.operating.consequences import count_emails
from jobqueue.operating.failures import question
from jobqueue.operating.reading import shown_text
from jobqueue.operating.rights import Right
from jobqueue.operating.words import printable

VIEW = ("jobqueue.view_job",)
_SO_ALREADY = {True: "already_muted", False: "not_muted"}


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


# Causes --------------------------------------------------------------------------------------------


@extend_schema_view(
    list=described("All failures by cause", Causes, query=CausesQuery),
    retry=described(
        "Retry all failed jobs of a cause, in the background",
        BulkLine,
        status=202,
        body=CauseAction,
        others={200: BulkLine},
        codes={409: (UNDER_WAY,)},
    ),
    discard=described(
        "Delete all failed jobs of a cause, in the background",
        BulkLine,
        status=202,
        body=CauseAction,
        others={200: BulkLine},
        codes={409: (UNDER_WAY,)},
    ),
    mute=described(
        "Let failures of a cause not count", Muted, body=CauseName, codes={409: (_SO_ALREADY[True],)}
    ),
    unmute=described(
        "Let failures of a cause count again", Muted, body=CauseName, codes={409: (_SO_ALREADY[False],)}
    ),
)
class CauseViewSet(OperatorViewSet):
    """Failures by cause; a cause is named in the body, for it may hold any character."""

    needs = {
        "list": VIEW,
        "retry": (*VIEW, Right.RETRY),
        "discard": (*VIEW, Right.DELETE),
        "mute": (*VIEW, Right.MUTE_CAUSE),
        "unmute": (*VIEW, Right.UNMUTE_CAUSE),
    }

    def list(self, request: Request) -> Response:
        """All of them."""
        asked = question(words_of(read_query(CausesQuery, request)))
        if asked.problem:
            raise BadQuery({"non_field_errors": [asked.problem]})
        found = by_cause(asked.jobs)
        muted = dict(Cause.objects.filter(muted_at__isnull=False).values_list("name", "muted_by"))
        shown = [_cause(group, muted, request) for group in found.groups]
        return Response({"results": shown, "others": found.others})

    @action(detail=False, methods=["post"])
    def retry(self, request: Request) -> Response:
        """Begin to retry them."""
        return begin("retry", read_body(CauseAction, request), request)

    @action(detail=False, methods=["post"])
    def discard(self, request: Request) -> Response:
        """Begin to delete them."""
        return begin("discard", read_body(CauseAction, request), request)

    @action(detail=False, methods=["post"])
    def mute(self, request: Request) -> Response:
        """Mute it."""
        return _mute(request, is_to_be=True)

    @action(detail=False, methods=["post"])
    def unmute(self, request: Request) -> Response:
        """Unmute it."""
        return _mute(request, is_to_be=False)


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
    asked = read_body(CauseName, request)
    name = asked["cause"]
    if name == UNKNOWN_CAUSE:
        raise InvalidBody({"cause": ["Failures without a cause cannot be muted: name a cause."]})
    if not Cause.objects.filter(pk=name).exists() and not Job.objects.failed().filter(cause=name).exists():
        raise Http404("There is no such cause: nothing has failed by it.")
    if not set_muted(name, is_to_be, django_request(request), asked.get("reason", "")):
        text = f"Nothing to do: this cause is {'' if is_to_be else 'not '}muted already."
        raise Refused(text, _SO_ALREADY[is_to_be])
    return Response({"cause": name, "muted": is_to_be})
