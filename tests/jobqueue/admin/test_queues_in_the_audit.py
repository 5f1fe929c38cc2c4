"""What is done to jobs stands in the audit with their queue, from whichever page or door it was done."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext

from jobqueue.models import AuditEntry, BulkAction, Job, bulk
from jobqueue.operating import bulk_plans
from jobqueue.operating.audit import entries_of, entry_of, log_together
from jobqueue.operating.verbs import BULK_VERBS
from tests.jobqueue.admin.steps import JOBS, confirm, make_job
from tests.jobqueue.api.steps import full_operator, get, post

pytestmark = pytest.mark.django_db(databases=["default", "other"])

VERBS = [
    ("retry", "failed"),
    ("cancel", "waiting"),
    ("run_now", "delayed"),
    ("hold", "delayed"),
    ("release", "stuck"),
    ("fail", "stuck"),
    ("delete", "completed"),
]


def _queue() -> str:
    return AuditEntry.objects.latest("pk").queue


@pytest.mark.parametrize(("verb", "state"), VERBS)
def test_a_verb_on_a_job_that_was_chosen_in_a_list_is_of_its_queue(
    admin_client: Client, verb: str, state: str
) -> None:
    confirm(admin_client, verb, make_job(state, queue="settlement"))
    assert (_queue(), AuditEntry.objects.count()) == ("settlement", 1)


@pytest.mark.parametrize(("verb", "state"), VERBS)
def test_a_verb_on_several_jobs_of_one_queue_is_of_that_queue(
    admin_client: Client, verb: str, state: str
) -> None:
    confirm(admin_client, verb, *(make_job(state, queue="settlement") for _number in range(2)))
    assert (_queue(), AuditEntry.objects.count()) == ("settlement", 1)


def test_a_verb_on_jobs_of_two_queues_is_of_none(admin_client: Client) -> None:
    confirm(admin_client, "retry", *(make_job("failed", queue=name) for name in ("email", "settlement")))
    assert (_queue(), AuditEntry.objects.count()) == ("", 1)


def test_a_verb_on_the_page_of_a_job_is_of_its_queue(admin_client: Client) -> None:
    job = make_job("failed", queue="settlement")
    confirm(admin_client, "retry", job, back="1")
    assert _queue() == "settlement"


def test_a_verb_on_all_that_match_a_list_is_of_their_queue(admin_client: Client) -> None:
    make_job("failed", queue="settlement")
    confirm(admin_client, "retry", url=f"{JOBS}?q=state:failed", select_across="1")
    assert _queue() == "settlement"


def test_the_audit_of_a_queue_has_what_was_done_on_pages_and_over_http(admin_client: Client) -> None:
    chosen, called = make_job("failed", queue="settlement"), make_job("failed", queue="settlement")
    confirm(admin_client, "retry", chosen)
    post(full_operator("ann"), f"jobs/{called.pk}/retry/")
    found = get(admin_client, "audit/?queue=settlement")["results"]
    assert {one["object_id"] for one in found} == {str(chosen.pk), str(called.pk)}


# Whatever was loaded ------------------------------------------------------------------------------


def _loaded(number: int) -> list[Job]:
    for _one in range(number):
        make_job("failed", queue="settlement")
    return list(Job.objects.only("state"))


def _request(client: Client) -> Any:
    request = RequestFactory().get("/")
    request.user = client.get("/admin/").wsgi_request.user
    return request


def test_the_facts_of_one_job_are_known_whatever_was_loaded(admin_client: Client) -> None:
    [job] = _loaded(1)
    assert entry_of(BULK_VERBS["retry"], job, _request(admin_client)).queue == "settlement"


def test_the_facts_of_many_jobs_take_one_statement(admin_client: Client) -> None:
    jobs, request = _loaded(5), _request(admin_client)
    with CaptureQueriesContext(connection) as asked:
        entries = entries_of(BULK_VERBS["retry"], jobs, request)
    queues = [query for query in asked.captured_queries if '"queue"' in query["sql"]]
    assert ({entry.queue for entry in entries.values()}, len(queues)) == ({"settlement"}, 1)


def test_a_change_that_several_jobs_have_a_part_in_is_of_their_queue(admin_client: Client) -> None:
    log_together(_request(admin_client), _loaded(2), "Copy: one → two")
    assert _queue() == "settlement"


# Bulk actions ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "queue"),
    [
        ({"search": "queue:settlement state:waiting"}, "settlement"),
        ({"search": 'queue:"settlement"'}, "settlement"),
        ({"queue": "settlement"}, "settlement"),
        ({"search": "queue:settlement", "queue": "settlement"}, "settlement"),
        ({"search": "-queue:email"}, ""),
        ({"search": "NOT queue:email"}, ""),
        ({"search": "state:waiting"}, ""),
    ],
)
def test_a_bulk_action_is_of_the_queue_that_its_search_or_filter_names(
    body: dict[str, str], queue: str
) -> None:
    make_job(queue="settlement")
    begun = post(full_operator("ann"), "bulk/", {"verb": "cancel", **body, "confirm": 1, "reason": "x"})
    assert _queue() == queue
    post(full_operator("ben"), f"bulk/{begun['id']}/stop/")
    assert (_queue(), AuditEntry.objects.latest("pk").verb) == (queue, "Stop")


def test_two_queues_in_a_search_are_none() -> None:
    jobs = Job.objects.all()
    plan = bulk_plans.plan_of_list(BULK_VERBS["cancel"], jobs, {"search": "queue:email queue:settlement"})
    assert plan.selection.queue == ""


@pytest.mark.parametrize("words", ["queue=settlement", "q=queue:settlement+state:failed"])
def test_all_of_a_list_of_one_queue_in_the_background_are_of_it(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    monkeypatch.setattr(bulk, "BATCH", 1)
    for _number in range(2):
        make_job("failed", queue="settlement")
    sent = {"action": "retry", "confirmed": "retry", "select_across": "1", "_selected_action": "0", "seen": 2}
    admin_client.post(f"{JOBS}?{words}", sent)
    assert (BulkAction.objects.get().expected, _queue()) == (2, "settlement")
