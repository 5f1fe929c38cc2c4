"""A job that waits is held and released over HTTP: who may, what is refused and why, what is written down."""

from __future__ import annotations

import pytest

from jobqueue.models import Job
from jobqueue.models.held import HELD_UNTIL
from tests.jobqueue.admin.steps import entries_of, make_job, operator
from tests.jobqueue.api.steps import ask, full_operator, get, post, problem

pytestmark = pytest.mark.django_db(databases=["default", "other"])


def test_a_held_job_says_so_and_runs_at_its_time_once_it_is_released() -> None:
    job, client = make_job("delayed"), full_operator()

    held = post(client, f"jobs/{job.pk}/hold/", {"reason": "the text is wrong"})

    assert (held["state"], held["reason"]) == ("held", "held by operator: the text is wrong")
    assert Job.objects.get(pk=job.pk).run_at == HELD_UNTIL
    assert [one["id"] for one in get(client, "jobs/?search=state:held")["results"]] == [job.pk]

    released = post(client, f"jobs/{job.pk}/release/", {"reason": "mended"})

    assert (released["state"], released["reason"]) == ("delayed", "")
    assert Job.objects.get(pk=job.pk).run_at == job.run_at
    assert [entry.partition(":")[0] for entry in entries_of(job)] == ["Release", "Hold"]
    assert all("Reason: " in entry for entry in entries_of(job))


def test_a_hold_needs_no_reason() -> None:
    job = make_job()

    assert post(full_operator(), f"jobs/{job.pk}/hold/")["reason"] == "held by operator"
    [entry] = entries_of(job)
    assert entry.endswith("→ held")


def test_the_second_of_two_operators_is_told_who_holds_it() -> None:
    job = make_job()
    post(full_operator("one"), f"jobs/{job.pk}/hold/")

    refused = problem(ask(full_operator("two"), "POST", f"jobs/{job.pk}/hold/"), 409)

    assert (refused["code"], refused["detail"]) == (
        "already_held", f"Job {job.pk} is held already (held by one).",
    )  # fmt: skip
    assert len(entries_of(job)) == 1


@pytest.mark.parametrize(
    ("verb", "state", "code"),
    [
        ("hold", "active", "not_waiting"),
        ("hold", "completed", "not_waiting"),
        ("release", "failed", "not_waiting"),
        ("release", "delayed", "not_held"),
        ("release", "active", "wrong_state"),
    ],
)
def test_a_refusal_has_a_code_of_its_own(verb: str, state: str, code: str) -> None:
    job = make_job(state)

    assert problem(ask(full_operator(), "POST", f"jobs/{job.pk}/{verb}/"), 409)["code"] == code
    assert entries_of(job) == []


def test_what_may_be_released_depends_on_the_permission() -> None:
    held, stuck = make_job(), make_job("stuck")
    mover = operator("view_job", "hold_job", "release_job", username="mover")
    clearer = operator("view_job", "put_back_job", username="clearer")
    post(mover, f"jobs/{held.pk}/hold/")

    problem(ask(clearer, "POST", f"jobs/{held.pk}/hold/"), 403)
    refused = [
        problem(ask(client, "POST", f"jobs/{job.pk}/release/"), 403)["detail"]
        for client, job in ((mover, stuck), (clearer, held))
    ]

    assert "jobqueue.put_back_job" in refused[0]
    assert "jobqueue.release_job" in refused[1]
    assert post(mover, f"jobs/{held.pk}/release/")["state"] == "waiting"
    assert post(clearer, f"jobs/{stuck.pk}/release/", {"reason": "told to"})["state"] == "waiting"
    assert entries_of(stuck) == ["Put back on the road: active → waiting. Reason: told to"]


@pytest.mark.parametrize("verb", ["hold", "release"])
def test_a_job_that_is_not_there_is_not_found(verb: str) -> None:
    problem(ask(full_operator(), "POST", f"jobs/4711/{verb}/"), 404)
