"""`/api/workers/`: who runs jobs, and what they are told to do."""

from __future__ import annotations

from typing import Any

import pytest

from jobqueue.models import AuditEntry, Worker
from jobqueue.operating.workers import order_and_log
from tests.jobqueue.admin.steps import make_job, make_worker
from tests.jobqueue.api.steps import ask, full_operator, get, post, problem, viewer

pytestmark = pytest.mark.django_db(databases=["default", "other"])


def _states() -> dict[str, str]:
    return {one["name"]: one["state"] for one in get(viewer(), "workers/")["results"]}


def test_workers_are_listed_with_what_they_run() -> None:
    worker = make_worker(name="a", version="2026-11", memory=70_000_000)
    make_job("active", worker_id=worker.pk)
    make_worker(silent_for=600, name="b")

    workers = {one["name"]: one for one in get(viewer(), "workers/")["results"]}

    assert (workers["a"]["state"], workers["a"]["running"]) == ("alive", 1)
    assert (workers["a"]["version"], workers["a"]["memory"]) == ("2026-11", 70_000_000)
    assert workers["b"]["state"] == "silent"


def test_a_worker_has_its_whole_name_and_what_people_call_it() -> None:
    name = "54b9ccffe64f4db7a80a98a7a67fdae7"
    make_worker(name=name)

    [worker] = get(viewer(), "workers/")["results"]

    assert (worker["name"], worker["title"]) == (name, "54b9ccff")


def test_one_worker_is_looked_at_while_it_follows_an_order() -> None:
    worker = make_worker(name="a", takes_orders=True)
    read_order("stop", worker)

    assert get(viewer(), f"workers/{worker.pk}/")["state"] == "stopping"


def test_a_worker_that_ends_as_soon_as_it_is_told_to_was_told(monkeypatch: pytest.MonkeyPatch) -> None:
    worker = make_worker(takes_orders=True)

    def told_and_gone(*arguments: Any) -> bool:
        is_changed = order_and_log(*arguments)
        Worker.objects.all().delete()
        return is_changed

    monkeypatch.setattr("jobqueue.api.workers.order_and_log", told_and_gone)

    assert read_order("stop", worker)["state"] == "stopping"


@pytest.mark.parametrize(("order", "state"), [("quiet", "quiet"), ("stop", "stopping")])
def test_an_order_is_given_to_all_processes_of_a_worker_and_written_down_once(order: str, state: str) -> None:
    first, _second = (
        make_worker(name=f"web.{n}", hostname="a", supervisor_pid=7, takes_orders=True) for n in (1, 2)
    )
    make_worker(name="other", hostname="b", supervisor_pid=7, takes_orders=True)

    shown = read_order(order, first)

    assert (shown["id"], shown["state"]) == (str(first.pk), state)
    assert _states() == {"web.1": state, "web.2": state, "other": "alive"}
    [entry] = AuditEntry.objects.all()
    assert (entry.who, entry.verb, entry.object_id) == ("operator", order.capitalize(), str(first.pk))


def read_order(order: str, worker: Worker) -> dict[str, str]:
    answer = ask(full_operator(), "POST", f"workers/{worker.pk}/{order}/")
    assert answer.status_code == 202
    shown: dict[str, str] = answer.json()
    return shown


def test_a_quiet_worker_goes_on_when_it_is_resumed() -> None:
    worker, client = make_worker(takes_orders=True), full_operator()

    post(client, f"workers/{worker.pk}/quiet/")
    assert post(client, f"workers/{worker.pk}/resume/")["state"] == "alive"


@pytest.mark.parametrize(("order", "code"), [("quiet", "already_quiet"), ("stop", "already_stopping")])
def test_the_second_of_two_operators_is_told_that_it_is_so_already(order: str, code: str) -> None:
    worker = make_worker(takes_orders=True)

    assert ask(full_operator("one"), "POST", f"workers/{worker.pk}/{order}/").status_code == 202
    refused = problem(ask(full_operator("two"), "POST", f"workers/{worker.pk}/{order}/"), 409)

    assert refused["code"] == code
    assert AuditEntry.objects.count() == 1


def test_a_worker_that_is_not_quiet_is_not_resumed() -> None:
    worker = make_worker(takes_orders=True)

    assert problem(ask(full_operator(), "POST", f"workers/{worker.pk}/resume/"), 409)["code"] == "not_quiet"


@pytest.mark.parametrize(
    ("worker", "code", "why"),
    [
        ({"takes_orders": True, "silent_for": 600}, "worker_gone", "no sign of life"),
        ({"takes_orders": False}, "worker_too_old", "older version"),
    ],
)
def test_a_worker_that_cannot_be_told_is_named_with_why(worker: dict[str, bool], code: str, why: str) -> None:
    row = make_worker(**worker)

    refused = problem(ask(full_operator(), "POST", f"workers/{row.pk}/stop/"), 409)

    assert refused["code"] == code
    assert why in refused["detail"]
    assert not AuditEntry.objects.exists()


@pytest.mark.parametrize("key", ["65c6bcc1-be43-4315-8d65-a6acee0a45b2", "-" * 36, "1"])
def test_a_worker_that_is_not_there_is_not_found(key: str) -> None:
    problem(ask(full_operator(), "POST", f"workers/{key}/quiet/"), 404)


def test_an_order_takes_no_fields() -> None:
    worker = make_worker(takes_orders=True)

    refused = problem(ask(full_operator(), "POST", f"workers/{worker.pk}/stop/", {"force": True}), 422)

    assert refused["errors"][0]["field"] == "force"
