"""What somebody wrote as a reason may hold an address: no page shows it to who may not read payloads."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.contrib.auth.models import Permission, User
from django.http import HttpRequest
from django.test import Client, RequestFactory
from django.utils import timezone

from jobqueue.models import AuditEntry, BulkAction, Job, Queue, SetAsideJob, Worker, holding
from jobqueue.operating import log_change
from settlements.models import Payment, Settlement
from tests.jobqueue.admin import world
from tests.jobqueue.admin.steps import JOBS, add_attempt, make_job, page_of, text_of
from tests.jobqueue.admin.world import World

pytestmark = [pytest.mark.django_db(databases=["default", "other"]), pytest.mark.one_database]

WHO = "pia.secret"
ADDRESS = f"{WHO}@hidden.example"
WHY = f"asked for by {ADDRESS}"


@pytest.fixture
def user() -> User:
    """Who may see and do all, but read payloads."""
    found = User.objects.create_user("operator", is_staff=True)
    of_ours = Permission.objects.filter(content_type__app_label__in=["jobqueue", "settlements"])
    found.user_permissions.set(of_ours.exclude(codename="view_payload"))
    return found


@pytest.fixture
def client(user: User) -> Client:
    """Their browser."""
    found = Client()
    found.force_login(user)
    return found


@pytest.fixture
def here(user: User) -> World:
    """One row of everything, with such a reason wherever one is kept."""
    found = world.build()
    now = timezone.now()
    stopping = {"stop_reason": f"stopped by ann: {WHY}", "stop_asked_at": now}
    Job.objects.filter(pk=found.keys["jobqueue_job_stop"]).update(**stopping)
    Queue.objects.filter(pk="email").update(paused=True, paused_at=now, paused_by="ann", pause_reason=WHY)
    make_job(queue="email")
    held = make_job("delayed", run_at=found.delayed.run_at)
    holding.hold(held, "ann", WHY, "default")
    for state in ("cancelled", "completed", "failed"):
        make_job(state, reason=f"{state} by ann: {WHY}")
    add_attempt(make_job("failed", reason=WHY), message=WHY, traceback=WHY)
    SetAsideJob.objects.filter(pk=found.keys["jobqueue_setasidejob"]).update(set_aside=WHY)
    BulkAction.objects.update(
        reason=WHY,
        selection={"state": "", "listed": f"search=email:{ADDRESS}"},
        left_out={"declined": {"number": 1, "said": [f"#7: {WHY}"], "ids": []}},
    )
    AuditEntry.objects.update(reason=WHY, text=WHY)
    for record in _records(found):
        log_change(_asked_by(user), record, f"Done: a → b. Reason: {WHY}")
    return found


def _records(here: World) -> Iterator[Job | Queue | Worker | BulkAction | Settlement | Payment]:
    yield from Job.objects.all()
    yield from (Queue.objects.get(pk="email"), Worker.objects.get(), BulkAction.objects.get())
    yield from (Settlement.objects.get(), Payment.objects.get())


def _asked_by(user: User) -> HttpRequest:
    request = RequestFactory().get("/")
    request.user = user
    return request


def test_no_page_shows_an_address_of_a_reason(client: Client, here: World) -> None:
    shown = {}
    for name in world.names():
        shown[name] = client.get(world.address(name, here), follow=True).content.decode()
    jobs = [page_of(job) for job in Job.objects.all()]
    shown |= {url: text_of(client.get(url)) for url in jobs}
    listed = ("held", "active", "failed", "cancelled")
    shown |= {f"{JOBS}?state={word}": text_of(client.get(JOBS, {"state": word})) for word in listed}
    assert sorted(name for name, text in shown.items() if WHO in text) == []
    assert sum("asked for by" in text for text in shown.values()) > 10, "the reasons themselves are shown"


def test_no_message_shows_an_address_of_a_reason(client: Client, here: World) -> None:
    stopping = here.keys["jobqueue_job_stop"]
    held = Job.objects.exclude(held_run_at=None).get()
    day = timezone.localtime(here.delayed.run_at).date().isoformat()
    sent = [
        client.get(f"{JOBS}{stopping}/stop/", follow=True),
        client.post(f"{JOBS}{stopping}/stop/", {"reason": "again"}, follow=True),
        client.post(f"{JOBS}calendar/{day}/hold/?job={held.pk}", {"reason": "again"}, follow=True),
        client.post(f"{JOBS}{held.pk}/move/", {"reason": "again", "to": "2000-01-01T09:00"}, follow=True),
    ]
    assert [WHO in text_of(answer) for answer in sent] == [False] * 4
    assert "(address)" in text_of(sent[0])


def test_who_may_read_payloads_sees_it(user: User, client: Client, here: World) -> None:
    user.user_permissions.add(Permission.objects.get(codename="view_payload"))
    for name in ("jobqueue_bulkaction_change", "jobqueue_job_running", "jobqueue_queue_changelist"):
        assert ADDRESS in text_of(client.get(world.address(name, here))), name
