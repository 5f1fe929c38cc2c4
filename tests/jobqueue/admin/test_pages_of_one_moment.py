"""Lists by a moment that many rows share, as the database's own clock wrote it: each row once, both ways."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db.models.functions import Now
from django.test import Client
from django.utils import timezone

from jobqueue.admin import calendar_pages, listing
from jobqueue.admin.job_lists import JobList
from jobqueue.admin.worker_pages import WorkerAdmin
from jobqueue.models import Job, Worker
from jobqueue.models.holding import hold_all
from jobqueue.operating.days import edge_of
from jobqueue.sql.clock import database_now
from tests.jobqueue.admin.steps import FAILED, JOBS, STUCK, WORKERS, make_job, make_worker, text_of
from tests.jobqueue.moments import ahead_by_its_clock

pytestmark = pytest.mark.django_db(databases=["default", "other"])
# The state that the rows are made in, what is of that one moment, and the list with them alone.
ENDED = ("failed", "finished_at")
BY_A_MOMENT: list[tuple[str, str, str]] = [
    (*ENDED, FAILED),
    *((*ENDED, f"{FAILED}?{words}") for words in ("o=6", "o=-6", "age=hour", "queue=email", "q=queue:email")),
    *((*ENDED, f"{JOBS}?state=failed{words}") for words in ("", "&q=queue:email", "&age=hour&queue=email")),
    *(("cancelled", "finished_at", f"{JOBS}?state=cancelled{words}") for words in ("", "&o=5")),
    *(("completed", "finished_at", f"{JOBS}?state=completed{words}") for words in ("", "&o=6")),
    ("waiting", "published_at", f"{JOBS}?state=waiting"),
    ("waiting", "run_at", f"{JOBS}?state=waiting"),
    ("delayed", "run_at", f"{JOBS}?state=delayed"),
    ("active", "started_at", f"{JOBS}?state=active"),
    *(("stuck", "started_at", url) for url in (STUCK, f"{STUCK}?o=-6")),
]
SPREAD = 13
"""Rows, of which those in the middle share a moment: more than four pages of three."""


@pytest.fixture(autouse=True)
def few_rows_on_a_page(monkeypatch: pytest.MonkeyPatch) -> None:
    for pages in (JobList, WorkerAdmin):
        monkeypatch.setattr(pages, "list_per_page", 3)
    monkeypatch.setattr(calendar_pages, "PAGE", 3)


def _make(state: str, column: str) -> list[int]:
    """Jobs of which all but the first and the last have one moment, set by the database."""
    worker = make_worker() if state == "active" else None
    more: dict[str, Any] = {"worker_id": worker.pk} if worker else {}
    more |= {"cause": "OSError"} if state == "failed" else {}
    jobs = [make_job(state, **more).pk for _ in range(SPREAD)]
    length = timedelta(hours={"delayed": 3, "stuck": -1, "waiting": -1}.get(state, 0))
    Job.objects.filter(pk__in=jobs).update(**{column: ahead_by_its_clock(length)})
    # As a program writes it down that read it: SQLite keeps other digits of the same moment then.
    written = Job.objects.get(pk=jobs[6])
    written.save(update_fields=[column])
    for pk, hours in ((jobs[0], -1), (jobs[-1], -2)):
        moment = getattr(Job.objects.get(pk=pk), column) + timedelta(hours=hours / 10)
        Job.objects.filter(pk=pk).update(**{column: moment})
    return jobs


def _walk(
    client: Client,
    address: str,
    ways_of: Callable[[Any], tuple[Any, Any]],
    rows_of: Callable[[Any], list[Any]],
) -> tuple[list[Any], list[Any]]:
    """What all pages show from the first on, and what they show from the last one back."""
    url, _mark, query = address.partition("?")
    page = client.get(f"{url}?{query}")
    text_of(page)
    pages, back = [rows_of(page)], []
    while (way := ways_of(page)[1]) and len(pages) < SPREAD:
        page = client.get(f"{url}{way}")
        pages.append(rows_of(page))
    back.append(rows_of(page))
    while (way := ways_of(page)[0]) and len(back) < SPREAD:
        page = client.get(f"{url}{way}")
        back.append(rows_of(page))
    return [row for rows in pages for row in rows], [row for rows in back[::-1] for row in rows]


def _ways_of_list(page: Any) -> tuple[Any, Any]:
    changes = page.context["cl"]
    ways = [way.url for way in changes.ways]
    keyed = changes.keyed_page
    return ways[1] if keyed.newer else None, ways[-2] if keyed.older else None


def _ids_of_list(page: Any) -> list[Any]:
    return [row.pk for row in page.context["cl"].result_list]


@pytest.mark.parametrize(("state", "column", "address"), BY_A_MOMENT)
def test_each_job_of_one_moment_is_on_one_page_both_ways(
    admin_client: Client, state: str, column: str, address: str
) -> None:
    made = _make(state, column)
    forth, back = _walk(admin_client, address, _ways_of_list, _ids_of_list)
    assert (sorted(forth), back) == (made, forth)


def test_what_a_search_finds_beyond_what_it_counts_is_on_one_page(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "COUNT_LIMIT", 4)
    made = _make(*ENDED)
    forth, back = _walk(admin_client, f"{FAILED}?q=queue:email", _ways_of_list, _ids_of_list)
    assert (sorted(forth), back) == (made, forth)


def test_each_worker_of_one_start_is_on_one_page_both_ways(admin_client: Client) -> None:
    made = sorted(make_worker().pk for _ in range(SPREAD))
    Worker.objects.update(started_at=Now())
    forth, back = _walk(admin_client, WORKERS, _ways_of_list, _ids_of_list)
    assert (sorted(forth), back) == (made, forth)


@pytest.mark.parametrize("is_held", [False, True])
def test_each_job_of_a_day_is_on_one_page_both_ways(admin_client: Client, is_held: bool) -> None:
    begin = edge_of(timezone.localdate(database_now("default")) + timedelta(days=1))
    made = [make_job("delayed").pk for _ in range(SPREAD)]
    Job.objects.update(run_at=ahead_by_its_clock(begin - database_now("default") + timedelta(hours=9)))
    if is_held:
        hold_all(Job.objects.filter(pk__in=made), "held by ops")
    name = "held" if is_held else "rows"
    ways = "ways_of_held" if is_held else "ways_of_jobs"

    def ways_of(page: Any) -> tuple[Any, Any]:
        urls = {str(way.label): way.url for way in page.context[ways]}
        return urls.get("Sooner"), urls.get("Later")

    def rows_of(page: Any) -> list[Any]:
        return [row["job"].pk for row in page.context[name]]

    url = f"{JOBS}calendar/{timezone.localtime(begin):%Y-%m-%d}/"
    assert _walk(admin_client, url, ways_of, rows_of) == (made, made)


def test_a_place_that_says_its_moment_with_a_zone_is_found(admin_client: Client) -> None:
    made = _make(*ENDED)
    moment = Job.objects.get(pk=made[0]).finished_at
    assert moment is not None
    ahead = (moment + timedelta(hours=1)).isoformat()
    text = base64.urlsafe_b64encode(json.dumps([0, ahead, 0]).encode()).decode().rstrip("=")
    shown = _ids_of_list(admin_client.get(FAILED, {"p": f"after.{text}"}))
    assert shown == _ids_of_list(admin_client.get(FAILED))
