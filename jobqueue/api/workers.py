"""`/api/workers/`: who runs jobs, and what they are told to do."""

from __future__ import annotations

import uuid
from collections import Counter
from typing import Any

from django.http import Http404
from drf_spectacular.utils import extend_schema_view
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from jobqueue.api.access import OperatorViewSet, django_request
from jobqueue.api.bodies import Reason, read_body, read_query
from jobqueue.api.job_shapes import ProgressShape, run_line
from jobqueue.api.paging import PageQuery, page, read_cursor, stored_text
from jobqueue.api.problems import Refused
from jobqueue.api.schema import NamedChoice
from jobqueue.api.shapes import Moment, described, page_of
from jobqueue.models import Job, Worker
from jobqueue.operating.rights import permissions_of
from jobqueue.operating.running import runs_of
from jobqueue.operating.words import carried
from jobqueue.operating.workers import ORDERS, WORKER_STATES, order_and_log, state_of
from jobqueue.sql.clock import database_now

VIEW = ("jobqueue.view_worker",)
MOST_JOBS = 500
_ALREADY = {"quiet": "already_quiet", "resume": "not_quiet", "stop": "already_stopping"}


class RunningLine(serializers.Serializer[Any]):
    """A job that a worker runs."""

    id = serializers.IntegerField()
    processor = serializers.CharField()
    thread = serializers.IntegerField(allow_null=True, help_text="The number of its thread.")
    progress = ProgressShape(allow_null=True)


class WorkerLine(serializers.Serializer[Any]):
    """An executor process."""

    id = serializers.UUIDField()
    name = serializers.CharField(
        help_text="In full, as django-rq's commands know it; a job and its attempts name their worker by it."
    )
    title = serializers.CharField(
        help_text="What pages and sentences call it: the name, of 32 digits made up the first eight."
    )
    host = serializers.CharField()
    pid = serializers.IntegerField()
    state = NamedChoice("WorkerState", WORKER_STATES)
    queues = serializers.ListField(child=serializers.CharField())
    threads = serializers.IntegerField()
    running = serializers.IntegerField(
        help_text="Jobs that it claimed: they run, or are next on its threads; a silent one's are stuck."
    )
    jobs = RunningLine(
        many=True,
        help_text=f"Those, the longest running first, at most {MOST_JOBS} of all workers of a page; none for "
        "who may not see jobs.",
    )
    version = serializers.CharField(
        allow_blank=True,
        help_text='Of the site, by `JOBQUEUE["VERSION"]`; where that says none, that of the job queue.',
    )
    memory = serializers.IntegerField(allow_null=True, help_text="Bytes in use at its last heartbeat.")
    started_at = Moment()
    heartbeat_at = Moment()


class OrderedWorkerLine(WorkerLine):
    """A process whose worker was told something."""

    changed = serializers.ListField(
        child=serializers.UUIDField(),
        help_text="The processes that this changed: an order is for all living processes of the worker.",
    )


def _order(name: str, summary: str, already: str) -> Any:
    """The action of an order of `ORDERS`; `already` says why one that changes nothing is refused."""

    def act(self: WorkerViewSet, request: Request, pk: str = "") -> Response:
        reason = read_body(Reason, request).get("reason", "")
        worker = _worker(pk)
        changed = order_and_log(django_request(request), worker, ORDERS[name], reason)
        if not changed:
            raise Refused(f"Nothing to do: worker {carried(worker.title)} {already}.", _ALREADY[name])
        [line] = _lines([_as_it_is_now(worker)], request)
        return Response(line | {"changed": [str(one.pk) for one in changed]}, status=202)

    act.__name__ = name
    act.__doc__ = f"{summary}: also in those that share its host and supervisor with the one that is named."
    codes = {409: (_ALREADY[name], "worker_gone", "worker_too_old")}
    routed = action(detail=True, methods=["post"])(act)
    return described(summary, OrderedWorkerLine, status=202, body=Reason, codes=codes)(routed)


