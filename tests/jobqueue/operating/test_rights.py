"""One permission a verb: what each takes, in the admin and over HTTP, and that it takes nothing else."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.apps import apps
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone

from jobqueue.api.routes import router
from jobqueue.models import Cause, Job, ProcessorLimits, Queue, holding
from jobqueue.operating.rights import Right, permissions_of
from jobqueue.operating.verbs import BULK_VERBS, permission_of
from jobqueue.operating.workers import ORDERS
from tests.jobqueue.admin.open_forms import shown_limits
from tests.jobqueue.admin.steps import make_job, make_worker, operator
from tests.jobqueue.api.steps import ask
from tests.jobqueue.models.test_bulk import ask as begin_in_bulk

pytestmark = pytest.mark.django_db(databases=["default", "other"])

LOOKS = ("view_job", "view_queue", "view_worker")
ADMIN = "/admin/jobqueue"
Door = Callable[[Client], HttpResponse]


# What each verb takes -------------------------------------------------------------------------------


def test_every_permission_that_is_not_to_look_is_that_of_one_verb() -> None:
    own = {
        code for model in apps.get_app_config("jobqueue").get_models() for code, _ in model._meta.permissions
    }
    verbs = {right.removeprefix("jobqueue.") for right in Right}
    assert own == verbs - {"delete_job"} | {"view_payload", "view_audit"}


def test_no_two_verbs_take_the_same() -> None:
    taken = [verb.right for verb in BULK_VERBS.values()] + [order.right for order in ORDERS.values()]
    taken.append(permission_of("move"))
    assert len(taken) == len(set(taken))


TAKEN_OVER_HTTP = {
    "jobs.cancel": {Right.CANCEL},
    "jobs.copy": {Right.COPY},
    "jobs.discard": {Right.DELETE},
    "jobs.fail": {Right.FAIL},
    "jobs.hold": {Right.HOLD},
    "jobs.move": {Right.MOVE},
    "jobs.put_back": {Right.PUT_BACK},
    "jobs.release": {f"{Right.RELEASE} or {Right.PUT_BACK}"},  # by the state of the job
    "jobs.retry": {Right.RETRY},
    "jobs.run_now": {Right.RUN_NOW},
    "jobs.stop": {Right.STOP},
    "bulk.create": set(),  # that of the verb in the body
    "bulk.stop": {Right.STOP_BULK_ACTION},
    "causes.discard": {Right.DELETE},
    "causes.mute": {Right.MUTE_CAUSE},
    "causes.retry": {Right.RETRY},
    "causes.unmute": {Right.UNMUTE_CAUSE},
    "processors.limits": {Right.LIMIT_PROCESSOR},
    "queues.limits": {Right.LIMIT_QUEUE},
    "queues.pause": {Right.PAUSE_QUEUE},
    "queues.resume": {Right.RESUME_QUEUE},
    "schedule.cancel_day": {Right.CANCEL},
    "schedule.hold_day": {Right.HOLD},
    "schedule.move_day": {Right.MOVE},
    "schedule.release_day": {Right.RELEASE},
    "workers.quiet": {Right.QUIET_WORKER},
    "workers.resume": {Right.RESUME_WORKER},
    "workers.stop": {Right.STOP_WORKER},
}


def test_every_action_that_changes_something_over_http_takes_that_of_its_verb() -> None:
    found = {}
    for prefix, views, _basename in router.registry:
        for route in router.get_routes(views):
            for method, name in route.mapping.items():
                if method not in ("get", "head") and hasattr(views, name):
                    needs: Any = views.needs[name]
                    found[f"{prefix}.{name}"] = {one for one in needs if ".view_" not in one}
    assert found == TAKEN_OVER_HTTP


# The doors ------------------------------------------------------------------------------------------


def _of_job(state: str, path: str, body: Any = None, *, http: bool) -> Door:
    def knock(client: Client) -> HttpResponse:
        job = make_job("delayed" if state == "held" else state)
        if state == "held":
            holding.hold(job, "pia", "", "default")
        where = path.format(pk=job.pk)
        if http:
            return ask(client, "POST", where, body, **{"Idempotency-Key": where})
        return client.post(f"{ADMIN}/{where}", {"_selected_action": [str(job.pk)], **(body or {})})

    return knock


def _listed(state: str, verb: str) -> Door:
    return _of_job(state, "job/", {"action": verb, "confirmed": verb}, http=False)


def _page(state: str, verb: str) -> Door:
    return _of_job(state, f"job/{{pk}}/{verb}/", http=False)


def _api(state: str, verb: str, body: Any = None) -> Door:
    return _of_job(state, f"jobs/{{pk}}/{verb}/", body, http=True)


def _of_worker(order: str, *, http: bool) -> Door:
    def knock(client: Client) -> HttpResponse:
        pk = make_worker(takes_orders=True).pk
        if http:
            return ask(client, "POST", f"workers/{pk}/{order}/")
        return client.post(f"{ADMIN}/job/worker/{pk}/order/", {"order": order})

    return knock


def _of_queue(path: str, method: str = "POST", body: Any = None, *, http: bool = True) -> Door:
    def knock(client: Client) -> HttpResponse:
        Queue.objects.get_or_create(name="email", defaults={"paused": "resume" in path})
        if http:
            return ask(client, method, f"queues/email/{path}/", body)
        return client.post(f"{ADMIN}/queue/{path}/", {"queue": "email"})

    return knock


def _of_processor(*, http: bool) -> Door:
    def knock(client: Client) -> HttpResponse:
        if http:
            return ask(client, "PATCH", "processors/email.notification/limits/", {"rate_limit": 5})
        data = {"rate_limit": 5, **shown_limits(ProcessorLimits, "email.notification")}
        return client.post(f"{ADMIN}/processorlimits/email.notification/change/", data)

    return knock


def _of_cause(verb: str, *, http: bool) -> Door:
    def knock(client: Client) -> HttpResponse:
        Cause.objects.get_or_create(name="ValueError")
        make_job("failed", cause="ValueError")
        if http:
            return ask(client, "POST", f"causes/{verb}/", {"cause": "ValueError"})
        return client.post(f"{ADMIN}/cause/", {"action": verb, "cause": "ValueError"})

    return knock


def _stop_in_bulk(*, http: bool) -> Door:
    def knock(client: Client) -> HttpResponse:
        pk = begin_in_bulk().pk
        path = f"bulk/{pk}/stop/"
        return ask(client, "POST", path) if http else client.post(f"{ADMIN}/bulkaction/{pk}/stop/")

    return knock


_SOON = {"run_at": (timezone.now() + timedelta(hours=1)).isoformat()}
DOORS: list[tuple[str, Right, Door]] = [
    *(
        ("admin", right, _listed(state, verb))
        for right, state, verb in (
            (Right.RETRY, "failed", "retry"),
            (Right.RUN_NOW, "delayed", "run_now"),
            (Right.CANCEL, "waiting", "cancel"),
            (Right.PUT_BACK, "stuck", "release"),
            (Right.FAIL, "stuck", "fail"),
            (Right.DELETE, "failed", "delete"),
            (Right.HOLD, "delayed", "hold"),
            (Right.RELEASE, "held", "let_go"),
        )
    ),
    *(
        ("admin", right, _page(state, verb))
        for right, state, verb in (
            (Right.MOVE, "delayed", "move"),
            (Right.STOP, "active", "stop"),
            (Right.COPY, "failed", "copy"),
        )
    ),
    (
        "admin",
        Right.PUT_BACK_SET_ASIDE,
        _of_job("failed", "setasidejob/", {"chosen": "job:default:{pk}"}, http=False),
    ),
    ("admin", Right.STOP_BULK_ACTION, _stop_in_bulk(http=False)),
    ("admin", Right.PAUSE_QUEUE, _of_queue("pause", http=False)),
    ("admin", Right.RESUME_QUEUE, _of_queue("resume", http=False)),
    ("admin", Right.LIMIT_QUEUE, _of_queue("email/change", http=False)),
    ("admin", Right.LIMIT_PROCESSOR, _of_processor(http=False)),
    ("admin", Right.QUIET_WORKER, _of_worker("quiet", http=False)),
    ("admin", Right.RESUME_WORKER, _of_worker("resume", http=False)),
    ("admin", Right.STOP_WORKER, _of_worker("stop", http=False)),
    ("admin", Right.MUTE_CAUSE, _of_cause("mute", http=False)),
    ("admin", Right.UNMUTE_CAUSE, _of_cause("unmute", http=False)),
    *(
        ("http", right, _api(state, verb, body))
        for right, state, verb, body in (
            (Right.RETRY, "failed", "retry", None),
            (Right.RUN_NOW, "delayed", "run-now", None),
            (Right.CANCEL, "waiting", "cancel", None),
            (Right.PUT_BACK, "stuck", "put-back", None),
            (Right.PUT_BACK, "stuck", "release", None),
            (Right.FAIL, "stuck", "fail", None),
            (Right.HOLD, "delayed", "hold", None),
            (Right.RELEASE, "held", "release", None),
            (Right.MOVE, "delayed", "move", _SOON),
            (Right.STOP, "active", "stop", None),
            (Right.COPY, "failed", "copy", None),
            (Right.DELETE, "failed", "discard", None),
        )
    ),
    ("http", Right.DELETE, _of_cause("discard", http=True)),
    ("http", Right.STOP_BULK_ACTION, _stop_in_bulk(http=True)),
    ("http", Right.PAUSE_QUEUE, _of_queue("pause")),
    ("http", Right.RESUME_QUEUE, _of_queue("resume")),
    ("http", Right.LIMIT_QUEUE, _of_queue("limits", "PATCH", {"rate_limit": 5})),
    ("http", Right.LIMIT_PROCESSOR, _of_processor(http=True)),
    ("http", Right.QUIET_WORKER, _of_worker("quiet", http=True)),
    ("http", Right.RESUME_WORKER, _of_worker("resume", http=True)),
    ("http", Right.STOP_WORKER, _of_worker("stop", http=True)),
    ("http", Right.MUTE_CAUSE, _of_cause("mute", http=True)),
    ("http", Right.UNMUTE_CAUSE, _of_cause("unmute", http=True)),
]
EACH_DOOR = pytest.mark.parametrize(
    ("right", "knock"), [pytest.param(right, knock, id=f"{face}-{right}") for face, right, knock in DOORS]
)


def test_every_verb_has_a_door_here() -> None:
    assert {right for face, right, _knock in DOORS if face == "admin"} == set(Right)


@EACH_DOOR
def test_who_holds_all_but_that_of_the_verb_is_refused_by_its_name(right: Right, knock: Door) -> None:
    others = [name for name in Right if name != right]
    answer = knock(operator(*LOOKS, "view_payload", "change_queue", *others))
    assert answer.status_code == 403
    assert str(right) in answer.content.decode()


@EACH_DOOR
def test_who_may_not_see_what_it_is_done_to_is_refused_in_every_face(right: Right, knock: Door) -> None:
    look, _own = permissions_of(right)
    others = {f"jobqueue.{name}" for name in LOOKS} - {look}
    answer = knock(operator(*others, "view_payload", *Right))
    assert answer.status_code == 403, look


@EACH_DOOR
def test_who_holds_that_of_the_verb_alone_is_not_refused(right: Right, knock: Door) -> None:
    assert knock(operator(*permissions_of(right))).status_code in (200, 201, 202, 204, 302, 409)


def test_what_may_not_be_done_is_not_offered() -> None:
    make_worker(takes_orders=True)
    Job.objects.all().delete()
    make_job("failed", cause="ValueError")
    client = operator(*LOOKS, Right.RESUME_QUEUE, Right.UNMUTE_CAUSE, Right.RESUME_WORKER)
    pages = {
        name: client.get(f"{ADMIN}/{name}/").content.decode() for name in ("queue", "cause", "job/running")
    }
    assert "queue/pause/" not in pages["queue"].replace('action="/admin/jobqueue/queue/pause/"', "")
    assert 'value="mute"' not in pages["cause"]
    assert 'value="quiet"' not in pages["job/running"]
    assert 'value="stop"' not in pages["job/running"]
