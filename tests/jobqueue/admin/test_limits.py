"""The limits of a queue: shown, set, refused and written down."""

from __future__ import annotations

import time
from typing import Any

import pytest
import redis
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.contrib.contenttypes.models import ContentType
from django.test import Client

from jobqueue.admin.limits import LimitsForm
from jobqueue.broker import keys
from jobqueue.models import Queue
from tests.jobqueue.admin.open_forms import opened
from tests.jobqueue.admin.steps import QUEUES, make_job, operator, text_of

pytestmark = pytest.mark.django_db(databases=["default", "other"])

LIMITS = "/admin/jobqueue/queue/email/change/"


def _limit(client: Client, rate: object = "", concurrency: object = "") -> Any:
    return opened(client, LIMITS).send(rate_limit=rate, concurrency_limit=concurrency)


def _limits() -> tuple[int | None, int | None]:
    queue = Queue.objects.get(pk="email")
    return queue.rate_limit, queue.concurrency_limit


@pytest.mark.parametrize(
    ("limits", "text"),
    [
        ({"rate_limit": 1000}, "1,000 a second"),
        ({"concurrency_limit": 2}, "2 at once"),
        ({"rate_limit": 10, "concurrency_limit": 2}, "10 a second, 2 at once"),
        ({"late_after": 3600}, "late after 3,600 s"),
        ({}, "–"),
    ],
)
def test_the_list_shows_the_limits(admin_client: Client, limits: dict[str, int], text: str) -> None:
    Queue.objects.create(name="email", **limits)
    assert f'<td class="field-limits">{text}</td>' in text_of(admin_client.get(QUEUES))


def test_the_name_of_a_queue_leads_to_its_limits(admin_client: Client) -> None:
    assert f'<a href="{LIMITS}">email</a>' in text_of(admin_client.get(QUEUES))


def test_limits_are_set_and_the_page_says_so(admin_client: Client) -> None:
    response = _limit(admin_client, 10, 2)
    assert [str(message) for message in response.context["messages"]] == [
        "Limits of email: 10 a second, 2 at once."
    ]
    assert response.redirect_chain == [(QUEUES, 302)]
    assert _limits() == (10, 2)


def test_empty_limits_are_no_limits(admin_client: Client) -> None:
    Queue.objects.create(name="email", rate_limit=10, concurrency_limit=2)
    response = _limit(admin_client)
    assert [str(message) for message in response.context["messages"]] == ["Limits of email: none."]
    assert _limits() == (None, None)


@pytest.mark.parametrize("field", ["rate", "concurrency"])
@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("0", "With 0 no job would start: pause the queue instead. Empty is no limit."),
        ("-1", "Enter a whole number of 1 or more, or leave this empty for no limit."),
        ("1.5", "Enter a whole number of 1 or more, or leave this empty for no limit."),
        ("ten", "Enter a whole number of 1 or more, or leave this empty for no limit."),
        ("9" * 20, "Leave this empty for no limit."),
        ("9" * 5000, "Enter a whole number of 1 or more, or leave this empty for no limit."),
    ],
    ids=["zero", "negative", "fraction", "word", "too much", "endless"],
)
def test_what_is_no_limit_is_refused_with_what_to_do(
    admin_client: Client, field: str, value: str, text: str
) -> None:
    Queue.objects.create(name="email", rate_limit=10, concurrency_limit=2)
    assert text in text_of(_limit(admin_client, **{"rate": 5, "concurrency": 5} | {field: value}))
    assert _limits() == (10, 2)
    assert not LogEntry.objects.exists()


def test_a_rate_that_redis_cannot_keep_is_refused(admin_client: Client) -> None:
    assert "The most is 10,000." in text_of(_limit(admin_client, 10_001))
    _limit(admin_client, 10_000)
    assert _limits() == (10_000, None)


