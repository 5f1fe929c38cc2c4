"""Every verb takes a reason and keeps it in the audit, over HTTP and in the forms of the admin."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import transaction
from django.http import HttpResponse
from django.test import Client

from jobqueue import operating
from jobqueue.admin import SHOWN
from jobqueue.models import AuditEntry, Cause, ProcessorLimits, Queue, holding
from tests.jobqueue.admin.open_forms import shown_limits
from tests.jobqueue.admin.steps import make_job, make_worker
from tests.jobqueue.api.steps import ask, problem
from tests.jobqueue.models.test_bulk import ask as begin_in_bulk

pytestmark = pytest.mark.django_db(databases=["default", "other"])

ROOM = Path(str(operating.__file__)).parent
WRITES = {"log_change", "log_together", "log_change_in_redis", "write_down", "_entry", "_write"}
"""What leads to an entry of the audit."""
WRITERS = {"audit.py", "admins_log.py"}
"""Where these stand: what is written there was said before."""
VERBS = {
    *("hold_and_log", "release_and_log", "cancel_and_log", "move_and_log", "shift_and_log", "copy_and_log"),
    *("stop_and_log", "stop_bulk_and_log", "order_and_log", "pause_and_log", "resume_and_log"),
    *("change_limits", "change_processor_limits", "set_muted", "write_down"),
}
ADMIN = "/admin/jobqueue"
WHY = "the server is back"
BAD = pytest.mark.parametrize("reason", ["x" * 501, "a\x00b"], ids=["too long", "U+0000"])
Door = Callable[[Client, str], HttpResponse]


# Each verb ------------------------------------------------------------------------------------------


def _functions() -> Iterator[tuple[ast.FunctionDef, set[str]]]:
    """The public functions of the room that come to an entry of the audit, with their parameters."""
    for path in ROOM.glob("*.py"):
        if path.name not in WRITERS:
            known = {
                one.name: one for one in ast.parse(path.read_text()).body if isinstance(one, ast.FunctionDef)
            }
            for name, function in known.items():
                if not name.startswith("_") and _writes(function, known):
                    arguments = function.args
                    named = (*arguments.args, *arguments.kwonlyargs)
                    yield function, {argument.arg for argument in named}


def _writes(function: ast.FunctionDef, known: dict[str, ast.FunctionDef], depth: int = 5) -> bool:
    calls = {
        one.func.id
        for one in ast.walk(function)
        if isinstance(one, ast.Call) and isinstance(one.func, ast.Name)
    }
    others = (known[name] for name in calls & known.keys() if name != function.name)
    return bool(calls & WRITES) or (depth > 0 and any(_writes(one, known, depth - 1) for one in others))


def test_every_verb_takes_a_reason() -> None:
    found = {function.name: "reason" in parameters for function, parameters in _functions()}
    assert set(found) >= VERBS
    assert [name for name, takes_it in found.items() if not takes_it] == []


# Over HTTP ------------------------------------------------------------------------------------------


def _job(state: str, verb: str) -> Door:
    def knock(client: Client, reason: str) -> HttpResponse:
        job = make_job("delayed" if state == "held" else state)
        if state == "held":
            holding.hold(job, "pia", "", "default")
        return ask(client, "POST", f"jobs/{job.pk}/{verb}/", {"reason": reason})

    return knock


def _http(path: str, method: str = "POST", **body: Any) -> Door:
    def knock(client: Client, reason: str) -> HttpResponse:
        keys = {"worker": _worker(path).pk, "bulk": begin_in_bulk().pk}
        _rows("resume" in path, "unmute" in path)
        return ask(client, method, path.format(**keys), {**body, "reason": reason})

    return knock


def _worker(path: str) -> Any:
    worker = make_worker(takes_orders=True)
    if "resume" in path:
        type(worker).objects.filter(pk=worker.pk).update(quiet_asked_at=worker.heartbeat_at)
    return worker


def _rows(is_paused: bool, is_muted: bool) -> None:
    Queue.objects.create(name="email", paused=is_paused)
    muted_at = make_worker().heartbeat_at if is_muted else None
    Cause.objects.create(name="ValueError", muted_at=muted_at)


def _begin(client: Client, reason: str) -> HttpResponse:
    make_job("failed")
    return ask(client, "POST", "bulk/", {"verb": "retry", "search": "state:failed", "reason": reason})


OVER_HTTP = {
    "begin a bulk action": _begin,
    "retry": _job("failed", "retry"),
    "cancel": _job("waiting", "cancel"),
    "run-now": _job("delayed", "run-now"),
    "put-back": _job("stuck", "put-back"),
    "fail": _job("stuck", "fail"),
    "hold": _job("delayed", "hold"),
    "release": _job("held", "release"),
    "pause": _http("queues/email/pause/"),
    "resume": _http("queues/email/resume/"),
    "limits of a queue": _http("queues/email/limits/", "PATCH", rate_limit=5),
    "limits of a processor": _http("processors/email.notification/limits/", "PATCH", rate_limit=5),
    "mute": _http("causes/mute/", cause="ValueError"),
    "unmute": _http("causes/unmute/", cause="ValueError"),
    "quiet": _http("workers/{worker}/quiet/"),
    "resume a worker": _http("workers/{worker}/resume/"),
    "stop a worker": _http("workers/{worker}/stop/"),
    "stop a bulk action": _http("bulk/{bulk}/stop/"),
}


def _each(doors: dict[str, Door], client: Client, reason: str) -> Iterator[tuple[str, HttpResponse]]:
    """What each door answers, in a transaction of its own: nothing of it stays."""
    for name, knock in doors.items():
        with transaction.atomic(), transaction.atomic("other"):
            yield name, knock(client, reason)
            for using in ("default", "other"):
                transaction.set_rollback(True, using)


def _kept() -> list[str]:
    return list(AuditEntry.objects.values_list("reason", flat=True))


def test_a_reason_that_is_sent_stands_in_the_audit(admin_client: Client) -> None:
    kept = {name: _kept() for name, _answer in _each(OVER_HTTP, admin_client, f" {WHY} ")}
    assert kept == dict.fromkeys(OVER_HTTP, [WHY])


def test_an_empty_reason_is_none(admin_client: Client) -> None:
    answers = {name: answer.status_code for name, answer in _each(OVER_HTTP, admin_client, "")}
    assert {name: status for name, status in answers.items() if status >= 400} == {}


@BAD
def test_a_reason_that_cannot_be_kept_is_refused_by_its_name(admin_client: Client, reason: str) -> None:
    for name, answer in _each(OVER_HTTP, admin_client, reason):
        fields = [error["field"] for error in problem(answer, 422)["errors"]]
        assert (name, fields, _kept()) == (name, ["reason"], [])


def test_a_reason_alone_changes_no_limits(admin_client: Client) -> None:
    for path in ("queues/email/limits/", "processors/email.notification/limits/"):
        refused = problem(ask(admin_client, "PATCH", path, {"reason": WHY}), 422)
        assert "rate_limit" in [error["field"] for error in refused["errors"]]


# In the admin ---------------------------------------------------------------------------------------


def _form(path: str, **fields: Any) -> Door:
    def knock(client: Client, reason: str) -> HttpResponse:
        keys = {
            "queue": shown_limits(Queue, "email")[SHOWN],
            "processor": shown_limits(ProcessorLimits, "email.notification")[SHOWN],
            "worker": _worker(str(fields)).pk,
            "bulk": begin_in_bulk().pk,
            "aside": make_job("failed", set_aside="nobody knows its processor").pk,
        }
        _rows("resume" in path + str(fields), "unmute" in str(fields))
        data = {name: str(value).format(**keys) for name, value in fields.items()}
        return client.post(f"{ADMIN}/{path.format(**keys)}", {**data, "reason": reason}, follow=True)

    return knock


FORMS = {
    "the buttons of a queue": _form("queue/resume/", queue="email"),
    "pause in the list of queues": _form("queue/", action="pause", _selected_action="email", index="0"),
    "resume in the list of queues": _form("queue/", action="resume", _selected_action="email", index="0"),
    "limits of a queue": _form("queue/email/change/", rate_limit=5, shown_values="{queue}"),
    "limits of a processor": _form(
        "processorlimits/email.notification/change/", rate_limit=5, shown_values="{processor}"
    ),
    "mute": _form("cause/", action="mute", cause="ValueError"),
    "unmute": _form("cause/", action="unmute", cause="ValueError"),
    "quiet": _form("job/worker/{worker}/order/", order="quiet"),
    "resume a worker": _form("job/worker/{worker}/order/", order="resume"),
    "stop a worker": _form("job/worker/{worker}/order/", order="stop"),
    "stop a bulk action": _form("bulkaction/{bulk}/stop/"),
    "put back what is set aside": _form("setasidejob/", chosen="job:default:{aside}"),
}


def _said_of(reason: str, most: int) -> str:
    """What is said of a reason that cannot be: its length, or the character that nothing can keep."""
    is_nul = "\x00" in reason
    return (
        "A reason cannot have the character U+0000." if is_nul else f"Say why, in at most {most} characters."
    )


def test_a_reason_that_a_form_says_stands_in_the_audit(admin_client: Client) -> None:
    kept = {name: _kept() for name, _answer in _each(FORMS, admin_client, f" {WHY} ")}
    assert kept == dict.fromkeys(FORMS, [WHY])


@BAD
def test_a_form_says_what_a_reason_can_be_and_changes_nothing(admin_client: Client, reason: str) -> None:
    for name, page in _each(FORMS, admin_client, reason):
        assert _said_of(reason, 500) in page.content.decode(), name
        assert _kept() == [], name


def test_the_pages_have_a_place_for_it(admin_client: Client) -> None:
    """Without a reason each stays one click."""
    _rows(is_paused=True, is_muted=False)
    make_job("failed", cause="ValueError")
    make_worker(takes_orders=True)
    make_job("failed", set_aside="nobody knows its processor")
    for path in (
        "queue/",
        "cause/",
        "job/running/",
        f"bulkaction/{begin_in_bulk().pk}/change/",
        "setasidejob/",
    ):
        page = admin_client.get(f"{ADMIN}/{path}").content.decode()
        assert '<details class="jq-because">' in page, path
    assert 'name="reason"' in admin_client.get(f"{ADMIN}/queue/email/change/").content.decode()


def test_the_stop_of_a_running_job_is_asked_again_for_a_reason_that_can_be_kept(admin_client: Client) -> None:
    job = make_job("active", worker_id=make_worker(takes_orders=True).pk)
    for reason in ("x" * 301, "a\x00b"):
        page = admin_client.post(f"{ADMIN}/job/{job.pk}/stop/", {"reason": reason}, follow=True)
        assert _said_of(reason, 300) in page.content.decode()
    assert not AuditEntry.objects.exists()
