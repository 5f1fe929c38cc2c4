"""`/api/causes/`: failures by cause, and actions on all of one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from django.http import Http404
from drf_spectacular.utils import extend_schema_view
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from jobqueue.api.access import OperatorViewSet, django_request
from jobqueue.api.bodies import read_body, read_query
from jobqueue.api.bulk import UNDER_WAY, BulkLine, begin
from jobqueue.api.bulk_bodies import CauseAction, CauseName, CausesQuery, OfCauseQuery, words_of
from jobqueue.api.problems import NOTHING_MATCHES, BadQuery, InvalidBody, Refused
from jobqueue.api.shapes import Moment, as_one, described
from jobqueue.models import UNKNOWN_CAUSE, Cause, Job
from jobqueue.models.failures import CauseGroup, by_cause
from jobqueue.operating.causes import set_muted
from jobqueue.operating.concerned import few_by_cause, many_by_cause
from jobqueue.operating.concerns import MOST_SUBJECTS, Total
from jobqueue.operating.consequences import count_emails
from jobqueue.operating.failures import question
from jobqueue.operating.reading import carried_text
from jobqueue.operating.rights import Right, permissions_of
from jobqueue.operating.words import carried

VIEW = ("jobqueue.view_job",)
_SAID = {"from": "since", "to": "until"}
_SO_ALREADY = {True: "already_muted", False: "not_muted"}


# What is shown -------------------------------------------------------------------------------------


class Concerned(serializers.Serializer[Any]):
    """Whom failed jobs are about, each person and each record once, as far as the user may see them."""

    people = serializers.IntegerField()
    amounts = serializers.DictField(
        child=serializers.CharField(),
        help_text='What the records are worth, by currency: `{"EUR": "84.50"}`.',
    )
    at_least = serializers.BooleanField(
        help_text="Whether they may be more than that: not all of these jobs name somebody who is known."
    )


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
    concerned = Concerned(
        allow_null=True,
        help_text="Null where nobody is known, or not to this user; also in a list of more than 5,000"
        " failures, which tells it at `concerned_url`.",
    )
    concerned_url = serializers.URLField(
        allow_null=True,
        help_text="Where it is told of this cause, however many they are; null where its name is masked.",
    )


@as_one
class Causes(serializers.Serializer[Any]):
    """All failures by cause, the most frequent first."""

    results = CauseLine(many=True)
    others = serializers.IntegerField(help_text="Failures in none of these, because there are too many.")


class ConcernedByCause(serializers.Serializer[Any]):
    """Whom the failed jobs of a cause are about."""

    cause = serializers.CharField()
    jobs = serializers.IntegerField()
    concerned = Concerned(
        allow_null=True, help_text="Null where nobody is known, or not to this user, or it takes too long."
    )


class Muted(serializers.Serializer[Any]):
    """Whether failures of a cause count."""

    cause = serializers.CharField()
    muted = serializers.BooleanField()


# Causes --------------------------------------------------------------------------------------------


@extend_schema_view(
    list=described("All failures by cause", Causes, query=CausesQuery, codes={400: (BadQuery.default_code,)}),
    concerned=described(
        "Whom all failures of a cause are about, and what they are worth",
        ConcernedByCause,
        query=OfCauseQuery,
        codes={400: (BadQuery.default_code,)},
    ),
    retry=described(
        "Retry all failed jobs of a cause, in the background",
        BulkLine,
        status=202,
        body=CauseAction,
        others={200: BulkLine},
        codes={409: (UNDER_WAY,), 422: (NOTHING_MATCHES, "invalid")},
    ),
    discard=described(
        "Delete all failed jobs of a cause, in the background",
        BulkLine,
        status=202,
        body=CauseAction,
        others={200: BulkLine},
        codes={409: (UNDER_WAY,), 422: (NOTHING_MATCHES, "invalid")},
    ),
    mute=described(
        "Let failures of a cause not count", Muted, body=CauseName, codes={409: (_SO_ALREADY[True],)}
    ),
    unmute=described(
        "Let failures of a cause count again", Muted, body=CauseName, codes={409: (_SO_ALREADY[False],)}
    ),
)
class CauseViewSet(OperatorViewSet):
    """Failures by cause; a cause is named in the body or the query, for it may hold any character."""

    needs = {
        "list": VIEW,
        "concerned": VIEW,
        "retry": permissions_of(Right.RETRY),
        "discard": permissions_of(Right.DELETE),
        "mute": permissions_of(Right.MUTE_CAUSE),
        "unmute": permissions_of(Right.UNMUTE_CAUSE),
    }

    def list(self, request: Request) -> Response:
        """All of them."""
        words = words_of(read_query(CausesQuery, request))
        jobs = _failures(words)
        found = by_cause(jobs)
        are_few = sum(group.jobs for group in found.groups) + found.others <= MOST_SUBJECTS
        concerned = few_by_cause(jobs, django_request(request)) if are_few else {}
        muted = dict(Cause.objects.filter(muted_at__isnull=False).values_list("name", "muted_by"))
        shown = [
            _cause(group, muted, request)
            | {
                "concerned": _concerned(concerned.get(group.cause)),
                "concerned_url": _url_of(group, words, request),
            }
            for group in found.groups
        ]
        return Response({"results": shown, "others": found.others})

    @action(detail=False, methods=["get"])
    def concerned(self, request: Request) -> Response:
        """Exactly, of any number; also of a cause by which nothing is failed any more."""
        words = words_of(read_query(OfCauseQuery, request))
        jobs = _failures(words)
        groups = by_cause(jobs).groups or [CauseGroup(words["cause"])]
        are_few = groups[0].jobs <= MOST_SUBJECTS
        asking = django_request(request)
        totals = few_by_cause(jobs, asking) if are_few else many_by_cause(jobs, groups, asking).totals
        return Response(
            {
                "cause": carried_text(groups[0].cause, request),
                "jobs": groups[0].jobs,
                "concerned": _concerned((totals or {}).get(groups[0].cause)),
            }
        )

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


def _failures(words: Mapping[str, str]) -> Any:
    """The failed jobs that these words of an address ask for."""
    asked = question(words)
    if asked.problem:
        raise BadQuery({"non_field_errors": [asked.problem]})
    return asked.jobs


def _url_of(group: CauseGroup, words: Mapping[str, str], request: Request) -> str | None:
    """Where it is told whom this cause concerns, narrowed as the list is; None where its name is masked."""
    if carried_text(group.cause, request) != group.cause:
        return None
    said = {_SAID.get(name, name): text for name, text in words.items()}
    query = urlencode({**said, "cause": group.cause}, errors="replace")
    return request.build_absolute_uri(f"{request.path.rstrip('/')}/concerned/?{query}")


def _concerned(total: Total | None) -> dict[str, Any] | None:
    if total is None or not (total.people or total.amounts):
        return None
    amounts = {carried(currency): f"{amount:f}" for currency, amount in sorted(total.amounts)}
    return {"people": total.people, "amounts": amounts, "at_least": total.is_least}


def _cause(group: CauseGroup, muted: Mapping[str, str], request: Request) -> dict[str, Any]:
    return {
        "cause": carried_text(group.cause, request),
        "jobs": group.jobs,
        "by_processor": {carried(name): number for name, number in group.by_processor.most_common()},
        "first_failed_at": Moment().to_representation(group.first),
        "last_failed_at": Moment().to_representation(group.last),
        "muted": group.cause in muted,
        "muted_by": carried(muted.get(group.cause, "")),
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