def test_a_change_of_limits_is_written_down(admin_client: Client) -> None:
    Queue.objects.create(name="email", concurrency_limit=2)
    _limit(admin_client, 1000)
    entry = LogEntry.objects.get()
    assert (entry.object_id, entry.get_change_message()) == (
        "email",
        "Rate limit: none → 1,000; Concurrency limit: 2 → none",
    )


def test_saving_the_limits_there_are_is_not_written_down(admin_client: Client) -> None:
    Queue.objects.create(name="email", rate_limit=10)
    _limit(admin_client, 10)
    assert not LogEntry.objects.exists()


def test_changing_limits_does_not_undo_a_pause_of_the_same_moment(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    Queue.objects.create(name="email")
    is_valid = LimitsForm.is_valid

    def pause_meanwhile(form: LimitsForm) -> bool:
        Queue.objects.update(paused=True)
        return is_valid(form)

    monkeypatch.setattr(LimitsForm, "is_valid", pause_meanwhile)
    _limit(admin_client, 10)
    assert Queue.objects.get(pk="email").paused
    assert _limits() == (10, None)


def test_limits_can_be_set_before_a_queue_has_its_row(admin_client: Client) -> None:
    _limit(admin_client, 10)
    assert _limits() == (10, None)


def test_a_queue_that_is_not_configured_has_no_limits_to_set(admin_client: Client) -> None:
    Queue.objects.create(name="removed")
    assert admin_client.get("/admin/jobqueue/queue/removed/change/").status_code == 404


def test_the_list_shows_how_much_of_the_limits_is_used_up(
    admin_client: Client, redis_client: redis.Redis
) -> None:
    Queue.objects.create(name="email", rate_limit=10, concurrency_limit=2)
    make_job("active")
    make_job("active")
    milliseconds = int(time.time() * 1000)
    ahead = milliseconds + 30_000  # so that they are of "this second" however long the page takes
    redis_client.lpush(keys.starts("email"), milliseconds - 60_000, ahead, ahead)

    text = text_of(admin_client.get(QUEUES))
    assert '<span class="jq-use">2 of 10 in this second</span>' in text
    assert '<span class="jq-use jq-full">2 of 2 running</span>' in text


def test_who_may_change_limits_may_not_pause() -> None:
    kind = ContentType.objects.get_for_model(Queue)
    Permission.objects.get_or_create(codename="limit_queue", content_type=kind, defaults={"name": "limits"})
    client = operator("limit_queue", "view_queue")
    Queue.objects.create(name="email")
    _limit(client, rate=7)
    assert _limits() == (7, None)
    assert client.post("/admin/jobqueue/queue/pause/", {"queue": "email"}).status_code == 403


def test_the_wait_from_which_on_jobs_are_late_is_set_and_written_down(admin_client: Client) -> None:
    opened(admin_client, LIMITS).send(rate_limit=5, late_after=1200)
    opened(admin_client, LIMITS).send(late_after="")

    assert Queue.objects.get(pk="email").late_after is None
    first, second = LogEntry.objects.order_by("pk")
    assert "Late after: none → 1,200" in first.get_change_message()
    assert second.get_change_message() == "Late after: 1,200 → none"


@pytest.mark.parametrize("value", ["0", "-1", "soon", "9" * 20])
def test_what_is_no_wait_is_refused_with_what_to_do(admin_client: Client, value: str) -> None:
    assert "leave this empty for the limit of the site" in text_of(
        opened(admin_client, LIMITS).send(late_after=value)
    ).replace("Leave", "leave")
    assert not Queue.objects.filter(late_after__isnull=False).exists()


def test_the_list_shows_which_processors_use_a_queue_and_how_much(admin_client: Client) -> None:
    for number in range(1, 8):
        for _ in range(number):
            make_job("active", processor=f"sample.p{number}")
    make_job("completed", processor="sample.done")

    text = text_of(admin_client.get(QUEUES))
    assert '<span class="jq-use">sample.p7: 7</span><br><span class="jq-use">sample.p6: 6</span>' in text
    assert '<span class="jq-use">others: 3</span>' in text
    assert "sample.done" not in text
