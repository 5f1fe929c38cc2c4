"""The index pages of the admin: what the job queue has to say there, and that it holds up nobody."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from django.test import Client

from jobqueue.broker import neighbours
from spendsync_site.demo.processes import LOOPBACK, free_port
from spendsync_site.demo.redis_server import RedisServer
from tests.jobqueue.admin.steps import make_job, operator, text_of
from tests.jobqueue.conftest import UseRedis

# What is set aside is counted on a thread of its own.
pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])
INDEX = "/admin/"
APP_INDEX = "/admin/jobqueue/"
with_both_pages = pytest.mark.parametrize("page", [INDEX, APP_INDEX])
HANGS = "Redis does not answer the job queue for now."


def _set_aside() -> None:
    make_job("failed", set_aside="its payload is list")


@with_both_pages
def test_what_is_set_aside_is_counted_and_leads_to_its_list(admin_client: Client, page: str) -> None:
    _set_aside()

    notice = '<a href="/admin/jobqueue/setasidejob/">Set aside: 1 job</a>'
    assert text_of(admin_client.get(page)).count(notice) == 1


@with_both_pages
def test_another_installation_on_the_same_redis_is_named_with_the_cure(
    admin_client: Client, page: str
) -> None:
    neighbours.warn("Two installations: set another REDIS_JOB_QUEUE_DB. <b>")

    text = text_of(admin_client.get(page))
    assert text.count("Two installations: set another REDIS_JOB_QUEUE_DB. &lt;b&gt;") == 1


@with_both_pages
def test_where_all_is_well_nothing_is_said(admin_client: Client, page: str) -> None:
    assert "jq-notice" not in text_of(admin_client.get(page))


@pytest.mark.parametrize("page", ["/admin/settlements/", "/admin/auth/"])
def test_the_pages_of_other_apps_say_nothing_of_it(admin_client: Client, page: str) -> None:
    _set_aside()
    assert "jq-notice" not in text_of(admin_client.get(page))


def test_who_may_look_at_neither_jobs_nor_queues_is_told_nothing() -> None:
    _set_aside()
    neighbours.warn("Two installations")
    assert "jq-notice" not in text_of(operator("auth.view_user").get(INDEX))


@pytest.mark.parametrize(
    ("permission", "said", "not_said"),
    [("view_job", "Set aside: 1 job", "Two sites"), ("view_queue", "Two sites", "Set aside:")],
)
def test_each_is_told_what_the_own_pages_would_tell(permission: str, said: str, not_said: str) -> None:
    _set_aside()
    neighbours.warn("Two sites")
    text = text_of(operator(permission).get(INDEX))

    assert said in text
    assert not_said not in text


@with_both_pages
def test_without_redis_the_page_is_there_and_says_so(
    admin_client: Client, page: str, use_redis: UseRedis
) -> None:
    _set_aside()
    use_redis(LOOPBACK, free_port())

    text = text_of(admin_client.get(page))
    assert HANGS in text
    assert "Set aside: 1 job" in text


def test_a_redis_that_hangs_holds_the_page_for_a_moment_and_the_next_ones_not_at_all(
    admin_client: Client, use_redis: UseRedis, private_redis: Callable[..., RedisServer]
) -> None:
    server = private_redis()
    use_redis(server.host, server.port)
    as_usual = _seconds_of(admin_client, pages=10)
    server.pause()

    assert HANGS in text_of(admin_client.get(INDEX))
    assert _seconds_of(admin_client, pages=10) < 2 * as_usual + 1


def _seconds_of(client: Client, *, pages: int) -> float:
    started = time.monotonic()
    for _ in range(pages):
        client.get(INDEX)
    return time.monotonic() - started
