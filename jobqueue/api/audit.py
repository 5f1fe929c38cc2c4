"""`/api/audit/`: what operators did, in the admin and over HTTP."""

from __future__ import annotations

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field, extend_schema_view
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from jobqueue.api.access import OperatorViewSet
from jobqueue.api.bodies import read_query
from jobqueue.api.paging import PageQuery, page, read_cursor, whole_id
from jobqueue.api.problems import BadQuery
from jobqueue.api.shapes import Moment, described, page_of
from jobqueue.models import AuditEntry
from jobqueue.operating.audit_numbers import Jobs, with_jobs
from jobqueue.operating.audit_questions import ASKED, in_audit, question
from jobqueue.operating.reading import carried_text
from jobqueue.operating.retelling_names import retold_name
from jobqueue.operating.words import carried


@extend_schema_field(OpenApiTypes.DATE)
class Day(serializers.CharField):
    """A day as people type it; what is none is refused in the words that the admin has for it."""


class AuditQuery(PageQuery):
    """Which actions."""

    who = serializers.CharField(required=False, max_length=200, help_text="The operator's name.")
    verb = serializers.CharField(required=False, max_length=60, help_text="As an entry has it: Retry, Pause.")
    day = Day(required=False, max_length=40, help_text="A day in the zone of the site: 2026-11-26.")
    type = serializers.CharField(required=False, max_length=200, help_text="`object_type` of an entry.")
    object = serializers.CharField(
        required=False,
        max_length=255,
        help_text="The key of an object, also of one among several; of bulk actions on a job the last one.",
    )
    queue = serializers.CharField(required=False, max_length=100)


class AuditLine(serializers.Serializer[Any]):
    """What an operator did: one entry for an action, however many jobs it changed."""

    id = serializers.IntegerField()
    at = Moment()
    who = serializers.CharField(allow_blank=True)
    verb = serializers.CharField(allow_blank=True)
    text = serializers.CharField(allow_blank=True)
    reason = serializers.CharField(allow_blank=True)
    object_type = serializers.CharField(allow_blank=True, help_text="The label of its model.")
    object_id = serializers.CharField(allow_blank=True, help_text="Empty for an action on several.")
    object_name = serializers.CharField(allow_blank=True)
    queue = serializers.CharField(allow_blank=True)
    jobs = serializers.IntegerField(
        help_text="How many jobs it changed; of a bulk action by now, and once its row is pruned `expected`."
    )
    expected = serializers.IntegerField(help_text="How many jobs were meant when it began.")


@extend_schema_view(
    list=described(
        "What operators did, the latest first",
        page_of(AuditLine),
        query=AuditQuery,
        codes={400: (BadQuery.default_code,)},
    )
)
class AuditViewSet(OperatorViewSet):
    """The audit. What is older than it stands in the log of the admin, and on its page there."""

    needs = {"list": ("jobqueue.view_audit",)}

    def list(self, request: Request) -> Response:
        """A page of it."""
        asked = read_query(AuditQuery, request)
        meant = question({name: asked[name] for name in ASKED if name in asked})
        if meant.problem:
            raise BadQuery({"day": [f"{meant.problem[:1].upper()}{meant.problem[1:]}."]})
        rows = in_audit(meant)
        if "cursor" in asked:
            rows = rows.filter(pk__lt=read_cursor(asked["cursor"], whole_id)[0])
        found = list(rows.order_by("-pk")[: asked["limit"] + 1])
        return Response(
            page(
                request,
                found,
                asked["limit"],
                lambda one: [one.pk],
                lambda some: [_line(one, jobs, request) for one, jobs in with_jobs(some)],
            )
        )


def _line(one: AuditEntry, jobs: Jobs, request: Request) -> dict[str, Any]:
    told = ("text", "reason", "object_id")
    return {
        "id": one.pk,
        "at": Moment().to_representation(one.at),
        "who": carried(one.who),
        "verb": carried(one.verb),
        **{name: carried_text(getattr(one, name), request) for name in told},
        "object_name": carried_text(retold_name(one.object_type, one.object_name), request),
        "object_type": carried(one.object_type),
        "queue": carried(one.queue),
        "jobs": jobs.changed,
        "expected": jobs.expected,
    }
