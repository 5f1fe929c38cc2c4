"""What the tests of the admin do again and again: jobs in every state, operators, clicks."""

from __future__ import annotations

import html
import re
import uuid
from datetime import timedelta
from typing import Any

from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.http import HttpResponse
from django.test import Client

from jobqueue.models import Attempt, Job, Worker
from jobqueue.sql.clock import database_now

JOBS = "/admin/jobqueue/job/"
FAILED = "/admin/jobqueue/failedjob/"
CAUSES = "/admin/jobqueue/cause/"
STUCK = "/admin/jobqueue/stuckjob/"
QUEUES = "/admin/jobqueue/queue/"
COUNTS = "/admin/jobqueue/queue/counts/"
WORKERS = "/admin/jobqueue/worker/"
LISTS = (JOBS, FAILED, STUCK)


def page_of(job: Job) -> str:
    """The address of the job's page."""
    return f"{JOBS}{job.pk}/change/"


def make_job(state: str = "waiting", **fields: Any) -> Job:
    """A job in one of the states an operator speaks of, delayed, skipped and stuck included."""
    now = database_now("default")
    # SQLite tells the time in milliseconds: what is due now would be delayed until the next one.
    due = now - timedelta(seconds=1)
    defaults: dict[str, Any] = {"processor": "sample.succeed", "queue": "email", "timeout": 30, "run_at": due}
    ended = {"started_at": now - timedelta(seconds=2), "finished_at": now}
    in_state: dict[str, dict[str, Any]] = {
        "waiting": {},
        "delayed": {"state": "waiting", "run_at": now + timedelta(hours=3)},
        "active": {"started_at": now, "worker_id": None},
        "stuck": {"state": "active", "started_at": now - timedelta(minutes=5), "worker_id": uuid.uuid4()},
        "completed": ended,
        "skipped": {**ended, "state": "completed", "reason": "skipped: already paid"},
        "failed": {**ended, "failures": 4, "attempt": 4, "reason": "ConnectionError: refused"},
        "cancelled": {"finished_at": now, "reason": "cancelled"},
    }
    if state == "active":
        in_state["active"]["worker_id"] = fields.get("worker_id") or make_worker().pk
    values = defaults | {"state": state} | in_state[state] | fields
    return Job.objects.create(**values)


def make_worker(silent_for: float = 0, **fields: Any) -> Worker:
    """A worker of all queues, alive or silent for some seconds."""
    heartbeat = database_now("default") - timedelta(seconds=silent_for)
    defaults: dict[str, Any] = {
        "name": "worker-1",
        "hostname": "web-1",
        "pid": 4711,
        "queues": ["email", "reminders", "settlement"],
        "heartbeat_at": heartbeat,
    }
    return Worker.objects.create(**defaults | fields)


def add_attempt(job: Job, number: int = 1, error: str = "ConnectionError", **fields: Any) -> Attempt:
    """A failed attempt of the job."""
    return Attempt.objects.create(job=job, number=number, error_class=error, **fields)


def operator(*permissions: str, username: str = "operator") -> Client:
    """A client of a staff user with these permissions of the job queue (`view_job`, or `app.codename`)."""
    user = User.objects.create_user(username, is_staff=True)
    for name in permissions:
        app, _dot, codename = name.rpartition(".")
        user.user_permissions.add(
            Permission.objects.get(content_type__app_label=app or "jobqueue", codename=codename)
        )
    client = Client()
    client.force_login(user)
    return client


def text_of(response: HttpResponse) -> str:
    """The page, which must be there."""
    assert response.status_code == 200, response.status_code
    return response.content.decode()


def choose(client: Client, action: str, *jobs: Job, url: str = JOBS, **fields: Any) -> HttpResponse:
    """Choose an action for these jobs, or with `select_across=1` for all that match the list."""
    chosen = [str(job.pk) for job in jobs] or ["0"]
    return client.post(url, {"action": action, "_selected_action": chosen, "index": "0", **fields})


def confirm(client: Client, action: str, *jobs: Job, url: str = JOBS, **fields: Any) -> list[str]:
    """Answer the question about these jobs with yes; what the next page says, without its links."""
    chosen = [str(job.pk) for job in jobs] or ["0"]
    data = {"action": action, "confirmed": action, "_selected_action": chosen, **fields}
    if "select_across" in fields and "counted" not in fields:
        question = choose(client, action, *jobs, url=url, **fields)
        data["counted"] = question.context["plan"].counted
    response = client.post(url, data, follow=True)
    assert response.status_code == 200
    # From the page itself: beside another thread Django's client finds contexts of both.
    told = re.search(r'<ul class="messagelist">(.*?)</ul>', response.content.decode(), re.DOTALL)
    said = re.findall(r"<li[^>]*>(.*?)</li>", told[1] if told else "", re.DOTALL)
    return [html.unescape(re.sub(" <a .*</a>", "", message.strip())) for message in said]


def entries_of(job: Job) -> list[str]:
    """What the audit says was done to the job."""
    entries = LogEntry.objects.filter(content_type__model="job", object_id=str(job.pk))
    return [entry.get_change_message() for entry in entries]


def rows_of(response: HttpResponse) -> list[Job]:
    """The jobs a list shows."""
    assert response.status_code == 200
    return list(response.context["cl"].result_list)


def ids_of(response: HttpResponse) -> set[int]:
    """The ids of the jobs a list shows."""
    return {job.pk for job in rows_of(response)}
