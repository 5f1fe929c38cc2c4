"""Who may see which page and do what."""

from __future__ import annotations

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.test import Client
from django.urls import Resolver404, resolve

from jobqueue.models import Job, Queue
from tests.jobqueue.admin.open_forms import shown_limits
from tests.jobqueue.admin.steps import (
    CAUSES,
    COUNTS,
    FAILED,
    JOBS,
    LISTS,
    QUEUES,
    STUCK,
    WORKERS,
    choose,
    make_job,
    operator,
    page_of,
)

pytestmark = pytest.mark.django_db(databases=["default", "other"])

PAGES = {
    JOBS: "view_job",
    FAILED: "view_job",
    STUCK: "view_job",
    CAUSES: "view_job",
    QUEUES: "view_queue",
    COUNTS: "view_queue",
    WORKERS: "view_worker",
}
ACTIONS = {
    "retry": ("retry_job", "failed"),
    "run_now": ("run_job", "delayed"),
    "cancel": ("cancel_job", "waiting"),
    "release": ("put_back_job", "stuck"),
    "fail": ("fail_job", "stuck"),
    "delete": ("delete_job", "failed"),
}
EVERY_PERMISSION = sorted({permission for permission, _state in ACTIONS.values()})


def _yes(client: Client, action: str, job: Job, url: str = JOBS) -> int:
    data = {"action": action, "confirmed": action, "_selected_action": [str(job.pk)]}
    return client.post(url, data).status_code


def _row(job: Job) -> dict[str, object] | None:
    return Job.objects.filter(pk=job.pk).values().first()


# Pages --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("url", PAGES)
def test_nobody_sees_a_page_without_logging_in(url: str) -> None:
    response = Client().get(url)
    assert response.status_code == 302
    assert response.headers["Location"].startswith("/admin/login/")


@pytest.mark.parametrize("url", PAGES)
def test_a_user_who_is_no_staff_sees_no_page(url: str) -> None:
    client = Client()
    client.force_login(User.objects.create_user("customer"))
    assert client.get(url).status_code == 302


@pytest.mark.parametrize("url", PAGES)
def test_staff_without_the_permission_sees_no_page(url: str) -> None:
    assert operator(*(set(PAGES.values()) - {PAGES[url]})).get(url).status_code == 403


@pytest.mark.parametrize("url", PAGES)
def test_staff_with_the_permission_to_view_sees_the_page(url: str) -> None:
    make_job()
    assert operator(PAGES[url]).get(url).status_code == 200


@pytest.mark.parametrize("url", PAGES)
def test_a_superuser_sees_every_page(admin_client: Client, url: str) -> None:
    assert admin_client.get(url).status_code == 200


@pytest.mark.parametrize(("permissions", "status"), [((), 403), (("view_job",), 200), (("retry_job",), 403)])
def test_the_page_of_a_job_takes_the_permission_to_view_jobs(
    permissions: tuple[str, ...], status: int
) -> None:
    assert operator(*permissions).get(page_of(make_job())).status_code == status


@pytest.mark.parametrize("url", LISTS)
def test_who_may_only_look_is_offered_nothing(url: str) -> None:
    for state in ("failed", "stuck", "delayed"):
        make_job(state)
    response = operator("view_job").get(url)
    assert response.context["action_form"] is None
    assert 'name="action"' not in response.content.decode()


@pytest.mark.parametrize("page", ["add/", "1/delete/"])
@pytest.mark.parametrize("url", [JOBS, FAILED, STUCK, CAUSES, QUEUES, WORKERS])
def test_nobody_adds_anything_by_hand_nor_deletes_past_the_actions(
    admin_client: Client, url: str, page: str
) -> None:
    assert admin_client.get(f"{url}{page}").status_code in (403, 404)


def test_a_running_job_cannot_be_deleted_on_the_page_for_deleting(admin_client: Client) -> None:
    job = make_job("active")
    assert admin_client.post(f"{JOBS}{job.pk}/delete/", {"post": "yes"}).status_code == 403
    assert _row(job)