def _as_it_is_now(worker: Worker) -> Worker:
    """The worker; one without jobs may have followed the order, and ended, within the same moment."""
    try:
        worker.refresh_from_db()
    except Worker.DoesNotExist:
        worker.stopping = True
    return worker


def _worker(key: str) -> Worker:
    """The worker of this id, with dashes or without, or of a name that one has; Http404 if none is meant."""
    try:
        worker = Worker.objects.filter(pk=uuid.UUID(key)).first()
    except ValueError:
        worker = None
    if worker is None:
        named = list(Worker.objects.filter(name=key)[:2]) if "\x00" not in key else []
        if len(named) > 1:
            raise Http404(f"More than one worker is called {carried(key)}: name one by its id.")
        worker = named[0] if named else None
    if worker is None:
        raise Http404
    return worker


@extend_schema_view(
    list=described("Who runs jobs", page_of(WorkerLine), query=PageQuery),
    retrieve=described("One worker: how far it is with what it was told", WorkerLine),
)
class WorkerViewSet(OperatorViewSet):
    """The workers, one row for each executor process: by their ids, or by a name that one alone has."""

    lookup_value_regex = "[^/]+"
    what = "worker"
    needs = {
        "list": VIEW,
        "retrieve": VIEW,
        **{name: permissions_of(order.right) for name, order in ORDERS.items()},
    }

    def list(self, request: Request) -> Response:
        """The workers by name."""
        asked = read_query(PageQuery, request)
        rows = Worker.objects.order_by("name", "pk")
        if "cursor" in asked:
            name, pk = read_cursor(asked["cursor"], stored_text, uuid.UUID)
            rows = rows.filter(name__gte=name).exclude(name=name, pk__lte=pk)
        found = list(rows[: asked["limit"] + 1])
        body = page(
            request,
            found,
            asked["limit"],
            lambda one: [one.name, str(one.pk)],
            lambda some: _lines(some, request),
        )
        return Response(body)

    def retrieve(self, request: Request, pk: str = "") -> Response:
        """One of them, as long as it has a row."""
        [line] = _lines([_worker(pk)], request)
        return Response(line)

    quiet = _order("quiet", "Let a worker claim no more jobs, in all its processes", "is quiet already")
    resume = _order("resume", "Let a quiet worker claim jobs again", "is not quiet")
    stop = _order("stop", "Let a worker end as by SIGTERM, in all its processes", "is stopping already")


def _lines(workers: list[Worker], request: Request) -> list[dict[str, Any]]:
    now = database_now(Worker.objects.db)
    running = Counter(
        Job.objects.active()
        .filter(worker_id__in=[one.pk for one in workers])
        .values_list("worker", flat=True)
    )
    jobs = _jobs_of(workers, request) if request.user.has_perm("jobqueue.view_job") else {}
    return [
        {
            "id": str(one.pk),
            "name": carried(one.name),
            "title": carried(one.title),
            "host": carried(one.hostname),
            "pid": one.pid,
            "state": state_of(one, now),
            "queues": [carried(queue) for queue in one.served],
            "threads": one.threads,
            "running": running[one.pk],
            "jobs": jobs.get(one.pk, []),
            "version": carried(one.version),
            "memory": one.memory,
            "started_at": Moment().to_representation(one.started_at),
            "heartbeat_at": Moment().to_representation(one.heartbeat_at),
        }
        for one in workers
    ]


def _jobs_of(workers: list[Worker], request: Request) -> dict[Any, list[dict[str, Any]]]:
    """What each of them runs."""
    active = Job.objects.active().filter(worker_id__in=[one.pk for one in workers])
    jobs = list(
        active.order_by("started_at", "id").only("processor", "state", "attempt", "worker_id")[:MOST_JOBS]
    )
    runs, found = runs_of(jobs), dict[Any, list[dict[str, Any]]]()
    for job in jobs:
        line = {"id": job.pk, "processor": carried(job.processor), **run_line(runs.get(job.pk), request)}
        found.setdefault(job.worker_id, []).append(line)
    return found
