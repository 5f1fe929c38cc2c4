"""The page of metrics where many processes share a folder, as prometheus-client documents it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from django.test import Client

from tests.servers import ROOT, subprocess_environment

pytestmark = pytest.mark.django_db(databases=["default", "other"])


@pytest.mark.parametrize("is_shared", [False, True])
def test_the_job_queues_metrics_are_shown_by_one_process_and_by_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_shared: bool
) -> None:
    if is_shared:
        monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    page = Client().get("/metrics", secure=True).content.decode()
    assert 'jobqueue_up{store="redis"} 1.0' in page
    assert 'jobqueue_jobs{queue="email",state="waiting"} 0.0' in page


@pytest.mark.parametrize("address", ["/metrics", "/metrics/"])
def test_it_is_the_page_of_django_prometheus_too(address: str) -> None:
    page = Client().get(address, secure=True).content.decode()
    assert "django_http_requests_total_by_method_total{" in page


# The tables are there for other processes; nothing is written.
@pytest.mark.django_db(transaction=True, databases=["default", "other"])
def test_where_processes_share_a_folder_one_shows_what_django_prometheus_counted_in_another(
    tmp_path: Path,
) -> None:
    _ask_in_a_process_of_its_own("/health/live", tmp_path)
    page = _ask_in_a_process_of_its_own("/metrics", tmp_path)

    assert 'django_http_responses_total_by_status_total{status="200"} 1.0' in page
    assert 'jobqueue_up{store="redis"} 1.0' in page


def _ask_in_a_process_of_its_own(address: str, folder: Path) -> str:
    code = f"from django.test import Client; print(Client().get({address!r}, secure=True).content.decode())"
    environment = subprocess_environment(
        PROMETHEUS_MULTIPROC_DIR=str(folder),
        DJANGO_SETTINGS_MODULE="tests.settings",
        ALLOWED_HOSTS="testserver",
    )
    asked = subprocess.run(
        [sys.executable, "manage.py", "shell", "-v", "0", "-c", code],
        cwd=ROOT,
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    return asked.stdout
