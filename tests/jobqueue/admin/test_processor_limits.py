"""The limits of a processor: shown, set, refused, written down, and told of where a job waits for them."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
import redis
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.utils import timezone

from jobqueue.admin.chart_marks import happened
from jobqueue.broker import keys
from jobqueue.charting.reading import Chosen
from jobqueue.models import AuditEntry, Job, ProcessorLimits
from jobqueue.models.parking import PARKED_FOR
from tests.jobqueue.admin.open_forms import opened
from tests.jobqueue.admin.steps import QUEUES, make_job, operator, text_of

pytestmark = pytest.mark.django_db(databases=["default", "other"])

NAME = "email.notification"
LIST = "/admin/jobqueue/processorlimits/"
LIMITS = f"{LIST}{NAME}/change/"


def _limits() -> tuple[int | None, int | None]:
    row = ProcessorLimits.objects.get(pk=NAME)
    return row.rate_limit, row.concurrency_limit


def test_limits_are_set_before_there_is_a_row_and_the_page_says_so(admin_client: Client) -> None:
    answer = opened(admin_client, LIMITS).send(rate_limit=10, concurrency_limit=2)

    assert [str(message) for message in answer.context["messages"]] == [
        f"Limits of processor {NAME}: 10 a second, 2 at once."
    ]
    assert answer.redirect_chain == [(LIST, 302)]
    assert _limits() == (10, 2)


def test_what_is_no_limit_is_refused_and_leaves_no_row(admin_client: Client) -> None:
    text = text_of(opened(admin_client, LIMITS).send(rate_limit=0, concurrency_limit="ten"))

    assert "With 0 no job would start" in text
    assert "Enter a whole number of 1 or more" in text
    assert not ProcessorLimits.objects.exists()


def test_a_change_is_written_down_in_the_log_and_the_audit_and_marked_on_charts(admin_client: Client) -> None:
    ProcessorLimits.objects.create(name=NAME, concurrency_limit=2)
    before = timezone.now() - timedelta(minutes=1)

    opened(admin_client, LIMITS).send(rate_limit=1000, concurrency_limit="")
    opened(admin_client, LIMITS).send(rate_limit=1000, concurrency_limit="")

    said = "Rate limit: none → 1,000; Concurrency limit: 2 → none"
    assert [entry.change_message for entry in LogEntry.objects.all()] == [said]
    entry = AuditEntry.objects.get()
    assert (entry.verb, entry.object_id, entry.text) == ("Limits", NAME, said)
    assert [(mark.kind, mark.text) for mark in happened(before, None, Chosen("email")).shown] == [
        ("limit", f"{NAME}: {said}")
    ]
    assert happened(before, None, Chosen("reminders")).shown == []


def test_who_may_limit_queues_may_not_limit_processors() -> None:
    client = operator("view_queue", "view_job", "limit_queue")

    assert client.post(LIMITS, {"rate_limit": 1}).status_code == 403
    assert client.get(LIST).status_code == 200
    assert not ProcessorLimits.objects.exists()


def test_a_processor_that_nobody_knows_has_no_limits_to_set(admin_client: Client) -> None:
    assert admin_client.get(f"{LIST}nobody/change/").status_code == 404


def test_both_lists_show_how_much_of_the_limits_is_used_up(
    admin_client: Client, redis_client: redis.Redis
) -> None:
    ProcessorLimits.objects.create(name=NAME, rate_limit=10, concurrency_limit=2)
    make_job("active", processor=NAME)
    make_job("active", processor=NAME)
    ahead = int(time.time() * 1000) + 30_000  # so that they are of "this second" however long the page takes
    redis_client.lpush(keys.starts_of(NAME), ahead, ahead)

    of_processors, of_queues = text_of(admin_client.get(LIST)), text_of(admin_client.get(QUEUES))

    for text in (of_processors, of_queues):
        assert '<span class="jq-use">2 of 10 in this second</span>' in text
        assert '<span class="jq-use jq-full">2 of 2 running</span>' in text
    assert f'<a href="{LIST}">Processors and their limits</a>' in of_queues


def test_the_overview_names_the_limits_of_the_processors_of_a_queue(admin_client: Client) -> None:
    ProcessorLimits.objects.create(name=NAME, concurrency_limit=3)

    assert f"limited: {NAME} 3 at once" in text_of(admin_client.get("/admin/jobqueue/"))


def test_the_page_of_a_job_that_a_limit_holds_back_says_which_and_leads_there(admin_client: Client) -> None:
    ProcessorLimits.objects.create(name=NAME, concurrency_limit=3)
    for _ in range(3):
        make_job("active", processor=NAME)
    job = make_job("waiting", processor=NAME)
    Job.objects.filter(pk=job.pk).update(published_at=timezone.now() + PARKED_FOR)

    text = text_of(admin_client.get(f"/admin/jobqueue/job/{job.pk}/change/"))

    assert f"It waits because processor {NAME} is at its limit: 3 of 3 running." in text
    assert f'<a href="{LIMITS}">Limits of the processor</a>' in text
    assert "Published" not in text
