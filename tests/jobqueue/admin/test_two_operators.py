"""Two operators who click at the same moment: one effect, one entry in the audit, and the other is told."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from html import unescape

import pytest
from django.contrib.auth.models import User
from django.db import connections
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from jobqueue.models import AuditEntry, Job
from jobqueue.sql.clock import database_now
from tests.jobqueue.admin.steps import JOBS, make_job, make_worker, page_of

pytestmark = [pytest.mark.django_db(transaction=True, databases=["default", "other"]), pytest.mark.every_case]

Click = Callable[[Client], HttpResponse]


@pytest.fixture
def both(transactional_db: None) -> list[Client]:
    """Two operators with sessions of their own."""
    clients = []
    for name in ("ann", "ben"):
        client = Client()
        client.force_login(User.objects.create_superuser(name))
        clients.append(client)
    return clients


def at_once(clients: list[Client], click: Click) -> list[str]:
    """What the page says to each of them after both clicked, sorted."""
    together = threading.Barrier(len(clients))
    told: list[str] = []

    def act(client: Client) -> None:
        try:
            together.wait(10)
            told.append(said_on(click(client)))
        finally:
            connections.close_all()

    threads = [threading.Thread(target=act, args=[client], daemon=True) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(told) == len(clients)
    return sorted(told)


def said_on(response: HttpResponse) -> str:
    """The messages as they stand in the page, or what is wrong with what was entered."""
    page = response.content.decode()
    assert response.status_code == 200, page[:500]
    found = re.search(r'<(ul|p) class="(?:messagelist|errornote)[^>]*>(.*?)</\1>', page, re.DOTALL)
    assert found is not None, page
    return " ".join(unescape(re.sub("<[^>]+>", " ", found[2])).split())


def one_did(told: list[str], done: str, late: str) -> None:
    """One of them did it, the other was told that it was so already."""
    assert sum(done in text for text in told) == sum(late in text for text in told) == 1, told


def action(name: str, job: Job) -> Click:
    """A click on yes, where a list asks about this job."""
    data = {"action": name, "confirmed": name, "_selected_action": [job.pk], "reason": "the same"}
    return lambda client: client.post(JOBS, data, follow=True)


@pytest.mark.parametrize(
    ("name", "state", "done"),
    [
        ("retry", "failed", "1 job retried."),
        ("cancel", "delayed", "1 job cancelled."),
        ("hold", "delayed", "1 job held."),
        ("run_now", "delayed", "1 job made due now."),
        ("release", "stuck", "1 job put back on the road."),
    ],
)
def test_an_action_has_one_effect_and_the_other_learns_who_was_quicker(
    both: list[Client], name: str, state: str, done: str
) -> None:
    told = at_once(both, action(name, make_job(state)))
    one_did(told, done, "left alone: ")
    assert any(re.search(r"Somebody was quicker: (ann|ben) \(", text) for text in told), told
    assert AuditEntry.objects.count() == 1


def test_of_two_who_release_a_held_job_one_does(both: list[Client]) -> None:
    job = make_job("delayed")
    action("hold", job)(both[0])
    one_did(at_once(both, action("let_go", job)), "1 job released.", "Somebody was quicker")
    assert AuditEntry.objects.count() == 2


def test_a_running_job_is_asked_to_stop_once(both: list[Client]) -> None:
    job = make_job("active", worker_id=make_worker(takes_orders=True).pk)
    url = f"{JOBS}{job.pk}/stop/"
    told = at_once(both, lambda client: client.post(url, {"reason": "the same"}, follow=True))
    one_did(told, "Its stop is asked for", "already")
    assert AuditEntry.objects.count() == 1


def test_a_job_is_moved_once_and_the_other_is_told_of_its_new_time(both: list[Client]) -> None:
    job = make_job("delayed")
    seen = job.run_at.isoformat()
    times = [(database_now("default") + timedelta(days=number)).isoformat() for number in (1, 2)]
    chosen = dict(zip(map(id, both), times, strict=True))

    def move(client: Client) -> HttpResponse:
        data = {"to": chosen[id(client)], "zone": "UTC", "seen": seen, "reason": "later"}
        return client.post(f"{page_of(job).removesuffix('change/')}move/", data, follow=True)

    told = at_once(both, move)
    one_did(told, f"Job #{job.pk} runs", "meanwhile")
    assert AuditEntry.objects.count() == 1


def test_what_was_set_aside_is_put_back_once(both: list[Client]) -> None:
    job = make_job("failed", set_aside="its function is not allowed")
    url = reverse("admin:jobqueue_setasidejob_changelist")
    data = {"chosen": f"job:default:{job.pk}"}
    told = at_once(both, lambda client: client.post(url, data, follow=True))
    one_did(told, "1 put back.", "It is not set aside any more.")
    assert AuditEntry.objects.count() == 1


def _post(url: str, client: Client) -> HttpResponse:
    return client.post(url, {"queue": "email"}, follow=True)


def test_a_queue_is_paused_and_resumed_once(both: list[Client]) -> None:
    for verb, done, late in (
        ("pause", "Email is paused.", "Email is paused already."),
        ("resume", "Email is resumed.", "Email is not paused."),
    ):
        url = reverse(f"admin:jobqueue_queue_{verb}")
        one_did(at_once(both, partial(_post, url)), done, late)
    assert [entry.verb for entry in AuditEntry.objects.order_by("pk")] == ["Pause", "Resume"]
