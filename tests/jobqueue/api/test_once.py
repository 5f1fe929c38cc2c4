"""A copy is made once for a key: whoever lost the answer asks again, and no second letter goes out."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone

from jobqueue.api.once import PATTERN
from jobqueue.models import AuditEntry, Job, KeptAnswer
from tests.jobqueue.admin.steps import make_job, operator
from tests.jobqueue.api.steps import VIEWER, ask, full_operator, problem
from tests.settlements.steps import at_once

pytestmark = pytest.mark.django_db(databases=["default", "other"])


def _copy(client: Client, job: Job, key: str = "one", slash: str = "/", **body: object) -> HttpResponse:
    return ask(client, "POST", f"jobs/{job.pk}/copy{slash}", body, **{"Idempotency-Key": key})


def test_the_same_key_makes_one_copy_and_is_answered_with_it() -> None:
    job, client = make_job("failed", payload={"marker": "a"}), full_operator()
    first, again = (_copy(client, job, reason="once more") for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 201)
    assert (first.json()["id"], again["Idempotency-Replayed"]) == (again.json()["id"], "true")
    assert Job.objects.filter(copied_from=job.pk).count() == AuditEntry.objects.count() == 1
    assert _copy(client, job, "two", reason="once more").json()["id"] != first.json()["id"]


@pytest.mark.parametrize("key", ["k", "k 9", "~ !", "x" * 200, " k", "k ", " ", "k\t9", "ä", "k\x7f"])
def test_the_schema_says_which_keys_are_taken(key: str) -> None:
    job = make_job("failed", payload={})
    answer = _copy(full_operator(), job, key)
    assert (answer.status_code == 201) == bool(re.fullmatch(PATTERN, key)), key


@pytest.mark.parametrize("key", [None, "", "x" * 201])
def test_without_a_key_nothing_is_copied(key: str | None) -> None:
    job = make_job("failed", payload={})
    headers = {} if key is None else {"Idempotency-Key": key}
    refused = problem(ask(full_operator(), "POST", f"jobs/{job.pk}/copy/", **headers), 400)
    assert refused["code"] == "invalid_idempotency_key"
    assert Job.objects.count() == 1


def test_the_key_of_another_body_or_another_job_is_refused() -> None:
    job, other, client = make_job("failed", payload={}), make_job("failed", payload={}), full_operator()
    _copy(client, job, reason="once more")
    for asked in (_copy(client, job, reason="again"), _copy(client, other, reason="once more")):
        assert problem(asked, 422)["code"] == "idempotency_key_reused"
    assert Job.objects.count() == 3


def test_with_and_without_its_last_slash_it_is_the_same_request() -> None:
    job, client = make_job("failed", payload={}), full_operator()
    assert [_copy(client, job, slash=slash).status_code for slash in ("/", "")] == [201, 201]
    assert Job.objects.count() == 2


def test_a_key_that_an_older_web_process_kept_is_answered() -> None:
    job, client = make_job("failed", payload={}), full_operator()
    made = _copy(client, job).json()["id"]
    address = json.dumps([f"/api/jobs/{job.pk}/copy/", {}])  # as it was asked for, with its slash
    KeptAnswer.objects.update(fingerprint=hashlib.sha256(address.encode()).hexdigest())
    for slash in ("/", ""):
        assert _copy(client, job, slash=slash).json()["id"] == made
    assert Job.objects.count() == 2


def test_a_copy_that_was_refused_keeps_no_key() -> None:
    job, client = make_job(payload={}, unique_key="held"), full_operator()
    assert problem(_copy(client, job), 409)["code"] == "unique_key_held"
    Job.objects.filter(pk=job.pk).update(unique_key=None)
    assert _copy(client, job).status_code == 201


def test_what_is_kept_has_nothing_of_the_payload() -> None:
    job = make_job("failed", payload={"marker": "pia@example.com"})
    reader = operator(*VIEWER, "copy_job", "view_payload", username="reader")
    copy = _copy(reader, job).json()
    assert copy["payload"] == {"marker": "pia@example.com"}
    assert KeptAnswer.objects.get().body == {"copy": copy["id"]}


def test_a_copy_that_is_deleted_by_now_is_not_made_again() -> None:
    job, client = make_job("failed", payload={}), full_operator()
    copy = _copy(client, job).json()["id"]
    Job.objects.filter(pk=copy).delete()
    assert f"job {copy}" in problem(_copy(client, job), 404)["detail"]
    assert list(Job.objects.all()) == [job]


def test_keys_are_those_of_a_user() -> None:
    job = make_job("failed", payload={})
    assert {_copy(full_operator(name), job).status_code for name in ("one", "two")} == {201}
    assert Job.objects.count() == 3


def test_keys_are_kept_for_thirty_days() -> None:
    long_ago = timezone.now() - timedelta(days=31)
    for name in ("old", "new"):
        KeptAnswer.objects.create(user="1", key=name, fingerprint="x")
    KeptAnswer.objects.filter(key="old").update(created_at=long_ago)
    assert KeptAnswer.forget_old("default") == 1
    assert KeptAnswer.objects.get().key == "new"


def test_the_database_keeps_a_key_once() -> None:
    KeptAnswer.objects.create(user="1", key="one", fingerprint="x")
    with pytest.raises(IntegrityError), transaction.atomic():
        KeptAnswer.objects.create(user="1", key="one", fingerprint="y")


@pytest.mark.django_db(transaction=True, databases=["default", "other"])
@pytest.mark.every_case
def test_of_two_requests_at_once_one_makes_the_copy() -> None:
    job, user = make_job("failed", payload={}), User.objects.create_superuser("root")

    def asked() -> Callable[[], HttpResponse]:
        client = Client()
        client.force_login(user)
        return lambda: _copy(client, job)

    first, second = at_once(asked(), asked())
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json()["id"] == second.json()["id"]
    assert Job.objects.count() == 2
