"""What the job queue itself writes down of runs that were lost, ended or handed back is told in German."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import translation

from jobqueue.delivery.rescue import DID_NOT_YIELD, PAST_ITS_LIMIT
from jobqueue.models import Attempt, Job
from jobqueue.models.unknown import NEVER_KNOWN, UNKNOWN_PREFIX
from jobqueue.operating.retelling import told_reason
from jobqueue.sql.clock import database_now
from jobqueue.worker import claim_loop, in_hand
from tests.jobqueue.admin.steps import STUCK, confirm, make_job, operator, page_of, text_of

TOLD = [
    ("JobInterrupted: worker w1 is gone: no sign of life", "Arbeitsprozess w1 ist verschwunden"),
    ("JobInterrupted: executor 2 of worker w1 ended with code -9", "endete mit Code -9"),
    (f"JobInterrupted: {PAST_ITS_LIMIT}", "Zeitlimit"),
    (f"JobInterrupted: {DID_NOT_YIELD}", "gab nicht nach"),
    ("JobInterrupted: failed by anna: ich will nicht", "beendet von anna: ich will nicht"),
    ("JobTimeout: the job ran longer than its limit of 30 seconds", "länger als sein Limit von 30"),
    (f"UnknownProcessor: {NEVER_KNOWN}9 s (UNKNOWN_PROCESSOR_TIMEOUT): x", "kein Arbeitsprozess kannte"),
    (f"{UNKNOWN_PREFIX}x", "weitergegeben"),
    (f"{UNKNOWN_PREFIX}there is no processor 'a.b'", "gibt keine Verarbeitung 'a.b'"),
    (f"{UNKNOWN_PREFIX}a.b does not take this payload: no text", "a.b nimmt diese Nutzdaten nicht: no text"),
    ("rescued: worker w1 is gone: no sign of life", "gerettet: Arbeitsprozess w1 ist verschwunden"),
    (in_hand.WORKER_STOPPED, "zurückgegeben"),
    (in_hand.BESIDE_A_STUCK_JOB, "zurückgegeben"),
    (in_hand._CLAIM_UNHEARD, "zurückgegeben"),
    (claim_loop._NO_THREAD_FREE, "zurückgegeben"),
    ("failed by anna: ich will nicht", "als fehlgeschlagen beendet von anna: ich will nicht"),
    ("failed by anna", "als fehlgeschlagen beendet von anna"),
    ("cleared by an operator", "vom Betrieb als fehlgeschlagen beendet"),
    ("put back by anna: again", "erneut eingereiht von anna: again"),
]


@pytest.mark.parametrize(("kept", "told"), TOLD)
def test_it_is_told_in_german_and_in_english_as_it_was_written(kept: str, told: str) -> None:
    job = Job(state="failed", reason=kept)
    with translation.override("de"):
        assert told in told_reason(job)
        assert told_reason(job).startswith(kept.partition(": ")[0]) == kept.startswith(("Job", "Unknown"))
    if "cleared" not in kept:
        with translation.override("en"):
            assert told_reason(job) == kept


def test_how_long_the_mail_server_was_asked_is_told_and_its_answer_stays() -> None:
    job = Job(state="failed", reason="EmailNotSent: not taken within 24 h: SMTPDataError: 451 later")
    with translation.override("de"):
        told = told_reason(job)
    assert told == "EmailNotSent: nicht angenommen innerhalb von 24 h: SMTPDataError: 451 later"


@pytest.mark.django_db(databases=["default", "other"])
def test_why_no_worker_knows_a_job_is_told_on_its_page(admin_client: Client) -> None:
    since = database_now("default") - timedelta(minutes=2)
    job = make_job(reason=f"{UNKNOWN_PREFIX}there is no processor 'a.b'", unfit_since=since)
    page = admin_client.get(page_of(job), headers={"Accept-Language": "de"})
    assert "es gibt keine Verarbeitung 'a.b'" in page.context["why"]


@pytest.mark.parametrize("raised", ["ValueError: worker w1 is gone: no sign of life", "JobTimeout: 3"])
def test_what_a_processor_raised_stays_as_it_was_raised(raised: str) -> None:
    with translation.override("de"):
        assert told_reason(Job(state="failed", reason=raised)) == raised


@pytest.mark.django_db(databases=["default", "other"])
def test_what_an_operator_failed_says_who_and_why_everywhere(admin_client: Client) -> None:
    job = make_job("stuck")
    confirm(admin_client, "fail", job, url=STUCK, reason="wrong\namount")
    job.refresh_from_db()
    said = "failed by admin: wrong amount"
    assert (job.reason, Attempt.objects.get(job=job).message) == (said, said)
    assert f": {said}. It stays here" in admin_client.get(page_of(job)).context["why"]


@pytest.mark.django_db(databases=["default", "other"])
def test_who_put_it_back_and_why_stands_in_the_row_until_it_runs(admin_client: Client) -> None:
    job = make_job("stuck")
    confirm(admin_client, "release", job, url=STUCK, reason="again")
    job.refresh_from_db()
    assert job.reason == "put back by admin: again"


@pytest.mark.django_db(databases=["default", "other"])
def test_addresses_in_it_are_masked_for_who_may_not_read_payloads(admin_client: Client) -> None:
    job = make_job("stuck")
    confirm(admin_client, "fail", job, url=STUCK, reason="pia@example.com asked")
    page = text_of(operator("view_job").get(page_of(job)))
    assert "failed by admin" in page and "pia@example.com" not in page
