"""Payloads, errors and tracebacks are read by those who may."""

from __future__ import annotations

import pytest

from tests.jobqueue.admin.steps import FAILED, JOBS, add_attempt, entries_of, make_job, operator, page_of

pytestmark = pytest.mark.django_db(databases=["default", "other"])

SECRETS = ("pia", "86042.125", "Dinner")


def _page(*permissions: str, state: str = "failed") -> str:
    job = make_job(
        state,
        payload={"email": "pia@example.com", "data": {"amount": 86042.125, "description": "Dinner"}},
        reason="Refused: 550 <pia@example.com> unknown",
    )
    add_attempt(job, message="550 <pia@example.com> unknown", traceback="raise Refused('pia@example.com')")
    return operator("view_job", *permissions).get(page_of(job)).content.decode()


@pytest.mark.parametrize("state", ["failed", "delayed", "active", "completed"])
def test_who_may_see_jobs_sees_no_value_of_a_payload_and_no_address_of_an_error(state: str) -> None:
    page = _page(state=state)

    assert [secret for secret in SECRETS if secret in page] == []


def test_the_form_of_the_payload_is_shown_and_what_would_show_the_rest() -> None:
    page = _page()

    assert "&quot;email&quot;: &quot;•••&quot;" in page
    assert "Can read payloads" in page
    assert "550 &lt;(address)&gt; unknown" in page


def test_who_may_read_payloads_sees_them_as_they_are() -> None:
    page = _page("view_payload")

    assert [secret for secret in SECRETS if secret not in page] == []
    assert "Can read payloads" not in page


def test_a_subject_whose_key_is_an_address_is_hidden_like_any_other() -> None:
    job = make_job("failed", subject="auth.user:pia@example.com")
    client = operator("view_job")

    pages = [client.get(address).content.decode() for address in (JOBS, FAILED, page_of(job))]

    assert [page for page in pages if "pia" in page or "user (address)" not in page.replace(":", " ")] == []


def test_what_operators_did_tells_no_address() -> None:
    job = make_job("failed", set_aside="ValueError: no mailbox pia@example.com")
    client = operator("view_job", "put_back_set_aside")

    client.post("/admin/jobqueue/setasidejob/", {"chosen": f"job:default:{job.pk}"})

    assert "pia" not in client.get(page_of(job)).content.decode()
    assert "pia" not in entries_of(job)[0]
