"""A bulk action keeps the search that it was begun with; what that looked for in payloads few may read."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.http import HttpResponse
from django.test import Client

from jobqueue.models import AuditEntry, BulkAction, Job
from jobqueue.templatetags.jobqueue_words import for_reader
from tests.jobqueue.admin.bulk_steps import BULK
from tests.jobqueue.admin.steps import make_job, operator, text_of
from tests.jobqueue.api.steps import ask, get, post
from tests.jobqueue.models.test_bulk import walk

pytestmark = pytest.mark.django_db(databases=["default", "other"])

SECRET = "987654"
SEARCH = f'args.number:{SECRET} -args.note:"{SECRET} x"'
READER = ("view_payload", "view_job", "view_audit", "cancel_job")
OTHER = ("view_job", "view_audit")
MASKED = "jobs of the list search=args.number:••• -args.note:•••"


@pytest.fixture
def action() -> BulkAction:
    """Begun by who may read payloads, with a search for a value of theirs; it changed its one job."""
    job = make_job("waiting", payload={"number": int(SECRET), "note": "y"})
    body = {"verb": "cancel", "search": SEARCH, "reason": "so", "confirm": 1}
    begun = post(operator(*READER, username="root"), "bulk/", body)
    found = BulkAction.objects.get(pk=begun["id"])
    assert (walk(found), begun["which"]) == (1, f"jobs of the list search={SEARCH}")
    assert SECRET in AuditEntry.objects.get().text
    job.refresh_from_db()
    assert job.bulk_action == found.pk
    return found


@pytest.fixture
def other() -> Client:
    """Who sees jobs and reads the audit, and may not read payloads."""
    return operator(*OTHER)


def test_over_http_neither_words_nor_selection_have_it(action: BulkAction, other: Client) -> None:
    shown = get(other, f"bulk/{action.pk}/")
    assert shown["which"] == MASKED
    assert shown["selection"]["listed"] == MASKED.removeprefix("jobs of the list ")


@pytest.mark.parametrize("path", ["bulk/", "audit/", "audit/?object={job}", "jobs/{job}/", "bulk/{action}/"])
def test_no_answer_has_it(action: BulkAction, other: Client, path: str) -> None:
    places = {"job": _job_of(action), "action": action.pk}
    answer = ask(other, "GET", path.format(**places))
    assert (answer.status_code, SECRET in answer.content.decode()) == (200, False)


def test_the_audit_over_http_tells_the_rest(action: BulkAction, other: Client) -> None:
    assert [one["text"] for one in get(other, "audit/")["results"]] == [f"Cancel: 1 job ({MASKED})."]


PAGES = [BULK, f"{BULK}{{action}}/change/", "/admin/jobqueue/auditentry/", "{job_page}", "/admin/"]


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("language", ["en", "de"])
def test_no_page_has_it(action: BulkAction, other: Client, page: str, language: str) -> None:
    address = page.format(action=action.pk, job_page=f"/admin/jobqueue/job/{_job_of(action)}/change/")
    response: HttpResponse = other.get(address, headers={"accept-language": language})
    assert SECRET not in text_of(response)


def test_the_audit_in_german_tells_the_rest(action: BulkAction, other: Client) -> None:
    page = text_of(other.get("/admin/jobqueue/auditentry/", headers={"accept-language": "de"}))
    assert "1 Auftrag (Aufträge der Liste search=args.number:••• -args.note:•••)" in page


def test_the_history_of_django_has_it_not(action: BulkAction) -> None:
    message = LogEntry.objects.get().get_change_message()
    assert for_reader(message, may_read=False) == f"Cancel: 1 job ({MASKED}). Reason: so"
    assert SECRET in for_reader(message, may_read=True)


def test_the_list_hides_it_from_everybody(action: BulkAction, admin_client: Client) -> None:
    page = text_of(admin_client.get(BULK))
    assert SECRET not in page and "args.number:•••" in page


READERS_SEE: list[Any] = [f"{BULK}{{action}}/change/", "/admin/jobqueue/auditentry/"]


@pytest.mark.parametrize("page", READERS_SEE)
def test_who_may_read_payloads_sees_it(action: BulkAction, admin_client: Client, page: str) -> None:
    assert f"args.number:{SECRET}" in text_of(admin_client.get(page.format(action=action.pk)))


def test_an_address_of_a_cause_is_hidden_in_the_selection_too(other: Client) -> None:
    make_job("failed", cause="no such pia@hidden.example")
    boss = operator("view_job", "retry_job", username="boss")
    body = {"verb": "retry", "cause": "no such pia@hidden.example"}
    assert "pia@" not in str(post(boss, "bulk/", body))


def _job_of(action: BulkAction) -> int:
    return int(Job.objects.get(bulk_action=action.pk).pk)
