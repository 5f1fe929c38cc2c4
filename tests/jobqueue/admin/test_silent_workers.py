"""What pages say and offer of a worker that gives no sign of life, and of the jobs that it ran."""

from __future__ import annotations

import pytest
from django.test import Client

from jobqueue.models import Job, Worker
from tests.jobqueue.admin.steps import JOBS, STUCK, WORKERS, ids_of, make_job, make_worker, page_of, text_of
from tests.jobqueue.admin.test_overview import REGION, _facts

# On PostgreSQL other threads count what is set aside.
pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])
RUNNING = f"{JOBS}running/"
NEXT = "The next worker that is alive puts it back on the road, or fails it if its retries are used up."


@pytest.fixture
def lost() -> Job:
    """A job whose worker has been silent for 49 s."""
    return make_job("active", worker_id=_silent().pk)


def _silent() -> Worker:
    return make_worker(silent_for=49, takes_orders=True)


def test_what_a_silent_worker_ran_is_told_as_stuck_without_a_bar(admin_client: Client, lost: Job) -> None:
    text = text_of(admin_client.get(RUNNING))
    assert "0 jobs run now. 1 does not run: it is stuck, for its worker gives no sign of life." in text
    assert "<progress" not in text and '<span class="jq-badge jq-stuck">' in text
    assert f'href="{STUCK}"' in text


def test_a_silent_worker_is_offered_no_order_and_its_jobs_no_stop(admin_client: Client, lost: Job) -> None:
    text = text_of(admin_client.get(RUNNING))
    assert 'name="order"' not in text
    assert f"{JOBS}{lost.pk}/stop/" not in text
    assert "the next worker that is alive puts them back on the road" in text


def test_beside_a_living_worker_each_is_counted_as_it_is(admin_client: Client, lost: Job) -> None:
    other = make_job("active", worker_id=make_worker(name="alive", takes_orders=True).pk)
    text = text_of(admin_client.get(RUNNING))
    assert "1 job runs now. 1 does not run" in text
    assert f"{JOBS}{other.pk}/stop/" in text


@pytest.mark.parametrize("worker", [{"silent_for": 49, "takes_orders": True}, {"takes_orders": False}])
def test_the_page_of_a_job_offers_no_stop_that_is_always_refused(
    admin_client: Client, worker: dict[str, bool]
) -> None:
    job = make_job("active", worker_id=make_worker(**worker).pk)
    assert f"{JOBS}{job.pk}/stop/" not in text_of(admin_client.get(page_of(job)))


def test_the_page_of_a_job_says_what_becomes_of_it(admin_client: Client, lost: Job) -> None:
    assert NEXT in text_of(admin_client.get(page_of(lost)))


def test_the_workers_say_that_what_a_silent_one_ran_is_stuck(admin_client: Client, lost: Job) -> None:
    assert '<span class="jq-badge jq-stuck">' in text_of(admin_client.get(WORKERS))


def test_a_tile_counts_what_is_stuck_apart_from_what_runs(admin_client: Client, lost: Job) -> None:
    runs = make_job("active")
    facts = _facts(admin_client, "email")
    assert (facts["running"], facts["stuck"]) == ("1", "1")
    [tile] = [tile for tile in admin_client.get(REGION).context["tiles"] if tile.name == "email"]
    urls = {str(fact.label): fact.url for fact in tile.facts}
    assert ids_of(admin_client.get(urls["running"])) == {runs.pk}
    assert ids_of(admin_client.get(urls["stuck"])) == {lost.pk}


def test_a_tile_without_stuck_jobs_does_not_speak_of_them(admin_client: Client) -> None:
    make_job("active")
    assert "stuck" not in _facts(admin_client, "email")


def test_refusals_say_for_how_long_it_was_silent_and_who_brings_its_jobs_back(
    admin_client: Client, lost: Job
) -> None:
    address = f"{JOBS}worker/{lost.worker_id}/order/"
    orders = admin_client.post(address, {"order": "quiet"}, follow=True)
    assert "has given no sign of life for 49 s" in text_of(orders)
    stops = admin_client.post(f"{JOBS}{lost.pk}/stop/", {"reason": ""}, follow=True)
    assert "The next worker that is alive brings it back, or an operator does" in text_of(stops)
    assert "by itself within moments" not in text_of(stops)
