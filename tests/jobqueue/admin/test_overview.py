"""The overview: one sentence or up to five findings, a tile for each queue, whatever store is away."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.conf import LazySettings
from django.db import OperationalError, connection
from django.http import HttpRequest
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils.html import strip_tags

from jobqueue.admin import Finding, findings, register_finding
from jobqueue.models import Job, Queue
from jobqueue.models.pauses import pause
from jobqueue.monitoring import overview as monitoring
from jobqueue.sql.clock import database_now
from spendsync_site.demo.redis_server import RedisServer
from tests.jobqueue.admin.steps import JOBS, ids_of, make_job, make_worker, operator, page_of, text_of
from tests.jobqueue.conftest import UseRedis

# On PostgreSQL other threads count what is set aside.
pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])
OVERVIEW = "/admin/jobqueue/"
REGION = "/admin/jobqueue/queue/overview/"
MOST_QUERIES = 15
NOBODY = "No worker is alive."


def _ago(**length: float) -> datetime:
    return database_now("default") - timedelta(**length)


def _all_findings(client: Client) -> list[str]:
    response = client.get(REGION)
    assert response.status_code == 200
    return [shown.finding.text for shown in response.context["findings"]]


def _findings(client: Client) -> list[str]:
    """What is wrong besides that no worker is alive: most of these tests have none."""
    return [text for text in _all_findings(client) if text != NOBODY]


def _sentence(client: Client) -> str:
    return str(client.get(REGION).context["sentence"])


def _facts(client: Client, queue: str) -> dict[str, str]:
    [tile] = [tile for tile in client.get(REGION).context["tiles"] if tile.name == queue]
    return {str(fact.label): strip_tags(fact.value) for fact in tile.facts}


@pytest.fixture
def _no_finders(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(findings, "_finders", [])


# One sentence -----------------------------------------------------------------------------------------


def test_where_nothing_is_wrong_it_says_so(admin_client: Client) -> None:
    make_worker()
    make_job("completed")
    make_job("delayed")
    assert _sentence(admin_client) == "All is well."
    assert "All is well." in text_of(admin_client.get(OVERVIEW))


def test_a_paused_queue_that_holds_jobs_says_who_paused_it_and_until_when(admin_client: Client) -> None:
    make_worker()
    pause("email", by="alice", reason="mail server", until=database_now("default") + timedelta(hours=1))
    make_job()
    make_job()
    assert _findings(admin_client) == ["email is paused and holds 2 jobs."]
    text = text_of(admin_client.get(OVERVIEW))
    assert "Paused by alice: “mail server”. It ends by itself at" in text


def test_a_paused_queue_that_holds_nothing_is_no_finding(admin_client: Client) -> None:
    pause("email")
    assert _findings(admin_client) == []


def test_a_pause_whose_time_has_come_is_none(admin_client: Client) -> None:
    make_worker()
    Queue.objects.create(name="email", paused=True, paused_at=_ago(hours=2), paused_until=_ago(hours=1))
    make_job()
    assert _findings(admin_client) == []


def test_the_oldest_due_job_older_than_its_limit(admin_client: Client, settings: LazySettings) -> None:
    settings.JOBQUEUE = {"LATE_AFTER": 300}
    make_worker()
    make_job(run_at=_ago(seconds=50), queue="reminders")
    make_job(run_at=_ago(minutes=10))
    assert _findings(admin_client) == ["The oldest due job of email has waited for 10 min, of 1 that wait."]


def test_a_queue_may_have_a_limit_of_its_own_for_the_oldest_due_job(
    admin_client: Client, settings: LazySettings
) -> None:
    settings.JOBQUEUE = {"LATE_AFTER": 60}
    make_worker()
    Queue.objects.create(name="email", late_after=900)
    Queue.objects.create(name="reminders", late_after=30)
    make_job(run_at=_ago(minutes=10))
    make_job(run_at=_ago(minutes=5), queue="reminders")
    assert _findings(admin_client) == [
        "The oldest due job of reminders has waited for 5 min, of 1 that wait."
    ]


def test_stuck_jobs(admin_client: Client) -> None:
    make_job("stuck")
    assert _findings(admin_client) == ["1 job is stuck: its worker is gone, or its time is up."]


def test_jobs_that_no_worker_knows(admin_client: Client) -> None:
    make_worker()
    make_job(unfit_since=_ago(minutes=2), run_at=database_now("default") + timedelta(seconds=9))
    assert _findings(admin_client) == [
        "No worker can run 1 job: its code is missing there, or refuses the payload."
    ]


def test_what_one_worker_just_handed_on_is_not_known_to_none(admin_client: Client) -> None:
    make_worker()
    job = make_job(unfit_since=_ago(seconds=3), reason="no worker knows it: there is no processor 'shop.new'")
    assert _sentence(admin_client) == "All is well."
    assert ids_of(admin_client.get(f"{JOBS}?finding=unknown")) == set()
    why = admin_client.get(page_of(job)).context["why"]
    assert why.startswith("A worker that does not know it handed it on: there is no processor 'shop.new'.")


def test_what_was_just_handed_on_may_be_late(admin_client: Client) -> None:
    make_worker()
    make_job(run_at=_ago(minutes=9), unfit_since=_ago(seconds=3))
    [finding] = _findings(admin_client)
    assert finding.startswith("The oldest due job of email has waited for 9 min")


def test_the_jobs_that_no_worker_knows_are_listed_and_no_others(admin_client: Client) -> None:
    make_worker()
    unknown = make_job(unfit_since=_ago(minutes=2))
    make_job()
    [shown] = admin_client.get(REGION).context["findings"]
    assert ids_of(admin_client.get(shown.finding.url)) == {unknown.pk}


def test_what_no_worker_knows_is_not_late(admin_client: Client, settings: LazySettings) -> None:
    settings.JOBQUEUE = {"LATE_AFTER": 600}
    make_worker()
    make_job(run_at=_ago(minutes=90), unfit_since=_ago(minutes=90))
    make_job(run_at=_ago(minutes=5))
    [finding] = _findings(admin_client)
    assert finding.startswith("No worker can run 1 job")
    assert _facts(admin_client, "email")["oldest wait"] == "5 min"


def test_what_is_set_aside(admin_client: Client) -> None:
    make_job("failed", set_aside="its payload is list")
    assert _findings(admin_client) == ["Set aside: 1 job"]


def test_a_queue_that_was_removed_while_jobs_waited_on_it(admin_client: Client) -> None:
    make_job(queue="letters")
    assert _findings(admin_client) == ["RQ_QUEUES has no queue letters, on which 1 job waits."]


def test_at_most_five_findings_the_weightiest_first(admin_client: Client, _no_finders: None) -> None:
    make_worker()
    for weight in (10, 99, 30, 20, 50, 40, 60):
        register_finding(lambda request, weight=weight: [Finding(weight, f"weighs {weight}")])  # type: ignore[misc]
    assert _findings(admin_client) == [f"weighs {weight}" for weight in (99, 60, 50, 40, 30)]
    assert _sentence(admin_client) == "7 things are wrong."
    assert "2 more of less weight." in text_of(admin_client.get(OVERVIEW))


# Findings of apps ------------------------------------------------------------------------------------


def test_a_third_app_adds_a_finding_with_since_when_and_what_to_do(
    admin_client: Client, _no_finders: None
) -> None:
    @register_finding
    def late_invoices(request: HttpRequest) -> Iterator[Finding]:
        if request.user.has_perm("shop.view_invoice"):
            yield Finding(60, "3 <b> invoices are late.", "/admin/shop/", _ago(minutes=185), "Call them.")

    text = text_of(admin_client.get(OVERVIEW))
    assert '<a href="/admin/shop/">3 &lt;b&gt; invoices are late.</a>' in text
    assert "3 h ago" in text
    assert "Call them." in text


def test_an_app_that_cannot_tell_takes_nothing_along(admin_client: Client, _no_finders: None) -> None:
    @register_finding
    def fails(request: HttpRequest) -> Any:
        raise OperationalError("the disk is gone")

    make_job("stuck")
    assert len(_findings(admin_client)) == 1


# Tiles -----------------------------------------------------------------------------------------------


def test_a_tile_says_what_waits_how_long_and_what_failed(admin_client: Client) -> None:
    make_worker()
    make_job(run_at=_ago(minutes=3))
    make_job()
    make_job("active")
    make_job("failed")
    make_job("failed", finished_at=_ago(hours=2))
    facts = _facts(admin_client, "email")
    assert facts == {
        "waiting": "2",
        "oldest wait": "3 min",
        "started a minute": "2",
        "failed in 1 h": "1",
        "running": "1",
        "workers": "2",
    }


def test_every_configured_queue_has_a_tile(admin_client: Client, settings: LazySettings) -> None:
    tiles = admin_client.get(REGION).context["tiles"]
    assert [tile.name for tile in tiles] == list(settings.RQ_QUEUES)


def test_a_tile_says_that_its_queue_is_limited_or_paused(admin_client: Client) -> None:
    Queue.objects.create(name="email", rate_limit=7, paused=True)
    text = text_of(admin_client.get(OVERVIEW))
    assert "limited: 7 a second" in text
    assert ">paused<" in text


# The page --------------------------------------------------------------------------------------------


def test_the_title_has_the_number_of_failed_jobs(admin_client: Client) -> None:
    assert "<title>Overview" in text_of(admin_client.get(OVERVIEW))
    make_job("failed")
    make_job("failed", queue="reminders")
    assert "<title>(2) Overview" in text_of(admin_client.get(OVERVIEW))


def test_what_is_refreshed_says_how_the_title_begins(admin_client: Client) -> None:
    assert 'data-region-title=""' in text_of(admin_client.get(REGION))
    make_job("failed")
    assert 'data-region-title="(1) "' in text_of(admin_client.get(REGION))


def test_the_menu_marks_the_overview_on_its_own_page_only(admin_client: Client) -> None:
    marked = f'<a href="{OVERVIEW}" aria-current="page">Overview</a>'
    assert marked in text_of(admin_client.get(OVERVIEW))
    text = text_of(admin_client.get(f"{OVERVIEW}queue/"))
    assert text.count('aria-current="page"') == 1
    assert f'<a href="{OVERVIEW}queue/" aria-current="page">' in text


def test_it_is_first_in_the_menu(admin_client: Client) -> None:
    menu = text_of(admin_client.get("/admin/jobqueue/job/")).partition('id="nav-sidebar"')[2]
    first = menu.partition("</thead>")[2].partition("</tr>")[0]
    assert '<a href="/admin/jobqueue/#content-start">Overview</a>' in first


def test_it_is_first_on_the_index(admin_client: Client) -> None:
    pages = text_of(admin_client.get("/admin/")).partition('id="content-main"')[2]
    first = pages.partition("</thead>")[2].partition("</tr>")[0]
    assert '<a href="/admin/jobqueue/">Overview</a>' in first


@pytest.mark.parametrize("permission", ["view_job", "view_queue"])
def test_who_sees_jobs_or_queues_sees_what_these_tell(permission: str) -> None:
    make_job("stuck")
    make_job(queue="letters")
    client = operator(permission)
    sees_jobs = permission == "view_job"
    assert len(_findings(client)) == (2 if sees_jobs else 1)
    assert bool(client.get(REGION).context["tiles"]) is not sees_jobs


def test_who_sees_neither_is_told_nothing() -> None:
    make_job("stuck")
    client = operator("view_worker")
    assert "jq-overview" not in text_of(client.get(OVERVIEW))
    assert client.get(REGION).status_code == 403


def test_looking_writes_nothing_and_asks_little(admin_client: Client) -> None:
    Queue.objects.create(name="email", paused=True)
    make_job()
    admin_client.get(OVERVIEW)
    with CaptureQueriesContext(
        connection,
    ) as few:
        admin_client.get(OVERVIEW)
    for state in ("waiting", "failed", "stuck", "completed", "delayed"):
        for _ in range(30):
            make_job(state)
    with CaptureQueriesContext(connection) as many:
        admin_client.get(OVERVIEW)
    texts = [query["sql"] for query in many.captured_queries]
    assert len(texts) == len(few.captured_queries) <= MOST_QUERIES, texts
    assert not [text for text in texts if text.lstrip().upper().startswith(("INSERT", "UPDATE", "DELETE"))]


# What is away ----------------------------------------------------------------------------------------


def test_a_redis_that_hangs_is_named_within_two_seconds(
    admin_client: Client, use_redis: UseRedis, private_redis: Callable[..., RedisServer]
) -> None:
    server = private_redis()
    use_redis(server.host, server.port)
    make_job("stuck")
    admin_client.get(OVERVIEW)
    server.pause()
    started = time.monotonic()
    found = _findings(admin_client)
    assert time.monotonic() - started < 2
    assert found == [
        "Redis does not answer the job queue for now.",
        "1 job is stuck: its worker is gone, or its time is up.",
    ]
    assert _facts(admin_client, "email")["started a minute"] == "–"
    [shown, *_others] = [
        each for each in admin_client.get(REGION).context["findings"] if "Redis" in each.finding.text
    ]
    assert shown.finding.since is not None
    assert "See whether the server at the address in RQ_QUEUES runs" in shown.finding.cure
    text = text_of(admin_client.get(OVERVIEW))
    assert "How many jobs ended is not known while Redis does not answer" in text
    assert "0 completed" not in text


def test_a_database_of_another_alias_that_is_away_is_named(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = monitoring.counts_of_database

    def counts(using: str) -> Any:
        if using == "other":
            raise OperationalError("no route to host")
        return asked(using)

    monkeypatch.setattr(monitoring, "counts_of_database", counts)
    make_job("stuck")
    found = _findings(admin_client)
    assert "The database other does not answer." in found
    assert any("stuck" in text for text in found)


# Kept up to date -------------------------------------------------------------------------------------


def test_what_has_not_changed_is_not_sent_again(admin_client: Client) -> None:
    asked = {"X-Jobqueue-Live": "1"}
    make_worker()
    first = admin_client.get(REGION, headers=asked)
    again = admin_client.get(REGION, headers=asked | {"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    Job.objects.create(processor="sample.succeed", queue="email", timeout=30)
    changed = admin_client.get(REGION, headers=asked | {"If-None-Match": first.headers["ETag"]})
    assert changed.status_code == 200
    assert changed.headers["ETag"] != first.headers["ETag"]


def test_what_runs_and_the_calendar_are_in_the_menu_for_who_may_see_jobs(admin_client: Client) -> None:
    running = reverse("admin:jobqueue_job_running")
    assert f'<a href="{running}">Running</a>' in text_of(admin_client.get(OVERVIEW))
    page = text_of(admin_client.get(running))
    assert f'<a href="{running}" aria-current="page">Running</a>' in page
    assert f'<a href="{JOBS}" aria-current="page">' not in page
    assert running not in text_of(operator("view_queue").get(OVERVIEW))


def test_it_has_the_search_for_who_may_see_jobs(admin_client: Client) -> None:
    assert f'<form method="get" action="{JOBS}" class="jq-search"' in text_of(admin_client.get(OVERVIEW))
    assert "jq-search" not in text_of(operator("view_queue").get(OVERVIEW)).partition("<body")[2]
