"""Who looks reads his language; what is kept, and what programs read, is English whoever asks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import translation

from jobqueue.models import AuditEntry
from jobqueue.operating.language import in_english
from jobqueue.operating.retelling import retold, retold_message
from tests.jobqueue.admin.steps import make_job

GERMAN = {"HTTP_ACCEPT_LANGUAGE": "de-DE,de;q=0.9,en;q=0.5"}
pytestmark = [pytest.mark.django_db(databases=["default", "other"]), pytest.mark.one_database]


def _retry(client: Client, **more: Any) -> Any:
    job = make_job("failed")
    said = {"action": "retry", "confirmed": "retry", "_selected_action": job.pk, "index": "0"}
    return client.post(reverse("admin:jobqueue_job_changelist"), said, follow=True, **more)


def test_a_german_browser_is_answered_in_german(admin_client: Client) -> None:
    page = _retry(admin_client, **GERMAN).content.decode()
    assert "1 Auftrag wiederholt." in page
    assert '<html lang="de"' in page


def test_an_english_browser_is_answered_in_english(admin_client: Client) -> None:
    assert "1 job retried." in _retry(admin_client).content.decode()


def test_what_a_german_did_is_kept_in_english_and_told_in_german(admin_client: Client) -> None:
    _retry(admin_client, **GERMAN)
    entry = AuditEntry.objects.get()
    assert (entry.verb, entry.text) == ("Retry", "Retry: failed → waiting")
    page = admin_client.get(reverse("admin:jobqueue_auditentry_changelist"), **GERMAN).content.decode()
    assert "<strong>Wiederholen</strong> <small><bdi>fehlgeschlagen → wartend</bdi>" in page


def test_the_api_answers_in_english(admin_client: Client) -> None:
    job = make_job("failed")
    answer = admin_client.get(f"/api/jobs/{job.pk}", **GERMAN)
    assert answer.json()["why"].startswith("Failed ")
    assert answer["Content-Language"] == "en"
    refused = admin_client.post(f"/api/jobs/{job.pk}/cancel", content_type="application/json", **GERMAN)
    assert "cancel takes a waiting or delayed job" in refused.content.decode()


KEPT_AND_TOLD = [
    (
        "Hold: runs 2030-01-31 08:00:00 UTC → held. Reason: paid",
        "Zurückhalten: läuft 2030-01-31 08:00:00 UTC → zurückgehalten. Grund: paid",
    ),
    (
        "Rate limit: none → 10; Concurrency limit: 5 → none",
        "Starts pro Sekunde: keine → 10; Gleichzeitige Aufträge: 5 → keine",
    ),
    (
        "Retry: 5 jobs (failed jobs, cause ValueError)",
        "Wiederholen: 5 Aufträge (fehlgeschlagene Aufträge, Ursache ValueError)",
    ),
    (
        "Retry: 1 job (failed jobs, cause ValueError)",
        "Wiederholen: 1 Auftrag (fehlgeschlagene Aufträge, Ursache ValueError)",
    ),
    ("Move: 1 job by 1 day (kind x)", "Verschieben: 1 Auftrag um 1 Tag (Art x)"),
    ("Move: 5 jobs by -7 days (kind x)", "Verschieben: 5 Aufträge um -7 Tage (Art x)"),
    ("Move: 5 jobs by 7 days back (kind x)", "Verschieben: 5 Aufträge um 7 Tage zurück (Art x)"),
    ("Move: 1 job by 1 day back (kind x)", "Verschieben: 1 Auftrag um 1 Tag zurück (Art x)"),
    ("Resume: 1 process on vm", "Fortsetzen: 1 Prozess auf vm"),
    ("Stop: 0 of 1 job was changed", "Stoppen: 0 von 1 Auftrag wurde geändert"),
    (
        "Completed: pending → completed. Reason: cash",
        "Abgeschlossen: ausstehend → abgeschlossen. Grund: cash",
    ),
    ("Somebody wrote this", "Somebody wrote this"),
]


@pytest.mark.parametrize(("kept", "told"), KEPT_AND_TOLD)
def test_what_was_kept_is_told_in_the_language_of_the_reader(kept: str, told: str, german: None) -> None:
    assert retold_message(kept) == told
    with in_english():
        assert retold_message(kept) == kept


def test_one_that_was_written_as_many_is_told_as_one() -> None:
    """As it was kept before."""
    with in_english():
        assert retold("Resume: 1 processes on vm.") == "Resume: 1 process on vm."
        assert retold("Retry: 1 jobs (failed jobs)") == "Retry: 1 job (failed jobs)"


def test_nothing_is_told_of_nothing(german: None) -> None:
    assert retold("") == ""


@pytest.fixture
def german() -> Iterator[None]:
    """The language of this thread, for a test."""
    with translation.override("de"):
        yield
