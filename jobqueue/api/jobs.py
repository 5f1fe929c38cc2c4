"""`/api/jobs/`: jobs by the search language, and their verbs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.http import Http404
from drf_spectacular.utils import extend_schema_view
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response

from jobqueue.api.access import OperatorViewSet, django_request
from jobqueue.api.bodies import Reason, read_body, read_query
from jobqueue.api.job_bodies import Copy, Hold, Move, Stop
from jobqueue.api.job_shapes import JobInFull, JobLine, in_full, lines
from jobqueue.api.once import once, once_for_a_key
from jobqueue.api.paging import LARGEST_ID, PageQuery, page, read_cursor, whole_id
from jobqueue.api.previews import PreviewShape, previewed
from jobqueue.api.problems import INVALID_KEY, KEY_REUSED, invalid
from jobqueue.api.searches import NOT_LOOKED_IN, SEARCH, NotLookedIn, found_by, limits_of
from jobqueue.api.shapes import described, page_of
from jobqueue.exceptions import InvalidPayload, InvalidRunAt
from jobqueue.models import Job, KeptAnswer
from jobqueue.operating.copies import copy_and_log
from jobqueue.operating.forward import BRING_FORWARD, take_and_log
from jobqueue.operating.holds import hold_and_log, release_and_log
from jobqueue.operating.moves import move_and_log
from jobqueue.operating.reading import VIEW_PAYLOAD, may_read
from jobqueue.operating.rights import Right, permissions_of
from jobqueue.operating.stops import stop_and_log
from jobqueue.operating.verbs import VERBS
from jobqueue.searching import LONGEST_SEARCH

VIEW = ("jobqueue.view_job",)
WRONG_STATE = "wrong_state"


class JobsQuery(PageQuery):
    """Which jobs."""

    search = serializers.CharField(required=False, max_length=LONGEST_SEARCH, help_text=SEARCH)
    q = serializers.CharField(
        required=False, max_length=LONGEST_SEARCH, help_text="The same as `search`, as the admin calls it."
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """The search has two names, and one meaning."""
        if "q" in attrs and attrs.get("search", attrs["q"]) != attrs["q"]:
            text = "q and search are two names of one thing, and differ: give one of them."
            refusal = serializers.ErrorDetail(text, "two_searches")
            raise serializers.ValidationError({"q": [refusal], "search": [refusal]})
        return attrs


def _verb(name: str, summary: str, called: str = "") -> Any:
    """The action of a verb of `VERBS` on one job; here it may be called otherwise."""

    def act(self: JobViewSet, request: Request, pk: str = "") -> Response:
        reason = read_body(Reason, request).get("reason", "")
        _carry_out(name, pk, request, reason)
        return Response(in_full(_job(pk), request))

    act.__name__ = called or name
    act.__doc__ = f"{summary}."
    routed = action(detail=True, methods=["post"], url_path=act.__name__.replace("_", "-"))(act)
    codes = (WRONG_STATE, "job_move_refused") if name in BRING_FORWARD else (WRONG_STATE,)
    return described(summary, JobInFull, body=Reason, codes={409: codes})(routed)


@extend_schema_view(
    list=described(
        "Jobs that a search finds, the newest first",
        page_of(
            JobLine,
            "FoundJobs",
            newest_only=serializers.BooleanField(
                help_text="Whether there are older rows, among which no index finds what was asked for."
            ),
            records_cut=serializers.BooleanField(
                help_text="Whether more people or records match than were looked at: these are the jobs "
                "about the newest of each kind."
            ),
            errors_cut=serializers.BooleanField(
                help_text="Whether errors were looked into for somebody without `view_payload`, and of those "
                "with unusual addresses only what stands behind the addresses."
            ),
            not_looked_in=NotLookedIn(many=True, help_text=NOT_LOOKED_IN),
        ),
        query=JobsQuery,
        codes={400: ("unreadable_search", "two_searches")},
    ),
    retrieve=described("A job with all that is known of it", JobInFull),
    preview=described("The letters that a waiting job would send, as they would be now", PreviewShape),
    discard=described(
        "Delete a job that is neither running nor set aside",
        None,
        status=204,
        body=Hold,
        codes={409: (WRONG_STATE,)},
    ),
    stop=described(
        "Ask for the end of a running job, for good",
        JobInFull,
        status=202,
        body=Stop,
        codes={409: ("not_running", "already_stopping", "worker_gone", "worker_too_old", "refused")},
    ),
    hold=described(
        "Let a job that waits not run until it is released",
        JobInFull,
        body=Hold,
        codes={409: ("not_waiting", "already_held")},
    ),
    release=described(
        "Let a held job run at the time that it had; put a stuck one back on the road",
        JobInFull,
        body=Hold,
        codes={409: ("not_waiting", "not_held", WRONG_STATE)},
    ),
    copy=described(
        "Enqueue a job like this one, with another payload if that is asked for, once for each key",
        JobInFull,
        status=201,
        body=Copy,
        codes={
            400: (INVALID_KEY,),
            409: ("unique_key_held", "job_copy_refused", "job_move_refused"),
            422: (
                "masked_payload",
                "invalid_payload",
                "payload_too_large",
                "naive",
                "past_run_at",
                "invalid_run_at",
                "unknown_processor",
                "unknown_queue",
                KEY_REUSED,
            ),
        },
        parameters=once_for_a_key("copy", 201),
    ),
    move=described(
        "Let a delayed job run at another time",
        JobInFull,
        body=Move,
        codes={
            409: ("moved_meanwhile", "already_at_that_time", "not_delayed", "job_move_refused", "refused"),
            422: ("naive", "past_run_at", "invalid_run_at", "invalid", "required"),
        },
    ),
)
class JobViewSet(OperatorViewSet):
    """Jobs: found by the search language, changed by their verbs."""

    lookup_value_regex = "[0-9]{1,19}"
    what = "job"
    needs = {
        "list": VIEW,
        "retrieve": VIEW,
        "preview": (*VIEW, VIEW_PAYLOAD),
        "discard": permissions_of(Right.DELETE),
        **{name: permissions_of(verb.right) for name, verb in VERBS.items()},
        "put_back": permissions_of(Right.PUT_BACK),
        "hold": permissions_of(Right.HOLD),
        "release": (*VIEW, f"{Right.RELEASE} or {Right.PUT_BACK}"),
        "stop": permissions_of(Right.STOP),
        "move": permissions_of(Right.MOVE),
        "copy": permissions_of(Right.COPY),
    }

    def list(self, request: Request) -> Response:
        """The jobs that the search finds."""
        asked = read_query(JobsQuery, request)
        name = "search" if "search" in asked else "q"
        found = found_by(asked.get(name, ""), request, named=name)
        rows = found.jobs.order_by("-pk")
        if "cursor" in asked:
            [last] = read_cursor(asked["cursor"], whole_id)
            rows = rows.filter(pk__lt=last)
        body = page(
            request,
            list(rows[: asked["limit"] + 1]),
            asked["limit"],
            lambda job: [job.pk],
            lambda jobs: lines(jobs, request),
        )
        return Response({**body, **limits_of(found)})

    def retrieve(self, request: Request, pk: str = "") -> Response:
        """One job."""
        return Response(in_full(_job(pk), request))

    @action(detail=True, methods=["get"])
    def preview(self, request: Request, pk: str = "") -> Response:
        """Its letters; letters show addresses."""
        return Response(previewed(_job(pk)))

    retry = _verb("retry", "Put a failed or cancelled job back on the road")
    cancel = _verb("cancel", "Take a waiting job off the road for good")
    run_now = _verb("run_now", "Make a delayed job due now")
    put_back = _verb("release", "Put a stuck job back on the road", "put_back")
    fail = _verb("fail", "End a stuck job as failed")

    @action(detail=True, methods=["post"])
    def hold(self, request: Request, pk: str = "") -> Response:
        """Hold it."""
        asked, job = read_body(Hold, request), _job(pk)
        hold_and_log(job, django_request(request), reason=asked.get("reason", "").strip())
        return Response(in_full(job, request))

    @action(detail=True, methods=["post"])
    def release(self, request: Request, pk: str = "") -> Response:
        """Release it; a stuck job is put back, as this address always did."""
        asked, job = read_body(Hold, request), _job(pk)
        reason, is_running = asked.get("reason", "").strip(), job.state == Job.State.ACTIVE
        permission = Right.PUT_BACK if is_running else Right.RELEASE
        if not request.user.has_perm(permission):
            raise PermissionDenied(f"Of this job that takes the permission {permission}.")
        if is_running:
            _carry_out("release", pk, request, reason)
            job = _job(pk)
        else:
            release_and_log(job, django_request(request), reason=reason)
        return Response(in_full(job, request))

    @action(detail=True, methods=["post"])
    def discard(self, request: Request, pk: str = "") -> Response:
        """Delete it, with its payload, errors and tracebacks."""
        asked = read_body(Hold, request)
        _carry_out("delete", pk, request, asked.get("reason", "").strip())
        return Response(status=204)

    @action(detail=True, methods=["post"])
    def stop(self, request: Request, pk: str = "") -> Response:
        """Have it ended; it is active until it has."""
        asked = read_body(Stop, request)
        job = _job(pk)
        stop_and_log(django_request(request), job, asked.get("reason", ""))
        return Response(in_full(job, request), status=202)

    @action(detail=True, methods=["post"])
    def copy(self, request: Request, pk: str = "") -> Response:
        """Copy it. What the key is answered with again is the copy as it is by then."""
        asked = read_body(Copy, request)
        return once(
            request,
            KeptAnswer,
            lambda: {"copy": _copied(_job(pk), asked, request).pk},
            shown=lambda kept: in_full(_copy(kept["copy"]), request),
        )

    @action(detail=True, methods=["post"])
    def move(self, request: Request, pk: str = "") -> Response:
        """Move it."""
        asked = read_body(Move, request)
        job = _job(pk)
        try:
            reason, seen = asked.get("reason", ""), asked.get("seen")
            move_and_log(job, django_request(request), asked["run_at"], seen=seen, reason=reason)
        except InvalidRunAt as error:
            raise invalid("run_at", error) from None
        return Response(in_full(job, request))


def _copied(job: Job, asked: Mapping[str, Any], request: Request) -> Job:
    """The copy; each refusal names the field that asks for what cannot be."""
    if "payload" in asked and not may_read(request):
        raise PermissionDenied("Another payload takes the permission jobqueue.view_payload.")
    try:
        return copy_and_log(job, django_request(request), **asked)
    except InvalidPayload as error:
        raise invalid("payload", error) from None
    except InvalidRunAt as error:
        raise invalid("run_at", error) from None


def _copy(number: int) -> Job:
    """The copy that was made; a payload is kept with its job alone, and goes with it."""
    job = Job.objects.filter(pk=number).first()
    if job is None:
        raise Http404(f"The copy was made as job {number}, which is deleted by now.")
    return job


def _job(pk: str) -> Job:
    """The job; Http404 if there is none."""
    job = Job.objects.filter(pk=_key(pk)).first()
    if job is None:
        raise Http404
    return job


def _key(text: str) -> int:
    """The id; Http404 for what no row has."""
    number = int(text)
    if number > LARGEST_ID:
        raise Http404
    return number


def _carry_out(name: str, pk: str, request: Request, reason: str) -> None:
    """Do it, and write it down; refused if the job is not in a state for it, or its app says no."""
    take_and_log(VERBS[name], _job(pk).pk, django_request(request), reason)
