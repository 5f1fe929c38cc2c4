"""Names beside the first one: of the search, of a worker, of a time."""

from __future__ import annotations

from datetime import timedelta

import pytest

from jobqueue.models import Job
from jobqueue.sql.clock import database_now
from tests.jobqueue.admin.steps import make_job, make_worker
from tests.jobqueue.api.steps import ask, full_operator, get, post, problem, viewer

pytestmark = pytest.mark.django_db(databases=["default", "other"])


def test_q_is_the_search() -> None:
    wanted = make_job("failed")
    make_job()

    assert [one["id"] for one in get(viewer(), "jobs/?q=state:failed")["results"]] == [wanted.pk]


def test_two_searches_that_differ_are_refused_by_both_names() -> None:
    client = viewer()

    assert get(client, "jobs/?q=state:failed&search=state:failed")["results"] == []
    refused = problem(ask(client, "GET", "jobs/?q=state:failed&search=state:active"), 400)
    assert {one["field"] for one in refused["errors"]} == {"q", "search"}


def test_what_of_q_cannot_be_read_is_named_so() -> None:
    refused = problem(ask(viewer(), "GET", "jobs/?q=state:odd"), 400)

    assert [one["field"] for one in refused["errors"]] == ["q"]


def test_a_worker_is_found_by_its_id_without_dashes_and_by_its_name() -> None:
    worker = make_worker(name="web-1.a")

    for key in (worker.pk, worker.pk.hex, "web-1.a"):
        assert get(viewer() if key == worker.pk else full_operator(f"o{key}"), f"workers/{key}/")[
            "id"
        ] == str(worker.pk)


def test_an_order_takes_the_name_too() -> None:
    make_worker(name="web-1", takes_orders=True)

    assert post(full_operator(), "workers/web-1/quiet/")["name"] == "web-1"


def test_a_name_of_two_workers_is_refused_with_a_sentence() -> None:
    make_worker(name="web-1")
    make_worker(name="web-1")

    refused = problem(ask(viewer(), "GET", "workers/web-1/"), 404)

    assert "More than one worker is called web-1" in refused["detail"]


def test_a_job_says_where_its_worker_is() -> None:
    worker = make_worker()
    job = make_job("active", worker_id=worker.pk)
    client = viewer()

    told = get(client, f"jobs/{job.pk}/")["worker_id"]

    assert told == get(client, "jobs/")["results"][0]["worker_id"] == str(worker.pk)
    assert get(client, f"workers/{told}/")["name"] == worker.name


@pytest.mark.parametrize(("since", "jobs"), [("2h", 1), ("30min", 0), ("3d", 1)])
def test_causes_take_the_times_of_the_search(since: str, jobs: int) -> None:
    job = make_job("failed", cause="OSError 5")
    Job.objects.filter(pk=job.pk).update(finished_at=database_now("default") - timedelta(hours=1))

    assert len(get(viewer(), f"causes/?since={since}")["results"]) == jobs
    assert len(get(full_operator(), f"causes/?until={since}")["results"]) == 1 - jobs


def test_a_day_is_in_the_zone_of_the_site() -> None:
    make_job("failed", cause="OSError 5")

    assert get(viewer(), "causes/?since=2100-01-31")["results"] == []
