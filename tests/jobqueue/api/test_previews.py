"""`/api/jobs/{id}/preview/` and `…/discard/`: letters before they go, and jobs that nobody needs any more."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from django.test import Client

from jobqueue.models import AuditEntry, Job
from jobqueue.operating import previews
from tests.jobqueue.admin.steps import make_job, operator
from tests.jobqueue.api.steps import ask, get, problem

pytestmark = pytest.mark.django_db(databases=["default", "other"])


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> None:
    """A third app's invoices."""
    monkeypatch.setattr(previews, "_tellers", {})

    @previews.tells_preview("shop.invoice")
    def of_invoice(job: Job) -> Sequence[previews.Preview]:
        if job.payload.get("broken"):
            raise KeyError("pia@example.com")
        return [previews.Preview("pia@example.com", "Invoice", "plain", skipped="paid already")]


def test_the_letters_of_a_waiting_job_are_shown_to_who_may_read_payloads(shop: None) -> None:
    job = make_job("delayed", processor="shop.invoice")
    reader = operator("view_job", "view_payload", username="reader")
    shown = {"to": "pia@example.com", "subject": "Invoice", "text": "plain", "html": ""}
    assert get(reader, f"jobs/{job.pk}/preview/") == {
        "letters": [
            {
                **shown,
                "skipped": "paid already",
                "waits_until": None,
                "leaves_at": job.run_at.isoformat().replace("+00:00", "Z"),
                "paused_queues": [],
            }
        ],
        "trouble": "",
    }
    assert "view_payload" in problem(ask(_deleter(), "GET", f"jobs/{job.pk}/preview/"), 403)["detail"]


def test_what_keeps_a_letter_from_being_made_is_told_without_addresses(shop: None) -> None:
    job = make_job("delayed", processor="shop.invoice", payload={"broken": True})
    reader = operator("view_job", "view_payload")
    shown = get(reader, f"jobs/{job.pk}/preview/")
    assert shown["letters"] == [] and shown["trouble"].startswith("KeyError")
    assert "pia@" not in shown["trouble"]


@pytest.mark.parametrize(
    ("state", "processor"), [("completed", "shop.invoice"), ("delayed", "sample.succeed")]
)
def test_a_job_without_letters_to_come_has_no_preview(shop: None, state: str, processor: str) -> None:
    job = make_job(state, processor=processor)
    refused = problem(ask(operator("view_job", "view_payload"), "GET", f"jobs/{job.pk}/preview/"), 404)
    assert refused["detail"] == f"There is no job {job.pk} whose letters can be shown before they go."


# Discard -------------------------------------------------------------------------------------------


def _deleter(username: str = "operator") -> Client:
    """Who may delete jobs, which no group may."""
    return operator("view_job", "delete_job", username=username)


@pytest.mark.parametrize("state", ["waiting", "delayed", "completed", "failed", "cancelled"])
def test_a_job_is_deleted_and_written_down(state: str) -> None:
    job = make_job(state)
    answer = ask(_deleter(), "POST", f"jobs/{job.pk}/discard/", {"reason": "a test"})
    assert (answer.status_code, answer.content) == (204, b"")
    assert not Job.objects.exists()
    entry = AuditEntry.objects.get()
    assert (entry.verb, entry.reason, entry.object_id) == ("Delete", "a test", str(job.pk))
    problem(ask(_deleter("late"), "POST", f"jobs/{job.pk}/discard/"), 404)


def test_a_running_job_is_not_deleted() -> None:
    job = make_job("active")
    refused = problem(ask(_deleter(), "POST", f"jobs/{job.pk}/discard/"), 409)
    assert refused["code"] == "wrong_state"
    assert refused["detail"] == (
        f"Job {job.pk} is active; delete takes a job that is neither running nor set aside."
    )
    assert Job.objects.exists() and not AuditEntry.objects.exists()
