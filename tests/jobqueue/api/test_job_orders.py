"""A running job is stopped, a delayed one moved: who may, what is refused and why, what is written down."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from jobqueue.exceptions import JobMoveRefused
from jobqueue.models import Job
from jobqueue.signals import job_moving
from jobqueue.sql.clock import database_now
from tests.jobqueue.admin.steps import entries_of, make_job, make_worker, operator
from tests.jobqueue.api.steps import VIEWER, ask, full_operator, get, post, problem

pytestmark = pytest.mark.django_db(databases=["default", "other"])


def _running(**worker: Any) -> Job:
    now = database_now("default")
    row = make_worker(**{"takes_orders": True, **worker})
    return make_job("active", worker_id=row.pk, started_at=now, deadline_at=now + timedelta(seconds=30))


def _tomorrow() -> str:
    return (database_now("default") + timedelta(days=1)).replace(microsecond=0).isoformat()


# Stop ------------------------------------------------------------------------------------------------


def test_a_stop_is_asked_for_and_the_job_says_so_until_it_has_ended() -> None:
    job = _running()

    answer = ask(full_operator(), "POST", f"jobs/{job.pk}/stop/", {"reason": "wrong amount"})

    assert answer.status_code == 202
    shown = answer.json()
    assert shown["state"] == "active"
    assert shown["stop_asked_at"] is not None
    assert "stopped by operator: wrong amount" in shown["why"]
    assert entries_of(job) == ["Stop: active → stopping. Reason: wrong amount"]


def test_the_second_of_two_operators_is_told_who_stopped_it() -> None:
    job = _running()
    post(full_operator("one"), f"jobs/{job.pk}/stop/")

    refused = problem(ask(full_operator("two"), "POST", f"jobs/{job.pk}/stop/"), 409)

    assert refused["code"] == "already_stopping"
    assert "stopped by one" in refused["detail"]
    assert len(entries_of(job)) == 1


@pytest.mark.parametrize("state", ["waiting", "delayed", "completed", "failed", "cancelled"])
def test_a_job_that_does_not_run_is_not_stopped(state: str) -> None:
    job = make_job(state)

    refused = problem(ask(full_operator(), "POST", f"jobs/{job.pk}/stop/"), 409)

    assert refused["code"] == "not_running"
    assert entries_of(job) == []


@pytest.mark.parametrize(
    ("worker", "code"), [({"silent_for": 600}, "worker_gone"), ({"takes_orders": False}, "worker_too_old")]
)
def test_a_stop_that_no_worker_would_carry_out_is_refused(worker: dict[str, Any], code: str) -> None:
    job = _running(**worker)

    assert problem(ask(full_operator(), "POST", f"jobs/{job.pk}/stop/"), 409)["code"] == code
    job.refresh_from_db()
    assert job.stop_asked_at is None


def test_an_address_in_the_reason_of_a_stop_is_hidden_from_who_may_not_read_payloads() -> None:
    job = _running()
    post(full_operator("one"), f"jobs/{job.pk}/stop/", {"reason": "pia@example.com asked for it"})

    assert "pia@" not in ask(operator(*VIEWER, username="eve"), "GET", f"jobs/{job.pk}/").content.decode()
    assert "pia@" not in ask(full_operator("two"), "POST", f"jobs/{job.pk}/stop/").content.decode()


# Move ------------------------------------------------------------------------------------------------


def test_a_delayed_job_is_moved_and_the_move_is_written_down() -> None:
    job, moment = make_job("delayed"), _tomorrow()

    shown = post(full_operator(), f"jobs/{job.pk}/move/", {"run_at": moment, "reason": "asked for by phone"})

    assert shown["state"] == "delayed"
    assert shown["run_at"] == moment.replace("+00:00", "Z")
    [entry] = entries_of(job)
    assert entry.startswith("Move: ")
    assert entry.endswith("Reason: asked for by phone")


def test_a_job_that_was_moved_since_it_was_read_stays() -> None:
    client, job = full_operator(), make_job("delayed")
    seen = get(client, f"jobs/{job.pk}/")["run_at"]
    moved = post(client, f"jobs/{job.pk}/move/", {"run_at": _tomorrow(), "seen": seen})
    later = {"run_at": "2100-01-31T08:00:00Z", "seen": seen}
    refused = problem(ask(client, "POST", f"jobs/{job.pk}/move/", later), 409)
    assert refused["code"] == "moved_meanwhile"
    assert "was moved meanwhile" in refused["detail"]
    assert get(client, f"jobs/{job.pk}/")["run_at"] == moved["run_at"]
    assert len(entries_of(job)) == 1


def test_a_job_is_not_moved_to_the_time_that_it_has() -> None:
    client, job = full_operator(), make_job("delayed")
    asked = {"run_at": job.run_at.isoformat(), "reason": "x"}
    refused = problem(ask(client, "POST", f"jobs/{job.pk}/move/", asked), 409)
    assert refused["code"] == "already_at_that_time"
    assert f"Job {job.pk} has that time already" in refused["detail"]
    assert entries_of(job) == []


def test_a_time_of_another_zone_is_the_same_moment() -> None:
    job = make_job("delayed")

    shown = post(full_operator(), f"jobs/{job.pk}/move/", {"run_at": "2100-01-31T08:00:00+01:00"})

    assert shown["run_at"] == "2100-01-31T07:00:00Z"


@pytest.mark.parametrize(
    ("run_at", "code"),
    [
        ("2030-01-31T08:00:00", "naive"),
        ("2020-01-31T08:00:00Z", "past_run_at"),
        ("0001-01-01T00:00:00+14:00", "past_run_at"),
        ("9999-12-31T23:59:59-12:00", "invalid_run_at"),
        ("next week", "invalid"),
        (1_900_000_000, "invalid"),
        (None, "null"),
    ],
)
def test_what_is_no_time_ahead_with_a_zone_is_refused_by_a_code_of_its_own(run_at: Any, code: str) -> None:
    job = make_job("delayed")

    refused = problem(ask(full_operator(), "POST", f"jobs/{job.pk}/move/", {"run_at": run_at}), 422)

    assert [(error["field"], error["code"]) for error in refused["errors"]] == [("run_at", code)]
    assert Job.objects.get(pk=job.pk).run_at == job.run_at
    assert entries_of(job) == []


@pytest.mark.parametrize("state", ["waiting", "active", "completed", "failed", "cancelled"])
def test_a_job_that_is_not_delayed_is_not_moved(state: str) -> None:
    job = make_job(state)

    refused = problem(ask(full_operator(), "POST", f"jobs/{job.pk}/move/", {"run_at": _tomorrow()}), 409)

    assert refused["code"] == "not_delayed"
    assert "cannot be moved" in refused["detail"]


def test_a_time_that_its_app_does_not_allow_is_refused_with_what_is_allowed() -> None:
    def refuse(**_: Any) -> None:
        raise JobMoveRefused("the second reminder moves between its neighbours only")

    job = make_job("delayed")
    job_moving.connect(refuse)
    try:
        refused = problem(ask(full_operator(), "POST", f"jobs/{job.pk}/move/", {"run_at": _tomorrow()}), 409)
    finally:
        job_moving.disconnect(refuse)

    assert refused["code"] == "job_move_refused"
    assert refused["detail"] == "The second reminder moves between its neighbours only."
    assert get(full_operator("again"), f"jobs/{job.pk}/")["history"] == []


@pytest.mark.parametrize(("verb", "body"), [("stop", {}), ("move", {"run_at": "2100-01-31T08:00:00Z"})])
def test_a_job_that_is_not_there_is_not_found(verb: str, body: dict[str, str]) -> None:
    problem(ask(full_operator(), "POST", f"jobs/4711/{verb}/", body), 404)
