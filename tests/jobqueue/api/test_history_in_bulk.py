"""What a bulk action did to a job is told of the job: over HTTP as on its page, and in the audit."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import translation

from jobqueue.models import AuditEntry, BulkAction, Job
from jobqueue.operating.retelling import retold_message
from jobqueue.sql.clock import database_now
from tests.jobqueue.admin.steps import confirm, make_job, page_of
from tests.jobqueue.api.steps import full_operator, get, post
from tests.jobqueue.models.test_bulk import walk

pytestmark = pytest.mark.django_db(databases=["default", "other"])


def _cancelled_in_bulk(job: Job, why: str = "not wanted") -> BulkAction:
    body = {"verb": "cancel", "search": f"id:{job.pk}", "reason": why}
    begun = post(full_operator("root"), "bulk/", body)
    action = BulkAction.objects.get(pk=begun["id"])
    assert walk(action) == 1
    return action


def _audit_of(client: Client, job: Job, **asked: str) -> list[tuple[Any, ...]]:
    query = "".join(f"&{name}={value}" for name, value in asked.items())
    found = get(client, f"audit/?object={job.pk}{query}")["results"]
    return [(one["verb"], one["object_type"], one["object_id"]) for one in found]


def test_the_history_of_a_job_has_the_bulk_action_that_changed_it(admin_client: Client) -> None:
    job = make_job("waiting")
    action = _cancelled_in_bulk(job)
    [done] = get(admin_client, f"jobs/{job.pk}/")["history"]
    what = f"Cancel, by bulk action #{action.pk}. Reason: not wanted"
    assert (done["who"], done["what"]) == ("root", what)


def test_the_page_of_the_job_tells_the_same(admin_client: Client) -> None:
    job = make_job("waiting")
    _cancelled_in_bulk(job)
    [done] = get(admin_client, f"jobs/{job.pk}/")["history"]
    steps = [step for step in admin_client.get(page_of(job)).context["timeline"] if step.kind == "action"]
    assert [(step.who, step.text) for step in steps] == [(done["who"], done["what"])]


def test_it_stands_among_what_was_done_to_the_job_alone(admin_client: Client) -> None:
    job = make_job("waiting")
    action = _cancelled_in_bulk(job)
    BulkAction.objects.filter(pk=action.pk).update(asked_at=database_now("default") - timedelta(minutes=1))
    post(full_operator("ann"), f"jobs/{job.pk}/retry/")
    history = get(admin_client, f"jobs/{job.pk}/")["history"]
    assert [one["what"].partition(",")[0] for one in history] == ["Retry: cancelled → waiting", "Cancel"]


def test_of_an_action_whose_row_was_pruned_nothing_is_told(admin_client: Client) -> None:
    job = make_job("waiting")
    _cancelled_in_bulk(job).delete()
    assert get(admin_client, f"jobs/{job.pk}/")["history"] == []


@pytest.mark.parametrize("asked", [{}, {"type": "jobqueue.job"}, {"verb": "Cancel"}, {"who": "root"}])
def test_the_audit_of_a_job_has_it(admin_client: Client, asked: dict[str, str]) -> None:
    job = make_job("waiting")
    action = _cancelled_in_bulk(job)
    assert _audit_of(admin_client, job, **asked) == [("Cancel", "jobqueue.bulkaction", str(action.pk))]


@pytest.mark.parametrize("asked", [{"type": "jobqueue.queue"}, {"verb": "Retry"}, {"who": "ann"}])
def test_the_audit_of_a_job_is_narrowed_all_the_same(admin_client: Client, asked: dict[str, str]) -> None:
    job = make_job("waiting")
    _cancelled_in_bulk(job)
    assert _audit_of(admin_client, job, **asked) == []


def test_the_stop_of_the_action_is_none_of_the_job(admin_client: Client) -> None:
    job = make_job("waiting")
    action = _cancelled_in_bulk(job)
    AuditEntry.objects.create(who="x", verb="Stop", object_type="jobqueue.bulkaction", object_id=action.pk)
    assert [verb for verb, *_rest in _audit_of(admin_client, job, type="jobqueue.job")] == ["Cancel"]


def test_the_audit_of_another_job_has_it_not(admin_client: Client) -> None:
    _cancelled_in_bulk(make_job("waiting"))
    assert _audit_of(admin_client, make_job("waiting")) == []


def test_the_filter_of_the_page_finds_it_too(admin_client: Client) -> None:
    job = make_job("waiting")
    action = _cancelled_in_bulk(job)
    asked = {"type": "jobqueue.job", "object": str(job.pk)}
    rows = admin_client.get("/admin/jobqueue/auditentry/", asked).context["rows"]
    assert [row.about for row in rows] == [f"cancel #{action.pk}"]


def test_who_comes_later_is_told_whose_bulk_action_was_quicker(admin_client: Client) -> None:
    job = make_job("waiting")
    action = _cancelled_in_bulk(job)
    told = f"Somebody was quicker: root (Cancel, by bulk action #{action.pk}. Reason: not wanted)."
    assert told in confirm(admin_client, "cancel", job)


@pytest.mark.parametrize("verb", [*BulkAction.Verb])
def test_it_is_told_in_the_language_of_the_reader(verb: BulkAction.Verb) -> None:
    text = f"{str(verb.label).capitalize()}, by bulk action #1234. Reason: so"
    assert retold_message(text) == text
    with translation.override("de"):
        told = retold_message(text)
    assert re.match(r"[\w ]+, durch Sammelaktion #1234\. Grund: so", told)
    assert told.partition(",")[0] != text.partition(",")[0]
