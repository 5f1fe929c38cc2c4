"""`/api/processors/`."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.utils import timezone

from jobqueue.models import Job, ProcessorLimits
from spendsync_site.demo.processes import LOOPBACK, free_port
from tests.jobqueue.admin.steps import make_job
from tests.jobqueue.api.steps import ask, full_operator, get, post, problem, viewer
from tests.jobqueue.conftest import UseRedis

pytestmark = pytest.mark.django_db(databases=["default", "other"])

NAME = "email.notification"
ADDRESS = f"processors/{NAME}/"


def test_every_processor_is_listed_with_its_limits_and_their_use() -> None:
    ProcessorLimits.objects.create(name=NAME, rate_limit=7)
    make_job("active", processor=NAME)

    shown = {one["name"]: one for one in get(viewer(), "processors/")["results"]}

    assert shown[NAME] == {
        "name": NAME,
        "queue": "email",
        "rate_limit": 7,
        "concurrency_limit": None,
        "active": 1,
        "starts": 0,
    }


def test_without_redis_the_starts_are_unknown(use_redis: UseRedis) -> None:
    ProcessorLimits.objects.create(name=NAME, rate_limit=7)
    use_redis(LOOPBACK, free_port())

    assert get(viewer(), ADDRESS)["starts"] is None


def test_limits_are_changed_by_name_and_written_down() -> None:
    client = full_operator()

    post(client, f"{ADDRESS}limits/", {"rate_limit": 7, "concurrency_limit": 3}, "PATCH")
    shown = post(client, f"{ADDRESS}limits/", {"rate_limit": None}, "PATCH")

    assert (shown["rate_limit"], shown["concurrency_limit"]) == (None, 3)
    assert [entry.change_message for entry in LogEntry.objects.order_by("pk")] == [
        "Rate limit: none → 7; Concurrency limit: none → 3",
        "Rate limit: 7 → none",
    ]


@pytest.mark.parametrize("body", [{"rate_limit": 0}, {"concurrency_limit": "x"}, {"late_after": 5}, {}])
def test_what_is_no_limit_is_refused(body: dict[str, object]) -> None:
    problem(ask(full_operator(), "PATCH", f"{ADDRESS}limits/", body), 422)

    assert not ProcessorLimits.objects.exists()


def test_who_may_only_look_changes_nothing() -> None:
    problem(ask(viewer(), "PATCH", f"{ADDRESS}limits/", {"rate_limit": 7}), 403)


def test_an_unknown_processor_is_named() -> None:
    said = problem(ask(full_operator(), "PATCH", "processors/nobody/limits/", {"rate_limit": 7}), 404)

    assert "There is no processor nobody" in said["detail"]


def test_of_a_job_that_a_limit_holds_back_nobody_is_told_yet() -> None:
    job = make_job("waiting", processor=NAME)
    Job.objects.filter(pk=job.pk).update(published_at=timezone.now() + timedelta(hours=20))

    assert get(viewer(), f"jobs/{job.pk}/")["published_at"] is None
