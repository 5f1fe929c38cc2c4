"""Lists of everything but jobs: walked to their end by key and back, nothing is cut or seen twice."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone

from jobqueue.admin import calendar_pages, set_aside
from jobqueue.admin.bulk_pages import BulkActionAdmin
from jobqueue.admin.worker_pages import WorkerAdmin
from jobqueue.broker import keys
from jobqueue.models import BulkAction, Job
from jobqueue.models.holding import hold_all
from jobqueue.operating.days import edge_of
from jobqueue.sql.clock import database_now
from tests.jobqueue.admin.steps import JOBS, WORKERS, make_job, make_worker, text_of

pytestmark = pytest.mark.django_db(databases=["default", "other"])
ASIDE = "/admin/jobqueue/setasidejob/"
BULK = "/admin/jobqueue/bulkaction/"
FORWARDS, BACKWARDS = -2, 1
"""Which of the ways of a page in the middle leads on."""


@pytest.fixture(autouse=True)
def few_rows_on_a_page(monkeypatch: pytest.MonkeyPatch) -> None:
    for pages in (BulkActionAdmin, WorkerAdmin):
        monkeypatch.setattr(pages, "list_per_page", 3)
    monkeypatch.setattr(calendar_pages, "PAGE", 3)
    monkeypatch.setattr(set_aside, "PAGE", 3)


def walk(client: Client, url: str, ways: str, shown: Callable[[HttpResponse], list[Any]]) -> list[Any]:
    """What all pages show from the first to the last; backwards they must show the same."""
    pages = [client.get(url)]
    while len(found := _ways(pages[-1], ways)) > (2 if len(pages) > 1 else 0):
        pages.append(client.get(f"{url}{found[FORWARDS].url}"))
        assert len(pages) < 30
    forwards = [row for page in pages for row in shown(page)]
    backwards, page = [], pages[-1]
    for _ in pages:
        backwards = [*shown(page), *backwards]
        found = _ways(page, ways)
        page = client.get(f"{url}{found[BACKWARDS].url}") if len(found) > 1 else page
    assert backwards == forwards
    return forwards


def _ways(page: HttpResponse, name: str) -> list[Any]:
    text_of(page)
    if name == "cl":
        return page.context["cl"].ways  # type: ignore[no-any-return]
    return page.context["aside"].ways if name == "aside" else page.context[name]  # type: ignore[no-any-return]


def _rows(page: HttpResponse) -> list[Any]:
    return [row.pk for row in page.context["cl"].result_list]


def _lines(page: HttpResponse) -> list[Any]:
    return [entry.choice for entry in page.context["aside"].entries]


def test_bulk_actions_go_on_behind_the_last_of_a_page(admin_client: Client) -> None:
    asked = {"verb": "retry", "highest_id": 1, "expected": 1, "asked_by": "ops"}
    made = [BulkAction.objects.create(key=str(number), **asked).pk for number in range(8)]
    assert walk(admin_client, BULK, "cl", _rows) == made[::-1]


def test_workers_go_on_behind_the_last_of_a_page_by_host_start_and_id(admin_client: Client) -> None:
    now = database_now("default")
    made = [
        make_worker(hostname=f"web-{number % 2}", started_at=now - timedelta(hours=number // 4))
        for number in range(8)
    ]
    in_order = sorted(made, key=lambda worker: (worker.hostname, worker.started_at, worker.pk))
    assert walk(admin_client, WORKERS, "cl", _rows) == [worker.pk for worker in in_order]


@pytest.mark.parametrize("is_held", [False, True])
def test_a_day_goes_on_behind_the_last_of_what_runs_and_of_what_is_held(
    admin_client: Client, is_held: bool
) -> None:
    begin = edge_of(timezone.localdate(database_now("default")) + timedelta(days=1))
    made = [make_job("delayed", run_at=begin + timedelta(hours=number // 2)).pk for number in range(8)]
    if is_held:
        hold_all(Job.objects.filter(pk__in=made), "held by ops")
    name = "held" if is_held else "rows"

    def shown(page: HttpResponse) -> list[int]:
        return [row["job"].pk for row in page.context[name]]

    url = f"{JOBS}calendar/{timezone.localtime(begin):%Y-%m-%d}/"
    assert walk(admin_client, url, "ways_of_held" if is_held else "ways_of_jobs", shown) == made


def test_what_is_held_of_a_day_stays_where_it_is_while_the_other_list_goes_on(admin_client: Client) -> None:
    begin = edge_of(timezone.localdate(database_now("default")) + timedelta(days=1))
    made = [make_job("delayed", run_at=begin + timedelta(hours=number)).pk for number in range(10)]
    hold_all(Job.objects.filter(pk__in=made[5:]), "held by ops")
    url = f"{JOBS}calendar/{timezone.localtime(begin):%Y-%m-%d}/"
    second = admin_client.get(f"{url}{admin_client.get(url).context['ways_of_held'][0].url}")
    third = admin_client.get(f"{url}{second.context['ways_of_jobs'][0].url}")
    assert [row["job"].pk for row in third.context["rows"]] == made[3:5]
    assert [row["job"].pk for row in third.context["held"]] == made[8:]


def _keep_in_redis(client: Any, number: int) -> None:
    """So many messages and keys, some of one second, as the scripts set them aside."""
    for kind in keys.ASIDE_KINDS:
        client.zadd(keys.aside_names(kind), {f"{kind}-{one}": 1000 + one // 2 for one in range(number)})


def test_all_that_is_set_aside_is_walked_to_its_end(admin_client: Client, redis_client: Any) -> None:
    jobs = [make_job("failed", set_aside="its payload is no object").pk for _ in range(7)]
    _keep_in_redis(redis_client, 7)
    shown = walk(admin_client, ASIDE, "aside", _lines)
    assert shown[:7] == [f"job:default:{pk}" for pk in jobs[::-1]]
    for kind in keys.ASIDE_KINDS:
        kept = [choice for choice in shown if choice.startswith(f"{kind}:")]
        assert kept == [f"{kind}:0:{kind}-{one}" for one in range(7)][::-1]


def test_what_is_put_back_meanwhile_leaves_nothing_out(admin_client: Client, redis_client: Any) -> None:
    _keep_in_redis(redis_client, 7)
    first = admin_client.get(ASIDE)
    kind, _server, name = _lines(first)[-1].split(":")
    redis_client.zrem(keys.aside_names(kind), name)
    second = admin_client.get(f"{ASIDE}{first.context['aside'].ways[0].url}")
    assert f"{kind}:0:{kind}-3" in _lines(second)


@pytest.mark.parametrize("place", ["x", "7", "after.W10", "after.WzIsIngiLCJhIl0", "after.WzIsMWU5OTksIiJd"])
@pytest.mark.parametrize("url", [ASIDE, BULK, WORKERS])
def test_a_place_that_is_none_shows_a_page(
    admin_client: Client, url: str, place: str, redis_client: Any
) -> None:
    _keep_in_redis(redis_client, 2)
    text_of(admin_client.get(url, {"p": place}))
