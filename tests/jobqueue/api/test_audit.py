"""`/api/audit/`: what operators did, the latest first, by person, verb, day and object."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from jobqueue.models import AuditEntry, BulkAction
from tests.jobqueue.admin.steps import make_job, operator
from tests.jobqueue.api.steps import ask, full_operator, get, post, problem, viewer
from tests.jobqueue.models.test_bulk import ask as begin_in_bulk

pytestmark = pytest.mark.django_db(databases=["default", "other"])


def _entry(**fields: object) -> AuditEntry:
    return AuditEntry.objects.create(**{"who": "pia", "verb": "Retry", "text": "Retry: failed", **fields})


def test_what_was_done_over_http_stands_in_it_with_its_reason() -> None:
    job = make_job("delayed", queue="email")
    post(full_operator("ann"), f"jobs/{job.pk}/hold/", {"reason": "mended for pia@example.com"})
    [shown] = get(operator("view_audit"), "audit/")["results"]
    assert (shown["who"], shown["verb"], shown["queue"], shown["jobs"]) == ("ann", "Hold", "email", 1)
    assert (shown["object_type"], shown["object_id"]) == ("jobqueue.job", str(job.pk))
    assert shown["reason"].startswith("mended for") and "pia@" not in shown["reason"]


def test_a_worker_is_called_as_on_pages_also_in_entries_from_before() -> None:
    _entry(object_type="jobqueue.worker", object_name="54b9ccffe64f4db7a80a98a7a67fdae7.1")
    [shown] = get(operator("view_audit"), "audit/")["results"]
    assert shown["object_name"] == "54b9ccff.1"


def test_a_bulk_action_says_how_many_jobs_it_changed_and_how_many_were_meant() -> None:
    client = full_operator("ann")
    for _number in range(3):
        make_job("failed")
    begun = post(client, "bulk/", {"verb": "retry", "search": "state:failed"})
    BulkAction.objects.filter(pk=begun["id"]).update(changed=2)
    post(client, f"bulk/{begun['id']}/stop/")
    shown = get(operator("view_audit"), "audit/?type=jobqueue.bulkaction")["results"]
    told = [(one["verb"], one["jobs"], one["expected"]) for one in shown]
    assert told == [("Stop", 2, 3), ("Retry", 2, 3)]


def test_bulk_actions_are_counted_by_one_statement() -> None:
    reader = operator("view_audit")
    numbers = []
    for actions in (1, 5):
        for _number in range(actions):
            action = begin_in_bulk()
            _entry(object_type="jobqueue.bulkaction", object_id=str(action.pk), jobs=action.expected)
            BulkAction.objects.filter(pk=action.pk).update(ended_at=timezone.now())
        with CaptureQueriesContext(connection) as asked:
            get(reader, "audit/")
        numbers.append(len(asked))
    assert numbers[0] == numbers[1]


def test_an_entry_about_a_bulk_action_that_there_cannot_be_is_told_all_the_same() -> None:
    _entry(object_type="jobqueue.bulkaction", object_id="9" * 30, jobs=3)
    [line] = get(operator("view_audit"), "audit/")["results"]
    assert (line["jobs"], line["expected"]) == (3, 3)


def test_it_takes_the_permission_of_its_page() -> None:
    refused = problem(ask(viewer(), "GET", "audit/"), 403)
    assert refused["detail"] == "That takes the permission jobqueue.view_audit."


@pytest.mark.parametrize(
    "query", ["who=pia", "verb=Retry", "type=jobqueue.job", "object=7", "queue=email", "day={today}"]
)
def test_it_is_narrowed(query: str) -> None:
    wanted = _entry(object_type="jobqueue.job", object_id="7", queue="email")
    other = {"who": "ann", "verb": "Pause", "object_type": "jobqueue.queue", "object_id": "8", "queue": "x"}
    long_ago = timezone.now() - timedelta(days=3)
    AuditEntry.objects.filter(pk=_entry(**other).pk).update(at=long_ago)
    found = get(operator("view_audit"), f"audit/?{query.format(today=timezone.localdate())}")["results"]
    assert [one["id"] for one in found] == [wanted.pk]


def test_it_comes_in_pages() -> None:
    entries = [_entry().pk for _number in range(3)]
    reader = operator("view_audit")
    first = get(reader, "audit/?limit=2")
    second = get(reader, first["next"].removeprefix("http://testserver/api/"))
    assert [one["id"] for one in first["results"] + second["results"]] == entries[::-1]
    assert second["next"] is None


@pytest.mark.parametrize(
    "query", ["day=yesterday", "day=2026-02-30", "day=9999-01-01", "cursor=x", "whom=pia"]
)
def test_what_cannot_be_asked_names_the_parameter(query: str) -> None:
    refused = problem(ask(operator("view_audit"), "GET", f"audit/?{query}"), 400)
    assert refused["errors"][0]["field"] == query.partition("=")[0]
