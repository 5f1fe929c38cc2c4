"""A job is copied over HTTP: who may with which payload, what is refused and why, what is written down."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client

from jobqueue.masking import HIDDEN
from jobqueue.models import AuditEntry, Job
from tests.jobqueue.admin.steps import entries_of, make_job, operator
from tests.jobqueue.api.steps import VIEWER, ask, full_operator, get, problem, read

pytestmark = pytest.mark.django_db(databases=["default", "other"])


def _reader() -> Client:
    """An operator who may read payloads, and so may send another one."""
    return operator(*VIEWER, "copy_job", "view_payload", username="reader")


def _ask(client: Client, job: int, body: Any = None) -> HttpResponse:
    """Ask for a copy, with a key of its own."""
    return ask(client, "POST", f"jobs/{job}/copy/", body, **{"Idempotency-Key": f"{uuid.uuid4()}"})


def test_a_copy_is_a_job_of_its_own_and_both_say_so() -> None:
    job, client = make_job("failed", payload={"marker": "a"}, subject="shop.order:7"), full_operator()

    answer = _ask(client, job.pk, {"reason": "once more"})

    assert answer.status_code == 201
    copy = answer.json()
    assert (copy["copied_from"], copy["state"], copy["about"]) == (job.pk, "waiting", "shop.order:7")
    assert Job.objects.get(pk=copy["id"]).payload == {"marker": "a"}
    shown = get(client, f"jobs/{job.pk}/")
    assert (shown["state"], shown["copies"]) == ("failed", 1)
    assert [entry.partition(", ")[0] for entry in entries_of(job)] == [
        f"Copy: job #{job.pk} → job #{copy['id']}"
    ]
    assert entries_of(Job.objects.get(pk=copy["id"])) == entries_of(job)
    [entry] = AuditEntry.objects.all()
    assert (entry.verb, entry.reason, entry.job_ids) == ("Copy", "once more", [job.pk, copy["id"]])


def test_who_may_read_payloads_copies_with_another_one_at_another_time() -> None:
    job = make_job(payload={"marker": "a"})
    body = {"payload": {"marker": "b"}, "run_at": "2100-01-31T08:00:00+01:00"}

    copy = read(_ask(_reader(), job.pk, body))

    assert (copy["payload"], copy["run_at"]) == ({"marker": "b"}, "2100-01-31T07:00:00Z")
    assert copy["state"] == "delayed"


def test_who_may_not_read_payloads_sends_none() -> None:
    job = make_job(payload={"marker": "a"})

    refused = problem(_ask(full_operator(), job.pk, {"payload": {"marker": "b"}}), 403)

    assert "jobqueue.view_payload" in refused["detail"]
    assert Job.objects.count() == 1


@pytest.mark.parametrize(
    ("body", "field", "code"),
    [
        ({"payload": [1]}, "payload", "not_a_dict"),
        ({"payload": {"marker": HIDDEN}}, "payload", "masked_payload"),
        ({"payload": {"marker": "\x00"}}, "payload", "invalid_payload"),
        ({"payload": {"marker": "x" * 200_000}}, "payload", "payload_too_large"),
        ({"run_at": "2030-01-31T08:00:00"}, "run_at", "naive"),
        ({"run_at": "9999-12-31T23:59:59Z"}, "run_at", "invalid_run_at"),
        ({"run_at": "2020-01-31T08:00:00Z"}, "run_at", "past_run_at"),
        ({"copies_seen": "1"}, "copies_seen", "invalid"),
        ({"reason": "x" * 501}, "reason", "max_length"),
        ({"queue": "email"}, "queue", "unknown_field"),
    ],
)
def test_what_cannot_be_copied_so_is_refused_by_field_and_code(body: Any, field: str, code: str) -> None:
    job = make_job(payload={"marker": "a"})

    refused = problem(_ask(_reader(), job.pk, body), 422)

    assert [(error["field"], error["code"]) for error in refused["errors"]] == [(field, code)]
    assert Job.objects.count() == 1


def test_a_job_of_a_processor_that_nobody_knows_is_not_copied() -> None:
    job = make_job(processor="gone.away")

    refused = problem(_ask(full_operator(), job.pk), 422)

    assert [error["code"] for error in refused["errors"]] == ["unknown_processor"]


def test_the_second_of_two_who_saw_no_copy_makes_none() -> None:
    job = make_job("failed", payload={})

    read(_ask(full_operator("one"), job.pk, {"copies_seen": 0}))
    refused = problem(_ask(full_operator("two"), job.pk, {"copies_seen": 0}), 409)

    assert refused["code"] == "job_copy_refused"
    assert Job.objects.count() == 2


def test_a_unique_key_that_a_waiting_job_has_is_named_without_its_address() -> None:
    job = make_job(payload={}, unique_key="letter:pia@example.com")

    refused = problem(_ask(full_operator(), job.pk), 409)

    assert refused["code"] == "unique_key_held"
    assert f"Job {job.pk} waits" in refused["detail"]
    assert "pia@" not in refused["detail"]


def test_a_job_that_is_not_there_is_not_found() -> None:
    problem(_ask(full_operator(), 4711), 404)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"9" * 5_000, "a number in it has more than 4300 digits"),
        (b"[" * 100_000, "it is nested too deeply"),
        (b'{"name": "M\xfcller"}}', "byte 24 is 0xfc, which belongs to no character"),
    ],
)
def test_a_body_that_python_cannot_read_is_refused_without_what_programmers_may_do(
    body: bytes, said: str
) -> None:
    answer = full_operator().post(
        f"/api/jobs/{make_job().pk}/copy/",
        b'{"payload": ' + body,
        content_type="application/json",
        headers={"Idempotency-Key": "a"},
    )
    assert said in problem(answer, 400)["detail"]