@pytest.mark.parametrize("name", ["view_failedjob", "change_failedjob", "view_stuckjob", "delete_stuckjob"])
def test_the_lists_of_failed_and_stuck_jobs_need_no_permissions_of_their_own(name: str) -> None:
    from django.contrib.auth.models import Permission

    assert not Permission.objects.filter(codename=name).exists()


# Actions ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("action", ACTIONS)
def test_each_action_has_a_permission_of_its_own(action: str) -> None:
    permission, state = ACTIONS[action]
    job = make_job(state)
    before = _row(job)
    assert _yes(operator("view_job", permission), action, job) == 302
    assert _row(job) != before


@pytest.mark.parametrize("action", ACTIONS)
def test_all_other_permissions_together_do_not_allow_an_action(action: str) -> None:
    permission, state = ACTIONS[action]
    job = make_job(state)
    before = _row(job)
    client = operator("view_job", "change_job", "add_job", *(set(EVERY_PERMISSION) - {permission}))
    assert _yes(client, action, job) == 403
    assert choose(client, action, job).status_code == 403
    assert _row(job) == before
    assert not LogEntry.objects.exists()


@pytest.mark.parametrize("action", ACTIONS)
def test_an_action_without_the_permission_to_view_jobs_is_refused(action: str) -> None:
    permission, state = ACTIONS[action]
    job = make_job(state)
    before = _row(job)
    assert _yes(operator(permission), action, job) == 403
    assert _row(job) == before


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("who", ["anonymous", "user", "staff", "viewer"])
def test_who_has_no_permission_changes_nothing(who: str, action: str) -> None:
    job = make_job(ACTIONS[action][1])
    before = _row(job)
    client = Client()
    if who == "user":
        client.force_login(User.objects.create_user("customer"))
    elif who in ("staff", "viewer"):
        client = operator(*(["view_job"] if who == "viewer" else []))
    for url in LISTS:
        assert _yes(client, action, job, url) in (302, 403)
    assert _row(job) == before
    assert not LogEntry.objects.exists()


@pytest.mark.parametrize("action", ["pause", "resume"])
def test_pausing_a_queue_has_a_permission_of_its_own(action: str) -> None:
    Queue.objects.create(name="email", paused=action == "resume")
    data = {"action": action, "_selected_action": ["email"], "index": "0"}
    other_end = {"pause": "resume_queue", "resume": "pause_queue"}[action]
    assert operator("view_queue", "limit_queue", other_end).post(QUEUES, data).status_code == 403
    assert Queue.objects.get(pk="email").paused is (action == "resume")
    assert operator("view_queue", f"{action}_queue", username="other").post(QUEUES, data).status_code == 302
    assert Queue.objects.get(pk="email").paused is (action == "pause")


def test_changing_limits_has_a_permission_of_its_own() -> None:
    Queue.objects.create(name="email")
    url, data = f"{QUEUES}email/change/", {"rate_limit": "10", **shown_limits(Queue, "email")}
    assert operator("view_queue", "pause_queue", "change_queue").post(url, data).status_code == 403
    assert Queue.objects.get(pk="email").rate_limit is None
    assert operator("view_queue", "limit_queue", username="other").post(url, data).status_code == 302
    assert Queue.objects.get(pk="email").rate_limit == 10


def test_who_may_only_look_sees_limits_without_fields() -> None:
    Queue.objects.create(name="email", rate_limit=4711)
    text = operator("view_queue").get(f"{QUEUES}email/change/").content.decode()
    assert "4711" in text
    assert '<input type="number"' not in text


# RQ's own pages -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["django_rq/", "django_rq/dashboard/", "django_rq/dashboard/queues/0/", "django-rq/", "rq/"]
)
def test_the_pages_of_rq_do_not_exist(admin_client: Client, path: str) -> None:
    assert admin_client.get(f"/admin/{path}").status_code == 404
    assert admin_client.get(f"/{path}").status_code == 404


def test_no_address_leads_to_a_view_of_rq(admin_client: Client) -> None:
    assert "django_rq" not in admin_client.get("/admin/").content.decode()
    with pytest.raises(Resolver404):
        resolve("/django_rq/")
