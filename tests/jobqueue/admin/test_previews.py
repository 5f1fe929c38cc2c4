"""Letters before they go, told by any app: here by a third one."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from django.test import Client
from django.utils.translation import get_language

from jobqueue.admin import Preview, tells_preview
from jobqueue.models import Job
from jobqueue.operating import previews
from tests.jobqueue.admin.steps import JOBS, make_job, page_of, text_of

pytestmark = pytest.mark.django_db(databases=["default", "other"])


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> None:
    """A third app's invoices."""
    monkeypatch.setattr(previews, "_tellers", {})

    @tells_preview("shop.invoice")
    def of_invoice(job: Job) -> Sequence[Preview]:
        if job.payload.get("broken"):
            raise KeyError("pia@example.com")
        return [Preview("pia@example.com", f"Invoice ({get_language()})", "plain", skipped="paid already")]


def test_another_apps_letter_is_shown(admin_client: Client, shop: None) -> None:
    job = make_job("delayed", processor="shop.invoice")
    text = text_of(admin_client.get(f"{JOBS}{job.pk}/preview/"))
    assert "pia@example.com" in text and "paid already" in text and "plain" in text
    assert "<iframe" not in text
    assert admin_client.get(f"{JOBS}{job.pk}/preview/0/").status_code == 404


def test_it_is_written_in_the_language_of_the_workers(admin_client: Client, shop: None) -> None:
    job = make_job("delayed", processor="shop.invoice")
    response = admin_client.get(f"{JOBS}{job.pk}/preview/", HTTP_ACCEPT_LANGUAGE="de")
    assert "Invoice (en" in text_of(response)


def test_its_labels_are_in_the_language_of_the_reader(admin_client: Client, shop: None) -> None:
    job = make_job("delayed", processor="shop.invoice")
    response = admin_client.get(f"{JOBS}{job.pk}/preview/", HTTP_ACCEPT_LANGUAGE="de")
    assert "<dt>Empfänger</dt><dd>pia@example.com</dd>" in response.content.decode()


def test_an_app_that_fails_takes_no_page_down(admin_client: Client, shop: None) -> None:
    job = make_job("delayed", processor="shop.invoice", payload={"broken": True})
    text = text_of(admin_client.get(f"{JOBS}{job.pk}/preview/"))
    assert "The letter cannot be made" in text and "pia@example.com" not in text


def test_a_job_of_which_nobody_tells_has_no_preview(admin_client: Client, shop: None) -> None:
    job = make_job("delayed", processor="sample.succeed")
    assert "/preview/" not in text_of(admin_client.get(page_of(job)))
    assert admin_client.get(f"{JOBS}{job.pk}/preview/").status_code == 404
